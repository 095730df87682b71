//! The configuration as code may rely on it: every default filled in, every reference resolved, every unit named.

use std::sync::Arc;
use std::time::Duration;

use crate::{Proxies, Secret};

/// A whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// In the order of `model_list`, followed by what lists of organizations expand to.
    pub deployments: Vec<Deployment>,
    /// `router_settings.model_group_alias`, in file order.
    pub aliases: Vec<Alias>,
    /// How requests are routed.
    pub router: RouterSettings,
    /// How clients are admitted.
    pub server: ServerSettings,
    /// Where instances share what they count; without it each counts for itself.
    pub redis: Option<Redis>,
    /// Names that lead to nothing, because all that they lead to was left out (`unsupported_deployments: skip`), sorted.
    pub skipped: Vec<Skipped>,
    /// Through what deployments are reached, where that is not directly.
    pub proxies: Proxies,
    /// The file with the CAs that verify providers, Redis and proxies, and the variable that names it.
    pub ca_bundle: Option<(String, String)>,
    /// Names of the environment variables that the file refers to, sorted, each once.
    pub env_names: Vec<String>,
}

/// One place that a model group can be served from: an item of `model_list`.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// `model_info.id`, or LiteLLM's sha256 (BEHAVIOUR 1.4). Unique in a configuration.
    pub id: Arc<str>,
    /// `model_name`, the model group it belongs to. With `*` in it, a wildcard pattern.
    pub group: Arc<str>,
    /// `litellm_params.model` as written, such as `azure/gpt-35-turbo`.
    pub litellm_model: String,
    /// The model's name as the provider knows it: no provider prefix. May hold `*` (BEHAVIOUR 2.3).
    pub model: String,
    /// LiteLLM's name of the provider: `openai`, `azure`, `hosted_vllm`.
    pub provider: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Name of the Envoy cluster that leads to it. Unique; letters, digits, `-`, `_` and `.` only.
    pub cluster: String,
    /// The header that opens it, if it needs one.
    pub credential: Option<Credential>,
    /// Further request headers (`extra_headers`, `organization`), names in lower case.
    pub headers: Vec<(String, Secret)>,
    /// `weight` for simple-shuffle; finite, may be negative as in LiteLLM.
    pub weight: Option<f64>,
    /// Requests of a clock minute (UTC), above zero; from litellm_params, the item, or (see `limits_from_model_info`) model_info.
    pub rpm: Option<u64>,
    /// Tokens per minute, likewise.
    pub tpm: Option<u64>,
    /// True where rpm and tpm stand in model_info only: limits, but no weights (BEHAVIOUR 1.2).
    pub limits_from_model_info: bool,
    /// Requests in flight at most, above zero.
    pub max_parallel_requests: Option<u32>,
    /// Lower comes first; a group where any deployment has one leaves out those that have none.
    pub order: Option<i64>,
    /// Per attempt, not streaming.
    pub timeout: Option<Duration>,
    /// Per attempt, streaming: to the headers, and between bytes.
    pub stream_timeout: Option<Duration>,
    /// Retries after this deployment failed.
    pub num_retries: Option<u32>,
    /// Its own cooldown; zero means that it never cools.
    pub cooldown_time: Option<Duration>,
    /// Failures within one cooldown time before it cools, if it has its own count.
    pub allowed_fails: Option<u32>,
    /// The same by kind of failure.
    pub allowed_fails_policy: FailurePolicy,
    /// For tag routing; plain words.
    pub tags: Vec<String>,
    /// `model_info.enable_tag_filtering`: the group's own, in place of `router_settings`'.
    pub tag_filtering: Option<bool>,
    /// US dollars per prompt token.
    pub input_cost_per_token: Option<f64>,
    /// US dollars per completion token.
    pub output_cost_per_token: Option<f64>,
    /// Parameters sent unless the client sets them (`temperature`, `max_tokens`, ..).
    pub defaults: Vec<Member>,
    /// `extra_body`: merged into the top level of the body, over what the client sent.
    pub extra_body: Vec<Member>,
    /// `additional_drop_params`: members removed from the client's body.
    pub drop_params: Vec<String>,
    /// The same for members inside of those.
    pub drop_paths: Vec<DropPath>,
    /// litellm_params as /v1/model/info may show them: no credential, nothing secret.
    pub public_params: Vec<Member>,
    /// model_info as written, without `id`.
    pub info: Vec<Member>,
}

/// A way into a JSON object, to a member that is removed there: `tools[*].function.strict`.
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

/// Where a deployment's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// https or http.
    pub tls: Tls,
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `:authority`, the port left out where it is the scheme's own.
    pub authority: String,
    /// What comes before the route's own part: `/v1`, or nothing. Never ends in a slash.
    pub path: String,
    /// How the route's own part (`/chat/completions`) is put behind `path`.
    pub layout: Layout,
    /// Added to every request: `api-version=2024-06-01`. Without the question mark, already escaped.
    pub query: Option<String>,
    /// `api_base` as x-litellm-model-api-base shows it: no query, no credentials.
    pub display_url: String,
}

