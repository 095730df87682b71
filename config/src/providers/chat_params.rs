//! What a provider calls the parameters of a chat, and which of them it refuses.
//!
//! LiteLLM renames some for each provider (`map_openai_params`), and with `drop_params` it removes
//! those that are not in the provider's list (`get_supported_openai_params`). Here the names and the
//! lists of LiteLLM 1.106 apply, with two exceptions: what its lists lack and the provider has since
//! learned is sent, and so is what decides what an answer is (`tools`, `response_format`).

use super::lookup;
use super::provider::Protocol;
use super::refused_by_model::{of_some_models, refuses};
use super::refused_params::{
    NOT_OF_GPT5, PENALTIES, Params, REASONING_EFFORT, REFUSED, SAMPLING, TEMPERATURE, USER, VERBOSITY, named,
};

/// The parameters of chats at one deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatParams {
    provider: &'static str,
    names: Names,
    /// Of a deployment of Azure, where the file tells: `azure/gpt5_series/mine`.
    family: Option<Family>,
    /// `drop_params`
    drops: bool,
    /// The parameters that the provider refuses, whatever the model.
    refused: Params,
    /// Those that it refuses for some models.
    of_some_models: Params,
    /// `allowed_openai_params`
    allowed: Params,
}

/// What a provider calls a parameter that has two names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// It knows all of them.
    All,
    /// OpenAI's own: reasoning models refuse `max_tokens`.
    OpenAi,
    /// `max_tokens` alone. Others ignore the newer name, and so the limit, or refuse it.
    Older,
    /// `max_tokens`, and `random_seed` for `seed`.
    Mistral,
}

/// OpenAI's models that refuse the same parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// gpt-4, gpt-4o: they do not reason.
    Chat,
    /// gpt-5-chat: nor does it, but Azure refuses `max_tokens` all the same.
    Gpt5Chat,
    /// o1, o3-mini, ..
    OSeries,
    /// gpt-5, gpt-5.2-pro, gpt-5.5, gpt-6-sol: they reason if nothing else is asked for.
    Gpt5,
    /// gpt-5.1, 5.2 and 5.4: they reason if they are asked to.
    Gpt5Point,
    /// Embeddings, names of one's own.
    Other,
}

/// Whether a host is OpenAI's own.
pub fn is_openais(host: &str) -> bool {
    host.strip_suffix("openai.com").is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl ChatParams {
    /// `model` as in the file, `azure/gpt5_series/mine`. `base_model` is what a deployment of Azure
    /// with a name of its own runs. `allowed` are parameters that are sent although the provider is
    /// known to refuse them.
    pub(crate) fn new(
        provider: &'static str,
        model: &str,
        base_model: Option<&str>,
        drops: bool,
        allowed: &[String],
    ) -> Self {
        let names = names_of(provider);
        let refused = match REFUSED.iter().find(|(name, _)| *name == provider) {
            // LiteLLM sends Mistral no `user`, with or without drop_params.
            _ if !drops && names == Names::Mistral => USER,
            _ if !drops => 0,
            Some((_, refused)) => *refused,
            None if names == Names::Older => USER | VERBOSITY,
            None => 0,
        };
        let family = matches!(provider, "azure" | "azure_ai").then(|| Family::of_azure(model, base_model));
        let family = family.flatten();
        let is_by_model = matches!(names, Names::Older | Names::Mistral) || provider == "azure_ai";
        let of_some_models = match of_some_models(provider) {
            some if is_by_model && drops => some,
            some => some & TEMPERATURE,
        };
        let allowed = allowed.iter().fold(0, |all, name| all | named(name));
        Self { provider, names, family, drops, refused, of_some_models, allowed }
    }

    /// The provider's name for a parameter, if that is another one. `model` is the provider's name.
    pub fn other_name(&self, model: &str, key: &str) -> Option<&'static str> {
        match (self.names, key) {
            (Names::OpenAi, "max_tokens") => {
                let is_newer = self.reasons(model) || self.family == Some(Family::Gpt5Chat);
                is_newer.then_some("max_completion_tokens")
            }
            (Names::Older | Names::Mistral, "max_completion_tokens") => {
                (!self.reasons(model)).then_some("max_tokens")
            }
            (Names::Mistral, "seed") => Some("random_seed"),
            _ => None,
        }
    }

    /// Whether a parameter is dropped because this model is known to refuse it. `reasons`: the
    /// request asks for reasoning.
    pub fn drops(&self, model: &str, key: &str, reasons: bool) -> bool {
        let by_family = self.drops && self.names == Names::OpenAi;
        if !by_family && (self.refused | self.of_some_models) == 0 {
            return false;
        }
        let param = named(key) & !self.allowed;
        let of_family = if by_family { self.family_of(model).refused(reasons) } else { 0 };
        (self.refused | of_family) & param != 0
            || (self.of_some_models & param != 0
                && !(param == REASONING_EFFORT && self.reasons(model))
                && refuses(self.provider, model, param))
    }

    /// Whether the role `developer` is sent as it is, to OpenAI at `host` or to a model that LiteLLM
    /// knows to have it. Others refuse it, or leave the message out of the prompt.
    pub fn knows_developer(&self, host: &str, model: &str) -> bool {
        is_openais(host) || self.names == Names::OpenAi && self.family_of(model) == Family::OSeries
    }

    fn reasons(&self, model: &str) -> bool {
        matches!(self.family_of(model), Family::OSeries | Family::Gpt5 | Family::Gpt5Point)
    }

    fn family_of(&self, model: &str) -> Family {
        self.family.unwrap_or_else(|| Family::of(model))
    }
}

