//! The forward proxies between Envoy and the providers.

use super::endpoint::{Endpoint, Scheme};
use super::no_proxy::NoProxy;
use crate::values::Secret;
use crate::values::url::bracketed;

/// The forward proxies that the environment names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    pub(crate) https: Option<Proxy>,
    pub(crate) http: Option<Proxy>,
    pub(crate) no_proxy: NoProxy,
}

/// A forward proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// The variable that names it, as it is spelled: `HTTPS_PROXY`, `all_proxy`.
    pub variable: String,
    /// What the variable says.
    pub url: ProxyUrl,
    /// Whether the login is in the file (`environment_variables:`), not in the environment.
    pub in_file: bool,
}

/// The URL of a forward proxy: `http://user:password@proxy:3128`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyUrl {
    /// `https://proxy`: the connection to the proxy itself uses TLS.
    pub tls: bool,
    /// A DNS name or an IP address, without brackets, in lower case.
    pub host: String,
    /// 80, or 443 with TLS, if unset.
    pub port: u16,
    /// `user:password`, percent-decoded.
    pub login: Option<Secret>,
}

impl Proxies {
    /// The proxy for this endpoint; `None` if Envoy connects to it directly.
    pub fn of(&self, endpoint: &Endpoint) -> Option<&Proxy> {
        let proxy = match endpoint.scheme() {
            Scheme::Http => &self.http,
            Scheme::Https => &self.https,
        };
        proxy.as_ref().filter(|_| !self.no_proxy.matches(endpoint))
    }
}

impl ProxyUrl {
    /// Without user and password.
    pub fn display_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", bracketed(&self.host), self.port)
    }
}
