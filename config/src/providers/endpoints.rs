//! Each provider's way to its OpenAI format: the base, the path, the query and the credential.

use crate::config::{Credential, Layout};
use crate::providers::base_url::BaseUrl;
use crate::providers::context::{EndpointParts, ResolveContext};
use crate::providers::formats;
use crate::providers::resolve::ResolveError;
use crate::values::secret::Secret;

/// LiteLLM's `AZURE_DEFAULT_API_VERSION` in 1.109.1.
const AZURE_DEFAULT_VERSION: &str = "2025-02-01-preview";
/// What LiteLLM sends to an Azure AI Foundry resource.
const FOUNDRY_VERSION: &str = "2024-05-01-preview";

impl ResolveContext<'_, '_, '_> {
    /// OpenAI's format at the base.
    pub fn openai(&mut self, needs_key: bool) -> Result<EndpointParts, ResolveError> {
        let base = self.base()?;
        let local = !base.https;
        let key = self.key();
        let key = match key {
            // vLLM behind LiteLLM sees this key; a server may have been told to expect it.
            None if !needs_key => Some(Secret::new("fake-api-key")),
            None if !local => {
                self.warn_no_key();
                None
            }
            key => key,
        };
        if self.provider.name == "text-completion-openai" {
            let advice = "send chat requests to a chat model";
            self.warn("model", "chat requests are not turned into prompts: only completions work", advice);
        }
        if base.path.contains("/openai/deployments/") && base.host.ends_with(".azure.com") {
            let message = "is the address of an Azure deployment, which takes a key as api-key";
            let advice = format!("write model: azure/{}", self.written);
            self.warn("api_base", message, &advice);
        }
        let display_url = base.display_url();
        let layout = match self.provider.name {
            "text-completion-openai" => Layout::TextCompletion,
            _ => Layout::OpenAi,
        };
        Ok(EndpointParts::openai(base, display_url, key.map(Credential::Bearer)).with(layout))
    }

    /// Ollama serves OpenAI's format at `/v1`, and LiteLLM's base has none.
    pub fn ollama(&mut self) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        let display_url = base.display_url();
        base.trim_path("/api");
        base.end_path("/v1");
        let key = self.key();
        Ok(EndpointParts::openai(base, display_url, key.map(Credential::Bearer)))
    }

    /// Anthropic's endpoint for OpenAI's clients.
    pub fn anthropic(&mut self) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        base.trim_path("/v1/messages");
        let display_url = base.display_url();
        base.end_path("/v1");
        let key = self.needed_key();
        self.warn(
            "model",
            "is reached by Anthropic's OpenAI-compatible endpoint, which serves chat completions alone and which \
             Anthropic offers for testing and comparing: fields it does not know are ignored, and so is `strict`",
            "see Anthropic's page on OpenAI SDK compatibility",
        );
        Ok(EndpointParts::openai(base, display_url, key.map(Credential::Bearer)).with(Layout::Anthropic))
    }

    /// Google AI Studio's endpoint for OpenAI's clients.
    pub fn gemini(&mut self) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        let display_url = base.display_url();
        base.end_path("/openai");
        let key = self.needed_key();
        Ok(EndpointParts::openai(base, display_url, key.map(Credential::Bearer)).with(Layout::Gemini))
    }

    /// Vertex AI's, by project and location.
    pub fn vertex(&mut self) -> Result<EndpointParts, ResolveError> {
        let Some(project) = self.label("vertex_project", &["VERTEXAI_PROJECT", "VERTEX_PROJECT"])? else {
            let advice = "set vertex_project, or VERTEXAI_PROJECT; for Google AI Studio write gemini/name";
            return Err(ResolveError::unsupported("names no Google Cloud project", advice));
        };
        let location = self.label("vertex_location", &["VERTEXAI_LOCATION", "VERTEX_LOCATION"])?;
        let location = location.unwrap_or_else(|| "us-central1".to_owned());
        let host = match location.as_str() {
            "global" => "https://aiplatform.googleapis.com".to_owned(),
            _ => format!("https://{location}-aiplatform.googleapis.com"),
        };
        let given = self.base_or(&["VERTEXAI_API_BASE", "VERTEX_API_BASE"]);
        let mut base = self.parse(&given.unwrap_or(host))?;
        let display_url = base.display_url();
        if !base.path.ends_with("/endpoints/openapi") {
            base.end_path(&format!("/v1/projects/{project}/locations/{location}/endpoints/openapi"));
        }
        let key = self.key();
        if key.is_none() {
            let advice = "give an access token as api_key; where something on the way adds one, such as Envoy's gcp_authn, put model_list.litellm_params.api_key into llm_balancer.accept";
            self.lacks_credential("has no Google access token, which Vertex AI asks for", advice)?;
        }
        Ok(EndpointParts::openai(base, display_url, key.map(Credential::Bearer)).with(Layout::Vertex))
    }

    /// Bedrock's, by region, for the models that it serves there.
    pub fn bedrock(&mut self) -> Result<EndpointParts, ResolveError> {
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
            (None, Some(region)) => format!("https://bedrock-runtime.{region}.amazonaws.com"),
            (None, None) => {
                let advice = "set aws_region_name, or AWS_REGION_NAME";
                return Err(ResolveError::unsupported("names no region", advice));
            }
        };
        let mut base = self.parse(&base)?;
        let display_url = base.display_url();
        base.end_path("/openai/v1");
        let key = self.key();
        if key.is_none() {
            let advice = "give a Bedrock API key as api_key, or in AWS_BEARER_TOKEN_BEDROCK";
            self.lacks_credential("has no Bedrock API key, and requests are not signed here", advice)?;
        }
        Ok(EndpointParts::openai(base, display_url, key.map(Credential::Bearer)).with(Layout::Bedrock))
    }

    /// `api-key` and a path by deployment; or, at `/openai/v1`, OpenAI's own layout.
    pub fn azure(&mut self, name: &str) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        let display_url = base.display_url();
        let version = self.azure_version(&base)?;
        let model = self.azure_deployment(&mut base, name);
        let v1 = base.path.ends_with("/openai/v1")
            || model.is_none() && matches!(version.as_deref(), Some("preview" | "latest" | "v1"));
        if v1 {
            base.trim_path("/openai/v1");
            base.end_path("/openai");
            base.end_path("/v1");
            let credential = self.azure_key(&base, true)?;
            return Ok(EndpointParts::openai(base, display_url, credential).with(Layout::AzureV1));
        }
        let layout = if base.path.contains("/openai/deployments/") {
            Layout::AzureDeployment
        } else {
            Layout::AzureDeployments
        };
        let is_end = |end: &&str| layout == Layout::AzureDeployments && base.trim_path(end);
        if let Some(end) = ["/openai/deployments", "/openai"].into_iter().find(is_end) {
            let message = format!("ends in {end}, which belongs to the path of every request");
            self.warn("api_base", &message, &format!("remove {end}"));
        }
        let query = match (base.api_version(), version) {
            // It stands in the base's own query.
            (Some(_), _) => None,
            (None, Some(version)) => Some(version),
            (None, None) => {
                let message = format!("is not set: {AZURE_DEFAULT_VERSION} is used, as in LiteLLM");
                self.warn("api_version", &message, "set api_version");
                Some(AZURE_DEFAULT_VERSION.to_owned())
            }
        };
        let query = query.map(|version| format!("api-version={}", escaped(&version)));
        let credential = self.azure_key(&base, false)?;
        Ok(EndpointParts { base, layout, query, display_url, credential, model })
    }

    /// The version in `api_base`, as in LiteLLM; else that of the file, or of the environment.
    fn azure_version(&mut self, base: &BaseUrl) -> Result<Option<String>, ResolveError> {
        let set = self.version(&["AZURE_API_VERSION"])?;
        let Some(in_base) = base.api_version() else { return Ok(set) };
        let other = set.filter(|set| set != in_base && self.params.find("api_version").is_some());
        if let Some(other) = other {
            let message = format!("is {other}, and api_base says {in_base}, which is used");
            self.warn("api_version", &message, "remove one of them");
        }
        Ok(Some(in_base.to_owned()))
    }

    /// The deployment that `api_base` names, as the portal's URLs do: requests go there, as in LiteLLM.
    fn azure_deployment(&mut self, base: &mut BaseUrl, name: &str) -> Option<String> {
        let deployment = base.take_deployment()?;
        if deployment != name {
            let message = format!("names the deployment {deployment}, which requests go to, and not {name}");
            let advice = format!("write model: azure/{deployment} with api_base: {}", base.display_url());
            self.warn("api_base", &message, &advice);
        }
        Some(deployment)
    }

    /// A Foundry resource by path and version, everything else as OpenAI.
    pub fn azure_ai(&mut self) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        let display_url = base.display_url();
        if base.path.contains("/api/projects") {
            let advice = format!("write https://{}", base.authority());
            return Err(self.mistake(
                "api_base",
                "is the address of a project, which serves no models",
                &advice,
            ));
        }
        let by_deployment = base.path.contains("/openai/deployments/");
        let v1 = base.path.ends_with("/openai/v1");
        // Beside its own paths, a resource has those of vendors, such as /providers/cohere/v2.
        let own = ["/v1", "/v2"].iter().any(|end| base.path.ends_with(end));
        let foundry = base.host.ends_with(".services.ai.azure.com");
        if !foundry || by_deployment || own {
            let takes_key = by_deployment && (foundry || base.host.ends_with(".openai.azure.com"));
            let credential = if takes_key { Credential::ApiKey } else { Credential::Bearer };
            let layout = match (v1, by_deployment) {
                (true, _) => Layout::AzureV1,
                (false, true) => Layout::AzureDeployment,
                (false, false) => Layout::AzureAi,
            };
            return Ok(
                EndpointParts::openai(base, display_url, self.needed_key().map(credential)).with(layout)
            );
        }
        base.end_path("/models");
        let version = self.version(&["AZURE_AI_API_VERSION"])?;
        let version = version.as_deref().unwrap_or(FOUNDRY_VERSION);
        let query = base.api_version().is_none().then(|| format!("api-version={}", escaped(version)));
        let credential = self.needed_key().map(Credential::ApiKey);
        Ok(EndpointParts { base, layout: Layout::Foundry, query, display_url, credential, model: None })
    }

    /// Embeddings and rerankings in the format that Jina, Voyage and Infinity share with OpenAI and Cohere.
    pub fn vectors(&mut self) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        let display_url = base.display_url();
        if !self.provider.base.is_empty() {
            base.end_path("/v1");
        }
        let key = if self.provider.base.is_empty() { self.key() } else { self.needed_key() };
        Ok(EndpointParts::openai(base, display_url, key.map(Credential::Bearer)).with(Layout::Vectors))
    }

    /// Cohere's rerankings, whose format is the one that clients send.
    pub fn cohere_rerank(&mut self) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        for end in ["/v2", "/v1"] {
            base.trim_path(end);
        }
        let display_url = base.display_url();
        let key = self.needed_key();
        Ok(EndpointParts::openai(base, display_url, key.map(Credential::Bearer)).with(Layout::CohereRerank))
    }

    /// A token of Entra ID goes before a key, as in Azure's SDK.
    fn azure_key(&mut self, base: &BaseUrl, bearer: bool) -> Result<Option<Credential>, ResolveError> {
        if let Some(token) = self.given.token.clone() {
            return Ok(Some(Credential::Bearer(token)));
        }
        if let Some(key) = self.key() {
            return Ok(Some(if bearer { Credential::Bearer(key) } else { Credential::ApiKey(key) }));
        }
        let token = self.secret_from(&["AZURE_AD_TOKEN"]);
        match token {
            None if base.https => {
                let advice = "set api_key: os.environ/AZURE_API_KEY, or azure_ad_token";
                self.lacks_credential("has neither a key nor a token, and none is fetched here", advice)?;
            }
            None => self.warn_no_key(),
            Some(_) => {}
        }
        Ok(token.map(Credential::Bearer))
    }
}

/// A value for a query: everything but what may stand there plainly is escaped.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
