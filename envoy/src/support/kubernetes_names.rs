//! Names that Kubernetes accepts, for options of the command line.

/// A namespace: a label of RFC 1123.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    if !is_label(text) {
        return Err("expected at most 63 lower-case letters, digits and -, such as llm-balancer".to_owned());
    }
    Ok(text.to_owned())
}

/// A Secret: labels between dots.
pub(crate) fn object(text: &str) -> Result<String, String> {
    if !is_subdomain(text) {
        return Err("expected lower-case letters, digits, - and ., such as llm-example-com".to_owned());
    }
    Ok(text.to_owned())
}

/// A host of a Gateway: a name, or one behind `*.`; no address, scheme or port.
pub(crate) fn hostname(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    if !is_subdomain(name) || name.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err("expected a host without scheme or port, such as llm.example.com or *.example.com; \
                    without the option all hosts are served"
            .to_owned());
    }
    Ok(text.to_owned())
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_kubernetes_refuses_is_refused_before() {
        let long = "a".repeat(64);
        for bad in ["", "Bad", "Bad Name", "a b", "-a", "a-", "a_b", "a/b", long.as_str()] {
            assert!(namespace(bad).is_err() && object(bad).is_err() && hostname(bad).is_err(), "{bad}");
        }
        assert!(namespace("a.b").is_err());
        for bad in ["http://x", "x:443", "*", "*x.example", "a.*.example", "a..b", "10.0.0.1", "a.example."] {
            assert!(hostname(bad).is_err(), "{bad}");
        }
        assert_eq!(namespace("llm-balancer"), Ok("llm-balancer".to_owned()));
        assert_eq!(object("llm.example-tls"), Ok("llm.example-tls".to_owned()));
        assert_eq!(hostname("*.example.com"), Ok("*.example.com".to_owned()));
    }
}
