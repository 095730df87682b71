//! An item of `model_list`.

use crate::keys::support::{Key, Table, applied, ignored, refused};

/// Keys of an item of `model_list`.
pub const ITEM: Table = Table { name: "model_list", keys: KEYS, open: false };

const KEYS: &[Key] = &[
    refused(
        "budget_duration",
        "is a budget, which is not kept here",
        "set the budget at the provider, and remove the key",
    ),
    refused(
        "guardrails",
        "checks requests, which this gateway would pass unchecked",
        "remove it, or check requests elsewhere",
    ),
    applied("litellm_params", "where the deployment is and how it is called"),
    refused(
        "max_budget",
        "is a budget, which is not kept here",
        "set the budget at the provider, and remove the key",
    ),
    applied("model_info", "its id, its price, and what the listings show"),
    applied("model_name", "the model group; with `*` a pattern"),
    applied("rpm", "as litellm_params.rpm, which goes first"),
    applied("tpm", "as litellm_params.tpm, which goes first"),
    ignored("weight", "has no effect here", "it belongs in litellm_params"),
];
