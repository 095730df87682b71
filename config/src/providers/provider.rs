//! A provider: address, protocol, and the variables with key and base.

use std::borrow::Cow;

/// The API of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// OpenAI's format at the base, with a bearer key.
    OpenAi,
    /// The same without a key. vLLM still requires the header.
    HostedVllm,
    /// Azure OpenAI.
    Azure,
    /// Azure AI Foundry.
    AzureAi,
    /// OpenAI's format at `{base}/v1`.
    Ollama,
    /// Anthropic's own API, and its OpenAI-compatible endpoint.
    Anthropic,
    /// Google AI Studio's.
    Gemini,
    /// Vertex AI's.
    VertexAi,
    /// Bedrock's, for some of its models.
    Bedrock,
    /// Embeddings and rerankings at the base only.
    Vectors,
    /// OpenAI's format below an account's address.
    Cloudflare,
    /// An OpenAI-compatible endpoint for some routes, and rerankings.
    Cohere,
    /// OpenAI's format at `{base}/v1`; models have the name of a provider in front.
    HuggingFace,
    /// Its own format, which is not supported.
    Native,
}

/// A provider.
pub(super) struct Provider {
    /// LiteLLM's name, the prefix of models.
    pub(super) name: &'static str,
    /// Its base, or empty if the operator has to set it.
    pub(super) base: &'static str,
    /// Its API.
    pub(super) protocol: Protocol,
    pub(super) keys: Variables,
    pub(super) bases: Variables,
}

/// Names of variables.
pub(super) enum Variables {
    None,
    /// `GROQ_API_KEY`, `GROQ_API_BASE`
    ByName,
    These(&'static [&'static str]),
}

impl Provider {
    /// Its domains, besides that of its base.
    pub(super) fn other_domains(&self) -> &'static [&'static str] {
        match self.protocol {
            Protocol::Cohere => &["cohere.ai"],
            Protocol::HuggingFace => &["huggingface.cloud"],
            _ => &[],
        }
    }

    /// Variables with the key, the preferred one first.
    pub(super) fn key_variables(&self) -> Vec<Cow<'static, str>> {
        self.variables(&self.keys, "_API_KEY")
    }

    /// The variable with the key that advice names: the one with the provider's name, if there is one.
    pub(super) fn advised_variable(&self) -> Option<Cow<'static, str>> {
        let by_name = self.variables(&Variables::ByName, "_API_KEY");
        let own = self.key_variables();
        own.iter().find(|name| by_name.contains(*name)).or(own.first()).cloned()
    }

    /// Variables with the base.
    pub(super) fn base_variables(&self) -> Vec<Cow<'static, str>> {
        self.variables(&self.bases, "_API_BASE")
    }

    fn variables(&self, variables: &Variables, ending: &str) -> Vec<Cow<'static, str>> {
        match variables {
            Variables::None => Vec::new(),
            Variables::ByName => {
                let name = self.name.to_ascii_uppercase().replace('-', "_");
                vec![Cow::Owned(format!("{name}{ending}"))]
            }
            Variables::These(names) => names.iter().map(|name| Cow::Borrowed(*name)).collect(),
        }
    }
}
