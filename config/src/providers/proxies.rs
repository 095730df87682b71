//! Forward proxies, which the environment names: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`.
//!
//! As LiteLLM's transport reads them (`urllib.request.getproxies`): the name in lower case goes first, and one that is set
//! to nothing there switches the proxy off; `ALL_PROXY` stands in for the other two; `DISABLE_AIOHTTP_TRUST_ENV=true`
//! and `litellm_settings.disable_aiohttp_trust_env` switch all of them off. Only the generator needs them: the filter's Envoy knows the way by its clusters.

use std::net::IpAddr;

use crate::config::{Deployment, Endpoint, Tls};
use crate::diagnostics::report::Path;
use crate::providers::base_url;
use crate::providers::no_proxy::NoProxy;
use crate::redis::url;
use crate::values::reader::{Reader, Section};
use crate::values::secret::Secret;
use crate::yaml::tree::Place;

/// The ways out that the environment prescribes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    none: NoProxy,
}

/// A forward proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// The variable that names it, as it is spelled: `HTTPS_PROXY`, `all_proxy`.
    pub variable: String,
    /// Whether the proxy itself is spoken to inside of TLS (`https://proxy`).
    pub tls: bool,
    /// A DNS name or an IP address, without brackets, in lower case.
    pub host: String,
    /// 80 or, inside of TLS, 443 where none is written.
    pub port: u16,
    /// `user:password`, both unescaped.
    pub login: Option<Secret>,
    /// Whether the file itself holds the login, in `environment_variables:`, and not the process' environment.
    pub in_file: bool,
}

impl Proxies {
    /// The proxy that leads to this endpoint; `None` if it is reached directly.
    pub fn of(&self, endpoint: &Endpoint) -> Option<&Proxy> {
        let proxy = if endpoint.tls == Tls::Off { &self.http } else { &self.https };
        proxy.as_ref().filter(|_| !self.none.matches(endpoint))
    }
}

impl Proxy {
    /// As it may be shown: no user, no password.
    pub fn display_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port)
    }
}

/// Reads the variables, and reports those that these deployments need and that cannot be used.
pub fn read(
    reader: &mut Reader<'_>,
    settings: Option<&Section<'_>>,
    place: Place,
    deployments: &[Deployment],
) -> Proxies {
    // The filter does not need them, and is smaller without.
    if cfg!(target_family = "wasm") || is_disabled(reader, settings) {
        return Proxies::default();
    }
    let mut proxies = Proxies { none: no_proxy(reader), ..Proxies::default() };
    proxies.https = proxy(reader, place, deployments, &proxies.none, true);
    proxies.http = proxy(reader, place, deployments, &proxies.none, false);
    for deployment in deployments {
        warn_of_this_machine(reader, place, &proxies, &deployment.endpoint);
    }
    proxies
}

fn is_disabled(reader: &mut Reader<'_>, settings: Option<&Section<'_>>) -> bool {
    let value = reader.env.peek("DISABLE_AIOHTTP_TRUST_ENV").map(|(value, _)| value);
    let by_variable = value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    by_variable
        || settings.and_then(|section| reader.bool(section, "disable_aiohttp_trust_env")).unwrap_or(false)
}

fn no_proxy(reader: &Reader<'_>) -> NoProxy {
    variable(reader, "NO_PROXY").map(|(_, text, _)| NoProxy::parse(&text)).unwrap_or_default()
}

