//! What a provider calls the parameters of a chat, and which of them it refuses.
//!
//! LiteLLM renames some for each provider (`map_openai_params`), and with `drop_params` it removes
//! those that are not in the provider's list (`get_supported_openai_params`). Here the names and the
//! lists of LiteLLM 1.106 apply, with two exceptions: what its lists lack and the provider has since
//! learned is sent, and so is what decides what an answer is (`tools`, `response_format`).

use super::lookup;
use super::provider::Protocol;
use super::refused_params::{
    NOT_OF_GPT5, PENALTIES, Params, REASONING_EFFORT, REFUSED, SAMPLING, USER, VERBOSITY, named,
};

/// The parameters of chats at one deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatParams {
    names: Names,
    /// Of a deployment whose own name does not tell: `azure/gpt5_series/mine`.
    family: Option<Family>,
    /// `drop_params`
    drops: bool,
    /// The parameters that the provider refuses, whatever the model.
    refused: Params,
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
    /// gpt-4, gpt-4o, gpt-5-chat: they do not reason.
    Chat,
    /// o1, o3-mini, ..
    OSeries,
    /// gpt-5, gpt-5-mini, gpt-5.2-pro: they reason about every answer.
    Gpt5,
    /// gpt-5.1 and later: they reason if they are asked to.
    Gpt5Point,
    /// Embeddings, names of one's own.
    Other,
}

impl ChatParams {
    /// `model` as in the file, `azure/gpt5_series/mine`. `allowed` are parameters that are sent
    /// although the provider is known to refuse them.
    pub(crate) fn new(provider: &str, model: &str, drops: bool, allowed: &[String]) -> Self {
        let names = names_of(provider);
        let refused = match REFUSED.iter().find(|(name, _)| *name == provider) {
            // LiteLLM sends Mistral no `user`, with or without drop_params.
            _ if !drops && names == Names::Mistral => USER,
            _ if !drops => 0,
            Some((_, refused)) => *refused,
            None if names == Names::Older => USER | VERBOSITY,
            None => 0,
        };
        let family = match model.strip_prefix("azure/").and_then(|rest| rest.split_once('/')) {
            Some(("gpt5_series", _)) => Some(Family::Gpt5),
            Some(("o_series", _)) => Some(Family::OSeries),
            _ => None,
        };
        let allowed = allowed.iter().fold(0, |all, name| all | named(name));
        Self { names, family, drops, refused, allowed }
    }

    /// The provider's name for a parameter, if that is another one. `model` is the provider's name.
    pub fn other_name(&self, model: &str, key: &str) -> Option<&'static str> {
        match (self.names, key) {
            (Names::OpenAi, "max_tokens") => self.reasons(model).then_some("max_completion_tokens"),
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
        let by_model = self.drops && self.names == Names::OpenAi;
        if !by_model && self.refused == 0 {
            return false;
        }
        let of_model = if by_model { self.family_of(model).refused(reasons) } else { 0 };
        (self.refused | of_model) & !self.allowed & named(key) != 0
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
        let name = model.rsplit('/').next().unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| name.starts_with(beginning));
        if is_o_series(name) {
            return Self::OSeries;
        }
        if begins(&["gpt-5-chat", "gpt-4", "gpt-3.5-turbo", "chatgpt-"]) {
            return Self::Chat;
        }
        // Azure's deployments have names of their own.
        match name.split_once("gpt-5").map(|(_, rest)| rest) {
            Some(rest) if rest.starts_with('.') && !rest.contains("codex") && !rest.contains("-pro") => {
                Self::Gpt5Point
            }
            Some(_) => Self::Gpt5,
            None => Self::Other,
        }
    }

    fn refused(self, reasons: bool) -> Params {
        match self {
            Self::Chat => REASONING_EFFORT | VERBOSITY,
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
    let mut chars = name.chars();
    chars.next() == Some('o')
        && chars.next().is_some_and(|digit| digit.is_ascii_digit() && digit != '0')
        && chars.next().is_none_or(|next| next == '-')
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
            ("gpt-5.4-mini", Family::Gpt5Point),
            ("gpt-5-chat-latest", Family::Chat),
            ("ft:gpt-4o-mini:acme::7p4lURel", Family::Chat),
            ("text-embedding-3-small", Family::Other),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }

    #[test]
    fn a_parameter_that_is_not_listed_is_not_dropped() {
        let params = ChatParams::new("mistral", "mistral/m", true, &[]);
        for (name, drops) in [("logprobs", true), ("user", true), ("tools", false), ("top_k", false)] {
            assert_eq!(params.drops("m", name, false), drops, "{name}");
        }
    }
}
