//! The endpoint and the credential of a deployment.
//!
//! Nothing is translated: a provider without an OpenAI-compatible API is not supported.

use super::base_url::{self, BaseUrl};
use super::context::{Credentials, ResolveContext, ResolveError, Unsupported};
use super::endpoint_parts::EndpointParts;
use super::infer::{infer_provider, prefixed};
use super::provider::Provider;
use super::spelling::upstream_name;
use super::{formats, lookup, messages, native};
use crate::config::{Credential, Endpoint, Tls, Wire};
use crate::diagnostics::{ADVISES, Suggestions, did_you_mean};
use crate::values::url::InvalidUrl;
use crate::values::{Reader, Section};

/// Where a deployment's requests go.
pub(crate) struct Resolved {
    /// LiteLLM's name of the provider.
    pub(crate) provider: &'static str,
    /// Whether LiteLLM would infer the provider from each requested name.
    pub(crate) infers_provider: bool,
    /// The provider's name for the model.
    pub(crate) model: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) credential: Option<Credential>,
}

impl Resolved {
    /// A placeholder after an error, to read and report the rest of a deployment.
    pub(crate) fn placeholder() -> Self {
        let base = BaseUrl { https: true, host: String::new(), port: 443, path: String::new(), query: None };
        let endpoint = EndpointParts::openai(base, String::new(), None).endpoint(&Tls::SystemCas);
        Self { provider: "", infers_provider: false, model: String::new(), endpoint, credential: None }
    }
}

/// Resolves a deployment, of its litellm_params and model_info.
pub(crate) fn resolve(
    reader: &mut Reader<'_>,
    [params, info]: [&Section<'_>; 2],
    model: &str,
    tls: &Tls,
) -> Result<Resolved, ResolveError> {
    let errors_before = reader.report.errors();
    let (api_base, custom) = (api_base(reader, params), reader.string(params, "custom_llm_provider"));
    // The provider of a model may depend on an api_base that has an error.
    let is_certain = reader.report.errors() == errors_before;
    let credentials = Credentials::read(reader, params);
    let wire = messages::wire(reader, params, info);
    let has_errors = reader.report.errors() > errors_before;
    let found = provider_of(model, custom.as_deref(), api_base.as_deref(), &mut reader.report.suggestions);
    let (provider, written) = if is_certain { found? } else { found.map_err(|_| ResolveError::Reported)? };
    // Before other errors: an unsupported deployment may be skipped.
    match wire {
        Wire::OpenAi => formats::check(provider, written)?,
        Wire::Anthropic => messages::check(provider)?,
    }
    // The requested name fills a star before the provider's spelling applies.
    let name = if written.contains('*') { written.to_owned() } else { upstream_name(provider.name, written) };
    let infers_provider = model == "*" && custom.is_none() && api_base.is_none();
    let has_invalid_key = false;
    let mut context =
        ResolveContext { reader, params, provider, wire, written, api_base, credentials, has_invalid_key };
    if has_errors {
        if let (true, Some(base)) = (is_certain, context.api_base.clone()) {
            context.parse(&base)?;
        }
        return Err(ResolveError::Reported);
    }
    if written.is_empty() || name.is_empty() {
        return Err(context.mistake("model", "missing name of the model", "write provider/name"));
    }
    if ADVISES && infers_provider {
        let message = "names no provider: OpenAI's models are served, and requests for others get 400";
        let advice = "write an item for each provider, such as model: openai/* and model: anthropic/*";
        context.warn("model", message, advice);
    }
    let parts = match wire {
        Wire::OpenAi => context.provider_endpoint(&name)?,
        Wire::Anthropic => context.messages()?,
    };
    if reader.report.errors() > errors_before {
        return Err(ResolveError::Reported);
    }
    let model = parts.model.clone().unwrap_or(name);
    let credential = parts.credential.clone();
    let (provider, endpoint) = (provider.name, parts.endpoint(tls));
    Ok(Resolved { provider, infers_provider, model, endpoint, credential })
}

/// Reports the errors in the address and the credentials of a deployment whose model is unknown.
pub(crate) fn check_without_model(reader: &mut Reader<'_>, [params, info]: [&Section<'_>; 2]) {
    api_base(reader, params);
    reader.string(params, "custom_llm_provider");
    Credentials::read(reader, params);
    messages::wire(reader, params, info);
}

