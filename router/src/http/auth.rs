//! The client's key, in any of the headers in which clients send it (BEHAVIOUR 9.5): the master key
//! opens, and any key tells clients apart.

use llm_balancer_config::Secret;
use subtle::ConstantTimeEq;

use crate::hash::hash;
use crate::http::headers::{Headers, utf8_or_empty};

/// Why a request has no access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unauthorized {
    /// No header has a key.
    NoKey,
    /// Another key than the master key.
    WrongKey,
}

/// Checks the key. `key_header` is one more header with it, in lower case. Compares every header,
/// each in a time that depends on its length alone: the time taken may tell how long the key is, and
/// nothing else of it.
///
/// # Errors
/// [`Unauthorized`]; never where no key is configured.
pub fn check(
    master_key: Option<&Secret>,
    key_header: Option<&str>,
    headers: &Headers,
) -> Result<(), Unauthorized> {
    let Some(key) = master_key else { return Ok(()) };
    let mut sent = false;
    let mut right = false;
    for (name, value) in headers.bytes() {
        let is_own = key_header.is_some_and(|own| own.as_bytes() == name);
        let Some(offered) = (is_own || is_for_keys(name)).then(|| bearer(utf8_or_empty(value))) else {
            continue;
        };
        sent |= !offered.is_empty();
        let is_key = |offered: &str| bool::from(offered.as_bytes().ct_eq(key.reveal().as_bytes()));
        right |= is_key(offered) | is_key(once(offered));
    }
    if right {
        Ok(())
    } else if sent {
        Err(Unauthorized::WrongKey)
    } else {
        Err(Unauthorized::NoKey)
    }
}

/// The hash of the key that a client sent: of several, the one in the first header of the list
/// below, in whatever order they came. `None` for a client without one.
pub fn client(headers: &Headers) -> Option<u64> {
    let mut keys = NAMES.iter().filter_map(|name| headers.get(name)).map(|value| once(bearer(value)));
    keys.find(|key| !key.is_empty()).map(|key| hash(key.as_bytes()))
}

/// The headers with a key: LiteLLM's, and those of OpenAI, Anthropic, Azure, Google and Azure's API
/// Management.
const NAMES: [&str; 6] = [
    "authorization", "x-litellm-api-key", "x-api-key", "api-key", "x-goog-api-key",
    "ocp-apim-subscription-key",
];

/// Whether every file has this header for keys.
pub fn is_for_keys(name: &[u8]) -> bool {
    NAMES.iter().any(|known| known.as_bytes() == name)
}

/// The scheme is case-insensitive (RFC 9110, 11.1), and LiteLLM takes a bare key as well.
fn bearer(value: &str) -> &str {
    match value.split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer ") => key.trim(),
        _ => value.trim(),
    }
}

/// Of equal keys one: Envoy joins repeated `authorization` headers by commas, and no others.
fn once(keys: &str) -> &str {
    let mut all = keys.split(',').map(|key| bearer(key.trim()));
    let first = all.next().unwrap_or(keys);
    if all.all(|key| key == first) { first } else { keys }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_opens_from_each_of_the_headers() {
        let key = Secret::new("sk-master");
        for (name, value, expected) in [
            ("authorization", "Bearer sk-master", Ok(())),
            ("authorization", "bearer sk-master", Ok(())),
            ("authorization", "sk-master", Ok(())),
            ("x-api-key", "sk-master", Ok(())),
            ("api-key", "sk-master", Ok(())),
            ("x-goog-api-key", "sk-master", Ok(())),
            ("ocp-apim-subscription-key", "sk-master", Ok(())),
            ("x-litellm-api-key", "Bearer sk-master", Ok(())),
            ("x-our-key", "Bearer sk-master", Ok(())),
            ("authorization", "Bearer sk-master,Bearer sk-master", Ok(())),
            ("authorization", "Bearer sk-master, bearer sk-master,sk-master", Ok(())),
            ("authorization", "Bearer sk-master,Bearer sk-other", Err(Unauthorized::WrongKey)),
            ("authorization", "Bearer sk-other,Bearer sk-other", Err(Unauthorized::WrongKey)),
            ("x-our-key", "sk-other", Err(Unauthorized::WrongKey)),
            ("authorization", "Bearer sk-other", Err(Unauthorized::WrongKey)),
            ("api-key", "sk-maste", Err(Unauthorized::WrongKey)),
            ("authorization", "Bearer ", Err(Unauthorized::NoKey)),
            ("cookie", "sk-master", Err(Unauthorized::NoKey)),
        ] {
            let headers = [(name, value)].into_iter().collect();
            assert_eq!(check(Some(&key), Some("x-our-key"), &headers), expected, "{name}: {value}");
        }
        assert_eq!(check(None, None, &Headers::default()), Ok(()));
    }

    #[test]
    fn a_key_with_commas_is_a_key() {
        let headers = [("authorization", "Bearer a,a")].into_iter().collect();
        assert_eq!(check(Some(&Secret::new("a,a")), None, &headers), Ok(()));
    }

    #[test]
    fn clients_are_told_apart_by_their_keys_and_not_by_the_header() {
        let of = |name, value| client(&[(name, value)].into_iter().collect());
        for name in NAMES {
            assert_eq!(of(name, "sk-1"), Some(hash(b"sk-1")), "{name}");
        }
        assert_eq!(of("authorization", "Bearer a"), of("x-api-key", "a"));
        assert_eq!(of("authorization", "Bearer a,Bearer a"), of("x-api-key", "a"), "sent twice");
        assert_ne!(of("authorization", "Bearer a"), of("authorization", "Bearer b"));
        assert_eq!([of("cookie", "a"), of("authorization", "Bearer ")], [None; 2]);
        let both = [("authorization", "Bearer "), ("api-key", "b"), ("x-api-key", "a")];
        assert_eq!(client(&both.into_iter().collect()), Some(hash(b"a")));
    }
}