/// Whether and how a provider or Redis is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain text.
    Off,
    /// Verified against the system's CAs, by name.
    SystemCas,
    /// Verified against the CAs of this PEM file (`ssl_verify: /path`), by name.
    CaFile(String),
    /// `ssl_verify: false`: encrypted, not verified.
    Unverified,
}

/// How a provider lays out its paths, and so which routes it has. The table is `router/src/paths.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `{path}/chat/completions`, and so for every route.
    OpenAi,
    /// Azure OpenAI with a dated `api_version`: `{path}/openai/deployments/{model}/chat/completions`; `path` ends
    /// before `/openai`.
    AzureDeployments,
    /// The same where `path` names the deployment already: it ends in `/openai/deployments/{name}`.
    AzureDeployment,
    /// Azure's routes in OpenAI's own layout; `path` ends in `/openai/v1`.
    AzureV1,
    /// Azure AI Foundry's inference API; `path` ends in `/models`.
    Foundry,
    /// A model of Azure AI at an address of its own.
    AzureAi,
    /// Anthropic's endpoint for OpenAI's clients.
    Anthropic,
    /// Google AI Studio's; `path` ends in `/openai`.
    Gemini,
    /// Vertex AI's; `path` ends in `/endpoints/openapi`.
    Vertex,
    /// Bedrock's; `path` ends in `/openai/v1`.
    Bedrock,
    /// A server that is asked for text completions alone.
    TextCompletion,
    /// A server of embeddings and rerankings: `{path}/embeddings`, `{path}/rerank`.
    Vectors,
    /// Cohere's `{path}/v2/rerank`.
    CohereRerank,
}

/// The header that carries a deployment's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `authorization: Bearer <key>`
    Bearer(Secret),
    /// `api-key: <key>`
    ApiKey(Secret),
}

/// Another name for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The name that clients use.
    pub name: Arc<str>,
    /// The model group (or litellm model) it stands for. Looked up once: aliases do not chain.
    pub target: Arc<str>,
    /// Left out of the listings; requests work all the same.
    pub hidden: bool,
}

/// A name of which nothing is left: a group, an alias, a routing group, a deployment's id or its litellm model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The name; of a wildcard group its pattern.
    pub name: Arc<str>,
    /// Why: for people, without a full stop.
    pub reason: String,
}

/// `routing_strategy`, under LiteLLM's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// `simple-shuffle`
    #[default]
    SimpleShuffle,
    /// `least-busy`
    LeastBusy,
    /// `usage-based-routing` and `usage-based-routing-v2`
    UsageBased,
    /// `latency-based-routing`
    LowestLatency,
    /// `cost-based-routing`
    LowestCost,
}

impl Strategy {
    /// As files name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SimpleShuffle => "simple-shuffle",
            Self::LeastBusy => "least-busy",
            Self::UsageBased => "usage-based-routing",
            Self::LowestLatency => "latency-based-routing",
            Self::LowestCost => "cost-based-routing",
        }
    }
}

/// `router_settings`, with what `litellm_settings` and LiteLLM's defaults add.
#[derive(Clone, Debug)]
pub struct RouterSettings {
    /// How a deployment is picked.
    pub strategy: Strategy,
    /// Its `routing_strategy_args`.
    pub strategy_args: StrategyArgs,
    /// `routing_groups`: groups with a strategy of their own.
    pub routing_groups: Vec<RoutingGroup>,
    /// Retries after the first attempt; 3 where nothing is set.
    pub num_retries: u32,
    /// Per attempt, not streaming; 6000 s where nothing is set.
    pub timeout: Duration,
    /// Per attempt, streaming, if it differs.
    pub stream_timeout: Option<Duration>,
    /// The shortest wait before a retry that has to wait.
    pub retry_after: Duration,
    /// Retries by kind of failure, for every group.
    pub retry_policy: FailurePolicy,
    /// The same for single groups; goes before `retry_policy`.
    pub group_retry_policy: Vec<(Arc<str>, FailurePolicy)>,
    /// Fallback hops at most; 5 where nothing is set.
    pub max_fallbacks: u32,
    /// `fallbacks`, `default_fallbacks` (under the key `*`).
    pub fallbacks: Vec<Fallback>,
    /// `context_window_fallbacks`.
    pub context_window_fallbacks: Vec<Fallback>,
    /// `content_policy_fallbacks`.
    pub content_policy_fallbacks: Vec<Fallback>,
    /// `cooldown_time`; 5 s where nothing is set.
    pub cooldown_time: Duration,
    /// Failures within one cooldown time before it cools; `None` selects LiteLLM's default rule (BEHAVIOUR 5.4).
    pub allowed_fails: Option<u32>,
    /// The same by kind of failure.
    pub allowed_fails_policy: FailurePolicy,
    /// By LiteLLM's default rule, a deployment cools when more than this share of its minute's requests failed; 0.5
    /// where `DEFAULT_FAILURE_THRESHOLD_PERCENT` is not set.
    pub failure_threshold: f64,
    /// The same: of at least so many requests; 5 where `DEFAULT_FAILURE_THRESHOLD_MINIMUM_REQUESTS` is not set.
    pub failure_threshold_requests: u32,
    /// The same: a deployment without siblings cools when all of its minute's requests failed, and there were so many;
    /// 1000 where `SINGLE_DEPLOYMENT_TRAFFIC_FAILURE_THRESHOLD` is not set.
    pub single_deployment_failure_threshold: u32,
    /// `disable_cooldowns`.
    pub disable_cooldowns: bool,
    /// `default_max_parallel_requests`.
    pub max_parallel_requests: Option<u32>,
    /// `enable_tag_filtering`.
    pub tag_filtering: bool,
    /// `tag_filtering_match_any`; true where nothing is set.
    pub tags_match_any: bool,
    /// `tag_routing_prefix`: taken off the tags of requests; empty where nothing is set.
    pub tag_prefix: String,
    /// `general_settings.dangerously_allow_mock_testing_request_params`; true where nothing is set.
    pub mock_testing: bool,
    /// `llm_balancer.limits: soft`: rpm and tpm are weights alone.
    pub soft_limits: bool,
}