/// OpenAI's own under other names, and gateways, which know the models behind them.
const ALL_NAMES: [&str; 9] = [
    "aiohttp_openai", "custom_openai", "edenai", "github", "helicone", "litellm_proxy", "openrouter",
    "text-completion-openai", "vercel_ai_gateway",
];

fn names_of(provider: &str) -> Names {
    use Protocol::{Azure, AzureAi, Cloudflare, Cohere, HuggingFace, Ollama, OpenAi};
    match lookup::find(provider).map(|provider| provider.protocol) {
        _ if ALL_NAMES.contains(&provider) => Names::All,
        _ if provider == "openai" => Names::OpenAi,
        _ if matches!(provider, "mistral" | "codestral") => Names::Mistral,
        Some(Azure | AzureAi) => Names::OpenAi,
        Some(OpenAi | Cloudflare | Cohere | HuggingFace | Ollama) => Names::Older,
        _ => Names::All,
    }
}

impl Family {
    /// `gpt-5-mini`, `openai/gpt-5-mini`, `ft:gpt-4o:acme::7p4`
    fn of(model: &str) -> Self {
        let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        if is_o_series(name) {
            return Self::OSeries;
        }
        // Azure's deployments have names of their own.
        let Some((start, version)) = name.split_once("gpt-") else { return Self::Other };
        if version.starts_with("5-chat") {
            return Self::Gpt5Chat;
        }
        let is_older = version.starts_with('4') || version.starts_with("3.5-turbo");
        if start == "chat" || (start.is_empty() && is_older) {
            return Self::Chat;
        }
        // gpt-35-turbo is Azure's name of gpt-3.5.
        if !version.as_bytes().first().is_some_and(|digit| (b'5'..=b'9').contains(digit)) {
            return Self::Other;
        }
        let (number, rest) = version.split_once('-').unwrap_or((version, ""));
        let is_other = ["codex", "pro", "chat"].iter().any(|kind| rest.contains(kind));
        match number {
            "5.1" | "5.2" | "5.4" if !is_other => Self::Gpt5Point,
            _ => Self::Gpt5,
        }
    }

    /// What is known of a deployment of Azure, whose name anyone may have made up: by the series in
    /// its path, by `base_model`, or by a part of the name.
    fn of_azure(model: &str, base_model: Option<&str>) -> Option<Self> {
        let path = model.split_once('/').map_or(model, |(_, path)| path);
        let known = match path.split_once('/') {
            Some(("gpt5_series", _)) => Self::Gpt5,
            Some(("o_series", _)) => Self::OSeries,
            _ => base_model.map_or(Self::Other, Self::of),
        };
        let family = if known == Self::Other { Self::of(path) } else { known };
        match family {
            Self::Other => path.split('-').any(is_o_series).then_some(Self::OSeries),
            family => Some(family),
        }
    }

    fn refused(self, reasons: bool) -> Params {
        match self {
            Self::Chat | Self::Gpt5Chat => REASONING_EFFORT | VERBOSITY,
            Self::OSeries => SAMPLING | PENALTIES | VERBOSITY,
            Self::Gpt5 => SAMPLING | PENALTIES | NOT_OF_GPT5,
            Self::Gpt5Point if reasons => SAMPLING | PENALTIES | NOT_OF_GPT5,
            Self::Gpt5Point => PENALTIES | NOT_OF_GPT5,
            Self::Other => 0,
        }
    }
}

/// `o1`, `o3-mini`, `o4-mini-deep-research`
pub(super) fn is_o_series(name: &str) -> bool {
    matches!(name.as_bytes(), [b'o', b'1'..=b'9'] | [b'o', b'1'..=b'9', b'-', ..])
}

#[cfg(test)]
mod tests {
    use super::{ChatParams, Family};

