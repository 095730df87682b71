//! Numbers by class of failure: `retry_policy`, `allowed_fails_policy`.

use crate::config::FailurePolicy;
use crate::diagnostics::{ADVISES, Path};
use crate::keys::{Table, applied, warn_of_unknown};
use crate::values::{Reader, Section};
use crate::yaml::{Entry, Value};

/// Keys of `retry_policy`.
pub(crate) const RETRIES: &Table = &Table {
    name: "retry_policy",
    keys: &[
        applied("AuthenticationErrorRetries", "401"),
        applied("BadRequestErrorRetries", "400, 422"),
        applied("ContentPolicyViolationErrorRetries", "a 400 that says so"),
        applied("DefaultRetries", "every other class"),
        applied("InternalServerErrorRetries", "500, or no connection"),
        applied("NotFoundErrorRetries", "404"),
        applied("RateLimitErrorRetries", "429"),
        applied("ServiceUnavailableErrorRetries", "503"),
        applied("TimeoutErrorRetries", "408, 504, or no answer in time"),
    ],
    open: false,
};

/// Keys of `allowed_fails_policy`.
pub(crate) const ALLOWED_FAILS: &Table = &Table {
    name: "allowed_fails_policy",
    keys: &[
        applied("AuthenticationErrorAllowedFails", "401"),
        applied("BadRequestErrorAllowedFails", "400, 422"),
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
pub(crate) fn read_failure_policy(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    table: &Table,
) -> FailurePolicy {
    let mut policy = FailurePolicy::default();
    for entry in section.entries {
        let Some(name) = table.names().find(|name| *name == entry.key) else {
            if entry.node.value != Value::Null {
                warn_of_unknown_class(reader, table, entry, &section.path.key(&entry.key));
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

/// Warns of an unknown key, which may be one of the other policy.
fn warn_of_unknown_class(reader: &mut Reader<'_>, table: &Table, entry: &Entry, path: &Path<'_>) {
    if !ADVISES {
        return;
    }
    let ending = if table.name == RETRIES.name { "Retries" } else { "AllowedFails" };
    let kind = ["AllowedFails", "Retries"].iter().find_map(|ending| entry.key.strip_suffix(ending));
    let meant = kind.map(|kind| format!("{kind}{ending}")).filter(|meant| *meant != entry.key);
    match meant.and_then(|meant| reader.report.suggestions.key(&meant, table.names())) {
        Some(near) => {
            let advice = format!("did you mean {near}?");
            reader.report.warn(entry.place, path, "unknown key, ignored", &advice);
        }
        None if entry.key == "BadGatewayErrorAllowedFails" => {
            let message = "has no effect: 502 is no class of its own";
            reader.report.warn(entry.place, path, message, "use allowed_fails, which counts every failure");
        }
        None => warn_of_unknown(reader, table, entry, path),
    }
}