/// The proxy of one scheme, where one of the deployments needs it.
fn proxy(
    reader: &mut Reader<'_>,
    place: Place,
    deployments: &[Deployment],
    none: &NoProxy,
    https: bool,
) -> Option<Proxy> {
    let goes_through = |endpoint: &Endpoint| (endpoint.tls != Tls::Off) == https && !none.matches(endpoint);
    let endpoint = deployments.iter().map(|deployment| &deployment.endpoint).find(|it| goes_through(it))?;
    let own = if https { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    let (name, text, in_file) = variable(reader, own).or_else(|| variable(reader, "ALL_PROXY"))?;
    match parse(&text) {
        Ok(proxy) => Some(Proxy { variable: name, in_file, ..proxy }),
        Err(InvalidUrl(message, advice)) => {
            let message = format!("{message}, and {} is to be reached through it", endpoint.display_url);
            let advice = format!("{advice}, or add {} to NO_PROXY", endpoint.host);
            reader.report.refuse(place, &Path::top(&name), &message, &advice);
            None
        }
    }
}

/// The variable that counts, its value, and whether the file holds that.
fn variable(reader: &Reader<'_>, name: &str) -> Option<(String, String, bool)> {
    let lower = name.to_ascii_lowercase();
    let found = [lower.as_str(), name].into_iter().find_map(|name| Some((name, reader.env.peek(name)?)));
    let (name, (value, in_file)) = found?;
    let value = value.trim();
    (!value.is_empty()).then(|| (name.to_owned(), value.to_owned(), in_file))
}

struct InvalidUrl(&'static str, &'static str);

/// Takes `http://user:password@proxy:3128` apart; without a scheme it is http. The text is not repeated in messages: it may
/// hold a password.
fn parse(text: &str) -> Result<Proxy, InvalidUrl> {
    const SHAPE: &str =
        "write http://proxy:3128, or http://user:password@proxy:3128 with special characters as %40";
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        scheme if scheme.starts_with("socks") => {
            return Err(InvalidUrl("names a SOCKS proxy, which Envoy cannot use", "name an HTTP proxy"));
        }
        _ => return Err(InvalidUrl("names no HTTP proxy", SHAPE)),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let (login, address) = match authority.rsplit_once('@') {
        Some((login, address)) => (Some(login), address),
        None => (None, authority),
    };
    let wrong = |_| InvalidUrl("names no valid proxy", SHAPE);
    let (host, port) =
        base_url::host_and_port(address).map_err(|_| InvalidUrl("names no valid proxy", SHAPE))?;
    let login = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        Some((user, password)) => {
            let user = url::unescaped(user).map_err(wrong)?.unwrap_or_default();
            let password = url::unescaped(password).map_err(wrong)?.unwrap_or_default();
            Some(Secret::new(format!("{user}:{password}")))
        }
        None => None,
    };
    let port = port.unwrap_or(if tls { 443 } else { 80 });
    Ok(Proxy { variable: String::new(), tls, host, port, login, in_file: false })
}

