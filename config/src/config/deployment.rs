//! One deployment.

use std::sync::Arc;
use std::time::Duration;

use super::affinity::Affinity;
use super::endpoint::Endpoint;
use super::failure_policy::FailurePolicy;
use crate::providers::ChatParams;
use crate::values::Secret;
use crate::yaml::{self, Value};

/// One place that serves a model group: an item of `model_list`.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// `model_info.id`, or LiteLLM's sha256 (BEHAVIOUR 1.4). Unique in a configuration.
    pub id: Arc<str>,
    /// `model_name`, the model group. With `*` in it, a wildcard pattern.
    pub group: Arc<str>,
    /// `litellm_params.model` as written, such as `azure/gpt-35-turbo`.
    pub litellm_model: String,
    /// The provider's name for the model: no provider prefix. With `*` in it (BEHAVIOUR 2.3),
    /// LiteLLM's, which `upstream_name` spells when the stars are filled.
    pub model: String,
    /// LiteLLM's name of the provider: `openai`, `azure`, `hosted_vllm`.
    pub provider: String,
    /// `model: "*"`, and nothing that names a provider: LiteLLM infers it from each requested name.
    /// Here names of `provider` alone are served.
    pub infers_provider: bool,
    /// Where its requests go.
    pub endpoint: Endpoint,
    /// Name of its Envoy cluster. Unique; letters, digits, `-` and `_` only.
    pub cluster: String,
    /// The header with its key, if it needs one.
    pub credential: Option<Credential>,
    /// More request headers (`extra_headers`, `organization`), names in lower case.
    pub headers: Vec<(String, Secret)>,
    /// `weight` for simple-shuffle; finite, may be negative as in LiteLLM.
    pub weight: Option<f64>,
    /// Requests per clock minute (UTC), above zero; from litellm_params, the item, or model_info.
    pub rpm: Option<u64>,
    /// Tokens per clock minute (UTC), likewise.
    pub tpm: Option<u64>,
    /// Only model_info has rpm and tpm: they are limits, but no weights (BEHAVIOUR 1.2).
    pub limits_from_model_info: bool,
    /// Requests in flight at most, above zero.
    pub max_parallel_requests: Option<u32>,
    /// Lower is preferred. In a group where some deployments have an order, those without come last.
    pub order: Option<i64>,
    /// Per attempt, not streaming.
    pub timeout: Option<Duration>,
    /// Per attempt, streaming: to the headers, and between bytes.
    pub stream_timeout: Option<Duration>,
    /// Retries after this deployment failed.
    pub num_retries: Option<u32>,
    /// Its own cooldown time; zero disables its cooldown.
    pub cooldown_time: Option<Duration>,
    /// Failures within one cooldown time that are allowed before it cools down, if it has its own
    /// number.
    pub allowed_fails: Option<u32>,
    /// The same by class of failure.
    pub allowed_fails_policy: FailurePolicy,
    /// `model_info.max_input_tokens`: tokens of a prompt at most. Only `enable_pre_call_checks` reads
    /// it.
    pub max_input_tokens: Option<u64>,
    /// Which requests of its group should go to the same deployment again; equal within a group.
    pub affinity: Affinity,
    /// For tag routing; plain words.
    pub tags: Vec<String>,
    /// `model_info.enable_tag_filtering`: for its group, in place of `router_settings`.
    pub tag_filtering: Option<bool>,
    /// US dollars per prompt token.
    pub input_cost_per_token: Option<f64>,
    /// US dollars per completion token.
    pub output_cost_per_token: Option<f64>,
    /// Parameters that are sent unless the client sets them (`temperature`, `max_tokens`, ..).
    pub defaults: Vec<Member>,
    /// `extra_body`: merged into the top level of the body, over what the client sent.
    pub extra_body: Vec<Member>,
    /// Names of chat parameters, and those that the provider refuses.
    pub chat_params: ChatParams,
    /// `additional_drop_params`: members removed from the client's body.
    pub drop_params: Vec<String>,
    /// The same for nested members.
    pub drop_paths: Vec<DropPath>,
    /// litellm_params as /v1/model/info shows them: no credentials.
    pub public_params: Vec<Member>,
    /// model_info as written, without `id`.
    pub info: Vec<Member>,
}

/// The path of a member that is removed from a JSON object: `tools[*].function.strict`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropPath {
    /// From the top level on; the first one and the last one are members.
    pub segments: Vec<Segment>,
}

/// A step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The member of that name, not escaped.
    Member(String),
    /// `[*]`
    EveryItem,
    /// `[0]`, from 0.
    Item(usize),
}

/// A member of a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, not escaped.
    pub key: String,
    /// Its value as JSON text.
    pub json: String,
}

impl Member {
    pub(crate) fn new(key: &str, value: &Value) -> Self {
        Self { key: key.to_owned(), json: yaml::json(value) }
    }
}

/// The header with a deployment's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `authorization: Bearer <key>`
    Bearer(Secret),
    /// `api-key: <key>`; `x-api-key` for Anthropic's API
    ApiKey(Secret),
    /// `authorization: Bearer <token>`, for Anthropic's API, too, which takes no key beside it
    Token(Secret),
}

/// Whether a key of Anthropic's is a token of OAuth, which is sent as a token and with a beta of its
/// own.
pub fn is_oauth_token(key: &Secret) -> bool {
    key.reveal().starts_with("sk-ant-oat")
}