/// `api_base`, or `base_url` as OpenAI's clients call it.
fn api_base(reader: &mut Reader<'_>, params: &Section<'_>) -> Option<String> {
    let base =
        reader.required_string(params, "api_base").or_else(|| reader.required_string(params, "base_url"));
    if let (Some(base), Some(other)) = (params.find("api_base"), params.find("base_url"))
        && base.node.value != other.node.value
    {
        let message = "ignored: api_base is used, where LiteLLM uses base_url for chats";
        reader.report.warn(other.place, &params.path.key("base_url"), message, "remove one of them");
    }
    if base.as_ref().is_some_and(|base| base.trim().is_empty()) {
        let message = "empty value: the provider's default is used";
        reader.report.warn(params.place, &params.path.key("api_base"), message, "set it, or remove the key");
    }
    let base = base.filter(|base| !base.trim().is_empty())?;
    if let Err(InvalidUrl(message, advice)) = base_url::parse(&base) {
        let entry = params.find("api_base").or_else(|| params.find("base_url"));
        let place = entry.map_or(params.place, |entry| entry.node.place);
        reader.report.error(place, &params.path.key("api_base"), message, advice);
        return None;
    }
    Some(base)
}

/// The provider, and the model's name without it.
fn provider_of<'m>(
    model: &'m str,
    custom: Option<&str>,
    api_base: Option<&str>,
    suggestions: &mut Suggestions,
) -> Result<(&'static Provider, &'m str), ResolveError> {
    if let Some(custom) = custom {
        let provider =
            lookup::find(custom).ok_or_else(|| unknown_custom_provider(custom, model, suggestions))?;
        let prefixed = model.strip_prefix(custom).and_then(|rest| rest.strip_prefix('/'));
        return Ok((provider, prefixed.unwrap_or(model)));
    }
    if let Some(found) = prefixed(model) {
        return Ok(found);
    }
    let by_address = api_base.and_then(lookup::at_base);
    match by_address.or_else(|| infer_provider(model).and_then(lookup::find)) {
        Some(provider) => Ok((provider, model)),
        None => Err(unknown_provider(model, api_base, suggestions)),
    }
}

fn unknown_custom_provider(custom: &str, model: &str, suggestions: &mut Suggestions) -> ResolveError {
    if native::is_another(custom) {
        return native::unserved(custom, model);
    }
    let near = native::meant(custom).or_else(|| suggestions.name(custom, lookup::names()));
    let advice = did_you_mean(near, "write openai as custom_llm_provider if it is OpenAI-compatible");
    let message = format!("unknown provider \"{custom}\"");
    ResolveError::Unsupported(Unsupported { key: "custom_llm_provider", message, advice })
}

fn unknown_provider(model: &str, api_base: Option<&str>, suggestions: &mut Suggestions) -> ResolveError {
    let split = model.split_once('/');
    match split {
        Some(("bitbucket" | "gitlab" | "humanloop" | "langfuse", name)) => {
            return native::stored_prompt(name);
        }
        Some((prefix, name)) if native::is_another(prefix) => return native::unserved(prefix, name),
        _ => {}
    }
    let message = match split {
        Some((prefix, _)) => format!("unknown provider \"{prefix}\""),
        None => format!("missing provider of \"{model}\""),
    };
    let mut near = |prefix| native::meant(prefix).or_else(|| suggestions.name(prefix, lookup::names()));
    let near = split.and_then(|(prefix, name)| Some((near(prefix)?, name)));
    let advice = match api_base {
        None if let Some((provider, name)) = near => format!("did you mean {provider}/{name}?"),
        Some(_) => format!("write openai/{model} if its api_base is OpenAI-compatible"),
        None => "write provider/name, or openai/name with the api_base of its server".to_owned(),
    };
    ResolveError::unsupported(message, advice)
}
