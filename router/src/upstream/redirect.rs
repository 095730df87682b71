//! Where a redirect of a provider leads, in words for whoever can mend `api_base`.

use std::borrow::Cow;

use llm_balancer_config::{Endpoint, Tls};

/// A longer Location is cut here, in characters.
const MOST: usize = 300;

/// Scheme, host and path of a `Location` header. Its query and its user name may hold secrets, so they are left out;
/// a relative one is completed by the endpoint that sent it. `None` where there is nothing to show.
pub fn display_location(location: &str, endpoint: &Endpoint) -> Option<String> {
    let location = location.trim().split(['?', '#']).next().unwrap_or_default();
    if location.is_empty() {
        return None;
    }
    let own_scheme = if endpoint.tls == Tls::Off { "http" } else { "https" };
    let (scheme, rest) = match location.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        _ => match location.strip_prefix("//") {
            Some(rest) => (own_scheme, rest),
            None => {
                return Some(printable(&format!(
                    "{own_scheme}://{}{}",
                    endpoint.authority,
                    absolute(location)
                )));
            }
        },
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    Some(printable(&format!("{scheme}://{host}{path}")))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.'))
}

/// A path that does not say where it begins is shown as one from the root.
fn absolute(path: &str) -> Cow<'_, str> {
    if path.starts_with('/') { path.into() } else { format!("/{path}").into() }
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(MOST).collect()
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
    fn a_location_is_shown_without_what_may_be_secret() {
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
        assert_eq!(long.len(), MOST);
    }
}
