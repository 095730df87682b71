//! Deployments that serve Anthropic's Messages API: `llm_balancer: {wire: anthropic}`.

use super::context::{ResolveContext, ResolveError};
use super::endpoint_parts::EndpointParts;
use super::provider::{Protocol, Provider};
use super::table::ANTHROPIC_TOKEN;
use crate::config::{Credential, Layout, Wire, is_oauth_token};
use crate::keys::check_keys;
use crate::keys::tables::DEPLOYMENT_LLM_BALANCER;
use crate::values::{Reader, Secret, Section};

/// The section of a deployment.
const SECTION: &str = "llm_balancer";

/// The API that a deployment is to be called by: Anthropic's where litellm_params or model_info
/// say so.
pub(super) fn wire(reader: &mut Reader<'_>, params: &Section<'_>, info: &Section<'_>) -> Wire {
    let mut wire = Wire::OpenAi;
    for parent in [params, info] {
        let Some(section) = reader.section(parent, SECTION) else { continue };
        check_keys(reader, &section, &DEPLOYMENT_LLM_BALANCER);
        let Some(entry) = section.find("wire") else { continue };
        match reader.string(&section, "wire") {
            Some(text) if text == "anthropic" => wire = Wire::Anthropic,
            Some(text) => {
                let message = format!("expected anthropic, found \"{text}\"");
                reader.report.error(entry.place, &section.path.key("wire"), &message, "");
            }
            None => {}
        }
    }
    wire
}

/// Whether requests can reach Anthropic's API at a provider.
pub(super) fn check(provider: &Provider) -> Result<(), ResolveError> {
    match provider.protocol {
        Protocol::Anthropic | Protocol::AzureAi | Protocol::OpenAi | Protocol::HostedVllm => Ok(()),
        _ => Err(ResolveError::unsupported(
            format!("llm_balancer.wire is not supported for {}", provider.name),
            "write anthropic/name, azure_ai/name, or openai/name with the api_base of a server",
        )),
    }
}

impl ResolveContext<'_, '_, '_> {
    /// Anthropic's API at the base, whose path LiteLLM leaves open: `/v1/messages` is added, and
    /// at Azure `/anthropic` before it.
    pub(super) fn messages(&mut self) -> Result<EndpointParts, ResolveError> {
        let protocol = self.provider.protocol;
        if self.api_base.is_none() && matches!(protocol, Protocol::OpenAi | Protocol::HostedVllm) {
            let advice = "set api_base to the server of Anthropic's API";
            return Err(self.mistake("model", "missing api_base, which has no default here", advice));
        }
        let mut base = self.base()?;
        base.trim_path("/messages");
        base.trim_path("/v1");
        if protocol == Protocol::AzureAi {
            base.trim_path("/anthropic");
            base.end_path("/anthropic");
        }
        let display_url = base.display_url();
        base.end_path("/v1");
        let is_open = protocol == Protocol::HostedVllm || (protocol == Protocol::OpenAi && !base.https);
        let key = if is_open { self.key() } else { self.expected_key() };
        let parts = EndpointParts::openai(base, display_url, None).with(Layout::Messages);
        // Servers of both APIs, such as vLLM, may check the bearer key alone.
        let credential = match protocol {
            Protocol::OpenAi | Protocol::HostedVllm => key.map(Credential::Bearer),
            Protocol::Anthropic => key.map(|key| self.anthropic_credential(key)),
            _ => key.map(Credential::ApiKey),
        };
        Ok(EndpointParts { credential, ..parts })
    }

    /// Anthropic has keys and tokens: those of OAuth, and others that have their own variable.
    pub(super) fn anthropic_credential(&self, key: Secret) -> Credential {
        let is_of_token_variable =
            || self.reader.env.peek(ANTHROPIC_TOKEN).is_some_and(|(token, _)| token.trim() == key.reveal());
        if is_oauth_token(&key) || is_of_token_variable() {
            return Credential::Token(key);
        }
        match self.wire {
            Wire::Anthropic => Credential::ApiKey(key),
            Wire::OpenAi => Credential::Bearer(key),
        }
    }
}
