//! Models of which LiteLLM serves more than is served here: by `model_info.mode`, or by their names.

use crate::diagnostics::ADVISES;
use crate::providers::Resolved;
use crate::values::{Reader, Section};
use crate::yaml::Value;

/// Modes of LiteLLM's whose routes are not served here.
const UNSERVED: [&str; 6] = ["batch", "ocr", "realtime", "search", "vector_store", "video_generation"];

/// Warns of a model with which requests fail that LiteLLM serves.
pub(super) fn warn(reader: &mut Reader<'_>, [params, info]: [&Section<'_>; 2], resolved: &Resolved) {
    if !ADVISES {
        return;
    }
    let names = [Some(resolved.model.as_str()), find_text(info, "base_model")];
    let names = || names.into_iter().flatten();
    let written = find_text(info, "mode").filter(|mode| *mode != "rerank" || has_own_rerankings(resolved));
    // LiteLLM puts the mode of the file over that of its table for names with this prefix alone.
    let is_own =
        written.is_some() && find_text(params, "model").is_some_and(|model| model.starts_with("openai/"));
    let is_other = |mode: &&str| matches!(*mode, "responses" | "rerank") || UNSERVED.contains(mode);
    let by_name = || {
        let mode = names().find_map(|name| mode_by_name(resolved, name))?;
        (mode != "responses" || !is_own).then_some(mode)
    };
    let (message, advice) = match written.filter(is_other).or_else(by_name) {
        // LiteLLM turns chats into requests for responses.
        Some("responses") => (
            "serves /v1/responses alone: LiteLLM translates chats with it, and here they fail".to_owned(),
            "let clients use /v1/responses",
        ),
        Some("rerank") => (
            "rerankings fail: this provider's have a route or a format of their own, which LiteLLM translates"
                .to_owned(),
            "let clients call the provider for them",
        ),
        Some(mode) => {
            (format!("the routes of mode {mode} are not served"), "let clients call the provider for them")
        }
        None if names().any(|name| refuses_tools(resolved, name, Effort::of(params))) => (
            "refuses tools in chats unless reasoning_effort is none: LiteLLM turns such chats into requests \
             for responses"
                .to_owned(),
            "let clients that use tools send reasoning_effort: none, or use /v1/responses",
        ),
        None => return,
    };
    if let Some(model) = params.find("model") {
        reader.report.warn(model.place, &params.path.key("model"), &message, advice);
    }
}

/// A value, if it is a text.
pub(super) fn find_text<'s>(section: &'s Section<'_>, key: &str) -> Option<&'s str> {
    match &section.find(key)?.node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// Whether a provider has rerankings of another route or format than Cohere's, which LiteLLM
/// translates.
fn has_own_rerankings(resolved: &Resolved) -> bool {
    matches!(resolved.provider, "dashscope" | "deepinfra" | "nvidia_nim" | "qwen_ai_platform" | "qwencloud")
}

/// The mode that LiteLLM's table of models (1.106) has for a model of this name, if it makes a
/// difference here.
fn mode_by_name(resolved: &Resolved, model: &str) -> Option<&'static str> {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    match resolved.provider {
        "gemini" | "vertex_ai" if name.starts_with("veo-") => Some("video_generation"),
        "gemini" | "vertex_ai"
            if (name.contains("-live") && !name.contains("transcribe")) || name.contains("native-audio") =>
        {
            Some("realtime")
        }
        // Google AI Studio's endpoint makes images, and Vertex AI's does not.
        "vertex_ai" if name.starts_with("imagen") => Some("image_generation at Vertex AI"),
        "xai" if name.contains("multi-agent") => Some("responses"),
        _ if has_own_rerankings(resolved) && name.to_ascii_lowercase().contains("rerank") => Some("rerank"),
        // Models of others.
        "perplexity" if model.strip_prefix("perplexity/").unwrap_or(model).contains('/') => Some("responses"),
        "openai" | "azure" | "azure_ai" => mode_of_openais(resolved, name),
        _ => None,
    }
}

