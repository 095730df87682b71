//! The parts of URLs that providers, proxies and Redis have in common.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use percent_encoding::percent_decode_str;

/// Why a URL cannot be used, and what to write instead. Neither repeats the URL: it may hold a
/// password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidUrl(pub(crate) &'static str, pub(crate) &'static str);

/// `host`, `host:port` or `[::1]:port`; the host in lower case and without brackets.
pub(crate) fn host_and_port(authority: &str) -> Result<(String, Option<u16>), InvalidUrl> {
    const BAD_HOST: InvalidUrl = InvalidUrl("invalid host", "write https://host or https://host:port");
    const NOT_ASCII: InvalidUrl = InvalidUrl("invalid host", "write a name beyond ASCII in its xn-- form");
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(BAD_HOST)?;
            address.parse::<Ipv6Addr>().map_err(|_| BAD_HOST)?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(BAD_HOST)?) };
            (address, port)
        }
        None => {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            if !host.is_ascii() {
                return Err(NOT_ASCII);
            }
            if !is_host(host) {
                return Err(BAD_HOST);
            }
            (host, port)
        }
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(InvalidUrl("invalid port", "write a port from 1 to 65535")),
        },
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// Whether there can be a host of this name: an IPv4 address with four numbers, or labels of letters,
/// digits, hyphens and underscores, which names in Docker have. A dot at the end is allowed.
fn is_host(host: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| {
        matches!(label.len(), 1..=63)
            && label.bytes().all(is_part)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Whether a host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The host as a URL writes it: an IPv6 address in brackets.
pub fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Percent-decoded; `None` if it is empty.
pub(crate) fn percent_decoded(text: &str) -> Result<Option<String>, InvalidUrl> {
    const BAD_ESCAPE: InvalidUrl = InvalidUrl("invalid percent-encoding", "write a % of a password as %25");
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_escape) {
        return Err(BAD_ESCAPE);
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| BAD_ESCAPE)?;
    Ok(Some(decoded.into_owned()).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_cannot_exist_is_refused() {
        let long = "a".repeat(64);
        for host in [
            "10.0.0.256",
            "10.0.0",
            "300.1.1.1",
            "0177.0.0.1",
            "10.0.0.1.",
            "127",
            "a.1",
            "a..b",
            ".a",
            "...",
            ".",
            "-x-",
            "a.-b",
            "a-.b",
            "",
            "a b",
            &long,
            &format!("{long}.com"),
            &"a.".repeat(128),
        ] {
            assert!(host_and_port(host).is_err(), "{host}");
        }
        let label = "a".repeat(63);
        for host in [
            "10.0.0.255",
            "vllm",
            "my_service",
            "_dmarc.x",
            "a--b",
            "x1",
            "1x.y2",
            "api.openai.com.",
            &label,
            &"a.".repeat(127),
        ] {
            assert!(host_and_port(host).is_ok(), "{host}");
        }
    }
}
