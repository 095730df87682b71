//! The status page: one file of HTML, CSS and JavaScript, which shows in a browser what
//! `/stats/prometheus` beside it says.
//!
//! Names of the configuration file and words of providers are shown as text. The page runs only its
//! own script: its Content-Security-Policy names the hash of each inline block, and no URL but its
//! own origin.

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// The file, as it is served.
pub const HTML: &str = include_str!("page.html");

/// The headers of the response.
pub(crate) fn headers() -> [(&'static str, String); 5] {
    [
        ("content-type", "text/html; charset=utf-8".to_owned()),
        ("content-security-policy", policy(HTML)),
        // A new version of the balancer has another page.
        ("cache-control", "no-store".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
    ]
}

/// A Content-Security-Policy under which this page works and nothing else of it does. No text can
/// become HTML or code in it: no script may use `innerHTML` and its like (Trusted Types).
fn policy(html: &str) -> String {
    let [script, style] = ["script", "style"].map(|element| sources(html, element));
    format!(
        "default-src 'none'; script-src{script}; style-src{style}; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

/// The hash of each inline block of this kind: ` 'sha256-..'`
fn sources(html: &str, element: &str) -> String {
    blocks(html, element)
        .map(|block| format!(" 'sha256-{}'", BASE64.encode(&Sha256::digest(block.as_bytes()))))
        .collect()
}

/// The texts between `<element>` and `</element>`.
fn blocks<'h>(html: &'h str, element: &str) -> impl Iterator<Item = &'h str> + use<'h> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let mut rest = html;
    std::iter::from_fn(move || {
        let (block, after) = rest.split_once(&open)?.1.split_once(&close)?;
        rest = after;
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_hash_of_each_inline_block() {
        // echo -n 'a()' | openssl dgst -sha256 -binary | base64
        let policy = policy("<style>b</style><script>a()</script><script></script>");
        let (a, empty) = (
            "'sha256-qVpDBgj7bpq5hMAcGp3AOc79J3Y1Z4HvySTwKrWDoy4='",
            "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
        );
        assert!(policy.contains(&format!("; script-src {a} {empty}; style-src 'sha256-")), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn the_page_is_one_file_that_loads_nothing_else() {
        for element in ["script", "style"] {
            let opened = HTML.matches(&format!("<{element}")).count();
            assert_eq!(blocks(HTML, element).count(), opened, "<{element} ..> without a hash");
            assert_eq!(opened, 1);
        }
        for foreign in ["src=", "@import", "url(http", "style=", "innerHTML", "outerHTML", "insertAdjacent"] {
            assert!(!HTML.contains(foreign), "{foreign}");
        }
        // Names of XML's namespaces are no addresses.
        let addresses = HTML.matches("http").count();
        assert_eq!(addresses, HTML.matches("http://www.w3.org/2000/svg").count());
    }

    #[test]
    fn no_event_handler_is_an_attribute() {
        for after in HTML.split(" on").skip(1) {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_lowercase());
            assert!(!rest.starts_with('='), "{:?}", after.get(..20));
        }
    }

    #[test]
    fn the_page_stays_small() {
        assert!(HTML.len() < 64 * 1024, "{} bytes", HTML.len());
    }
}