    #[test]
    fn models_belong_to_families() {
        for (model, family) in [
            ("o1", Family::OSeries),
            ("o3-mini", Family::OSeries),
            ("openai/o4-mini", Family::OSeries),
            ("olmo-7b", Family::Other),
            ("gpt-5", Family::Gpt5),
            ("my-gpt-5-mini", Family::Gpt5),
            ("gpt-5.1-codex", Family::Gpt5),
            ("gpt-5.2-pro", Family::Gpt5),
            ("gpt-5.2", Family::Gpt5Point),
            ("gpt-5.1-2025-11-13", Family::Gpt5Point),
            ("gpt-5.2-chat-latest", Family::Gpt5),
            ("gpt-5.5", Family::Gpt5),
            ("gpt-5.6-luna", Family::Gpt5),
            ("gpt-6-sol", Family::Gpt5),
            ("gpt-6.1-sol", Family::Gpt5),
            ("gpt-35-turbo", Family::Other),
            ("gpt-oss-120b", Family::Other),
            ("gpt-5.4-mini", Family::Gpt5Point),
            ("gpt-5-chat-latest", Family::Gpt5Chat),
            ("ft:gpt-4o-mini:acme::7p4lURel", Family::Chat),
            ("text-embedding-3-small", Family::Other),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }

    #[test]
    fn azures_deployments_are_known_by_their_base_model_or_a_part_of_the_name() {
        for (model, base_model, family) in [
            ("azure/gpt5_series/mine", None, Some(Family::Gpt5)),
            ("azure/o_series/mine", None, Some(Family::OSeries)),
            ("azure/prod-chat", Some("azure/gpt-6-sol"), Some(Family::Gpt5)),
            ("azure/prod-chat", Some("azure/gpt-4o"), Some(Family::Chat)),
            ("azure/prod-chat", None, None),
            ("azure/eu-o3-mini", None, Some(Family::OSeries)),
            ("azure/eu-o3-mini", Some("text-of-ones-own"), Some(Family::OSeries)),
            ("azure/foo-bar", None, None),
            ("azure/our-gpt-5-chat", None, Some(Family::Gpt5Chat)),
            ("azure/mine", Some("azure/gpt-5-chat-latest"), Some(Family::Gpt5Chat)),
            ("azure/gpt-4o", None, Some(Family::Chat)),
        ] {
            assert_eq!(Family::of_azure(model, base_model), family, "{model} {base_model:?}");
        }
        let name = |provider, model| {
            ChatParams::new(provider, model, None, false, &[]).other_name("gpt-5-chat", "max_tokens")
        };
        assert_eq!(name("azure", "azure/gpt-5-chat"), Some("max_completion_tokens"));
        assert_eq!(name("openai", "gpt-5-chat"), None);
    }

    #[test]
    fn openai_itself_and_models_of_the_o_series_know_the_role_developer() {
        for (provider, model, base_model, host, knows) in [
            ("openai", "gpt-5", None, "api.openai.com", true),
            ("openai", "gpt-5", None, "eu.api.openai.com", true),
            ("openai", "gpt-5", None, "openai.com", true),
            ("openai", "gpt-5", None, "notopenai.com", false),
            ("openai", "gpt-5", None, "openai.com.test", false),
            ("openai", "o3-mini", None, "gateway.test", true),
            ("azure", "azure/eu-o3-mini", None, "a.openai.azure.com", true),
            ("azure", "azure/mine", Some("azure/o3"), "a.openai.azure.com", true),
            ("azure", "azure/gpt-5", None, "a.openai.azure.com", false),
            ("azure_ai", "azure_ai/mistral-large", None, "a.services.ai.azure.com", false),
            ("openrouter", "openai/o3", None, "openrouter.ai", false),
            ("hosted_vllm", "qwen", None, "vllm", false),
            ("deepseek", "deepseek-chat", None, "api.deepseek.com", false),
            ("mistral", "mistral-small", None, "api.mistral.ai", false),
            ("groq", "openai/gpt-oss-120b", None, "api.groq.com", false),
            ("xai", "grok-4", None, "api.x.ai", false),
            ("gemini", "gemini-2.5-pro", None, "generativelanguage.googleapis.com", false),
            ("anthropic", "claude-sonnet-4-5", None, "api.anthropic.com", false),
        ] {
            let params = ChatParams::new(provider, model, base_model, false, &[]);
            assert_eq!(params.knows_developer(host, model), knows, "{provider} {model} {host}");
        }
    }

    #[test]
    fn a_parameter_that_is_not_listed_is_not_dropped() {
        let params = ChatParams::new("mistral", "mistral/m", None, true, &[]);
        for (name, drops) in [("logprobs", true), ("user", true), ("tools", false), ("top_k", false)] {
            assert_eq!(params.drops("m", name, false), drops, "{name}");
        }
    }
}
