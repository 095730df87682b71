//! An item of `model_list`.

use crate::keys::phrases::{CHECK_ELSEWHERE, UNCHECKED};
use crate::keys::support::{Key, Table, applied, budget, ignored, refused};

/// Keys of an item of `model_list`.
pub(crate) const ITEM: Table = Table { name: "model_list", keys: KEYS, open: false };

const KEYS: &[Key] = &[
    budget("budget_duration"),
    refused("guardrails", UNCHECKED, CHECK_ELSEWHERE),
    applied("litellm_params", "the provider, the model and how it is called"),
    budget("max_budget"),
    applied("model_info", "its id, its price, and what listings show"),
    applied("model_name", "the model group; a pattern if it contains `*`"),
    applied("rpm", "as litellm_params.rpm, which overrides it"),
    applied("tpm", "as litellm_params.tpm, which overrides it"),
    ignored("weight", "has no effect here", "move it to litellm_params"),
];
