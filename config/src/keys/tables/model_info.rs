//! `model_info`. Free-form: what is not here is shown by /v1/model/info and does nothing else.

use crate::keys::support::{Key, Table, applied, ignored, refused};

/// Keys of `model_info` that do something.
pub const MODEL_INFO: Table = Table { name: "model_info", keys: KEYS, open: true };

const TEAMS: &str = "is a feature of teams, which are not kept here";
const SHOWN: &str = "shown by the listings";

const KEYS: &[Key] = &[
    ignored(
        "access_groups",
        "limits who may use the model by key or team, which are not kept here",
        "every holder of the master key may use it",
    ),
    ignored(
        "allow_fail_open",
        "has no effect: a request whose tags exclude every deployment is refused, and sent to none of them",
        "tag a deployment that may serve all such requests, or let the client send fewer tags",
    ),
    applied("allowed_fails", "failures within one cooldown time before the deployment cools down"),
    applied("allowed_fails_policy", "the same by kind of failure"),
    applied("base_model", SHOWN),
    refused(
        "blocked",
        "pauses the deployment, and this gateway would call it",
        "remove the deployment from model_list while it is paused",
    ),
    refused(
        "budget_duration",
        "is a budget, which is not kept here",
        "set the budget at the provider, and remove the key",
    ),
    applied("cooldown_time", "seconds the deployment cools down; goes before litellm_params.cooldown_time"),
    applied("description", SHOWN),
    applied("enable_tag_filtering", "for the whole group, in place of router_settings.enable_tag_filtering"),
    applied("health_check_model", SHOWN),
    applied("id", "the deployment's id; LiteLLM's sha256 where nothing is set"),
    applied("input_cost_per_token", "price for cost-based-routing"),
    refused(
        "max_budget",
        "is a budget, which is not kept here",
        "set the budget at the provider, and remove the key",
    ),
    applied("max_input_tokens", SHOWN),
    applied("max_output_tokens", SHOWN),
    applied("max_tokens", SHOWN),
    applied("mode", SHOWN),
    applied("order", "as litellm_params.order, which goes first"),
    applied("output_cost_per_token", "price for cost-based-routing"),
    applied("rpm", "a limit, but no weight, where litellm_params has none"),
    applied("supported_environments", "skips the deployment unless LITELLM_ENVIRONMENT is among them"),
    refused(
        "team_id",
        "reserves the deployment for a team, and this gateway would serve everybody",
        "remove the deployment, or the key if everybody may use it",
    ),
    ignored("team_public_model_name", TEAMS, "give the group that model_name"),
    applied("tpm", "a limit, but no weight, where litellm_params has none"),
];
