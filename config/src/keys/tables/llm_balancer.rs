//! `llm_balancer`, our own section.

use crate::keys::support::{Key, Table, applied};

/// Keys of `llm_balancer`.
pub const LLM_BALANCER: Table = Table { name: "llm_balancer", keys: KEYS, open: false };

const KEYS: &[Key] = &[
    applied(
        "accept",
        "paths of refused keys that the operator knows about, such as `litellm_settings.callbacks`: a warning at each start instead of a refusal",
    ),
    applied("access_log", "a line of JSON on stdout for every request: `on` (the default) or `off`"),
    applied("limits", "`hard` (the default): rpm and tpm are limits and weights; `soft`: weights alone"),
    applied(
        "max_body_mb",
        "request bodies above this get 413; 64 where nothing is set: OpenAI takes 50 MB per request. A worker keeps as much memory as its largest body had (docs/operations.md, Memory)",
    ),
    applied(
        "redis_namespace",
        "what every key in Redis begins with: letters, digits, `-`, `_`, `.` and `:`; `llm-balancer` where nothing is set. Instances with the same one share their limits",
    ),
    applied("unsupported_deployments", "`refuse` (the default), or `skip` deployments that cannot be served"),
];