fn mode_of_openais(resolved: &Resolved, name: &str) -> Option<&'static str> {
    let is_of_responses = ["o1-pro", "o3-pro", "codex-mini"].iter().any(|start| name.starts_with(start))
        || name.contains("deep-research")
        || (name.starts_with("gpt-5") && ["-codex", "-pro"].iter().any(|part| name.contains(part)));
    if is_of_responses && Host::of(resolved) != Host::Other {
        return Some("responses");
    }
    if name.starts_with("sora-") {
        return Some("video_generation");
    }
    (name.contains("-realtime") && !name.contains("whisper")).then_some("realtime")
}

/// Who answers the requests for a model of OpenAI's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    OpenAi,
    Azure,
    /// A proxy, or a server of one's own: it may serve what OpenAI refuses.
    Other,
}

impl Host {
    fn of(resolved: &Resolved) -> Self {
        let host = resolved.endpoint.host.as_str();
        let is_in = |domains: &[&str]| domains.iter().any(|domain| host.ends_with(domain));
        match resolved.provider {
            "azure" => Self::Azure,
            "azure_ai" if is_in(&[".services.ai.azure.com", ".openai.azure.com"]) => Self::Azure,
            "openai" if is_in(&[".azure.com"]) => Self::Azure,
            "openai" if host == "api.openai.com" || is_in(&[".api.openai.com"]) => Self::OpenAi,
            _ => Self::Other,
        }
    }
}

/// The `reasoning_effort` that a file sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effort {
    Unset,
    /// `none`
    Off,
    On,
}

impl Effort {
    fn of(params: &Section<'_>) -> Self {
        let entries = [Some(params.entries), params.find("extra_body").and_then(|body| body.node.entries())];
        let mut entries = entries.into_iter().flatten().flatten();
        match entries.find(|entry| entry.key == "reasoning_effort").map(|entry| &entry.node.value) {
            None | Some(Value::Null) => Self::Unset,
            Some(Value::Text(effort)) if effort == "none" => Self::Off,
            Some(_) => Self::On,
        }
    }
}

/// Whether LiteLLM turns chats with tools into requests for responses, as OpenAI's model takes no
/// tools in chats when it reasons: by itself from gpt-5.5 on, if the file asks for it from gpt-5.4
/// on, and later in Azure AI Foundry. With an effort in the file LiteLLM does so at any server.
fn refuses_tools(resolved: &Resolved, model: &str, effort: Effort) -> bool {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    let Some(version) = version(name).filter(|_| !name.contains("chat")) else { return false };
    let first = match (resolved.provider, Host::of(resolved), effort) {
        (_, _, Effort::Off) => return false,
        ("azure_ai", Host::Azure, Effort::Unset) => (6, 0),
        ("azure_ai", Host::Azure, Effort::On) => (5, 6),
        ("azure", _, Effort::Unset) | ("openai", Host::OpenAi, Effort::Unset) => (5, 5),
        ("azure" | "openai", _, Effort::On) => (5, 4),
        _ => return false,
    };
    version >= first
}

