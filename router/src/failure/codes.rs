//! Error codes and types that decide about the class before any message. In lower case.

use super::error_body::ErrorBody;

/// What a code or a phrase is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A parameter. The message may have phrases of the others.
    Parameter,
    /// The prompt is too long.
    Context,
    /// The prompt or the answer was filtered.
    Policy,
    /// The key, the balance, the plan.
    Account,
    /// A rate limit.
    Limit,
    /// The model, or the deployment of it.
    Model,
    /// An operation that is not supported.
    Operation,
    /// An unknown id.
    Reference,
    /// The server, under a status of the request.
    Server,
}

/// Codes without a provider are OpenAI's, which others have copied.
const CODES: [(Meaning, &[&str]); 8] = [
    // OpenAI's for one parameter. LiteLLM excludes the first two from context windows.
    (
        Meaning::Parameter,
        &[
            "string_above_max_length", "array_above_max_length", "integer_above_max_value",
            "decimal_above_max_value", "invalid_value", "invalid_type", "unknown_parameter",
            "unsupported_parameter", "unsupported_value", "missing_required_parameter",
            "invalid_function_parameters", "invalid_json_schema", "invalid_schema", "invalid_json",
            // A tool's server that the request names.
            "external_connector_error",
        ],
    ),
    (
        Meaning::Context,
        &[
            "context_length_exceeded",
            "context_window_exceeded",
            "contextwindowexceedederror",
            // llama.cpp
            "exceed_context_size_error",
            // GitHub
            "model_max_prompt_tokens_exceeded",
            "tokens_limit_reached",
            "prompt_too_long",
            // Zhipu
            "1261",
            "input_too_long",
        ],
    ),
    (
        Meaning::Policy,
        &[
            "content_policy_violation",
            "contentpolicyviolationerror",
            "content_filter",
            "content_filter_error",
            "content_filter_policy",
            // Azure
            "responsibleaipolicyviolation",
            "responsible_ai_policy_violation",
            // OpenAI: images; responses
            "moderation_blocked",
            "image_content_policy_violation",
            "cyber_policy",
            "bio_policy",
            "misalignment_policy_violation",
            // MiniMax
            "new_sensitive",
            // DashScope
            "data_inspection_failed",
            "datainspectionfailed",
            // Gemini, Zhipu
            "prohibited_content",
            "1301",
        ],
    ),
    (
        Meaning::Account,
        &[
            "insufficient_quota",
            "insufficient_balance",
            "insufficient_credits",
            "insufficient_user_quota",
            // Moonshot
            "exceeded_current_quota_error",
            "billing_hard_limit_reached",
            "billing_not_active",
            "billing_error",
            "payment_required",
            "account_deactivated",
            // Groq
            "organization_restricted",
            // Codex
            "usage_limit_reached",
            "usage_not_included",
            "invalid_api_key",
            "api_key_invalid",
            "api_key_expired",
            "authentication_error",
            "unsupported_country_region_territory",
            // Google, Databricks
            "permission_denied",
            // DashScope
            "arrearage",
            // Zhipu
            "1113",
            "invalidapikey",
            // LiteLLM
            "budget_exceeded",
            // LiteLLM without a database, to a wrong key
            "no_db_connection",
            // AWS
            "unrecognizedclientexception",
            "invalidsignatureexception",
            "expiredtokenexception",
            "servicequotaexceededexception",
        ],
    ),
    (
        Meaning::Limit,
        &[
            "rate_limit_exceeded", "rate_limit_error", "rate_limit_reached", "ratelimitreached",
            "ratelimiterror", "too_many_requests", "toomanyrequests", "throttling_error",
            "throttlingexception", "throttling", "throttling.ratequota", "toomanyrequestsexception",
            "resource_exhausted", "overloaded_error", "engine_overloaded_error", "server_is_overloaded",
            "slow_down", "service_tier_capacity_exceeded", "no_capacity", "nocapacity", "429", "529",
        ],
    ),
    (
        Meaning::Model,
        &[
            "model_not_found",
            "modelnotfound",
            "model_not_available",
            "model_not_supported",
            "model_decommissioned",
            "model_deprecated",
            "invalid_model",
            "unknown_model",
            "unavailable_model",
            "unsupported_model",
            "deploymentnotfound",
            "deployment_not_found",
            "resourcenotfoundexception",
            // Zhipu
            "1211",
            "modelnotreadyexception",
            // Volcengine
            "invalidendpoint.closedendpoint",
            // Groq, LiteLLM: a model that this key may not use.
            "model_permission_blocked_org",
            "model_permission_blocked_project",
            "model_terms_required",
            "key_model_access_denied",
            "team_model_access_denied",
        ],
    ),
    (
        Meaning::Operation,
        // Azure; llama.cpp; OpenAI, of another region
        &[
            "operationnotsupported", "unsupported_endpoint", "unknown_url", "not_supported_error",
            "data_residency_mismatch",
        ],
    ),
    (
        Meaning::Reference,
        &[
            "previous_response_not_found", "response_not_found", "conversation_not_found", "file_not_found",
            "item_not_found", "invalid_encrypted_content",
        ],
    ),
];

