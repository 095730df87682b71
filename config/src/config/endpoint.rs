//! Where a deployment's requests go.

/// Where a deployment's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// https or http.
    pub tls: Tls,
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `:authority`, without the port if it is the scheme's default.
    pub authority: String,
    /// The path before the route's own part: `/v1`, or nothing. Never ends in a slash.
    pub path: String,
    /// How `path` and the route's own part (`/chat/completions`) are joined.
    pub layout: Layout,
    /// Added to every request: `api-version=2024-06-01`. Without the question mark, already
    /// escaped.
    pub query: Option<String>,
    /// `api_base` as x-litellm-model-api-base shows it: no query, no credentials.
    pub display_url: String,
}

/// How a provider is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS, verified or not.
    Https,
}

impl Endpoint {
    /// http without TLS.
    pub fn scheme(&self) -> Scheme {
        if self.tls == Tls::Off { Scheme::Http } else { Scheme::Https }
    }
}

/// How a provider or Redis is verified.
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

/// How a provider lays out its paths, and so which routes it has. The router has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `{path}/chat/completions`, and so for every route.
    OpenAi,
    /// Azure OpenAI with a dated `api_version`:
    /// `{path}/openai/deployments/{model}/chat/completions`. `path` ends before `/openai`.
    AzureDeployments,
    /// The same where `path` names the deployment: it ends in `/openai/deployments/{name}`.
    AzureDeployment,
    /// Azure's routes in OpenAI's own layout; `path` ends in `/openai/v1`.
    AzureV1,
    /// Azure AI Foundry's inference API; `path` ends in `/models`.
    Foundry,
    /// A model of Azure AI with its own address.
    AzureAi,
    /// Anthropic's own: Messages, and an OpenAI-compatible endpoint; `path` ends in `/v1`.
    Anthropic,
    /// Anthropic's Messages alone, at any provider; `path` ends in `/v1`.
    Messages,
    /// Google AI Studio's; `path` ends in `/openai`.
    Gemini,
    /// Vertex AI's; `path` ends in `/endpoints/openapi`.
    Vertex,
    /// Bedrock's; `path` ends in `/openai/v1`.
    Bedrock,
    /// A server of text completions only.
    TextCompletion,
    /// A server of embeddings and rerankings: `{path}/embeddings`, `{path}/rerank`.
    Vectors,
    /// Hugging Face's router; `path` ends in `/v1`, and a model in the name of its provider.
    HuggingFace,
    /// Cohere's: `{path}/compatibility/v1` in OpenAI's format, and `{path}/v2/rerank`.
    Cohere,
    /// Cohere's `{path}/v2/rerank`.
    CohereRerank,
}

/// The API in which requests and answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// OpenAI's.
    OpenAi,
    /// Anthropic's Messages.
    Anthropic,
}

impl Layout {
    /// Whether a provider reads Google's own options, in `extra_body: {google: ..}`.
    pub fn reads_google_options(self) -> bool {
        matches!(self, Self::Gemini | Self::Vertex)
    }

    /// Whether a provider of this layout has routes of an API.
    pub fn speaks(self, wire: Wire) -> bool {
        match wire {
            Wire::OpenAi => self != Self::Messages,
            Wire::Anthropic => matches!(self, Self::Anthropic | Self::Messages),
        }
    }
}