/// `routing_strategy_args`.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategyArgs {
    /// How long a latency is remembered; 3600 s where nothing is set.
    pub ttl: Duration,
    /// Share above the lowest latency that still counts as lowest; 0 where nothing is set.
    pub lowest_latency_buffer: f64,
    /// Latencies kept for each deployment; 10 where nothing is set.
    pub max_latency_list_size: u32,
}

/// A count for each kind of failure: `retry_policy`, `allowed_fails_policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailurePolicy {
    /// `BadRequestError..`: 400 and 422's relatives as LiteLLM groups them.
    pub bad_request: Option<u32>,
    /// `AuthenticationError..`: 401.
    pub authentication: Option<u32>,
    /// `TimeoutError..`: 408, 504, or no answer in time.
    pub timeout: Option<u32>,
    /// `RateLimitError..`: 429.
    pub rate_limit: Option<u32>,
    /// `ContentPolicyViolationError..`: a 400 that says so.
    pub content_policy: Option<u32>,
    /// `InternalServerError..`: 500, or no connection.
    pub internal_server: Option<u32>,
    /// `ServiceUnavailableError..`: 503.
    pub service_unavailable: Option<u32>,
    /// `NotFoundError..`: 404.
    pub not_found: Option<u32>,
    /// `DefaultRetries`: every other kind.
    pub default: Option<u32>,
}

/// Where a group's requests go when it cannot serve them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The group, or `*`.
    pub group: Arc<str>,
    /// In the order they are tried.
    pub targets: Vec<Target>,
}

/// One place to go when a group cannot serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A group, an alias or a deployment's id.
    pub model: Arc<str>,
    /// Members that replace those of the client's body on the way there: `{model: other, temperature: 0}`.
    pub overrides: Vec<Member>,
}

/// `routing_groups[]`: some groups with a strategy of their own, which can also be asked for together.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingGroup {
    /// The name that stands for all of its deployments.
    pub name: Arc<str>,
    /// The model groups in it.
    pub models: Vec<Arc<str>>,
    /// How a deployment of these is picked. With priorities, how one of equal priority is: the strategy of the file.
    pub strategy: Strategy,
    /// Its `routing_strategy_args`.
    pub strategy_args: StrategyArgs,
    /// `model_priorities` of a group whose `routing_strategy` is `priority`, in the order of `models`; empty for all
    /// others. Lower comes first, and the next ones serve when it cannot. They count for requests to the group's own
    /// name alone, and a model may be in several such groups.
    pub priorities: Vec<(Arc<str>, i64)>,
}

/// What `general_settings` and `llm_balancer` say about clients.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Guards every route but liveliness and readiness. `None`: open, on loopback only.
    pub master_key: Option<Secret>,
    /// Bodies above this are refused with 413; `llm_balancer.max_body_mb`, 64 MiB where nothing is set.
    pub max_body_bytes: u64,
    /// `llm_balancer.access_log`: a line of JSON for every request; on where nothing is set.
    pub access_log: bool,
    /// `general_settings.forward_client_headers_to_llm_api`: clients' `x-` headers reach the provider.
    pub forward_client_headers: bool,
}

/// Where instances share what they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// TCP port; 6379 where nothing is set.
    pub port: u16,
    /// For `SELECT`; 0 where nothing is set.
    pub database: u32,
    /// For `AUTH`, before the password; there only if a password is.
    pub username: Option<String>,
    /// For `AUTH`.
    pub password: Option<Secret>,
    /// Whether and how the server is verified.
    pub tls: Tls,
    /// What every key begins with: `llm_balancer.redis_namespace`, `cache_params.namespace`, or `llm-balancer`. Letters,
    /// digits, `-`, `_`, `.` and `:` only.
    pub namespace: String,
}
