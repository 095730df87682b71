//! `NO_PROXY`: hosts that are reached without a proxy. Python's urllib, httpx, requests and curl
//! read it differently; an entry matches here if it matches in one of them.

use std::net::IpAddr;

use super::endpoint::{Endpoint, Scheme};
use crate::values::url::host_and_port;

/// The entries of `NO_PROXY`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// `http://host` matches http only (httpx).
    scheme: Option<Scheme>,
    /// `host:8443` matches that port only.
    port: Option<u16>,
    hosts: Hosts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    /// `*`
    All,
    /// A network: an address and the number of its leading bits that are compared.
    Network(IpAddr, u32),
    /// A domain in lower case, and its subdomains.
    Domain(String),
}

impl NoProxy {
    /// Entries are separated by commas (all readers) or blanks (curl). An invalid entry matches
    /// nothing.
    pub(crate) fn parse(text: &str) -> Self {
        let entries = text.split(|at: char| at == ',' || at.is_whitespace());
        Self(entries.filter(|entry| !entry.is_empty()).filter_map(Entry::parse).collect())
    }

    /// Whether Envoy connects to this endpoint directly.
    pub(crate) fn matches(&self, endpoint: &Endpoint) -> bool {
        let scheme = endpoint.scheme();
        self.0.iter().any(|entry| {
            entry.scheme.is_none_or(|wanted| wanted == scheme)
                && entry.port.is_none_or(|port| port == endpoint.port)
                && entry.hosts.contain(&endpoint.host)
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest.trim_end_matches('/')),
            None => (None, text),
        };
        let scheme = match scheme.as_deref() {
            None | Some("all") => None,
            Some("https") => Some(Scheme::Https),
            Some("http") => Some(Scheme::Http),
            Some(_) => return None,
        };
        if let Some(network) = network(rest) {
            return Some(Self { scheme, port: None, hosts: network });
        }
        let (host, port) = match rest.strip_prefix('*') {
            Some(rest) if rest.is_empty() || rest.starts_with(':') => ("*".to_owned(), port(rest)?),
            stars => host_and_port(stars.unwrap_or(rest).trim_start_matches('.')).ok()?,
        };
        let hosts = match host.as_str() {
            "*" => Hosts::All,
            host => network(host).unwrap_or_else(|| Hosts::Domain(host.trim_end_matches('.').to_owned())),
        };
        Some(Self { scheme, port, hosts })
    }
}

/// `:8080` or nothing.
fn port(text: &str) -> Option<Option<u16>> {
    match text.strip_prefix(':') {
        Some(digits) => digits.parse().ok().map(Some),
        None => Some(None),
    }
}

/// `10.0.0.7`, `::1` or `10.0.0.0/8`.
fn network(text: &str) -> Option<Hosts> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse().ok()?)),
        None => (text, None),
    };
    let address = address.trim_matches(['[', ']']).parse::<IpAddr>().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(width);
    (bits <= width).then_some(Hosts::Network(address, bits))
}

impl Hosts {
    fn contain(&self, host: &str) -> bool {
        let address = host.parse::<IpAddr>().ok();
        match self {
            Self::All => true,
            Self::Network(network, bits) => address.is_some_and(|address| share(address, *network, *bits)),
            Self::Domain(domain) => {
                let host = host.trim_end_matches('.');
                let before = host.strip_suffix(domain.as_str());
                address.is_none() && before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
        }
    }
}

/// Whether two addresses of one family have the same leading bits.
fn share(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    let (one, other, width) = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(one.to_bits()), u128::from(other.to_bits()), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128_u32),
        _ => return false,
    };
    // `bits` is 0: a shift by the whole width has no result.
    (one ^ other).checked_shr(width.saturating_sub(bits)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layout, Tls};

    fn endpoint(url: &str) -> Endpoint {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (host, port) = host_and_port(rest.split('/').next().unwrap()).unwrap();
        let (tls, default_port) = if scheme == "https" { (Tls::SystemCas, 443) } else { (Tls::Off, 80) };
        let (path, layout) = (String::new(), Layout::OpenAi);
        let (authority, display_url) = (String::new(), url.to_owned());
        Endpoint {
            tls,
            authority,
            display_url,
            host,
            port: port.unwrap_or(default_port),
            path,
            layout,
            query: None,
        }
    }

    #[test]
    fn what_is_named_is_reached_directly_and_nothing_else() {
        // NO_PROXY, an address, whether it is reached directly.
        let table = [
            ("", "https://api.openai.com", false),
            ("*", "https://api.openai.com", true),
            ("internal, *", "https://api.openai.com", true),
            ("openai.com", "https://api.openai.com", true),
            ("openai.com", "https://openai.com", true),
            ("openai.com", "https://notopenai.com", false),
            ("openai.com", "https://openai.com.evil.example", false),
            ("OpenAI.com", "https://API.openai.COM", true),
            (".openai.com", "https://api.openai.com", true),
            (".openai.com", "https://openai.com", true),
            ("*.openai.com", "https://api.openai.com", true),
            ("*openai.com", "https://api.openai.com", true),
            ("api.openai.com", "https://openai.com", false),
            ("api.openai.com.", "https://api.openai.com", true),
            ("a,b c\td,,example.com", "https://api.example.com", true),
            ("localhost", "http://localhost:11434", true),
            ("localhost", "http://127.0.0.1:11434", false),
            ("127.0.0.1", "http://127.0.0.1:11434", true),
            ("127.0.0.1", "http://127.0.0.10", false),
            ("0.0.1", "http://127.0.0.1", false),
            ("10.0.0.0/8", "http://10.200.3.4:8000/v1", true),
            ("10.0.0.0/8", "http://11.0.0.1", false),
            ("10.1.2.3/32", "http://10.1.2.3", true),
            ("0.0.0.0/0", "http://10.1.2.3", true),
            ("0.0.0.0/0", "http://[::1]", false),
            ("0.0.0.0/0", "https://api.openai.com", false),
            ("10.0.0.0/33", "http://10.0.0.1", false),
            ("10.0.0.0/x", "http://10.0.0.1", false),
            ("::1", "http://[::1]:8000", true),
            ("[::1]", "http://[::1]:8000", true),
            ("[::1]:8000", "http://[::1]:8000", true),
            ("[::1]:8001", "http://[::1]:8000", false),
            ("fd00::/8", "http://[fd12::1]", true),
            ("fd00::/8", "http://[fe80::1]", false),
            ("vllm:8000", "http://vllm:8000/v1", true),
            ("vllm:8000", "http://vllm:8001/v1", false),
            ("vllm:443", "https://gpu.vllm", true),
            ("10.0.0.7:8000", "http://10.0.0.7:8000", true),
            ("10.0.0.7:8000", "http://10.0.0.7:8001", false),
            ("*:8000", "http://vllm:8000", true),
            ("*:8000", "http://vllm:8001", false),
            ("http://vllm", "http://vllm:8000", true),
            ("http://vllm", "https://vllm", false),
            ("https://vllm/", "https://vllm", true),
            ("all://vllm", "https://vllm", true),
            ("ftp://vllm", "https://vllm", false),
            ("vllm:port", "https://vllm", false),
            ("///,:,[,/8,é", "https://vllm", false),
        ];
        for (no_proxy, url, direct) in table {
            assert_eq!(NoProxy::parse(no_proxy).matches(&endpoint(url)), direct, "{no_proxy:?} {url}");
        }
    }
}
