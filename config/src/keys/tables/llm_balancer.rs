//! `llm_balancer`, our own section.

use crate::keys::support::{Key, Table, applied};

/// Keys of `llm_balancer`.
pub(crate) const LLM_BALANCER: Table = Table { name: "llm_balancer", keys: KEYS, open: false };

/// Keys of `llm_balancer` within litellm_params or model_info.
pub(crate) const DEPLOYMENT_LLM_BALANCER: Table =
    Table { name: "llm_balancer", keys: DEPLOYMENT_KEYS, open: false };

const DEPLOYMENT_KEYS: &[Key] = &[
    applied(
        "affinity",
        "`prefix`: requests whose prompts begin alike go to the same deployment of the group",
    ),
    applied("wire", "`anthropic`"),
];

const KEYS: &[Key] = &[
    applied(
        "accept",
        "paths of unsupported keys that are warnings instead of errors, such as `litellm_settings.callbacks`",
    ),
    applied("access_log", "a line of JSON on stdout per request: `true` (the default) or `false`"),
    applied("limits", "`hard` (the default): rpm and tpm are limits and weights; `soft`: weights only"),
    applied(
        "max_body_mb",
        "larger request bodies get a 413; 64 if unset or 0 (OpenAI accepts 50 MB). A worker keeps the memory of its largest body (docs/operations.md, Memory)",
    ),
    applied(
        "redis_namespace",
        "prefix of every key in Redis: letters, digits, `-`, `_`, `.` and `:`; `llm-balancer` if unset. Instances with the same one share their limits",
    ),
    applied("unsupported_deployments", "`refuse` (the default), or `skip` unsupported deployments"),
];
