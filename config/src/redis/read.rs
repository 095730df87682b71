//! Which sections configure Redis.

use super::sections::{CACHE_KEYS, ROUTER_KEYS, RedisSections, is_set};
use crate::config::Redis;
use crate::diagnostics::ADVISES;
use crate::values::{Reader, Section, Settings};
use crate::yaml::Value;

/// Prefix of every key in Redis, if unset.
const DEFAULT_NAMESPACE: &str = "llm-balancer";

/// Reads the Redis of the file; `None` if the file asks for none, or the report has the error.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    settings: &Settings<'_>,
    namespace: Option<String>,
) -> Option<Redis> {
    let errors_before = reader.report.errors();
    let coordination = coordination(reader, settings);
    let has_errors = reader.report.errors() > errors_before;
    let cache = cache_params(reader, settings);
    let sections: Vec<_> = [settings.router, settings.general].into_iter().flatten().collect();
    let router = RedisSections { sections, keys: &ROUTER_KEYS };
    let has_own = router.find([ROUTER_KEYS.url, ROUTER_KEYS.host]).is_some();
    if has_own && let Some(section) = &coordination {
        let message = "ignored: the Redis of router_settings is used";
        reader.report.warn(section.place, &section.path, message, "remove one of them");
    }
    let other = coordination.or(cache);
    warn_of_misplaced(reader, settings, other.as_ref().filter(|_| !has_own));
    if has_errors {
        return None;
    }
    // In LiteLLM's order.
    let sections = match other {
        Some(section) if !has_own => RedisSections { sections: vec![section], keys: &CACHE_KEYS },
        None if router.find(ROUTER_KEYS.all()).is_none() => return None,
        _ => router,
    };
    let of_cache = |reader: &mut Reader<'_>| {
        let section = sections.sections.first().filter(|_| sections.is_cache())?;
        read_namespace(reader, section, "namespace")
    };
    let namespace = namespace.or_else(|| of_cache(reader)).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    sections.read_server(reader, namespace)
}

/// A prefix of keys: letters, digits, `-`, `_`, `.` and `:`. Braces would put the keys of one
/// deployment on several nodes of a cluster.
pub(crate) fn read_namespace(reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Option<String> {
    let entry = section.find(key)?;
    let text = reader.string(section, key).filter(|text| !text.is_empty())?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if text.bytes().all(is_allowed) {
        return Some(text);
    }
    let (message, advice) = ("invalid character in a namespace", "use letters, digits, -, _, . and :");
    reader.report.error(entry.place, &section.path.key(key), message, advice);
    None
}

/// Warns of the keys of `general_settings`. `other` is the section that is used instead of them.
fn warn_of_misplaced(reader: &mut Reader<'_>, settings: &Settings<'_>, other: Option<&Section<'_>>) {
    let Some(general) = &settings.general.filter(|_| ADVISES) else { return };
    for key in ROUTER_KEYS.all() {
        let own = settings.router.as_ref().filter(|router| router.find(key).is_some_and(is_set));
        let used = own.map(|router| router.path.key(key)).or(other.map(|section| section.path));
        reader.warn_of_misplaced(general, key, "router_settings", used);
    }
}

/// `general_settings.coordination_redis`, which LiteLLM's router uses before `cache_params`, with the
/// same keys. The environment completes it, but for the address.
fn coordination<'s>(reader: &mut Reader<'_>, settings: &'s Settings<'s>) -> Option<Section<'s>> {
    const KEY: &str = "coordination_redis";
    const TARGETS: [&str; 5] = ["url", "host", "startup_nodes", "sentinel_nodes", "redis_startup_nodes"];
    let section = reader.section(settings.general.as_ref()?, KEY)?;
    warn_of_misspellings(reader, &section);
    if TARGETS.iter().all(|key| section.find(key).is_none()) {
        let (message, advice) = ("the address of Redis is missing", "set host or url in it");
        reader.report.error(section.place, &section.path, message, advice);
        return None;
    }
    Some(section)
}

/// `cache_params` if they configure a Redis.
fn cache_params<'s>(reader: &mut Reader<'_>, settings: &'s Settings<'s>) -> Option<Section<'s>> {
    let litellm = settings.litellm.as_ref()?;
    let path = litellm.path.key("cache_params");
    let is_on = litellm.find("cache").is_some_and(|entry| is_true(&entry.node.value));
    let Some(entry) = litellm.find("cache_params") else {
        // LiteLLM's type of cache is redis if unset; the environment has the rest.
        let place = litellm.find("cache").map_or(litellm.place, |entry| entry.place);
        return is_on.then_some(Section { entries: &[], path, place });
    };
    let section = Section { entries: entry.node.entries().unwrap_or_default(), path, place: entry.place };
    warn_of_misspellings(reader, &section);
    let is_redis = reader.string(&section, "type").is_none_or(|kind| kind == "redis");
    let is_used = is_on && is_redis;
    if !is_used && !entry.node.is_falsy() {
        let message = "has no effect: responses are not cached";
        reader.report.warn(entry.place, &section.path, message, "put a cache in front");
    }
    is_used.then_some(section)
}

/// Keys of `cache_params` or `coordination_redis` that resemble those of Redis. All others configure
/// caching, or are of LiteLLM's client.
fn warn_of_misspellings(reader: &mut Reader<'_>, section: &Section<'_>) {
    const CACHING: [&str; 4] = ["mode", "ttl", "type", "namespace"];
    if !ADVISES {
        return;
    }
    let known = || CACHE_KEYS.all().into_iter().chain(CACHING);
    for entry in section.entries.iter().filter(|entry| known().all(|key| key != entry.key)) {
        if let Some(near) = reader.report.suggestions.name(&entry.key, known()) {
            let path = section.path.key(&entry.key);
            let advice = format!("did you mean {near}?");
            reader.report.warn(entry.place, &path, "unknown key, ignored", &advice);
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
