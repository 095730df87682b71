//! `api_base`, taken apart.

use std::net::Ipv6Addr;

/// Where a provider is, as `api_base` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// `https://`
    pub https: bool,
    /// A DNS name or an IP address, without brackets, in lower case.
    pub host: String,
    /// The scheme's own where none is written.
    pub port: u16,
    /// With a slash at its start and none at its end; or empty.
    pub path: String,
    /// What follows the question mark.
    pub query: Option<String>,
}

/// Why an `api_base` cannot be used, and what to write instead.
pub struct InvalidUrl(pub &'static str, pub &'static str);

impl BaseUrl {
    /// `:authority` for this base: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let own = if self.https { 443 } else { 80 };
        if self.port == own { host } else { format!("{host}:{}", self.port) }
    }

    /// As it may be shown to clients: no query, and there are no credentials.
    pub fn display_url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }

    /// Removes an end of the path, if it is there.
    pub fn trim_path(&mut self, end: &str) -> bool {
        let trimmed = self.path.strip_suffix(end).map(|rest| rest.trim_end_matches('/').to_owned());
        let found = trimmed.is_some();
        if let Some(path) = trimmed {
            self.path = path;
        }
        found
    }

    /// Adds an end to the path, unless it is there.
    pub fn end_path(&mut self, end: &str) {
        if !self.path.ends_with(end) {
            self.path.push_str(end);
        }
    }
}

/// Takes an `api_base` apart.
pub fn parse(text: &str) -> Result<BaseUrl, InvalidUrl> {
    let text = text.trim();
    if text.contains("${") || text.contains("/$") || text.starts_with('$') {
        return Err(InvalidUrl(
            "is not replaced by a variable: LiteLLM knows os.environ/ only",
            "write os.environ/NAME",
        ));
    }
    if text.contains(['{', '}']) {
        return Err(InvalidUrl(
            "holds a placeholder in braces, which is not replaced",
            "write the address itself",
        ));
    }
    let (https, rest) = scheme(text)?;
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (rest, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query.to_owned()).filter(|query| !query.is_empty())),
        None => (rest, None),
    };
    let (authority, path) = match rest.find('/').and_then(|slash| rest.split_at_checked(slash)) {
        Some((authority, path)) => (authority, path.trim_end_matches('/')),
        None => (rest, ""),
    };
    if authority.contains('@') {
        return Err(InvalidUrl("holds a user or a password", "give the key as api_key, or in extra_headers"));
    }
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible(path) || !query.as_deref().is_none_or(visible) {
        return Err(InvalidUrl("holds characters that no URL may hold", "escape them as %20 and the like"));
    }
    let (host, port) = host_and_port(authority)?;
    Ok(BaseUrl {
        https,
        host,
        port: port.unwrap_or(if https { 443 } else { 80 }),
        path: path.to_owned(),
        query,
    })
}

fn scheme(text: &str) -> Result<(bool, &str), InvalidUrl> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(InvalidUrl("has no scheme", "begin it with https:// or http://"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Ok((true, rest)),
        "http" => Ok((false, rest)),
        _ => Err(InvalidUrl("is neither https nor http", "begin it with https:// or http://")),
    }
}

/// `host`, `host:port` or `[::1]:port`; the host in lower case and without brackets.
pub fn host_and_port(authority: &str) -> Result<(String, Option<u16>), InvalidUrl> {
    const BAD_HOST: InvalidUrl = InvalidUrl("names no valid host", "write https://host or https://host:port");
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
            _ => return Err(InvalidUrl("names no valid port", "write a port from 1 to 65535")),
        },
    };
    Ok((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_taken_apart() {
        let rows = [
            ("https://api.openai.com/v1", "api.openai.com", 443, "/v1", None, "api.openai.com"),
            ("http://localhost:11434/", "localhost", 11434, "", None, "localhost:11434"),
            (" HTTP://Vllm.Local/v1// ", "vllm.local", 80, "/v1", None, "vllm.local"),
            ("http://[::1]:8000/v1", "::1", 8000, "/v1", None, "[::1]:8000"),
            ("https://[fe80::1]", "fe80::1", 443, "", None, "[fe80::1]"),
            ("https://x.com:443/a?b=c#d", "x.com", 443, "/a", Some("b=c"), "x.com"),
            ("https://x.com?api-version=1", "x.com", 443, "", Some("api-version=1"), "x.com"),
            ("https://10.0.0.7:8443#/v1", "10.0.0.7", 8443, "", None, "10.0.0.7:8443"),
        ];
        for (text, host, port, path, query, authority) in rows {
            let base = parse(text).ok().unwrap();
            assert_eq!((base.host.as_str(), base.port, base.path.as_str()), (host, port, path), "{text}");
            assert_eq!((base.query.as_deref(), base.authority().as_str()), (query, authority), "{text}");
        }
    }

    #[test]
    fn what_is_no_base_is_refused() {
        let texts = [
            "api.openai.com/v1",
            "ftp://x/",
            "https://",
            "https:///v1",
            "https://user:pass@x.com",
            "https://a b/",
            "https://x:99999",
            "https://x:0",
            "https://[::1",
            "https://[nonsense]/",
            "https://x/ä",
            "${BASE}/v1",
            "$BASE",
            "https://ünï.de",
            "https://x:8o",
        ];
        for text in texts {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
