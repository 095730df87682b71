//! The parts of `api_base`.

use crate::values::VARIABLE_SYNTAX;
use crate::values::url::{InvalidUrl, bracketed, host_and_port};

/// The parts of `api_base`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaseUrl {
    /// `https://`
    pub(super) https: bool,
    /// A DNS name or an IP address, without brackets, in lower case.
    pub(super) host: String,
    /// The scheme's default if none is written.
    pub(super) port: u16,
    /// Begins with a slash and does not end in one; or empty.
    pub(super) path: String,
    /// What follows the question mark.
    pub(super) query: Option<String>,
}

impl BaseUrl {
    /// `:authority`: with the port if it is not the scheme's default.
    pub(super) fn authority(&self) -> String {
        let host = bracketed(&self.host);
        if self.port == default_port(self.https) { host } else { format!("{host}:{}", self.port) }
    }

    /// As clients may see it: without query. There are no credentials in it.
    pub(super) fn display_url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }

    /// The last two labels of the host: `openai.com`
    pub(super) fn domain(&self) -> &str {
        let second = self.host.rmatch_indices('.').nth(1);
        second.and_then(|(dot, _)| self.host.get(dot.saturating_add(1)..)).unwrap_or(&self.host)
    }

    /// Removes an end of the path. Whether it was there.
    pub(super) fn trim_path(&mut self, end: &str) -> bool {
        let trimmed = self.path.strip_suffix(end).map(|rest| rest.trim_end_matches('/').to_owned());
        let found = trimmed.is_some();
        if let Some(path) = trimmed {
            self.path = path;
        }
        found
    }

    /// Adds an end to the path, unless it has it.
    pub(super) fn end_path(&mut self, end: &str) {
        if !self.path.ends_with(end) {
            self.path.push_str(end);
        }
    }
}

/// Parses an `api_base`.
pub(super) fn parse(text: &str) -> Result<BaseUrl, InvalidUrl> {
    let text = text.trim();
    let is_reference = || text.starts_with("env:") || text.contains("os.environ");
    if is_reference() || text.contains("${") || text.contains("/$") || text.starts_with('$') {
        return Err(InvalidUrl(VARIABLE_SYNTAX, "write os.environ/NAME"));
    }
    if text.contains(['{', '}']) {
        return Err(InvalidUrl("placeholders in braces are not replaced", "write the URL itself"));
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
        return Err(InvalidUrl(
            "unsupported user or password in a URL",
            "set the key as api_key, or in extra_headers",
        ));
    }
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible(path) || !query.as_deref().is_none_or(visible) {
        return Err(InvalidUrl("invalid character in a URL", "percent-encode it, a blank as %20"));
    }
    let (host, port) = host_and_port(authority)?;
    Ok(BaseUrl { https, host, port: port.unwrap_or(default_port(https)), path: path.to_owned(), query })
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

fn scheme(text: &str) -> Result<(bool, &str), InvalidUrl> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(InvalidUrl("missing scheme", "begin it with https:// or http://"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Ok((true, rest)),
        "http" => Ok((false, rest)),
        _ => Err(InvalidUrl("unsupported scheme", "begin it with https:// or http://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_parsed() {
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
    fn an_invalid_base_is_refused() {
        let texts = [
            "api.openai.com/v1", "ftp://x/", "https://", "https:///v1", "https://user:pass@x.com",
            "https://a b/", "https://x:99999", "https://x:0", "https://[::1", "https://[nonsense]/",
            "https://x/ä", "${BASE}/v1", "$BASE", "https://ünï.de", "https://x:8o",
        ];
        for text in texts {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
