//! Where a deployment's requests go: its provider, its address, its key. Nothing is translated: what speaks no
//! OpenAI format at any of its endpoints is not served.

use crate::base::{self, Base};
use crate::config::{Credential, Endpoint, Layout, Tls};
use crate::infer::infer_provider;
use crate::providers::{self, Provider, Wire};
use crate::reader::{Reader, Section, Unset};
use crate::secret::Secret;
use crate::tree::{Entry, Value};

/// LiteLLM's `AZURE_DEFAULT_API_VERSION` in 1.109.1.
const AZURE_DEFAULT_VERSION: &str = "2025-02-01-preview";
/// What LiteLLM sends to an Azure AI Foundry resource.
const FOUNDRY_VERSION: &str = "2024-05-01-preview";

/// A deployment's place in the world.
pub struct Target {
    /// LiteLLM's name of the provider.
    pub provider: &'static str,
    /// The model's name as the provider knows it.
    pub model: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// What opens it.
    pub credential: Option<Credential>,
}

/// Why a deployment has no place.
pub enum Obstacle {
    /// The report says so already.
    Reported,
    /// It cannot be served: what is the matter, and what to do instead.
    Unsupported(String, String),
}

impl Target {
    /// Stands in where the place is refused, so that the rest of a deployment is read and reported on as well.
    pub fn nowhere() -> Self {
        let nothing = Base { https: true, host: String::new(), port: 443, path: String::new(), query: None };
        let endpoint = Wiring::openai(nothing, String::new(), None).endpoint(&Tls::SystemCas);
        Self { provider: "", model: String::new(), endpoint, credential: None }
    }
}

impl Obstacle {
    fn unsupported(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Unsupported(message.into(), advice.into())
    }
}

/// What a wire is made of, before it becomes an endpoint.
struct Wiring {
    base: Base,
    layout: Layout,
    query: Option<String>,
    shown: String,
    credential: Option<Credential>,
}

/// Finds the place of a deployment.
pub fn find(
    reader: &mut Reader<'_>,
    params: &Section<'_>,
    model: &str,
    tls: &Tls,
) -> Result<Target, Obstacle> {
    let refusals_before = reader.report.refusals();
    let api_base = api_base(reader, params);
    let given =
        Given { key: secret(reader, params, "api_key"), token: secret(reader, params, "azure_ad_token") };
    let custom = reader.text(params, "custom_llm_provider");
    if reader.report.refusals() > refusals_before {
        return Err(Obstacle::Reported);
    }
    let (provider, name) = provider_of(model, custom.as_deref(), api_base.as_deref())?;
    let name = upstream_name(provider, name);
    let mut call = Call { reader, params, provider, api_base, given };
    if name.is_empty() {
        return Err(call.mistake("model", "names a provider, but no model", "write provider/name"));
    }
    let wiring = match provider.wire {
        Wire::OpenAi => call.openai(true),
        Wire::HostedVllm => call.openai(false),
        Wire::Azure => call.azure(),
        Wire::AzureAi => call.azure_ai(),
        Wire::Ollama => call.ollama(),
        Wire::Anthropic => call.anthropic(),
        Wire::Gemini => call.gemini(),
        Wire::VertexAi => call.vertex(&name),
        Wire::Bedrock => call.bedrock(&name),
        Wire::Native => Err(native(provider, &name)),
    }?;
    if reader.report.refusals() > refusals_before {
        return Err(Obstacle::Reported);
    }
    let name = match provider.wire {
        Wire::VertexAi if !name.contains('/') => format!("google/{name}"),
        _ => name,
    };
    Ok(Target {
        provider: provider.name,
        model: name,
        credential: wiring.credential.clone(),
        endpoint: wiring.endpoint(tls),
    })
}

impl Wiring {
    fn openai(base: Base, shown: String, credential: Option<Credential>) -> Self {
        Self { base, layout: Layout::OpenAi, query: None, shown, credential }
    }

    fn endpoint(self, tls: &Tls) -> Endpoint {
        let base = self.base;
        let query = match (base.query.clone(), self.query) {
            (Some(first), Some(second)) => Some(format!("{first}&{second}")),
            (first, second) => first.or(second),
        };
        Endpoint {
            tls: if base.https { tls.clone() } else { Tls::Off },
            authority: base.authority(),
            host: base.host,
            port: base.port,
            path: base.path,
            layout: self.layout,
            query,
            shown: self.shown,
        }
    }
}

/// `api_base`, or `base_url`, which OpenAI's clients call it.
fn api_base(reader: &mut Reader<'_>, params: &Section<'_>) -> Option<String> {
    let given = reader.needed_text(params, "api_base").or_else(|| reader.needed_text(params, "base_url"));
    given.filter(|base| !base.trim().is_empty())
}

