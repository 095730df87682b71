//! Models that answer on `/v1/responses` alone. LiteLLM turns chats with them into requests for
//! responses, which is not supported.

use crate::diagnostics::ADVISES;
use crate::providers::Resolved;
use crate::values::{Reader, Section};
use crate::yaml::Value;

/// Warns that chats with such a model fail: `model_info.mode` says so, or its name does.
pub(super) fn warn(reader: &mut Reader<'_>, [params, info]: [&Section<'_>; 2], resolved: &Resolved) {
    if !ADVISES {
        return;
    }
    let is_known = match text(info, "mode") {
        Some(mode) => mode == "responses",
        None => {
            let names = [Some(resolved.model.as_str()), text(info, "base_model")];
            matches!(resolved.provider, "openai" | "azure") && names.into_iter().flatten().any(is_named_so)
        }
    };
    if let Some(model) = params.find("model").filter(|_| is_known) {
        let message = "serves /v1/responses alone: LiteLLM translates chats with it, and here they fail";
        reader.report.warn(model.place, &params.path.key("model"), message, "let clients use /v1/responses");
    }
}

fn text<'s>(section: &'s Section<'_>, key: &str) -> Option<&'s str> {
    match &section.find(key)?.node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// Whether LiteLLM's table of models (1.106) has the mode for OpenAI's model of this name.
fn is_named_so(model: &str) -> bool {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    ["o1-pro", "o3-pro", "codex-mini"].iter().any(|start| name.starts_with(start))
        || name.contains("deep-research")
        || (name.starts_with("gpt-5") && ["-codex", "-pro"].iter().any(|part| name.contains(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openais_models_for_responses_are_known_by_their_names() {
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
            assert!(is_named_so(name), "{name}");
        }
        for name in ["gpt-5", "gpt-5-mini", "gpt-5.1-chat-latest", "o1", "o3-mini", "gpt-4o", "prod"] {
            assert!(!is_named_so(name), "{name}");
        }
    }
}
