//! Callbacks: none runs here. Those that only look on are warned about; those that change or turn away requests
//! are refused, because requests would pass without them.

use crate::diagnostics::report::Path;
use crate::values::reader::{Reader, Section};
use crate::yaml::tree::{Entry, Node, Value};

/// Names that check, change or turn away requests.
const ALTERING: [&str; 16] = [
    "banned_keywords",
    "batch_redis_requests",
    "blocked_user_check",
    "detect_prompt_injection",
    "dynamic_rate_limiter",
    "dynamic_rate_limiter_v3",
    "google_text_moderation",
    "hide_secrets",
    "lakera_prompt_injection",
    "llamaguard_moderations",
    "llmguard_moderations",
    "max_budget_limiter",
    "openai_moderations",
    "presidio",
    "azure_content_safety",
    "websearch_interception",
];

const METRICS: &str = "Envoy's metrics are at /stats/prometheus of the admin port";

/// Says about the callbacks of litellm_settings what there is to say.
pub fn check(reader: &mut Reader<'_>, settings: &Section<'_>) {
    for key in ["callbacks", "success_callback", "failure_callback", "input_callback", "service_callback"] {
        let Some(entry) = settings.find(key) else { continue };
        let path = settings.path.key(key);
        // Only `callbacks` may hold modules that see a request before it is sent.
        let may_alter = key == "callbacks" || key == "input_callback";
        match &entry.node.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    check_one(reader, entry, item, &path.index(index), may_alter);
                }
            }
            _ if entry.node.is_falsy() => {}
            _ => check_one(reader, entry, &entry.node, &path, may_alter),
        }
    }
}

fn check_one(reader: &mut Reader<'_>, entry: &Entry, node: &Node, path: &Path<'_>, may_alter: bool) {
    let place = if node.place.line == 0 { entry.place } else { node.place };
    let Value::Text(name) = &node.value else {
        let advice = "name the callback";
        reader.report.warn(place, path, &format!("{} is no callback", node.kind()), advice);
        return;
    };
    if may_alter && (name.contains('.') || name.contains('/')) {
        let message = format!(
            "{name} is Python of your own, which may change or turn away requests and does not run here"
        );
        let advice = "do its work in front of or behind this gateway, and remove it";
        reader.report.refuse_feature(place, path, &message, advice);
    } else if may_alter && ALTERING.contains(&name.as_str()) {
        let message =
            format!("{name} checks or changes requests, which this gateway would pass as they come");
        reader.report.refuse_feature(
            place,
            path,
            &message,
            "do that in front of or behind this gateway, and remove it",
        );
    } else {
        reader.report.warn(
            place,
            path,
            &format!("{name} has no effect: LiteLLM's callbacks do not run here"),
            METRICS,
        );
    }
}

/// `optional_pre_call_checks` of router_settings: limits are always enforced, budgets are not kept.
pub fn check_pre_call(reader: &mut Reader<'_>, router: &Section<'_>) {
    let key = "optional_pre_call_checks";
    let path = router.path.key(key);
    let Some(entry) = router.find(key) else { return };
    for (index, name) in reader.strings(router, key).unwrap_or_default().iter().enumerate() {
        let path = path.index(index);
        match name.as_str() {
            "enforce_model_rate_limits" => {}
            "router_budget_limiting" => {
                let advice = "set the budget at the provider, and remove it";
                reader.report.refuse_feature(
                    entry.place,
                    &path,
                    "is a budget, which is not kept here",
                    advice,
                );
            }
            _ => reader.report.warn(entry.place, &path, &format!("{name} has no effect"), "remove it"),
        }
    }
}