/// The provider and the rest of the model's name.
fn provider_of<'m>(
    model: &'m str,
    custom: Option<&str>,
    api_base: Option<&str>,
) -> Result<(&'static Provider, &'m str), Obstacle> {
    if let Some(custom) = custom {
        let Some(provider) = providers::find(custom) else {
            let advice = "write openai as custom_llm_provider if it speaks OpenAI's format";
            return Err(Obstacle::unsupported(format!("{custom} is no provider that is known"), advice));
        };
        let prefixed = model.strip_prefix(custom).and_then(|rest| rest.strip_prefix('/'));
        return Ok((provider, prefixed.unwrap_or(model)));
    }
    if let Some((prefix, name)) = model.split_once('/')
        && let Some(provider) = providers::find(prefix)
    {
        return Ok((provider, name));
    }
    let by_address = api_base.and_then(providers::at_base);
    if let Some(provider) = by_address.or_else(|| infer_provider(model).and_then(providers::find)) {
        return Ok((provider, model));
    }
    let message = match model.split_once('/') {
        Some((prefix, _)) => format!("{prefix} is no provider that is known"),
        None => format!("{model} names no provider"),
    };
    let advice = match api_base {
        Some(_) => format!("write openai/{model} if its api_base speaks OpenAI's format"),
        None => "write provider/name, or openai/name with the api_base of what serves it".to_owned(),
    };
    Err(Obstacle::unsupported(message, advice))
}

/// Names that a provider spells otherwise than LiteLLM.
fn upstream_name(provider: &Provider, name: &str) -> String {
    match provider.name {
        "fireworks_ai" if !name.starts_with("accounts/") && !name.contains(['#', '*']) => {
            format!("accounts/fireworks/models/{name}")
        }
        // OpenRouter's own models keep their prefix: `openrouter/auto`.
        "openrouter" if !name.contains(['/', '*']) => format!("openrouter/{name}"),
        // These choose a format inside LiteLLM, and are no part of the deployment's name.
        "azure" => ["o_series/", "gpt5_series/"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name)
            .to_owned(),
        "bedrock" => {
            let name =
                ["converse/", "invoke/"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
            name.rsplit_once('/').map_or(name, |(_, last)| last).to_owned()
        }
        _ => name.to_owned(),
    }
}

fn native(provider: &Provider, name: &str) -> Obstacle {
    let advice = match provider.name {
        "vllm" => format!("write hosted_vllm/{name} with the api_base of a vLLM server"),
        "openai_like" | "custom" => format!("write openai/{name}"),
        "cohere" | "cohere_chat" => format!(
            "write openai/{name} with api_base https://api.cohere.ai/compatibility/v1, where Cohere speaks OpenAI's format"
        ),
        "huggingface" => format!(
            "write openai/{name} with api_base https://router.huggingface.co/v1, where Hugging Face speaks OpenAI's format"
        ),
        _ => "put an OpenAI-compatible server in front of it, and write openai/name with its api_base"
            .to_owned(),
    };
    Obstacle::unsupported(
        format!("{} speaks a format of its own, and nothing is translated here", provider.name),
        advice,
    )
}

/// What the file itself gives to open the provider.
struct Given {
    key: Option<Secret>,
    token: Option<Secret>,
}

fn secret(reader: &mut Reader<'_>, params: &Section<'_>, name: &str) -> Option<Secret> {
    // An empty key in the file is an absent one, as in LiteLLM; an empty variable is a mistake.
    let entry = params.find(name).filter(|entry| entry.node.value != Value::Text(String::new()))?;
    reader.secret(entry, &params.path.key(name), Unset::Refuse)
}

/// One deployment on its way to an endpoint.
struct Call<'c, 'r, 's> {
    reader: &'c mut Reader<'r>,
    params: &'c Section<'s>,
    provider: &'static Provider,
    api_base: Option<String>,
    given: Given,
}

