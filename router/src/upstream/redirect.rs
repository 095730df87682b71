//! The target of a provider's redirect, for an operator who has to correct `api_base`.

use llm_balancer_config::{Endpoint, Tls};

/// The most characters that are shown.
const MAX_CHARS: usize = 300;

/// Scheme, host and path of a `Location` header; a relative one is completed by the endpoint. Query
/// and user name may be secret and are left out. `None` where nothing remains.
pub fn display_location(location: &str, endpoint: &Endpoint) -> Option<String> {
    let location = location.trim().split(['?', '#']).next().unwrap_or_default();
    if location.is_empty() {
        return None;
    }
    let own_scheme = if endpoint.tls == Tls::Off { "http" } else { "https" };
    let (scheme, rest) = match location.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, Some(rest)),
        _ => (own_scheme, location.strip_prefix("//")),
    };
    let url = match rest {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        // A path without its first slash is shown from the root.
        None => {
            let path = location.strip_prefix('/').unwrap_or(location);
            format!("{scheme}://{}/{path}", endpoint.authority)
        }
    };
    Some(url.chars().filter(|letter| !letter.is_control()).take(MAX_CHARS).collect())
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(location: &str) -> Option<String> {
        let yaml = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_base: 'https://a.test:8443/v1', api_key: k}}\n";
        let config = llm_balancer_config::read("config.yaml", yaml, &|_| None).config.unwrap();
        display_location(location, &config.deployments[0].endpoint)
    }

    #[test]
    fn a_location_is_shown_without_its_secrets() {
        for (header, expected) in [
            ("https://b.test/v1/chat/completions?key=secret", Some("https://b.test/v1/chat/completions")),
            ("https://user:secret@b.test/v1#secret", Some("https://b.test/v1")),
            ("http://b.test", Some("http://b.test")),
            ("//b.test/v2?x", Some("https://b.test/v2")),
            ("/v1/chat/completions/", Some("https://a.test:8443/v1/chat/completions/")),
            ("login?next=secret", Some("https://a.test:8443/login")),
            ("?secret", None),
            ("", None),
            ("https://b.test/\u{7}\u{1b}[31m", Some("https://b.test/[31m")),
        ] {
            assert_eq!(location(header).as_deref(), expected, "{header}");
        }
        let long = location(&format!("https://b.test/{}", "x".repeat(5000))).unwrap();
        assert_eq!(long.len(), MAX_CHARS);
    }
}
