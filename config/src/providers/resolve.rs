//! Where a deployment's requests go: its provider, its address, its key. Nothing is translated: what speaks no
//! OpenAI format at any of its endpoints is not served.

use crate::config::{Credential, Endpoint, Tls};
use crate::diagnostics::report::ADVISES;
use crate::diagnostics::suggest::Suggestions;
use crate::providers::base_url::BaseUrl;
use crate::providers::context::{Credentials, EndpointParts, ResolveContext};
use crate::providers::formats;
use crate::providers::infer::infer_provider;
use crate::providers::table::{self, Protocol, Provider};
use crate::values::reader::{Reader, Section};

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
pub enum ResolveError {
    /// The report says so already.
    Reported,
    /// It cannot be served, whatever else the file says.
    Unsupported(Unsupported),
}

/// Why a deployment cannot be served.
pub struct Unsupported {
    /// The key of litellm_params that it is about.
    pub key: &'static str,
    /// What is the matter.
    pub message: String,
    /// What to do instead.
    pub advice: String,
}

impl Target {
    /// Stands in where the place is refused, so that the rest of a deployment is read and reported on as well.
    pub fn nowhere() -> Self {
        let nothing =
            BaseUrl { https: true, host: String::new(), port: 443, path: String::new(), query: None };
        let endpoint = EndpointParts::openai(nothing, String::new(), None).endpoint(&Tls::SystemCas);
        Self { provider: "", model: String::new(), endpoint, credential: None }
    }
}

impl ResolveError {
    /// A deployment that nothing in the file could make reachable.
    #[inline(always)]
    pub fn unsupported(message: impl Into<String>, advice: impl Into<String>) -> Self {
        let advice = if ADVISES { advice.into() } else { String::new() };
        Self::Unsupported(Unsupported { key: "model", message: message.into(), advice })
    }
}

/// Finds the place of a deployment.
pub fn find(
    reader: &mut Reader<'_>,
    params: &Section<'_>,
    model: &str,
    tls: &Tls,
) -> Result<Target, ResolveError> {
    let refusals_before = reader.report.refusals();
    let api_base = api_base(reader, params);
    let given = Credentials::read(reader, params);
    let custom = reader.string(params, "custom_llm_provider");
    let refused = reader.report.refusals() > refusals_before;
    // Without its api_base a model may seem to name no provider.
    let found = provider_of(model, custom.as_deref(), api_base.as_deref(), &mut reader.report.suggestions);
    let (provider, written) = if refused { found.map_err(|_| ResolveError::Reported)? } else { found? };
    // Before anything else that is wrong: what cannot be served may be skipped as it is.
    formats::check(provider, written)?;
    if refused {
        return Err(ResolveError::Reported);
    }
    let name = upstream_name(provider, written);
    let mut context =
        ResolveContext { reader, params, provider, written, api_base, given, key_refused: false };
    if name.is_empty() {
        return Err(context.mistake("model", "names a provider, but no model", "write provider/name"));
    }
    let parts = match provider.protocol {
        Protocol::OpenAi => context.openai(true),
        Protocol::HostedVllm => context.openai(false),
        Protocol::Azure => context.azure(&name),
        Protocol::AzureAi => context.azure_ai(),
        Protocol::Ollama => context.ollama(),
        Protocol::Anthropic => context.anthropic(),
        Protocol::Gemini => context.gemini(),
        Protocol::VertexAi => context.vertex(),
        Protocol::Bedrock => context.bedrock(),
        Protocol::Vectors => context.vectors(),
        Protocol::Cohere => context.cohere_rerank(),
        Protocol::Native => Err(ResolveError::Reported),
    }?;
    if reader.report.refusals() > refusals_before {
        return Err(ResolveError::Reported);
    }
    let name = match provider.protocol {
        Protocol::VertexAi if !name.contains('/') => format!("google/{name}"),
        _ => parts.model.clone().unwrap_or(name),
    };
    Ok(Target {
        provider: provider.name,
        model: name,
        credential: parts.credential.clone(),
        endpoint: parts.endpoint(tls),
    })
}

/// `api_base`, or `base_url`, which OpenAI's clients call it.
fn api_base(reader: &mut Reader<'_>, params: &Section<'_>) -> Option<String> {
    let given =
        reader.required_string(params, "api_base").or_else(|| reader.required_string(params, "base_url"));
    if given.as_ref().is_some_and(|base| base.trim().is_empty()) {
        let advice = "set it, or remove the key";
        let message = "is empty, so the provider's own address is used";
        reader.report.warn(params.place, &params.path.key("api_base"), message, advice);
    }
    given.filter(|base| !base.trim().is_empty())
}

/// The provider and the rest of the model's name.
fn provider_of<'m>(
    model: &'m str,
    custom: Option<&str>,
    api_base: Option<&str>,
    suggestions: &mut Suggestions,
) -> Result<(&'static Provider, &'m str), ResolveError> {
    if let Some(custom) = custom {
        let Some(provider) = table::find(custom) else {
            let advice = match suggestions.name(custom, table::names()) {
                Some(near) => format!("did you mean {near}?"),
                None => "write openai as custom_llm_provider if it speaks OpenAI's format".to_owned(),
            };
            let message = format!("{custom} is no provider that is known");
            return Err(ResolveError::Unsupported(Unsupported {
                key: "custom_llm_provider",
                message,
                advice,
            }));
        };
        let prefixed = model.strip_prefix(custom).and_then(|rest| rest.strip_prefix('/'));
        return Ok((provider, prefixed.unwrap_or(model)));
    }
    if let Some((prefix, name)) = model.split_once('/')
        && let Some(provider) = table::find(prefix)
    {
        return Ok((provider, name));
    }
    let by_address = api_base.and_then(table::at_base);
    if let Some(provider) = by_address.or_else(|| infer_provider(model).and_then(table::find)) {
        return Ok((provider, model));
    }
    let message = match model.split_once('/') {
        Some((prefix, _)) => format!("{prefix} is no provider that is known"),
        None => format!("{model} names no provider"),
    };
    let near = model
        .split_once('/')
        .and_then(|(prefix, name)| Some((suggestions.name(prefix, table::names())?, name)));
    let advice = match api_base {
        None if let Some((provider, name)) = near => format!("did you mean {provider}/{name}?"),
        Some(_) => format!("write openai/{model} if its api_base speaks OpenAI's format"),
        None => "write provider/name, or openai/name with the api_base of what serves it".to_owned(),
    };
    Err(ResolveError::unsupported(message, advice))
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
        // Likewise.
        "azure_ai" => name.strip_prefix("model_router/").unwrap_or(name).to_owned(),
        "bedrock" => {
            let name =
                ["converse/", "invoke/"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
            name.rsplit_once('/').map_or(name, |(_, last)| last).to_owned()
        }
        _ => name.to_owned(),
    }
}
