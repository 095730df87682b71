//! The parts of URLs that providers, proxies and Redis have in common.

use std::net::{IpAddr, Ipv6Addr};

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
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            if !host.is_ascii() {
                return Err(NOT_ASCII);
            }
            if host.is_empty() || host.len() > 253 || !host.bytes().all(is_name) {
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
