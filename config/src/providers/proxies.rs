//! `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, as LiteLLM's transport reads them
//! (`urllib.request.getproxies`).
//!
//! - A name in lower case overrides the one in upper case, and disables the proxy if it is empty.
//! - `ALL_PROXY` replaces a missing one of the other two.
//! - `DISABLE_AIOHTTP_TRUST_ENV=true` and `litellm_settings.disable_aiohttp_trust_env` disable all
//!   of them.

use crate::config::{Deployment, Endpoint, NoProxy, Proxies, Proxy, ProxyUrl, Scheme};
use crate::diagnostics::{Path, Place};
use crate::values::url::{InvalidUrl, host_and_port, is_loopback, percent_decoded};
use crate::values::{Reader, Secret, Section};

/// Reads the variables. A proxy that these deployments need and that cannot be used is an error.
pub(crate) fn read_proxies(
    reader: &mut Reader<'_>,
    settings: Option<&Section<'_>>,
    place: Place,
    deployments: &[Deployment],
) -> Proxies {
    // The filter does not need them: the clusters of its Envoy do.
    if cfg!(target_family = "wasm") || is_disabled(reader, settings) {
        return Proxies::default();
    }
    let no_proxy = variable(reader, "NO_PROXY").map(|(_, text, _)| NoProxy::parse(&text)).unwrap_or_default();
    let https = proxy(reader, place, deployments, &no_proxy, Scheme::Https);
    let http = proxy(reader, place, deployments, &no_proxy, Scheme::Http);
    let proxies = Proxies { https, http, no_proxy };
    for deployment in deployments {
        warn_of_loopback(reader, place, &proxies, &deployment.endpoint);
    }
    proxies
}

fn is_disabled(reader: &mut Reader<'_>, settings: Option<&Section<'_>>) -> bool {
    let value = reader.env.peek("DISABLE_AIOHTTP_TRUST_ENV").map(|(value, _)| value);
    let by_variable = value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    by_variable
        || settings.and_then(|section| reader.bool(section, "disable_aiohttp_trust_env")).unwrap_or(false)
}

/// The proxy of one scheme, if one of the deployments needs it.
fn proxy(
    reader: &mut Reader<'_>,
    place: Place,
    deployments: &[Deployment],
    no_proxy: &NoProxy,
    scheme: Scheme,
) -> Option<Proxy> {
    let uses_it = |endpoint: &&Endpoint| endpoint.scheme() == scheme && !no_proxy.matches(endpoint);
    let endpoint = deployments.iter().map(|deployment| &deployment.endpoint).find(uses_it)?;
    let own = match scheme {
        Scheme::Https => "HTTPS_PROXY",
        Scheme::Http => "HTTP_PROXY",
    };
    let (variable, text, in_file) = variable(reader, own).or_else(|| variable(reader, "ALL_PROXY"))?;
    match parse(&text) {
        Ok(url) => Some(Proxy { variable, url, in_file }),
        Err(InvalidUrl(message, advice)) => {
            let message = format!("{message}; {} needs this proxy", endpoint.display_url);
            let advice = format!("{advice}, or add {} to NO_PROXY", endpoint.host);
            reader.report.error(place, &Path::top(&variable), &message, &advice);
            None
        }
    }
}

/// The name of the variable that is used, its value, and whether the file has it.
fn variable(reader: &Reader<'_>, name: &str) -> Option<(String, String, bool)> {
    let lower = name.to_ascii_lowercase();
    let found = [lower.as_str(), name].into_iter().find_map(|name| Some((name, reader.env.peek(name)?)));
    let (name, (value, in_file)) = found?;
    let value = value.trim();
    (!value.is_empty()).then(|| (name.to_owned(), value.to_owned(), in_file))
}

/// Parses `http://user:password@proxy:3128`. The default scheme is http.
fn parse(text: &str) -> Result<ProxyUrl, InvalidUrl> {
    const SHAPE: &str =
        "write http://proxy:3128, or http://user:password@proxy:3128 with special characters percent-encoded";
    const INVALID: InvalidUrl = InvalidUrl("invalid proxy URL", SHAPE);
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        scheme if scheme.starts_with("socks") => {
            return Err(InvalidUrl("SOCKS proxies are not supported", "write the URL of an HTTP proxy"));
        }
        _ => return Err(INVALID),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let (login, address) = match authority.rsplit_once('@') {
        Some((login, address)) => (Some(login), address),
        None => (None, authority),
    };
    let (host, port) = host_and_port(address).map_err(|_| INVALID)?;
    let login = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        Some((user, password)) => {
            let user = percent_decoded(user).map_err(|_| INVALID)?.unwrap_or_default();
            let password = percent_decoded(password).map_err(|_| INVALID)?.unwrap_or_default();
            Some(Secret::new(format!("{user}:{password}")))
        }
        None => None,
    };
    let port = port.unwrap_or(if tls { 443 } else { 80 });
    Ok(ProxyUrl { tls, host, port, login })
}

