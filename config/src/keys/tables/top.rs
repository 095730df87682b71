//! The document itself.

use crate::keys::phrases::{ALL_UNCHECKED, NOT_SUPPORTED};
use crate::keys::support::{Key, Table, applied, budget, ignored, refused, without_ignored};

/// Top-level keys.
pub(crate) const TOP: Table = Table { name: "the top level", keys: without_ignored!(KEYS), open: false };

const GUARD_ELSEWHERE: &str = "run guardrails in front of or behind this gateway, and remove the section";
const DROP: &str = "remove it, or keep it for LiteLLM";

const KEYS: &[Key] = &[
    ignored("agent_list", NOT_SUPPORTED, DROP),
    ignored("agents", NOT_SUPPORTED, DROP),
    ignored("assistant_settings", NOT_SUPPORTED, DROP),
    budget("budget_duration"),
    ignored(
        "callback_settings",
        NOT_SUPPORTED,
        "metrics are at /stats/prometheus of Envoy's admin port; logs are on stdout",
    ),
    applied(
        "credential_list",
        "named keys and addresses: litellm_credential_name of a deployment gives it those that it does not set",
    ),
    ignored("default_vertex_config", "has no effect: no pass-through routes", DROP),
    applied(
        "environment_variables",
        "variables of the file: the process has priority for os.environ/ values, the file for variables that no key names",
    ),
    ignored("files_settings", NOT_SUPPORTED, DROP),
    ignored("finetune_settings", NOT_SUPPORTED, DROP),
    applied("general_settings", "master key and other settings of the server"),
    refused("guardrails", ALL_UNCHECKED, GUARD_ELSEWHERE),
    applied("include", "files merged into this one: lists are extended, other values overwritten"),
    applied("litellm_settings", "retries, timeouts and fallbacks that router_settings does not set"),
    applied("llm_balancer", "settings of this gateway, which LiteLLM ignores"),
    applied("master_key", "used as general_settings.master_key, with a warning"),
    budget("max_budget"),
    ignored("mcp_servers", NOT_SUPPORTED, DROP),
    ignored("mcp_tools", NOT_SUPPORTED, DROP),
    applied("model_list", "the deployments"),
    refused("policies", ALL_UNCHECKED, GUARD_ELSEWHERE),
    refused("policy_attachments", ALL_UNCHECKED, GUARD_ELSEWHERE),
    ignored("prompts", NOT_SUPPORTED, DROP),
    applied("router_settings", "how requests are routed"),
    ignored("sandbox_tools", NOT_SUPPORTED, DROP),
    ignored("search_tools", NOT_SUPPORTED, DROP),
    ignored("vector_store_registry", NOT_SUPPORTED, DROP),
    ignored("worker_registry", NOT_SUPPORTED, DROP),
];
