//! Each provider's way to its OpenAI format: the base, the path, the query and the credential.

use crate::call::{Call, Wiring};
use crate::config::{Credential, Layout};
use crate::endpoint::Obstacle;
use crate::secret::Secret;

/// LiteLLM's `AZURE_DEFAULT_API_VERSION` in 1.109.1.
const AZURE_DEFAULT_VERSION: &str = "2025-02-01-preview";
/// What LiteLLM sends to an Azure AI Foundry resource.
const FOUNDRY_VERSION: &str = "2024-05-01-preview";

impl Call<'_, '_, '_> {
    /// OpenAI's format at the base.
    pub fn openai(&mut self, needs_key: bool) -> Result<Wiring, Obstacle> {
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
        let shown = base.shown();
        Ok(Wiring::openai(base, shown, key.map(Credential::Bearer)))
    }

    /// Ollama serves OpenAI's format at `/v1`, and LiteLLM's base has none.
    pub fn ollama(&mut self) -> Result<Wiring, Obstacle> {
        let mut base = self.base()?;
        let shown = base.shown();
        base.trim_path("/api");
        base.end_path("/v1");
        let key = self.key();
        Ok(Wiring::openai(base, shown, key.map(Credential::Bearer)))
    }

    /// Anthropic's endpoint for OpenAI's clients.
    pub fn anthropic(&mut self) -> Result<Wiring, Obstacle> {
        let mut base = self.base()?;
        base.trim_path("/v1/messages");
        let shown = base.shown();
        base.end_path("/v1");
        let key = self.needed_key();
        self.warn(
            "model",
            "is reached by Anthropic's OpenAI-compatible endpoint, which serves chat completions alone and which \
             Anthropic offers for testing and comparing: fields it does not know are ignored, and so is `strict`",
            "see Anthropic's page on OpenAI SDK compatibility",
        );
        Ok(Wiring::openai(base, shown, key.map(Credential::Bearer)))
    }

    /// Google AI Studio's endpoint for OpenAI's clients.
    pub fn gemini(&mut self) -> Result<Wiring, Obstacle> {
        let mut base = self.base()?;
        let shown = base.shown();
        base.end_path("/openai");
        let key = self.needed_key();
        Ok(Wiring::openai(base, shown, key.map(Credential::Bearer)))
    }

    /// Vertex AI's, by project and location.
    pub fn vertex(&mut self, name: &str) -> Result<Wiring, Obstacle> {
        if name.starts_with("claude") {
            let advice = "write anthropic/name with an Anthropic key";
            return Err(Obstacle::unsupported(
                "Claude is not served by Vertex AI's OpenAI-compatible endpoint",
                advice,
            ));
        }
        let project = self.setting("vertex_project", &["VERTEXAI_PROJECT"]);
        let Some(project) = project else {
            let advice = "set vertex_project, or VERTEXAI_PROJECT; for Google AI Studio write gemini/name";
            return Err(self.mistake("model", "names no Google Cloud project", advice));
        };
        let location = self.setting("vertex_location", &["VERTEXAI_LOCATION", "VERTEX_LOCATION"]);
        let location = location.unwrap_or_else(|| "us-central1".to_owned());
        let host = match location.as_str() {
            "global" => "https://aiplatform.googleapis.com".to_owned(),
            _ => format!("https://{location}-aiplatform.googleapis.com"),
        };
        let mut base = self.parse(&self.api_base.clone().unwrap_or(host))?;
        let shown = base.shown();
        base.end_path(&format!("/v1/projects/{project}/locations/{location}/endpoints/openapi"));
        let key = self.key();
        if key.is_none() {
            let advice = "give an access token as api_key, or let Envoy's gcp_authn filter add one";
            self.warn("model", "is sent without a Google access token, which Vertex AI refuses", advice);
        }
        Ok(Wiring::openai(base, shown, key.map(Credential::Bearer)))
    }

    /// Bedrock's, by region, for the models that it serves there.
    pub fn bedrock(&mut self, name: &str) -> Result<Wiring, Obstacle> {
        const ELSEWHERE: [&str; 10] = [
            "anthropic.",
            "amazon.",
            "meta.",
            "cohere.",
            "ai21.",
            "stability.",
            "luma.",
            "writer.",
            "twelvelabs.",
            "arn:",
        ];
        let bare = ["us.", "eu.", "apac.", "global."].iter().find_map(|region| name.strip_prefix(region));
        let bare = bare.unwrap_or(name);
        if ELSEWHERE.iter().any(|prefix| bare.starts_with(prefix)) {
            return Err(Obstacle::unsupported(
                "this model is not served by Bedrock's OpenAI-compatible endpoint, and nothing is translated here",
                "use an open-weight model of Bedrock, such as bedrock/openai.gpt-oss-120b-1:0, or the vendor's own API",
            ));
        }
        let region = self.setting("aws_region_name", &["AWS_REGION_NAME", "AWS_REGION"]);
        let base = match (self.api_base.clone(), region) {
            (Some(base), _) => base,
            (None, Some(region)) => format!("https://bedrock-runtime.{region}.amazonaws.com"),
            (None, None) => {
                return Err(self.mistake(
                    "model",
                    "names no region",
                    "set aws_region_name, or AWS_REGION_NAME",
                ));
            }
        };
        let mut base = self.parse(&base)?;
        let shown = base.shown();
        base.end_path("/openai/v1");
        let Some(key) = self.key() else {
            let advice = "give a Bedrock API key as api_key, or in AWS_BEARER_TOKEN_BEDROCK";
            return Err(Obstacle::unsupported(
                "has no Bedrock API key, and requests are not signed here",
                advice,
            ));
        };
        Ok(Wiring::openai(base, shown, Some(Credential::Bearer(key))))
    }

    /// `api-key` and a path by deployment; or, at `/openai/v1`, OpenAI's own layout.
    pub fn azure(&mut self) -> Result<Wiring, Obstacle> {
        let mut base = self.base()?;
        let shown = base.shown();
        let version = self.setting("api_version", &["AZURE_API_VERSION"]);
        let v1 = base.path.ends_with("/openai/v1")
            || matches!(version.as_deref(), Some("preview" | "latest" | "v1"));
        if v1 {
            base.trim_path("/openai/v1");
            base.end_path("/openai");
            base.end_path("/v1");
            let credential = self.azure_key(true);
            return Ok(Wiring::openai(base, shown, credential));
        }
        let layout = if base.path.contains("/openai/deployments/") {
            Layout::OpenAi
        } else {
            Layout::AzureDeployments
        };
        if layout == Layout::AzureDeployments && base.trim_path("/openai") {
            self.warn(
                "api_base",
                "ends in /openai, which belongs to the path of every request",
                "remove /openai",
            );
        }
        let in_base = base.query.as_deref().is_some_and(|query| query.contains("api-version="));
        let version = match version {
            _ if in_base => None,
            None => {
                let message = format!("is not set: {AZURE_DEFAULT_VERSION} is used, as in LiteLLM");
                self.warn("api_version", &message, "set api_version");
                Some(AZURE_DEFAULT_VERSION.to_owned())
            }
            version => version,
        };
        let query = version.map(|version| format!("api-version={}", escaped(&version)));
        let credential = self.azure_key(false);
        Ok(Wiring { base, layout, query, shown, credential })
    }

    /// A Foundry resource by path and version, everything else as OpenAI.
    pub fn azure_ai(&mut self) -> Result<Wiring, Obstacle> {
        let mut base = self.base()?;
        let shown = base.shown();
        let foundry = base.host.ends_with(".services.ai.azure.com") && !base.path.ends_with("/openai/v1");
        if !foundry {
            let key = self.needed_key();
            return Ok(Wiring::openai(base, shown, key.map(Credential::Bearer)));
        }
        base.end_path("/models");
        let version = self.setting("api_version", &["AZURE_AI_API_VERSION"]);
        let query = format!("api-version={}", escaped(version.as_deref().unwrap_or(FOUNDRY_VERSION)));
        let credential = self.needed_key().map(Credential::ApiKey);
        Ok(Wiring { base, layout: Layout::OpenAi, query: Some(query), shown, credential })
    }

    /// A token of Entra ID goes before a key, as in Azure's SDK.
    fn azure_key(&mut self, bearer: bool) -> Option<Credential> {
        if let Some(token) = self.given.token.clone() {
            return Some(Credential::Bearer(token));
        }
        match self.key() {
            Some(key) if bearer => Some(Credential::Bearer(key)),
            Some(key) => Some(Credential::ApiKey(key)),
            None => {
                let token = self.secret_from(&["AZURE_AD_TOKEN"]);
                if token.is_none() {
                    self.warn_no_key();
                }
                token.map(Credential::Bearer)
            }
        }
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
