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
    let is_openais = matches!(resolved.provider, "openai" | "azure" | "azure_ai");
    let names = [Some(resolved.model.as_str()), text(info, "base_model")];
    let names = || names.into_iter().flatten().filter(|_| is_openais);
    let mode = text(info, "mode").or_else(|| names().find_map(mode_by_name));
    let (message, advice) = match mode {
        // LiteLLM turns chats into requests for responses.
        Some("responses") => (
            "serves /v1/responses alone: LiteLLM translates chats with it, and here they fail".to_owned(),
            "let clients use /v1/responses",
        ),
        Some(mode) if UNSERVED.contains(&mode) => {
            (format!("the routes of mode {mode} are not served"), "let clients call the provider for them")
        }
        _ if names().any(refuses_tools) => (
            "refuses tools in chats unless reasoning_effort is none: LiteLLM turns such chats into requests \
             for responses"
                .to_owned(),
            "let clients that use tools send reasoning_effort: none, or use /v1/responses",
        ),
        _ => return,
    };
    if let Some(model) = params.find("model") {
        reader.report.warn(model.place, &params.path.key("model"), &message, advice);
    }
}

/// A value, if it is a text.
pub(super) fn text<'s>(section: &'s Section<'_>, key: &str) -> Option<&'s str> {
    match &section.find(key)?.node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// The mode that LiteLLM's table of models (1.106) has for OpenAI's model of this name, if it makes a
/// difference here.
fn mode_by_name(model: &str) -> Option<&'static str> {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    let is_of_responses = ["o1-pro", "o3-pro", "codex-mini"].iter().any(|start| name.starts_with(start))
        || name.contains("deep-research")
        || (name.starts_with("gpt-5") && ["-codex", "-pro"].iter().any(|part| name.contains(part)));
    let is_realtime = name.contains("-realtime") && !name.contains("whisper");
    is_of_responses.then_some("responses").or_else(|| is_realtime.then_some("realtime"))
}

/// Whether OpenAI's model of this name reasons by itself, and takes no tools in chats when it does:
/// gpt-5.5 and later.
fn refuses_tools(model: &str) -> bool {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    let Some(version) = name.strip_prefix("gpt-") else { return false };
    let number = version.split_once('-').map_or(version, |(number, _)| number);
    let is_later = number.starts_with(['6', '7', '8', '9'])
        || number.strip_prefix("5.").is_some_and(|minor| minor.parse::<u32>().is_ok_and(|minor| minor >= 5));
    is_later && !version.contains("chat")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_take_no_tools_in_chats_are_known_by_their_names() {
        for name in ["gpt-5.5", "gpt-5.6-luna", "gpt-5.10-mini", "gpt-6-sol", "azure/eu/gpt-6.1-sol"] {
            assert!(refuses_tools(name), "{name}");
        }
        for name in
            ["gpt-5", "gpt-5.4", "gpt-5.4-mini", "gpt-5.6-chat-latest", "gpt-4o", "gpt-oss-120b", "prod"]
        {
            assert!(!refuses_tools(name), "{name}");
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
            assert_eq!(mode_by_name(name), Some("responses"), "{name}");
        }
        for name in [
            "gpt-5", "gpt-realtime-whisper", "gpt-5-mini", "gpt-5.1-chat-latest", "o1", "o3-mini", "gpt-4o",
            "prod",
        ] {
            assert_eq!(mode_by_name(name), None, "{name}");
        }
        for name in ["gpt-realtime", "gpt-4o-mini-realtime-preview-2024-12-17", "azure/eu/gpt-realtime-mini"]
        {
            assert_eq!(mode_by_name(name), Some("realtime"), "{name}");
        }
    }
}