/// The version in `gpt-5.6-luna`. `gpt-35-turbo` is Azure's name of 3.5.
fn version(name: &str) -> Option<(u32, u32)> {
    let version = name.strip_prefix("gpt-")?;
    let number = version.split_once('-').map_or(version, |(number, _)| number);
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((major.parse().ok().filter(|major| *major < 10)?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(provider: &'static str, host: &str) -> Resolved {
        let mut resolved = Resolved { provider, ..Resolved::placeholder() };
        host.clone_into(&mut resolved.endpoint.host);
        resolved
    }

    fn openai() -> Resolved {
        at("openai", "api.openai.com")
    }

    #[test]
    fn models_that_take_no_tools_in_chats_are_known_by_their_names() {
        for name in ["gpt-5.5", "gpt-5.6-luna", "gpt-5.10-mini", "gpt-6-sol", "azure/eu/gpt-6.1-sol"] {
            assert!(refuses_tools(&openai(), name, Effort::Unset), "{name}");
            assert!(!refuses_tools(&openai(), name, Effort::Off), "{name}");
        }
        for name in
            ["gpt-5", "gpt-5.4", "gpt-5.6-chat-latest", "gpt-4o", "gpt-35-turbo", "gpt-oss-120b", "prod"]
        {
            assert!(!refuses_tools(&openai(), name, Effort::Unset), "{name}");
        }
        for (name, refuses) in [("gpt-5.4", true), ("gpt-5.4-mini", true), ("gpt-5.2", false), ("o3", false)]
        {
            assert_eq!(refuses_tools(&openai(), name, Effort::On), refuses, "{name}");
        }
    }

    #[test]
    fn who_refuses_tools_depends_on_the_server() {
        let foundry = "x.services.ai.azure.com";
        for (provider, host, name, unset, on) in [
            ("openai", "eu.api.openai.com", "gpt-5.5", true, true),
            ("openai", "localhost", "gpt-5.5", false, true),
            ("openai", "openrouter.ai", "openai/gpt-5.4", false, true),
            ("azure", "apim.example.net", "gpt-5.5", true, true),
            ("azure_ai", foundry, "gpt-5.5", false, false),
            ("azure_ai", foundry, "gpt-5.6", false, true),
            ("azure_ai", foundry, "gpt-6-sol", true, true),
            ("azure_ai", "x.eastus2.models.ai.azure.com", "gpt-6-sol", false, false),
            ("openrouter", "openrouter.ai", "openai/gpt-6-sol", false, false),
        ] {
            let resolved = at(provider, host);
            let row = format!("{provider} {host} {name}");
            assert_eq!(refuses_tools(&resolved, name, Effort::Unset), unset, "{row}");
            assert_eq!(refuses_tools(&resolved, name, Effort::On), on, "{row} with an effort");
        }
    }

    #[test]
    fn openais_models_are_known_by_their_names() {
        for name in [
            "o1-pro-2025-03-19",
            "o3-pro",
            "o3-deep-research",
            "o4-mini-deep-research-2025-06-26",
            "codex-mini-latest",
            "gpt-5-codex",
            "gpt-5.1-codex-mini",
            "gpt-5.4-pro",
            "azure/eu/gpt-5-pro",
        ] {
            assert_eq!(mode_by_name(&openai(), name), Some("responses"), "{name}");
            assert_eq!(mode_by_name(&at("openai", "localhost"), name), None, "{name} at a proxy");
        }
        for name in [
            "gpt-5", "gpt-realtime-whisper", "gpt-5-mini", "gpt-5.1-chat-latest", "o1", "o3-mini", "gpt-4o",
            "prod",
        ] {
            assert_eq!(mode_by_name(&openai(), name), None, "{name}");
        }
        for name in ["gpt-realtime", "gpt-4o-mini-realtime-preview-2024-12-17", "azure/eu/gpt-realtime-mini"]
        {
            assert_eq!(mode_by_name(&openai(), name), Some("realtime"), "{name}");
        }
    }

    #[test]
    fn models_whose_routes_are_not_served_are_known_by_their_names() {
        for (provider, name, mode) in [
            ("openai", "sora-2-pro", Some("video_generation")),
            ("azure", "sora-2", Some("video_generation")),
            ("gemini", "veo-3.1-generate-preview", Some("video_generation")),
            ("vertex_ai", "google/veo-3.0-generate-001", Some("video_generation")),
            ("vertex_ai", "google/imagen-4.0-generate-001", Some("image_generation at Vertex AI")),
            ("gemini", "imagen-4.0-generate-001", None),
            ("gemini", "gemini-2.5-flash-native-audio-latest", Some("realtime")),
            ("gemini", "gemini-3.1-flash-live-preview", Some("realtime")),
            ("gemini", "gemini-2.5-flash", None),
            ("xai", "grok-4.20-multi-agent", Some("responses")),
            ("perplexity", "openai/gpt-5.2", Some("responses")),
            ("perplexity", "sonar", None),
            ("deepinfra", "Qwen/Qwen3-Reranker-8B", Some("rerank")),
            ("dashscope", "qwen3-rerank", Some("rerank")),
            ("jina_ai", "jina-reranker-v2", None),
            ("hosted_vllm", "sora-2", None),
        ] {
            assert_eq!(mode_by_name(&at(provider, ""), name), mode, "{provider} {name}");
        }
    }
}
