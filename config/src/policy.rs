//! Counts by kind of failure: `retry_policy`, `allowed_fails_policy`.

use crate::config::FailurePolicy;
use crate::reader::{Reader, Section};
use crate::tree::Value;
use crate::verdict::{Key, Table, applied, unknown};

/// Keys of `retry_policy`.
pub const RETRIES: &Table = &Table {
    name: "retry_policy",
    keys: &[
        applied("AuthenticationErrorRetries", "401"),
        applied("BadRequestErrorRetries", "400"),
        applied("ContentPolicyViolationErrorRetries", "a 400 that says so"),
        applied("DefaultRetries", "every other kind"),
        applied("InternalServerErrorRetries", "500, or no connection"),
        applied("NotFoundErrorRetries", "404"),
        applied("RateLimitErrorRetries", "429"),
        applied("ServiceUnavailableErrorRetries", "503"),
        applied("TimeoutErrorRetries", "408, 504, or no answer in time"),
    ],
    open: false,
};

/// Keys of `allowed_fails_policy`.
pub const ALLOWED_FAILS: &Table = &Table {
    name: "allowed_fails_policy",
    keys: &[
        applied("AuthenticationErrorAllowedFails", "401"),
        applied("BadRequestErrorAllowedFails", "400"),
        applied("ContentPolicyViolationErrorAllowedFails", "a 400 that says so"),
        applied("InternalServerErrorAllowedFails", "500, or no connection"),
        applied("NotFoundErrorAllowedFails", "404"),
        applied("RateLimitErrorAllowedFails", "429"),
        applied("ServiceUnavailableErrorAllowedFails", "503"),
        applied("TimeoutErrorAllowedFails", "408, 504, or no answer in time"),
    ],
    open: false,
};

/// Reads one of them.
pub fn read(reader: &mut Reader<'_>, section: &Section<'_>, table: &Table) -> FailurePolicy {
    let mut policy = FailurePolicy::default();
    for entry in section.entries {
        let Some(Key { name, .. }) = table.keys.iter().find(|key| key.name == entry.key) else {
            if entry.node.value != Value::Null {
                unknown(reader, table, entry, &section.path.key(&entry.key));
            }
            continue;
        };
        let count = reader.count(section, name);
        let kind = name.trim_end_matches("Retries").trim_end_matches("AllowedFails");
        match kind {
            "AuthenticationError" => policy.authentication = count,
            "BadRequestError" => policy.bad_request = count,
            "ContentPolicyViolationError" => policy.content_policy = count,
            "InternalServerError" => policy.internal_server = count,
            "NotFoundError" => policy.not_found = count,
            "RateLimitError" => policy.rate_limit = count,
            "ServiceUnavailableError" => policy.service_unavailable = count,
            "TimeoutError" => policy.timeout = count,
            _ => policy.default = count,
        }
    }
    policy
}