/// Volcengine's codes of a filter contain one of these, between what was filtered and why.
const FILTERED: [&str; 2] = ["sensitivecontentdetected", "riskdetection"];

/// Codes of OpenAI's for an image of the request contain one of these.
const IMAGE: [&str; 7] =
    ["invalidimage", "imagetoo", "imageparse", "imagefile", "imagemedia", "base64image", "downloadimage"];

/// Whether the body has a code of this meaning.
pub(super) fn has(body: &ErrorBody, meaning: Meaning) -> bool {
    let mut known = CODES.iter().filter(|(of, _)| *of == meaning).flat_map(|(_, codes)| codes.iter());
    let is_filtered = |own: &String| FILTERED.iter().any(|part| own.contains(part));
    known.any(|code| body.codes.iter().any(|own| is_same(own, code)))
        || match meaning {
            Meaning::Policy => body.codes.iter().any(is_filtered),
            Meaning::Parameter => contains_any(&plain(body), &IMAGE),
            _ => false,
        }
}

/// Statuses by parts of codes and types, which are compared without punctuation. The first match
/// counts.
const STATUSES: [(u16, &[&str]); 15] = [
    (
        429,
        &[
            "ratelimit", "toomanyrequests", "resourceexhausted", "throttl", "insufficientquota",
            "quotaexceeded", "usagelimit", "usagenotincluded",
        ],
    ),
    (529, &["overloaded"]),
    (401, &["authentication", "unauthenticated", "unauthorized", "invalidapikey"]),
    (402, &["billing", "payment", "credit", "insufficientbalance"]),
    (403, &["permission", "forbidden"]),
    // Of the Responses API, for the images of a request.
    (400, &IMAGE),
    (400, &["usererror"]),
    (404, &["notfound"]),
    (413, &["requesttoolarge"]),
    (422, &["unprocessable"]),
    (504, &["timeout", "deadline"]),
    (503, &["unavailable", "slowdown"]),
    (
        400,
        &[
            "invalidrequest", "invalidargument", "badrequest", "contextlength", "contentpolicy",
            "contentfilter", "invalidprompt", "validation", "residencymismatch",
        ],
    ),
    (500, &["servererror", "apierror", "internal"]),
    (502, &["badgateway"]),
];

/// The HTTP status that the codes would have, for an error under another one.
pub(super) fn status(body: &ErrorBody) -> Option<u16> {
    if has(body, Meaning::Policy) {
        return Some(400);
    }
    let codes = plain(body);
    STATUSES.iter().find(|(_, words)| contains_any(&codes, words)).map(|(status, _)| *status)
}

/// The codes without punctuation.
fn plain(body: &ErrorBody) -> Vec<String> {
    body.codes.iter().map(|code| code.replace(['_', '-', '.', ' '], "")).collect()
}

fn contains_any(codes: &[String], words: &[&str]) -> bool {
    codes.iter().any(|code| words.iter().any(|word| code.contains(word)))
}

/// AWS puts a namespace before a name, and a URL behind it:
/// `com.amazon.coral.service#ThrottlingException:http://..`
fn is_same(own: &str, code: &str) -> bool {
    let name = own.rsplit('#').next().unwrap_or(own);
    let name = name.split(':').next().unwrap_or(name);
    own == code || name == code
}
