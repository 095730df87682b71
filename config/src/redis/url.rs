//! `redis://user:password@host:port/database`.

use crate::values::VARIABLE_SYNTAX;
use crate::values::url::{InvalidUrl, host_and_port, percent_decoded};

/// Redis' own.
pub(super) const DEFAULT_PORT: u16 = 6379;

/// The parts of a URL.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RedisUrl {
    /// `rediss://`
    pub(super) tls: bool,
    /// A DNS name or an IP address, without brackets, in lower case.
    pub(super) host: String,
    /// 6379 if the URL has none.
    pub(super) port: u16,
    /// Before the colon, or `?username=`, percent-decoded.
    pub(super) username: Option<String>,
    /// After the colon, or `?password=`, percent-decoded.
    pub(super) password: Option<String>,
    /// `?db=`, or the path.
    pub(super) database: Option<u32>,
    /// `?ssl_cert_reqs=`
    pub(super) cert_reqs: Option<String>,
    /// `?ssl_ca_certs=`
    pub(super) ca_certs: Option<String>,
    /// Names of other options, which have no effect.
    pub(super) unknown: Vec<String>,
}

const SHAPE: &str = "write redis://host:port, or rediss:// with TLS";

/// Parses a URL.
pub(super) fn parse(text: &str) -> Result<RedisUrl, InvalidUrl> {
    let (scheme, rest) = text.trim().split_once("://").ok_or(InvalidUrl("invalid Redis URL", SHAPE))?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "redis" => false,
        "rediss" => true,
        "unix" | "redis+unix" | "redis-socket" => {
            let advice = "let Redis listen on a port, and write redis://host:port";
            return Err(InvalidUrl("Unix sockets are not supported", advice));
        }
        _ => return Err(InvalidUrl("unsupported scheme of a Redis URL", SHAPE)),
    };
    if rest.contains("${") {
        return Err(InvalidUrl(VARIABLE_SYNTAX, "write os.environ/NAME"));
    }
    if rest.contains('#') {
        return Err(InvalidUrl("a URL ends before #", "write it as %23"));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = host_and_port(address).map_err(|_| {
        InvalidUrl(
            "invalid host or port",
            "write redis://user:password@host:port, with special characters of the password \
             percent-encoded, / as %2F",
        )
    })?;
    let (username, password) = login.split_once(':').unwrap_or((login, ""));
    let port = port.unwrap_or(DEFAULT_PORT);
    let mut url = with_options(RedisUrl { tls, host, port, ..RedisUrl::default() }, query)?;
    // As in redis-py: an option wins over the path, and the login over options.
    url.username = percent_decoded(username)?.or(url.username);
    url.password = percent_decoded(password)?.or(url.password);
    let path = path.trim_end_matches('/');
    if url.database.is_none() && !path.is_empty() {
        url.database = Some(database(path)?);
    }
    Ok(url)
}

/// Of an option that is set twice, the first counts, as in redis-py.
fn with_options(mut url: RedisUrl, query: &str) -> Result<RedisUrl, InvalidUrl> {
    for option in query.rsplit('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "db" => url.database = Some(database(value)?),
            "username" => url.username = percent_decoded(value)?,
            "password" => url.password = percent_decoded(value)?,
            "ssl_cert_reqs" => url.cert_reqs = percent_decoded(value)?,
            "ssl_ca_certs" => url.ca_certs = percent_decoded(value)?,
            _ => url.unknown.insert(0, name.to_owned()),
        }
    }
    Ok(url)
}

fn database(text: &str) -> Result<u32, InvalidUrl> {
    let advice = "end the URL in a number, as redis://host:port/0";
    text.parse().map_err(|_| InvalidUrl("invalid database number", advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_url_is_parsed() {
        let url = parse("rediss://ada:s%2F%40c%23@Redis.Example:6380/2?ssl_ca_certs=/etc/ca.pem").unwrap();
        assert!(url.tls);
        assert_eq!((url.host.as_str(), url.port, url.database), ("redis.example", 6380, Some(2)));
        assert_eq!((url.username.as_deref(), url.password.as_deref()), (Some("ada"), Some("s/@c#")));
        assert_eq!(url.ca_certs.as_deref(), Some("/etc/ca.pem"));
    }

    #[test]
    fn what_is_left_out_has_redis_own_defaults() {
        let url = parse("redis://[::1]").unwrap();
        assert_eq!((url.tls, url.host.as_str(), url.port), (false, "::1", DEFAULT_PORT));
        assert_eq!((url.username, url.password, url.database), (None, None, None));
        let url = parse("redis://:secret@redis/").unwrap();
        assert_eq!((url.username, url.password.as_deref(), url.database), (None, Some("secret"), None));
    }

    #[test]
    fn an_option_wins_over_the_path_and_the_login_over_an_option_as_in_redis_py() {
        let url = parse("redis://ada:s@redis/0?db=2&db=3&username=bob&password=t").unwrap();
        assert_eq!(url.database, Some(2));
        assert_eq!((url.username.as_deref(), url.password.as_deref()), (Some("ada"), Some("s")));
        let url = parse("redis://:s@redis/main?username=bob&db=2").unwrap();
        assert_eq!((url.username.as_deref(), url.password.as_deref()), (Some("bob"), Some("s")));
        assert_eq!(
            (url.database, parse("redis://redis/3?ssl_cert_reqs=none").unwrap().database),
            (Some(2), Some(3))
        );
    }

    #[test]
    fn an_invalid_url_is_refused() {
        for text in [
            "localhost:6379", "unix:///run/redis.sock", "redis+sentinel://a:1,b:2/main",
            "redis://user:pass/word@host", "redis://user:pass#word@host", "redis://user:100%@host",
            "redis://user:%ff@host", "redis://host:70000", "redis://host/main", "redis://",
        ] {
            let InvalidUrl(message, advice) = parse(text).unwrap_err();
            assert!(!message.is_empty() && !advice.is_empty(), "{text}");
        }
    }
}
