//! What is read and checked, but not applied by this version. A line goes from here when its feature comes.

use crate::reader::Reader;
use crate::report::Path;
use crate::tree::{Entry, Value};
use crate::verdict::Table;

/// Section, key, and what happens instead.
pub const NOT_YET: &[(&str, &str, &str)] = &[
    ("model_list", "rpm", LIMITS),
    ("model_list", "tpm", LIMITS),
    ("litellm_params", "rpm", LIMITS),
    ("litellm_params", "tpm", LIMITS),
    ("model_info", "rpm", LIMITS),
    ("model_info", "tpm", LIMITS),
    ("litellm_params", "cooldown_time", COOLDOWN),
    ("model_info", "cooldown_time", COOLDOWN),
    ("model_info", "allowed_fails", COOLDOWN),
    ("model_info", "allowed_fails_policy", COOLDOWN),
    ("router_settings", "cooldown_time", COOLDOWN),
    ("router_settings", "allowed_fails", COOLDOWN),
    ("router_settings", "allowed_fails_policy", COOLDOWN),
    ("litellm_settings", "allowed_fails", COOLDOWN),
    ("router_settings", "disable_cooldowns", COOLDOWN),
    ("router_settings", "fallbacks", FALLBACKS),
    ("router_settings", "default_fallbacks", FALLBACKS),
    ("router_settings", "context_window_fallbacks", FALLBACKS),
    ("router_settings", "content_policy_fallbacks", FALLBACKS),
    ("router_settings", "max_fallbacks", FALLBACKS),
    ("litellm_settings", "fallbacks", FALLBACKS),
    ("litellm_settings", "default_fallbacks", FALLBACKS),
    ("litellm_settings", "context_window_fallbacks", FALLBACKS),
    ("litellm_settings", "content_policy_fallbacks", FALLBACKS),
    ("litellm_settings", "max_fallbacks", FALLBACKS),
    ("router_settings", "routing_strategy", "requests are spread by simple-shuffle"),
    ("router_settings", "routing_strategy_args", "requests are spread by simple-shuffle"),
    ("router_settings", "enable_tag_filtering", TAGS),
    ("litellm_params", "max_parallel_requests", IN_FLIGHT),
    ("router_settings", "default_max_parallel_requests", IN_FLIGHT),
    ("litellm_params", "order", ORDER),
    ("model_info", "order", ORDER),
    ("optional_pre_call_checks", "enforce_model_rate_limits", LIMITS),
    ("router_settings", "redis_url", REDIS),
    ("router_settings", "redis_host", REDIS),
    ("general_settings", "redis_url", REDIS),
    ("general_settings", "redis_host", REDIS),
];

const LIMITS: &str = "rpm and tpm are weights of simple-shuffle, and no limits";
const COOLDOWN: &str = "no deployment cools down";
const FALLBACKS: &str = "a request fails when its group cannot serve it";
const TAGS: &str = "tags are not looked at";
const IN_FLIGHT: &str = "requests in flight are not limited";
const ORDER: &str = "all deployments of a group are equal";
const REDIS: &str = "every instance decides for itself";

/// What this version does instead of a key that it applies otherwise.
pub fn instead(table: &str, key: &str) -> Option<&'static str> {
    let line = NOT_YET.iter().find(|(section, name, _)| *section == table && *name == key)?;
    Some(line.2)
}

/// Warns about a key that asks for something this version does not do.
pub fn mention(reader: &mut Reader<'_>, table: &Table, entry: &Entry, path: &Path<'_>) {
    let Some(text) = instead(table.name, &entry.key) else { return };
    let default_strategy = matches!(&entry.node.value, Value::Text(text) if text == "simple-shuffle");
    let is_limit = matches!(entry.key.as_str(), "rpm" | "tpm");
    let said = is_limit && (reader.soft_limits || reader.limits_mentioned);
    if entry.node.asks_nothing() || default_strategy || said {
        return;
    }
    reader.limits_mentioned |= is_limit;
    let message = format!("is not applied by this version: {text}");
    let advice = match is_limit {
        true => "write `llm_balancer: {limits: soft}` if weights are what you want",
        false => "keep it for a later version, or remove it",
    };
    reader.report.note(entry.place, path, &message, advice);
}
