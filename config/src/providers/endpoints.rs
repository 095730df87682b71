//! The endpoint of each provider's OpenAI-compatible API: base, path, query and credential.

use super::base_url::BaseUrl;
use super::context::{ResolveContext, ResolveError, Unsupported};
use super::endpoint_parts::EndpointParts;
use super::formats;
use super::provider::Protocol;
use super::spelling::router_name;
use crate::config::Layout;
use crate::diagnostics::ADVISES;
use crate::values::Secret;

impl ResolveContext<'_, '_, '_> {
    /// The endpoint of the provider. `name` is its name for the model.
    pub(super) fn provider_endpoint(&mut self, name: &str) -> Result<EndpointParts, ResolveError> {
        match self.provider.protocol {
            Protocol::OpenAi => self.openai(true),
            Protocol::HostedVllm => self.openai(false),
            Protocol::Azure => self.azure(name),
            Protocol::AzureAi => self.azure_ai(name),
            Protocol::Ollama => self.ollama(),
            Protocol::Anthropic => self.anthropic(),
            Protocol::Gemini => self.gemini(),
            Protocol::VertexAi => self.vertex(),
            Protocol::Bedrock => self.bedrock(),
            Protocol::Vectors => self.vectors(),
            Protocol::Cohere if name.starts_with("rerank-") => self.cohere_rerank(),
            Protocol::Cohere => self.cohere(),
            Protocol::Cloudflare => self.cloudflare(),
            Protocol::HuggingFace => self.hugging_face(name),
            Protocol::Native => Err(ResolveError::Reported),
        }
    }

    /// OpenAI's format at the base.
    fn openai(&mut self, needs_key: bool) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        let local = !base.https;
        let key = self.key();
        let key = match key {
            // LiteLLM sends this key to vLLM, and a server may be configured to expect it.
            None if !needs_key => Some(Secret::new("fake-api-key")),
            None if !local => {
                self.warn_of_missing_key();
                None
            }
            key => key,
        };
        if self.provider.name == "text-completion-openai" {
            let advice = "send chat requests to a chat model";
            self.warn("model", "chat requests fail: only text completions are supported", advice);
        }
        if base.path.contains("/openai/deployments/") && base.host.ends_with(".azure.com") {
            let message = "URL of an Azure deployment, which expects the key as api-key";
            let advice = format!("write model: azure/{}", self.written);
            self.warn("api_base", message, &advice);
        }
        if ADVISES && base.is_foundry() && base.path.ends_with("/models") {
            let message = "address of Azure AI, which expects the key as api-key, and an api-version";
            let advice = format!("write model: azure_ai/{}", self.written);
            self.warn("api_base", message, &advice);
        }
        if ADVISES && base.path.split('/').any(|part| part == "anthropic") {
            let message = "address of Anthropic's API, where chats in OpenAI's format fail";
            let advice = "add llm_balancer: {wire: anthropic}, and let clients use /v1/messages";
            self.warn("api_base", message, advice);
        }
        let display_url = base.display_url();
        // LiteLLM adds it to every base of theirs.
        let name = self.provider.name;
        // Perplexity's models of others, which it serves at `/v1/responses` alone.
        let is_of_others = || name == "perplexity" && self.written.contains('/');
        if matches!(name, "cometapi" | "heroku" | "mistral") || is_of_others() {
            base.end_path("/v1");
        }
        // An agent has another path than the models, and BigModel one that the file may leave out.
        if name == "gradient_ai" {
            base.end_path(if base.host == "inference.do-ai.run" { "/v1" } else { "/api/v1" });
        } else if name == "bigmodel" && base.path.is_empty() {
            base.end_path("/api/paas/v4");
        }
        // LiteLLM's rule for the names of Unity Catalog, such as `system.ai.name`.
        if name == "databricks" && self.written.matches('.').count() >= 2 {
            base.trim_path("/serving-endpoints");
            if base.path.is_empty() {
                base.end_path("/ai-gateway/mlflow/v1");
            }
        }
        let layout = match self.provider.name {
            "text-completion-openai" => Layout::TextCompletion,
            _ => Layout::OpenAi,
        };
        Ok(EndpointParts::openai(base, display_url, key).with(layout))
    }

    /// Ollama serves OpenAI's format at `/v1`. LiteLLM's base does not include it.
    fn ollama(&mut self) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        let display_url = base.display_url();
        base.trim_path("/api");
        base.end_path("/v1");
        let key = self.key();
        Ok(EndpointParts::openai(base, display_url, key))
    }

    /// Anthropic's own API, and its OpenAI-compatible endpoint.
    fn anthropic(&mut self) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        base.trim_path("/v1/messages");
        let display_url = base.display_url();
        base.end_path("/v1");
        let key = self.expected_key();
        if base.domain() == "anthropic.com" {
            self.warn(
                "model",
                "/v1/messages reaches Anthropic's own API; OpenAI's routes reach its compatible endpoint, \
                 which serves chat completions only and is meant for testing: it ignores unknown fields, and \
                 `strict`",
                "use /v1/messages, and add llm_balancer: {wire: anthropic} to serve nothing else",
            );
        } else if ADVISES {
            let message = format!(
                "chats in OpenAI's format are sent to {}/chat/completions, which a server of Anthropic's API \
                 may lack",
                base.display_url()
            );
            let advice = "send /v1/messages, and add llm_balancer: {wire: anthropic} to serve nothing else";
            self.warn("api_base", &message, advice);
        }
        let credential = key.map(|key| self.anthropic_credential(key));
        let parts = EndpointParts::openai(base, display_url, None).with(Layout::Anthropic);
        Ok(EndpointParts { credential, ..parts })
    }

    /// Google AI Studio's OpenAI-compatible endpoint.
    fn gemini(&mut self) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        let advice = "remove api_base for a key of Google AI Studio, or write vertex_ai/name with vertex_project \
                      and an access token as api_key";
        refuse_own_api(&base, advice)?;
        let display_url = base.display_url();
        if base.path.is_empty() && base.host == "generativelanguage.googleapis.com" {
            base.end_path("/v1beta");
        }
        base.end_path("/openai");
        let key = self.expected_key();
        Ok(EndpointParts::openai(base, display_url, key).with(Layout::Gemini))
    }

    /// Vertex AI's endpoint of a project and a location.
    fn vertex(&mut self) -> Result<EndpointParts, ResolveError> {
        // LiteLLM has two spellings of each, and reads them in this order.
        let (projects, locations) =
            (["vertex_project", "vertex_ai_project"], ["vertex_location", "vertex_ai_location"]);
        let Some(project) = self.label_of(&projects, &["VERTEXAI_PROJECT", "VERTEX_PROJECT"])? else {
            let advice = "set vertex_project, or VERTEXAI_PROJECT; for Google AI Studio write gemini/name";
            return Err(ResolveError::unsupported("missing Google Cloud project", advice));
        };
        let location = self.label_of(&locations, &["VERTEXAI_LOCATION", "VERTEX_LOCATION"])?;
        let location = location.unwrap_or_else(|| "us-central1".to_owned());
        let host = match location.as_str() {
            "global" => "https://aiplatform.googleapis.com".to_owned(),
            // Several regions, such as `eu`.
            _ if !location.contains('-') => format!("https://aiplatform.{location}.rep.googleapis.com"),
            _ => format!("https://{location}-aiplatform.googleapis.com"),
        };
        if ADVISES && location != "global" && formats::is_in_global_alone(self.written) {
            let message =
                "LiteLLM sends requests for this model to the location global, which alone serves it";
            self.warn("model", message, "set vertex_location: global");
        }
        let given = self.base_or(&["VERTEXAI_API_BASE", "VERTEX_API_BASE"]);
        let mut base = self.parse(&given.unwrap_or(host))?;
        refuse_own_api(&base, "remove api_base, and set api_key to an access token")?;
        let display_url = base.display_url();
        if !base.path.ends_with("/endpoints/openapi") {
            base.end_path(&format!("/v1/projects/{project}/locations/{location}/endpoints/openapi"));
        }
        let key = self.key();
        if key.is_none() {
            let advice = "set api_key to an access token; if Envoy's gcp_authn or another proxy adds one, add \
                          model_list.litellm_params.api_key to llm_balancer.accept";
            self.missing_credential("missing Google access token, which Vertex AI requires", advice)?;
        }
        Ok(EndpointParts::openai(base, display_url, key).with(Layout::Vertex))
    }

    /// Bedrock's endpoint of a region.
    fn bedrock(&mut self) -> Result<EndpointParts, ResolveError> {
        let region =
            self.label("aws_region_name", &[])?.or(formats::region_of(self.written).map(str::to_owned));
        let region = match region {
            Some(region) => Some(region),
            None => {
                self.label("aws_region_name", &["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"])?
            }
        };
        let base = match (self.base_or(&["AWS_BEDROCK_RUNTIME_ENDPOINT"]), region) {
            (Some(base), _) => base,
            (None, region) => {
                let region = region.unwrap_or_else(|| self.default_region());
                format!("https://bedrock-runtime.{region}.amazonaws.com")
            }
        };
        let mut base = self.parse(&base)?;
        let display_url = base.display_url();
        base.end_path("/openai/v1");
        let key = self.key();
        if key.is_none() {
            let advice = "set api_key, or AWS_BEARER_TOKEN_BEDROCK, to a Bedrock API key";
            self.missing_credential("missing Bedrock API key: signing requests is not supported", advice)?;
        }
        Ok(EndpointParts::openai(base, display_url, key).with(Layout::Bedrock))
    }

    /// LiteLLM's region where the file and the environment name none.
    fn default_region(&mut self) -> String {
        let message = "missing AWS region: us-west-2 is used, as in LiteLLM";
        self.warn("model", message, "set aws_region_name, or AWS_REGION_NAME");
        "us-west-2".to_owned()
    }

    /// Embeddings in OpenAI's format and rerankings in Cohere's: Jina, Voyage, Infinity.
    fn vectors(&mut self) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        let display_url = base.display_url();
        if !self.provider.base.is_empty() {
            base.end_path("/v1");
        }
        let key = if self.provider.base.is_empty() { self.key() } else { self.expected_key() };
        Ok(EndpointParts::openai(base, display_url, key).with(Layout::Vectors))
    }

    /// The Workers AI of an account. LiteLLM rewrites the path of its own format, too.
    fn cloudflare(&mut self) -> Result<EndpointParts, ResolveError> {
        let account = |id| format!("https://api.cloudflare.com/client/v4/accounts/{id}/ai/v1");
        let given = self.base_or(&["CLOUDFLARE_API_BASE"]);
        let is_id = |id: &String| id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let id = self.reader.env.first_of(&["CLOUDFLARE_ACCOUNT_ID"]).filter(is_id);
        let Some(given) = given.or_else(|| id.map(account)) else {
            let advice = "set CLOUDFLARE_ACCOUNT_ID, or api_base";
            return Err(ResolveError::unsupported("missing id of Cloudflare's account", advice));
        };
        let mut base = self.parse(&given)?;
        if base.trim_path("/ai/run") {
            base.end_path("/ai/v1");
        }
        let display_url = base.display_url();
        let key = self.expected_key();
        Ok(EndpointParts::openai(base, display_url, key))
    }

    /// Hugging Face's router, or a server such as TGI.
    fn hugging_face(&mut self, name: &str) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        let display_url = base.display_url();
        base.end_path("/v1");
        if base.host != "router.huggingface.co" {
            let key = self.key();
            return Ok(EndpointParts::openai(base, display_url, key));
        }
        let key = self.expected_key();
        let model = Some(router_name(name)).filter(|_| !name.contains('*'));
        let parts = EndpointParts::openai(base, display_url, key).with(Layout::HuggingFace);
        Ok(EndpointParts { model, ..parts })
    }

    /// Cohere's OpenAI-compatible endpoint. LiteLLM uses its own API, and bases have the paths of
    /// that.
    fn cohere(&mut self) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        for end in ["/chat", "/embed", "/v2", "/v1", "/compatibility"] {
            base.trim_path(end);
        }
        // Its documentation names this host for the endpoint.
        if base.host == "api.cohere.com" {
            base.host = "api.cohere.ai".to_owned();
        }
        let display_url = base.display_url();
        let key = self.expected_key();
        Ok(EndpointParts::openai(base, display_url, key).with(Layout::Cohere))
    }

    /// Cohere's rerankings, whose format clients send.
    fn cohere_rerank(&mut self) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        // A base of the older version with the route is used as it is, as in LiteLLM.
        let is_whole = |base: &String| base.trim_end_matches('/').ends_with("/v1/rerank");
        if !self.api_base.as_ref().is_some_and(is_whole) {
            for end in ["/v2", "/v1"] {
                base.trim_path(end);
            }
        }
        let display_url = base.display_url();
        let key = self.expected_key();
        Ok(EndpointParts::openai(base, display_url, key).with(Layout::CohereRerank))
    }
}

/// Refuses an address of Vertex AI's own API, such as that of express mode.
fn refuse_own_api(base: &BaseUrl, advice: &str) -> Result<(), ResolveError> {
    if !base.path.contains("/publishers/") {
        return Ok(());
    }
    let message = "Vertex AI has no OpenAI-compatible endpoint here, only for a project".to_owned();
    let advice = if ADVISES { advice.to_owned() } else { String::new() };
    Err(ResolveError::Unsupported(Unsupported { key: "api_base", message, advice }))
}
