//! Redis, through which instances share what they count: where the file names it, and what the environment adds
//! (BEHAVIOUR 1.3 and 8).
//!
//! The file has to ask for Redis, in one of these places, the first that does: `router_settings` and what stands in
//! `general_settings` by mistake, key by key; `litellm_settings.cache_params` with `cache: true`, which LiteLLM's router
//! shares. Variables of the environment fill in what that place leaves open, and switch nothing on by themselves.

use crate::config::Redis;
use crate::diagnostics::report::ADVISES;
use crate::values::reader::{Reader, Section};
use crate::values::settings::Settings;
use crate::yaml::tree::{Entry, Value};

/// In front of every key in Redis, where nothing is set.
const DEFAULT_NAMESPACE: &str = "llm-balancer";

/// What a place calls its keys.
pub struct Keys {
    pub url: &'static str,
    pub host: &'static str,
    pub port: &'static str,
    pub username: &'static str,
    pub password: &'static str,
    pub database: &'static str,
    pub ssl: &'static str,
    pub ca_certs: &'static str,
    pub cert_reqs: &'static str,
}

/// In `router_settings` and `general_settings`.
pub const ROUTER_KEYS: Keys = Keys {
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

/// In `cache_params`.
pub const CACHE_KEYS: Keys = Keys {
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
    /// Every one of them.
    pub fn all(&self) -> [&'static str; 9] {
        let Self { url, host, port, username, password, database, ssl, ca_certs, cert_reqs } = *self;
        [url, host, port, username, password, database, ssl, ca_certs, cert_reqs]
    }
}

/// Reads where Redis is, if the file asks for one.
pub fn read(reader: &mut Reader<'_>, settings: &Settings<'_>, namespace: Option<String>) -> Option<Redis> {
    misplaced(reader, settings);
    let cache = cache_params(reader, settings);
    let routers: Vec<_> = [settings.router, settings.general].into_iter().flatten().collect();
    let routers = RedisSections { sections: routers, keys: &ROUTER_KEYS };
    let place = match cache {
        Some(cache) if routers.find([ROUTER_KEYS.url, ROUTER_KEYS.host]).is_none() => {
            RedisSections { sections: vec![cache], keys: &CACHE_KEYS }
        }
        None if routers.find(ROUTER_KEYS.all()).is_none() => return None,
        _ => routers,
    };
    let of_cache = |reader: &mut Reader<'_>| {
        let section = place.sections.first().filter(|_| place.is_cache())?;
        read_namespace(reader, section, "namespace")
    };
    let namespace = namespace.or_else(|| of_cache(reader)).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    place.redis(reader, namespace)
}

/// What stands in front of every key: letters, digits, `-`, `_`, `.` and `:`. A brace would move keys of one deployment
/// apart in a cluster.
pub fn read_namespace(reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Option<String> {
    let entry = section.find(key)?;
    let text = reader.string(section, key).filter(|text| !text.is_empty())?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if text.bytes().all(fits) {
        return Some(text);
    }
    let message = "holds what no name in front of keys may hold";
    let advice = "use letters, digits, -, _, . and :";
    reader.report.refuse(entry.place, &section.path.key(key), message, advice);
    None
}

fn misplaced(reader: &mut Reader<'_>, settings: &Settings<'_>) {
    let Some(general) = &settings.general else { return };
    for key in ROUTER_KEYS.all() {
        if settings.router.is_none_or(|router| router.find(key).is_none()) {
            reader.misplaced(general, key, "router_settings");
        } else if let Some(entry) = general.find(key) {
            let advice = "remove it";
            let message = "has no effect beside router_settings";
            reader.report.warn(entry.place, &general.path.key(key), message, advice);
        }
    }
}

/// `cache_params`, if they lead to a Redis; else it is said that they lead nowhere.
fn cache_params<'s>(reader: &mut Reader<'_>, settings: &'s Settings<'s>) -> Option<Section<'s>> {
    let litellm = settings.litellm.as_ref()?;
    let path = litellm.path.key("cache_params");
    let on = litellm.find("cache").is_some_and(|entry| is_true(&entry.node.value));
    let Some(entry) = litellm.find("cache_params") else {
        // The type is redis where nothing is set, and all else comes from the environment.
        let place = litellm.find("cache").map_or(litellm.place, |entry| entry.place);
        return on.then_some(Section { entries: &[], path, place });
    };
    let section = Section { entries: entry.node.entries().unwrap_or_default(), path, place: entry.place };
    misspelt(reader, &section);
    let is_redis = reader.string(&section, "type").is_none_or(|kind| kind == "redis");
    let leads_there = on && is_redis;
    if !leads_there && !entry.node.is_falsy() {
        let message = "has no effect: answers are not cached";
        reader.report.warn(entry.place, &section.path, message, "put a cache in front");
    }
    leads_there.then_some(section)
}

/// Keys of `cache_params` that are nearly those of a Redis. All others are about caching, which is not done here.
fn misspelt(reader: &mut Reader<'_>, section: &Section<'_>) {
    const ABOUT_CACHING: [&str; 4] = ["mode", "ttl", "type", "namespace"];
    if !ADVISES {
        return;
    }
    let known = || CACHE_KEYS.all().into_iter().chain(ABOUT_CACHING);
    for entry in section.entries.iter().filter(|entry| known().all(|key| key != entry.key)) {
        if let Some(near) = reader.report.suggestions.name(&entry.key, known()) {
            let message = "is not known here and has no effect";
            let path = section.path.key(&entry.key);
            reader.report.warn(entry.place, &path, message, &format!("did you mean {near}?"));
        }
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(on) => *on,
        Value::Text(text) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// The sections that together ask for Redis; what stands in an earlier one goes first.
pub struct RedisSections<'a> {
    /// In the order in which they are looked at.
    pub sections: Vec<Section<'a>>,
    /// What they call their keys.
    pub keys: &'static Keys,
}

impl<'a> RedisSections<'a> {
    /// The first of these keys that is set in any section. Empty text counts as absent.
    pub fn find<const N: usize>(
        &self,
        keys: [&'static str; N],
    ) -> Option<(&Section<'a>, &'static str, &'a Entry)> {
        let set = |entry: &&Entry| !matches!(&entry.node.value, Value::Text(text) if text.is_empty());
        keys.iter().find_map(|key| {
            self.sections.iter().find_map(|section| Some((section, *key, section.find(key).filter(set)?)))
        })
    }

    /// Whether it is LiteLLM's cache that names Redis.
    pub fn is_cache(&self) -> bool {
        self.keys.url == CACHE_KEYS.url
    }
}