/// LiteLLM asks a proxy for these too, and no proxy has a way back.
fn warn_of_this_machine(reader: &mut Reader<'_>, place: Place, proxies: &Proxies, endpoint: &Endpoint) {
    let address = endpoint.host.parse::<IpAddr>().ok();
    let is_here = endpoint.host == "localhost" || address.is_some_and(|address| address.is_loopback());
    if is_here && let Some(proxy) = proxies.of(endpoint) {
        let message =
            format!("{} is asked for through this proxy, which may not lead back here", endpoint.display_url);
        let advice = format!("add {} to NO_PROXY", endpoint.host);
        reader.report.warn(place, &Path::top(&proxy.variable), &message, &advice);
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnostics::finding::Severity;
    use crate::{Config, Reading, read};

    const FILE: &str = "model_list:
- {model_name: a, litellm_params: {model: openai/m, api_base: 'https://api.example.com/v1', api_key: k}}
- {model_name: b, litellm_params: {model: openai/m, api_base: 'http://vllm.internal:8000/v1', api_key: k}}
";

    fn reading(text: &str, variables: &[(&str, &str)]) -> Reading {
        let lookup =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        read("config.yaml", text, &lookup)
    }

    fn config(variables: &[(&str, &str)]) -> Config {
        let reading = reading(FILE, variables);
        reading.config.unwrap_or_else(|| panic!("{:?}", reading.findings))
    }

    /// Through what each of the two is reached.
    fn ways(variables: &[(&str, &str)]) -> [Option<String>; 2] {
        let config = config(variables);
        let way = |index: usize| {
            let proxy = config.proxies.of(&config.deployments[index].endpoint)?;
            Some(format!("{} {}", proxy.variable, proxy.display_url()))
        };
        [way(0), way(1)]
    }

    /// Variables, and through what each of the two is reached.
    type Row<'a> = (&'a [(&'a str, &'a str)], [Option<&'a str>; 2]);

    #[test]
    fn each_scheme_has_its_proxy_and_lower_case_goes_first() {
        let none: [Option<&str>; 2] = [None, None];
        let table: [Row<'_>; 12] = [
            (&[], none),
            (&[("HTTPS_PROXY", "http://p:3128")], [Some("HTTPS_PROXY http://p:3128"), None]),
            (&[("HTTP_PROXY", "http://p:3128")], [None, Some("HTTP_PROXY http://p:3128")]),
            (&[("http_proxy", "p")], [None, Some("http_proxy http://p:80")]),
            (
                &[("HTTPS_PROXY", "a"), ("https_proxy", "b:1"), ("ALL_PROXY", "c:2")],
                [Some("https_proxy http://b:1"), Some("ALL_PROXY http://c:2")],
            ),
            (&[("HTTPS_PROXY", "a"), ("https_proxy", "")], none),
            (&[("HTTPS_PROXY", " "), ("all_proxy", "https://c")], {
                [Some("all_proxy https://c:443"), Some("all_proxy https://c:443")]
            }),
            (&[("ALL_PROXY", "c:2"), ("NO_PROXY", "internal")], [Some("ALL_PROXY http://c:2"), None]),
            (&[("ALL_PROXY", "c:2"), ("NO_PROXY", "internal"), ("no_proxy", "api.example.com")], {
                [None, Some("ALL_PROXY http://c:2")]
            }),
            (&[("ALL_PROXY", "c:2"), ("no_proxy", "*")], none),
            (&[("ALL_PROXY", "c:2"), ("DISABLE_AIOHTTP_TRUST_ENV", "True")], none),
            (&[("https_proxy", "HTTP://[::1]:8/x")], [Some("https_proxy http://[::1]:8"), None]),
        ];
        for (variables, expected) in table {
            let ways = ways(variables);
            assert_eq!([ways[0].as_deref(), ways[1].as_deref()], expected, "{variables:?}");
        }
    }

    #[test]
    fn the_file_may_switch_proxies_off() {
        let text = format!("{FILE}litellm_settings: {{disable_aiohttp_trust_env: true}}\n");
        let config = reading(&text, &[("ALL_PROXY", "p:1")]).config.unwrap();
        assert_eq!(config.proxies.of(&config.deployments[0].endpoint), None);
    }

    #[test]
    fn a_login_is_unescaped_and_never_shown() {
        let config = config(&[("HTTPS_PROXY", "http://ad%40a:s%3Ae%2Fcret@p:3128")]);
        let proxy = config.proxies.of(&config.deployments[0].endpoint).unwrap();
        assert_eq!(proxy.login.as_ref().unwrap().reveal(), "ad@a:s:e/cret");
        assert!(!proxy.in_file);
        let shown = format!("{config:?} {}", proxy.display_url());
        assert!(!shown.contains("cret") && !shown.contains("ad@a"), "{shown}");
    }

    #[test]
    fn the_files_own_variables_go_before_the_process() {
        let text = format!("{FILE}environment_variables: {{HTTPS_PROXY: 'http://u:p@mine:1'}}\n");
        let config = reading(&text, &[("HTTPS_PROXY", "theirs:2")]).config.unwrap();
        let proxy = config.proxies.of(&config.deployments[0].endpoint).unwrap();
        assert_eq!((proxy.host.as_str(), proxy.in_file), ("mine", true));
        let text = format!("{FILE}environment_variables: {{HTTPS_PROXY: os.environ/CORPORATE}}\n");
        let config = reading(&text, &[("CORPORATE", "http://u:p@theirs:2")]).config.unwrap();
        let proxy = config.proxies.of(&config.deployments[0].endpoint).unwrap();
        assert_eq!((proxy.host.as_str(), proxy.in_file), ("theirs", false));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_where_it_is_needed() {
        for value in [
            "socks5://p:1080",
            "socks5h://p",
            "ftp://p",
            "http://",
            "http://u:100%@p",
            "http://p:0",
            "http://ü",
        ] {
            let refused = reading(FILE, &[("HTTPS_PROXY", value)]);
            assert!(refused.config.is_none(), "{value}");
            let finding =
                refused.findings.iter().find(|finding| finding.severity == Severity::Refused).unwrap();
            assert_eq!(finding.path, "HTTPS_PROXY");
            assert!(
                finding.advice.contains("NO_PROXY") && !finding.to_string().contains("100%"),
                "{finding}"
            );
            let bypassed = reading(FILE, &[("HTTPS_PROXY", value), ("NO_PROXY", "api.example.com")]);
            assert!(bypassed.config.is_some(), "{value}: no deployment needs it");
        }
    }

    #[test]
    fn the_filter_is_given_none_of_it() {
        let config = config(&[("HTTPS_PROXY", "http://u:p@p:3128"), ("NO_PROXY", "x")]);
        assert!(!config.env_names.iter().any(|name| name.to_ascii_uppercase().contains("PROXY")));
    }

    #[test]
    fn a_server_of_this_machine_behind_a_proxy_is_warned_about() {
        let text = FILE.replace("vllm.internal", "localhost");
        let reading = reading(&text, &[("HTTP_PROXY", "p:1")]);
        let about: Vec<_> = reading.findings.iter().filter(|finding| finding.path == "HTTP_PROXY").collect();
        assert!(matches!(about.as_slice(), [finding] if finding.advice.contains("localhost")), "{about:?}");
    }
}
