//! The document itself.

use crate::keys::phrases::ALL_UNCHECKED;
use crate::keys::support::{Key, Table, applied, budget, ignored, refused, without_ignored};

/// Top-level keys.
pub(crate) const TOP: Table = Table { name: "the top level", keys: without_ignored!(KEYS), open: false };

const ELSEWHERE: &str = "has no effect: not supported";
const GUARD_ELSEWHERE: &str = "run guardrails in front of or behind this gateway, and remove the section";
const DROP: &str = "remove it, or keep it for LiteLLM";

const KEYS: &[Key] = &[
    ignored("assistant_settings", ELSEWHERE, DROP),
    budget("budget_duration"),
    ignored(
        "callback_settings",
        ELSEWHERE,
        "metrics are at /stats/prometheus of Envoy's admin port; logs are on stdout",
    ),
    applied(
        "credential_list",
        "named keys and addresses: litellm_credential_name of a deployment gives it those that it does not set",
    ),
    applied(
        "environment_variables",
        "variables of the file: the process has priority for os.environ/ values, the file for variables that no key names",
    ),
    ignored("files_settings", ELSEWHERE, DROP),
    ignored("finetune_settings", ELSEWHERE, DROP),
    applied("general_settings", "master key and other settings of the server"),
    refused("guardrails", ALL_UNCHECKED, GUARD_ELSEWHERE),
    applied("include", "files merged into this one: lists are extended, other values overwritten"),
    applied("litellm_settings", "retries, timeouts and fallbacks that router_settings does not set"),
    applied("llm_balancer", "settings of this gateway, which LiteLLM ignores"),
    applied("master_key", "used as general_settings.master_key, with a warning"),
    budget("max_budget"),
    ignored("mcp_servers", ELSEWHERE, DROP),
    ignored("mcp_tools", ELSEWHERE, DROP),
    applied("model_list", "the deployments"),
    refused("policies", ALL_UNCHECKED, GUARD_ELSEWHERE),
    refused("policy_attachments", ALL_UNCHECKED, GUARD_ELSEWHERE),
    ignored("prompts", ELSEWHERE, DROP),
    applied("router_settings", "how requests are routed"),
    ignored("search_tools", ELSEWHERE, DROP),
    ignored("vector_store_registry", ELSEWHERE, DROP),
];
