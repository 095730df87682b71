//! The rules about failures as tables: what cools a deployment, for how long, and what is retried
//! how often. The units of `failure/cooldown.rs`, the stories and the tests on Envoy read them from
//! here.

#![allow(dead_code, reason = "each reader needs its own part")]

const NO_MODEL: &str =
    r#"{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","code":404}}"#;
const NO_DEPLOYMENT: &str = r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#;
const NO_ROUTE: &str = r#"{"detail":"Not Found"}"#;
const RETIRED: &str = r#"{"error":{"message":"The model `m` has been retired."}}"#;
const NO_SEARCH: &str = r#"{"error":"Live search is deprecated. Please switch to the Agent Tools API."}"#;
const NO_RESPONSE: &str = r#"{"error":{"message":"Previous response with id 'resp_1' not found.","code":"previous_response_not_found"}}"#;
const NO_CREDIT: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#;
const CLIENTS_MEMBER: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"rate limit. Please try again in 80000s: Extra inputs are not permitted"}}"#;
const CLIENTS_URL: &str = r#"{"error":{"message":"Error while downloading https://cdn.example/docs/ratelimit.png. Upstream status code: 400.","type":"invalid_request_error","param":"url","code":"invalid_image_url"}}"#;
const CLIENTS_ROLE: &str = r#"{"error":{"message":"Error rendering prompt with jinja template: unknown role invalid api key","type":"invalid_request_error"}}"#;
const LITELLMS_KEY: &str =
    r#"{"error":{"message":"No connected db.","type":"no_db_connection","param":null,"code":"400"}}"#;
const OTHERS_FILE: &str = r#"{"error":{"message":"Files [assistant-1] were not found due to ownership verification failure.","type":"invalid_request_error","param":null,"code":null}}"#;
const NO_PERMISSION: &str = r#"{"error":{"type":"permission_error","message":"Not allowed."}}"#;
const TOO_EXPENSIVE: &str = r#"{"error":{"message":"This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 30104.","code":402}}"#;
const TOO_LARGE: &str = r#"{"error":{"message":"Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7500","code":"rate_limit_exceeded"}}"#;

/// An error, and what follows from it without any settings.
pub struct Rule {
    pub status: u16,
    /// Empty where only the status counts.
    pub body: &'static str,
    /// Whether the first one cools a deployment that has siblings down.
    pub cools_in_group: bool,
    /// Whether the first one cools the only deployment of a group down.
    pub cools_alone: bool,
    /// Whether the request is sent to a sibling.
    pub is_retried: bool,
}

const fn rule(
    status: u16,
    body: &'static str,
    cools_in_group: bool,
    cools_alone: bool,
    is_retried: bool,
) -> Rule {
    Rule { status, body, cools_in_group, cools_alone, is_retried }
}

pub const RULES: [Rule; 37] = [
    rule(400, "", false, false, false),
    rule(400, NO_CREDIT, true, false, true),
    rule(400, NO_RESPONSE, false, false, true),
    rule(400, CLIENTS_MEMBER, false, false, false),
    rule(400, CLIENTS_URL, false, false, false),
    rule(400, CLIENTS_ROLE, false, false, false),
    rule(400, LITELLMS_KEY, true, false, true),
    rule(400, OTHERS_FILE, false, false, true),
    rule(401, "", true, true, true),
    rule(402, "", true, false, true),
    rule(402, TOO_EXPENSIVE, false, false, true),
    rule(403, "", false, false, true),
    rule(403, NO_PERMISSION, true, false, true),
    rule(404, "", false, false, true),
    rule(404, NO_MODEL, true, true, true),
    rule(404, NO_DEPLOYMENT, true, true, true),
    rule(404, NO_ROUTE, false, false, true),
    rule(404, NO_RESPONSE, false, false, true),
    rule(405, "", false, false, true),
    rule(408, "", false, false, true),
    rule(409, "", false, false, true),
    rule(410, RETIRED, true, true, true),
    rule(410, NO_SEARCH, false, false, true),
    rule(413, "", false, false, false),
    rule(413, TOO_LARGE, false, false, true),
    rule(421, "", true, true, true),
    rule(422, "", false, false, false),
    rule(424, "", false, false, true),
    rule(429, "", true, false, true),
    rule(429, TOO_LARGE, false, false, true),
    rule(499, "", false, false, true),
    rule(500, "", false, false, true),
    rule(501, "", false, false, true),
    rule(502, "", false, false, true),
    rule(503, "", false, false, true),
    rule(504, "", false, false, true),
    rule(529, "", true, false, true),
];

/// Further litellm_params, further router_settings, the seconds of a 429's `retry-after`, and the
/// seconds of the cooldown.
pub const COOLDOWN_TIMES: [(&str, &str, Option<u64>, u64); 9] = [
    ("", "", None, 5),
    ("", ", cooldown_time: 2", None, 2),
    ("", ", cooldown_time: 2", Some(20), 20),
    (", cooldown_time: 3", ", cooldown_time: 2", Some(20), 3),
    (", cooldown_time: 3", ", cooldown_time: 2", None, 3),
    (", cooldown_time: 0", "", Some(20), 0),
    ("", "", Some(0), 0),
    ("", "", Some(4_000_000_000), 24 * 3600),
    ("", ", disable_cooldowns: true", Some(20), 0),
];

/// Further litellm_params, sections of the file, `x-litellm-num-retries`, further members of the
/// body, and the attempts of a request that gets nothing but status 500.
pub const ATTEMPTS: [(&str, &str, Option<&str>, &str, usize); 12] = [
    ("", "", None, "", 4),
    ("", "router_settings: {num_retries: 1}\n", None, "", 2),
    ("", "router_settings: {num_retries: 0}\n", None, "", 1),
    ("", "litellm_settings: {num_retries: 2}\n", None, "", 3),
    ("", "router_settings: {num_retries: 1}\nlitellm_settings: {num_retries: 3}\n", None, "", 2),
    (", num_retries: 4", "router_settings: {num_retries: 0}\n", None, "", 5),
    (", num_retries: 0", "router_settings: {num_retries: 2}\n", None, "", 1),
    (", num_retries: 4", "", None, r#""num_retries":1"#, 2),
    (", num_retries: 4", "router_settings: {num_retries: 1}\n", None, r#""num_retries":0"#, 1),
    (", num_retries: 4", "", Some("1"), "", 2),
    ("", "router_settings: {num_retries: 3}\n", Some("0"), "", 1),
    ("", "", Some("1"), r#""num_retries":2"#, 2),
];

/// The router_settings under which [`ATTEMPTS_BY_POLICY`] holds.
pub const RETRY_POLICY: &str = "num_retries: 3, retry_policy: {InternalServerErrorRetries: 1, BadRequestErrorRetries: 2, RateLimitErrorRetries: 0}";

/// The status of every attempt, further members of the body, and the number of attempts.
pub const ATTEMPTS_BY_POLICY: [(u16, &str, usize); 7] = [
    (500, "", 2),
    (500, r#""num_retries":4"#, 2),
    (500, r#""num_retries":0"#, 1),
    (400, "", 3),
    (429, "", 1),
    (408, "", 4),
    (503, "", 4),
];