impl Call<'_, '_, '_> {
    fn openai(&mut self, needs_key: bool) -> Result<Wiring, Obstacle> {
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

    fn ollama(&mut self) -> Result<Wiring, Obstacle> {
        let mut base = self.base()?;
        let shown = base.shown();
        base.trim_path("/api");
        base.end_path("/v1");
        let key = self.key();
        Ok(Wiring::openai(base, shown, key.map(Credential::Bearer)))
    }

    fn anthropic(&mut self) -> Result<Wiring, Obstacle> {
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

    fn gemini(&mut self) -> Result<Wiring, Obstacle> {
        let mut base = self.base()?;
        let shown = base.shown();
        base.end_path("/openai");
        let key = self.needed_key();
        Ok(Wiring::openai(base, shown, key.map(Credential::Bearer)))
    }

    fn vertex(&mut self, name: &str) -> Result<Wiring, Obstacle> {
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

    fn bedrock(&mut self, name: &str) -> Result<Wiring, Obstacle> {
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
    fn azure(&mut self) -> Result<Wiring, Obstacle> {
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

    fn azure_ai(&mut self) -> Result<Wiring, Obstacle> {
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
                let token = self.reader.env.first_of(&["AZURE_AD_TOKEN"]);
                if token.is_none() {
                    self.warn_no_key();
                }
                token.map(|token| Credential::Bearer(Secret::new(token)))
            }
        }
    }

    /// The base from the file, the environment, or the provider's own.
    fn base(&mut self) -> Result<Base, Obstacle> {
        if let Some(given) = self.api_base.clone() {
            return self.parse(&given);
        }
        let variables = self.provider.base_variables();
        let names: Vec<&str> = variables.iter().map(AsRef::as_ref).collect();
        let set =
            if self.params.find("api_base").is_some() { None } else { self.reader.env.first_of(&names) };
        match set {
            Some(base) => self.parse(&base),
            None if self.provider.base.is_empty() => {
                let set = names.first().map(|name| format!(", or {name}")).unwrap_or_default();
                let message =
                    format!("has no api_base, and {} has no address of its own", self.provider.name);
                Err(self.mistake("model", &message, &format!("set api_base{set}")))
            }
            None => self.parse(self.provider.base),
        }
    }

    fn parse(&mut self, text: &str) -> Result<Base, Obstacle> {
        const ROUTES: [&str; 4] = ["/chat/completions", "/completions", "/embeddings", "/responses"];
        let entry = self.base_entry();
        let path = self.params.path.key("api_base");
        let place = entry.map_or(self.params.place, |entry| entry.node.place);
        match base::parse(text) {
            Ok(mut base) => {
                if let Some(route) = ROUTES.iter().find(|route| base.trim_path(route)) {
                    let message = format!("ends in {route}, which is added to it for every request");
                    let advice = format!("write {}", base.shown());
                    self.reader.report.warn(place, &path, &message, &advice);
                }
                Ok(base)
            }
            Err(base::Unusable(message, advice)) => {
                self.reader.report.refuse(place, &path, message, advice);
                Err(Obstacle::Reported)
            }
        }
    }

    fn base_entry(&self) -> Option<&Entry> {
        self.params.find("api_base").or_else(|| self.params.find("base_url"))
    }

    fn setting(&mut self, key: &str, variables: &[&str]) -> Option<String> {
        let given = self.reader.text(self.params, key).filter(|text| !text.is_empty());
        given.or_else(|| self.reader.env.first_of(variables))
    }

    /// The key from the file, or from the provider's variables if the file has none.
    fn key(&mut self) -> Option<Secret> {
        if self.given.key.is_some() {
            return self.given.key.clone();
        }
        let variables = self.provider.key_variables();
        let names: Vec<&str> = variables.iter().map(AsRef::as_ref).collect();
        self.reader.env.first_of(&names).map(Secret::new)
    }

    fn needed_key(&mut self) -> Option<Secret> {
        let key = self.key();
        if key.is_none() {
            self.warn_no_key();
        }
        key
    }

    fn warn_no_key(&mut self) {
        if self.has_own_authorization() {
            return;
        }
        let message = format!("has no api_key, and {} asks for one", self.provider.name);
        let variables = self.provider.key_variables();
        let advice = match variables.first() {
            Some(name) => format!("set api_key: os.environ/{name}"),
            None => "set api_key".to_owned(),
        };
        let path = self.params.path;
        self.reader.report.warn(self.params.place, &path, &message, &advice);
    }

    fn has_own_authorization(&self) -> bool {
        let headers = self.params.find("extra_headers").and_then(|entry| entry.node.entries());
        headers.is_some_and(|headers| {
            headers.iter().any(|entry| {
                ["authorization", "api-key", "x-api-key"]
                    .iter()
                    .any(|name| entry.key.eq_ignore_ascii_case(name))
            })
        })
    }

    /// Something that is wrong with the file, whatever becomes of deployments that are not served.
    fn mistake(&mut self, key: &str, message: &str, advice: &str) -> Obstacle {
        let place = self.params.find(key).map_or(self.params.place, |entry| entry.place);
        self.reader.report.refuse(place, &self.params.path.key(key), message, advice);
        Obstacle::Reported
    }

    /// A warning about a key, at that key if it is there.
    fn warn(&mut self, key: &str, message: &str, advice: &str) {
        let place = self.params.find(key).map_or(self.params.place, |entry| entry.place);
        self.reader.report.warn(place, &self.params.path.key(key), message, advice);
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
