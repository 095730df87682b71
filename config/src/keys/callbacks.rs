//! Callbacks, none of which runs here. Those that observe requests are ignored; those that alter or
//! reject requests are refused, because requests would pass without them.

use crate::diagnostics::{Path, Place};
use crate::values::{Reader, Section};
use crate::yaml::{Node, Value};

/// Callbacks that check, alter or reject requests, from LiteLLM's `initialize_callbacks_on_proxy` and
/// `_custom_logger_compatible_callbacks_literal` of 1.106. Not among them are those that act on
/// requests which ask for it by a `prompt_id` or a vector store (`dotprompt`, `bitbucket`, `gitlab`,
/// `langfuse`, `arize_phoenix`, `vector_store_pre_call_hook`), and `anthropic_cache_control_hook`,
/// which marks what a provider may cache.
const ALTERING: &[&str] = &[
    "aporia_prompt_injection", "azure_content_safety", "banned_keywords", "batch_redis_requests",
    "blocked_user_check", "code_interpreter_interception", "compression_interception",
    "detect_prompt_injection", "dynamic_rate_limiter", "dynamic_rate_limiter_v3", "google_text_moderation",
    "hide_secrets", "humanloop", "lakera_prompt_injection", "llamaguard_moderations", "llmguard_moderations",
    "max_budget_limiter", "openai_moderations", "presidio", "websearch_interception",
];

/// Reports the callbacks of litellm_settings.
pub(crate) fn check_callbacks(reader: &mut Reader<'_>, settings: &Section<'_>) {
    for key in ["callbacks", "success_callback", "failure_callback", "input_callback", "service_callback"] {
        let Some(entry) = settings.find(key) else { continue };
        let path = settings.path.key(key);
        // Modules of the other keys run after a request is sent.
        let may_alter = key == "callbacks" || key == "input_callback";
        match &entry.node.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    check_callback(reader, entry.place, item, &path.index(index), may_alter);
                }
            }
            _ if entry.node.is_falsy() => {}
            _ => check_callback(reader, entry.place, &entry.node, &path, may_alter),
        }
    }
}

fn check_callback(reader: &mut Reader<'_>, key: Place, node: &Node, path: &Path<'_>, may_alter: bool) {
    const ADVICE: &str = "do that in front of or behind this gateway, and remove it";
    let place = if node.place.line == 0 { key } else { node.place };
    let Value::Text(name) = &node.value else {
        let message = format!("expected the name of a callback, found {}", node.kind());
        reader.report.warn(place, path, &message, "");
        return;
    };
    if may_alter && name.contains(['.', '/']) {
        let message =
            format!("unsupported callback \"{name}\": Python code that may alter or reject requests");
        reader.report.unsupported(place, path, &message, ADVICE);
    } else if may_alter && ALTERING.contains(&name.as_str()) {
        let message = format!("unsupported callback \"{name}\", which checks or alters requests");
        reader.report.unsupported(place, path, &message, ADVICE);
    } else {
        let message = format!("callback \"{name}\" has no effect: callbacks of LiteLLM do not run here");
        reader.report.warn(place, path, &message, "metrics are at /stats/prometheus of Envoy's admin port");
    }
}
