//! `redis://user:password@host:port/database`, taken apart. Nothing here repeats the text: it may hold a password.

use crate::providers::base_url;

/// Redis' own.
pub const DEFAULT_PORT: u16 = 6379;

/// What a URL says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RedisUrl {
    /// `rediss://`
    pub tls: bool,
    /// A DNS name or an IP address, without brackets, in lower case.
    pub host: String,
    /// 6379 where none is written.
    pub port: u16,
    /// Before the colon, unescaped.
    pub username: Option<String>,
    /// Behind the colon, unescaped.
    pub password: Option<String>,
    /// The path, or `?db=`.
    pub database: Option<u32>,
    /// `?ssl_cert_reqs=`
    pub cert_reqs: Option<String>,
    /// `?ssl_ca_certs=`
    pub ca_certs: Option<String>,
    /// Names of other options, which nobody here obeys.
    pub unknown: Vec<String>,
}

/// Why a URL cannot be used, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidUrl(pub &'static str, pub &'static str);

const SHAPE: &str = "write redis://host:port, or rediss:// with TLS";

/// Takes a URL apart.
pub fn parse(text: &str) -> Result<RedisUrl, InvalidUrl> {
    let (scheme, rest) =
        text.trim().split_once("://").ok_or(InvalidUrl("is no address of a Redis", SHAPE))?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "redis" => false,
        "rediss" => true,
        "unix" | "redis+unix" | "redis-socket" => {
            return Err(InvalidUrl(
                "is a Unix socket, which is not served",
                "let Redis listen on a port, and write redis://host:port",
            ));
        }
        _ => return Err(InvalidUrl("is no address of a single Redis", SHAPE)),
    };
    if rest.contains("${") {
        let message = "is not replaced by a variable: LiteLLM knows os.environ/ only";
        return Err(InvalidUrl(message, "write os.environ/NAME"));
    }
    if rest.contains('#') {
        return Err(InvalidUrl("holds a #, at which a URL ends", "write it as %23"));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = base_url::host_and_port(address).map_err(|_| {
        InvalidUrl(
            "names no valid host and port",
            "write redis://user:password@host:port, with what is special in a password escaped, / as %2F",
        )
    })?;
    let (username, password) = match login.split_once(':') {
        Some((username, password)) => (unescaped(username)?, unescaped(password)?),
        None => (unescaped(login)?, None),
    };
    let url =
        RedisUrl { tls, host, port: port.unwrap_or(DEFAULT_PORT), username, password, ..RedisUrl::default() };
    let url = options(url, query)?;
    Ok(match path.trim_end_matches('/') {
        "" => url,
        path => RedisUrl { database: Some(database(path)?), ..url },
    })
}

fn options(mut url: RedisUrl, query: &str) -> Result<RedisUrl, InvalidUrl> {
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "db" => url.database = Some(database(value)?),
            "username" => url.username = unescaped(value)?,
            "password" => url.password = unescaped(value)?,
            "ssl_cert_reqs" => url.cert_reqs = unescaped(value)?,
            "ssl_ca_certs" => url.ca_certs = unescaped(value)?,
            _ => url.unknown.push(name.to_owned()),
        }
    }
    Ok(url)
}

fn database(text: &str) -> Result<u32, InvalidUrl> {
    text.parse().map_err(|_| {
        InvalidUrl("has a path that is no number of a database", "end it in a number, as redis://host:port/0")
    })
}

/// With `%40` an `@` again; `None` if it is empty.
pub fn unescaped(text: &str) -> Result<Option<String>, InvalidUrl> {
    let wrong = InvalidUrl("holds a % that escapes nothing", "write a % of a password as %25");
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let byte = match byte {
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => u8::try_from((high << 4) | low).ok(),
                _ => None,
            },
            byte => Some(byte),
        };
        match byte {
            Some(byte) => out.push(byte),
            None => return Err(wrong),
        }
    }
    let out = String::from_utf8(out).map_err(|_| wrong)?;
    Ok(Some(out).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_address_is_taken_apart() {
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
    fn what_is_no_address_is_refused() {
        for text in [
            "localhost:6379",
            "unix:///run/redis.sock",
            "redis+sentinel://a:1,b:2/main",
            "redis://user:pass/word@host",
            "redis://user:pass#word@host",
            "redis://user:100%@host",
            "redis://user:%ff@host",
            "redis://host:70000",
            "redis://host/main",
            "redis://",
        ] {
            let InvalidUrl(message, advice) = parse(text).unwrap_err();
            assert!(!message.is_empty() && !advice.is_empty(), "{text}");
        }
    }
}
