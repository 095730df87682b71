//! The document itself.

use crate::keys::support::{Key, Table, applied, ignored, refused};

/// Top-level keys.
pub const TOP: Table = Table { name: "the top level", keys: KEYS, open: false };

const ELSEWHERE: &str = "is no feature of this gateway and has no effect";
const DROP: &str = "remove it, or keep it for LiteLLM";

const KEYS: &[Key] = &[
    ignored("assistant_settings", ELSEWHERE, DROP),
    refused(
        "budget_duration",
        "is a budget, which is not kept here",
        "set the budget at the provider, and remove the key",
    ),
    ignored(
        "callback_settings",
        ELSEWHERE,
        "metrics are at /stats/prometheus on the admin port; logs are on stdout",
    ),
    refused(
        "credential_list",
        "names credentials that deployments refer to, which is not served",
        "put api_key and api_base in each litellm_params",
    ),
    applied("environment_variables", "go before the process' environment for every os.environ/ value"),
    ignored("files_settings", ELSEWHERE, DROP),
    ignored("finetune_settings", ELSEWHERE, DROP),
    applied("general_settings", "master key and other settings of the server"),
    refused(
        "guardrails",
        "checks requests or answers, which this gateway would pass unchecked",
        "run the guardrail in front of or behind this gateway, and remove the section",
    ),
    applied("include", "files merged into this one: lists are extended, everything else is overwritten"),
    applied("litellm_settings", "retries, timeouts and fallbacks that router_settings does not give"),
    applied("llm_balancer", "settings of this program, which LiteLLM ignores"),
    applied("master_key", "taken for general_settings.master_key, with a warning"),
    refused(
        "max_budget",
        "is a budget, which is not kept here",
        "set the budget at the provider, and remove the key",
    ),
    ignored("mcp_servers", ELSEWHERE, DROP),
    ignored("mcp_tools", ELSEWHERE, DROP),
    applied("model_list", "the deployments"),
    ignored("prompts", ELSEWHERE, DROP),
    applied("router_settings", "how requests are routed"),
    ignored("search_tools", ELSEWHERE, DROP),
    ignored("vector_store_registry", ELSEWHERE, DROP),
];
