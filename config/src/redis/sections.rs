//! The sections that configure Redis, and their keys.

use crate::values::Section;
use crate::yaml::{Entry, Value};

/// The names of the keys in a section.
pub(super) struct Keys {
    pub(super) url: &'static str,
    pub(super) host: &'static str,
    pub(super) port: &'static str,
    pub(super) username: &'static str,
    pub(super) password: &'static str,
    pub(super) database: &'static str,
    pub(super) ssl: &'static str,
    pub(super) ca_certs: &'static str,
    pub(super) cert_reqs: &'static str,
}

/// In `router_settings` and `general_settings`.
pub(super) const ROUTER_KEYS: Keys = Keys {
    url: "redis_url",
    host: "redis_host",
    port: "redis_port",
    username: "redis_username",
    password: "redis_password",
    database: "redis_db",
    ssl: "redis_ssl",
    ca_certs: "redis_ssl_ca_certs",
    cert_reqs: "redis_ssl_cert_reqs",
};

/// In `cache_params` and `coordination_redis`.
pub(super) const CACHE_KEYS: Keys = Keys {
    url: "url",
    host: "host",
    port: "port",
    username: "username",
    password: "password",
    database: "db",
    ssl: "ssl",
    ca_certs: "ssl_ca_certs",
    cert_reqs: "ssl_cert_reqs",
};

impl Keys {
    /// All of them.
    pub(super) fn all(&self) -> [&'static str; 9] {
        let Self { url, host, port, username, password, database, ssl, ca_certs, cert_reqs } = *self;
        [url, host, port, username, password, database, ssl, ca_certs, cert_reqs]
    }
}

/// Empty text counts as unset.
pub(super) fn is_set(entry: &Entry) -> bool {
    !matches!(&entry.node.value, Value::Text(text) if text.is_empty())
}

/// The sections that together configure Redis. An earlier one overrides a later one.
pub(super) struct RedisSections<'a> {
    pub(super) sections: Vec<Section<'a>>,
    pub(super) keys: &'static Keys,
}

impl<'a> RedisSections<'a> {
    /// The first of these keys that is set in any section.
    pub(super) fn find<const N: usize>(
        &self,
        keys: [&'static str; N],
    ) -> Option<(&Section<'a>, &'static str, &'a Entry)> {
        let set = |section: &Section<'a>, key| section.find(key).filter(|entry| is_set(entry));
        keys.iter().find_map(|key| {
            self.sections.iter().find_map(|section| Some((section, *key, set(section, key)?)))
        })
    }

    /// Whether the section is LiteLLM's `cache_params` or `coordination_redis`.
    pub(super) fn is_cache(&self) -> bool {
        self.keys.url == CACHE_KEYS.url
    }
}