/// Warns of servers on this machine behind a proxy: LiteLLM uses the proxy for them too.
fn warn_of_loopback(reader: &mut Reader<'_>, place: Place, proxies: &Proxies, endpoint: &Endpoint) {
    if is_loopback(&endpoint.host)
        && let Some(proxy) = proxies.of(endpoint)
    {
        let message = format!(
            "{} is reached through this proxy, which may not be able to connect",
            endpoint.display_url
        );
        let advice = format!("add {} to NO_PROXY", endpoint.host);
        reader.report.warn(place, &Path::top(&proxy.variable), &message, &advice);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Reading, Severity, read};

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

    /// The proxies of the two deployments.
    fn ways(variables: &[(&str, &str)]) -> [Option<String>; 2] {
        let config = config(variables);
        let way = |index: usize| {
            let proxy = config.proxies.of(&config.deployments[index].endpoint)?;
            Some(format!("{} {}", proxy.variable, proxy.url.display_url()))
        };
        [way(0), way(1)]
    }

    /// Variables, and the proxies of the two deployments.
    type Row<'a> = (&'a [(&'a str, &'a str)], [Option<&'a str>; 2]);

    #[test]
    fn each_scheme_has_its_proxy_and_lower_case_overrides() {
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
    fn the_file_may_disable_proxies() {
        let text = format!("{FILE}litellm_settings: {{disable_aiohttp_trust_env: true}}\n");
        let config = reading(&text, &[("ALL_PROXY", "p:1")]).config.unwrap();
        assert_eq!(config.proxies.of(&config.deployments[0].endpoint), None);
    }

    #[test]
    fn a_login_is_decoded_and_never_printed() {
        let config = config(&[("HTTPS_PROXY", "http://ad%40a:s%3Ae%2Fcret@p:3128")]);
        let proxy = config.proxies.of(&config.deployments[0].endpoint).unwrap();
        assert_eq!(proxy.url.login.as_ref().unwrap().reveal(), "ad@a:s:e/cret");
        assert!(!proxy.in_file);
        let shown = format!("{config:?} {}", proxy.url.display_url());
        assert!(!shown.contains("cret") && !shown.contains("ad@a"), "{shown}");
    }

    #[test]
    fn the_files_own_variables_override_the_process() {
        let text = format!("{FILE}environment_variables: {{HTTPS_PROXY: 'http://u:p@mine:1'}}\n");
        let config = reading(&text, &[("HTTPS_PROXY", "theirs:2")]).config.unwrap();
        let proxy = config.proxies.of(&config.deployments[0].endpoint).unwrap();
        assert_eq!((proxy.url.host.as_str(), proxy.in_file), ("mine", true));
        let text = format!("{FILE}environment_variables: {{HTTPS_PROXY: os.environ/CORPORATE}}\n");
        let config = reading(&text, &[("CORPORATE", "http://u:p@theirs:2")]).config.unwrap();
        let proxy = config.proxies.of(&config.deployments[0].endpoint).unwrap();
        assert_eq!((proxy.url.host.as_str(), proxy.in_file), ("theirs", false));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_where_it_is_needed() {
        for value in [
            "socks5://p:1080", "socks5h://p", "ftp://p", "http://", "http://u:100%@p", "http://p:0",
            "http://ü",
        ] {
            let refused = reading(FILE, &[("HTTPS_PROXY", value)]);
            assert!(refused.config.is_none(), "{value}");
            let finding =
                refused.findings.iter().find(|finding| finding.severity == Severity::Error).unwrap();
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
    fn the_filter_gets_none_of_these_variables() {
        let config = config(&[("HTTPS_PROXY", "http://u:p@p:3128"), ("NO_PROXY", "x")]);
        assert!(!config.env_names.iter().any(|name| name.to_ascii_uppercase().contains("PROXY")));
    }

    #[test]
    fn a_server_of_this_machine_behind_a_proxy_is_a_warning() {
        let text = FILE.replace("vllm.internal", "localhost");
        let reading = reading(&text, &[("HTTP_PROXY", "p:1")]);
        let about: Vec<_> = reading.findings.iter().filter(|finding| finding.path == "HTTP_PROXY").collect();
        assert!(matches!(about.as_slice(), [finding] if finding.advice.contains("localhost")), "{about:?}");
    }
}
