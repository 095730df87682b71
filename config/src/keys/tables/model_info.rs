//! `model_info`. Free-form: what is not here is shown by /v1/model/info and does nothing else.

use crate::keys::support::{Key, Table, applied, budget, ignored, refused};

/// Keys of `model_info` that do something.
pub(crate) const MODEL_INFO: Table = Table { name: "model_info", keys: KEYS, open: true };

const TEAMS: &str = "has no effect: no teams";
const SHOWN: &str = "shown in listings";

const KEYS: &[Key] = &[
    ignored(
        "access_groups",
        "has no effect: no keys or teams",
        "every client with the master key may use the model",
    ),
    refused(
        "access_windows",
        "unsupported: the gateway would serve the deployment to every client at every hour",
        "remove the deployment, or the key if every client may use it",
    ),
    ignored(
        "allow_fail_open",
        "has no effect: a request whose tags exclude every deployment is refused",
        "tag a deployment for such requests, or let the client send fewer tags",
    ),
    applied("allowed_fails", "failures per cooldown time that are allowed before the deployment cools down"),
    applied("allowed_fails_policy", "the same by class of failure"),
    applied("base_model", "shown in listings; the model of a deployment of Azure"),
    refused(
        "blocked",
        "unsupported: the gateway would call the deployment",
        "remove the deployment from model_list while it is paused",
    ),
    budget("budget_duration"),
    applied("cooldown_time", "seconds of cooldown; overrides litellm_params.cooldown_time"),
    applied("description", SHOWN),
    applied("display_name", "the model's name in lists for clients of Anthropic's API"),
    applied("enable_tag_filtering", "for the whole group; overrides router_settings.enable_tag_filtering"),
    applied("health_check_model", SHOWN),
    applied("id", "the deployment's id; LiteLLM's sha256 if unset"),
    applied("input_cost_per_token", "price for cost-based-routing"),
    applied("llm_balancer", "the same as litellm_params.llm_balancer, for files that LiteLLM reads, too"),
    budget("max_budget"),
    applied(
        "max_input_tokens",
        "tokens of a prompt, a whole number, with enable_pre_call_checks; shown in listings",
    ),
    applied("max_output_tokens", SHOWN),
    applied("max_tokens", SHOWN),
    applied("mode", SHOWN),
    applied("order", "as litellm_params.order, which overrides it"),
    applied("output_cost_per_token", "price for cost-based-routing"),
    applied("rpm", "a limit, but no weight, if litellm_params has none"),
    applied("supported_environments", "the deployment is left out unless LITELLM_ENVIRONMENT is one of them"),
    refused(
        "team_id",
        "unsupported: the gateway would serve the deployment to every client",
        "remove the deployment, or the key if every client may use it",
    ),
    ignored("team_public_model_name", TEAMS, "use it as model_name"),
    applied("tpm", "a limit, but no weight, if litellm_params has none"),
];
