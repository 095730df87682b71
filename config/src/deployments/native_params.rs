//! Parameters that LiteLLM translates. Those of the own APIs of Ollama and of Gemini: of the
//! OpenAI-compatible ones, which are used here, Ollama's passes over them, and Google's refuses the
//! request. Those of reasoning that DeepSeek and vLLM name otherwise are sent as they are.

use crate::config::Layout;
use crate::diagnostics::ADVISES;
use crate::providers::Resolved;
use crate::values::{Reader, Section};
use crate::yaml::Value;

const MODELFILE: &str = "write it in the model's Modelfile";
const CONTEXT: &str = "set OLLAMA_CONTEXT_LENGTH at the server, or write num_ctx in the model's Modelfile";

const UNTRANSLATED: &str = "sent as it is, where LiteLLM translates it for this provider";

/// Parameters that Gemini's own API has. They are not sent.
const GEMINIS: [&str; 3] = ["safety_settings", "thinking", "top_k"];

/// Whether a parameter is not sent to this provider.
pub(super) fn is_withheld(provider: &str, key: &str) -> bool {
    match provider {
        "gemini" => GEMINIS.contains(&key),
        "databricks" => of_databricks(key).is_some(),
        _ => false,
    }
}

/// Warns of parameters that have no effect at a compatible API, or another one than in LiteLLM.
pub(super) fn warn(reader: &mut Reader<'_>, params: &Section<'_>, resolved: &Resolved) {
    if !ADVISES {
        return;
    }
    type Advice = fn(&str) -> Option<&'static str>;
    let (advice, message): (Advice, _) = match resolved.provider {
        "ollama" | "ollama_chat" => (of_ollama, "has no effect at Ollama's OpenAI-compatible API"),
        "gemini" => (of_gemini, "is not sent: Google's OpenAI-compatible API does not know it"),
        "databricks" => (of_databricks, "is not sent: LiteLLM makes a header of it"),
        _ if matches!(resolved.endpoint.layout, Layout::Anthropic | Layout::Messages) => {
            (of_messages, "is not sent with /v1/messages, for which LiteLLM translates it")
        }
        // LiteLLM translates nothing where both are set.
        "deepseek" if params.find("thinking").is_none() => (of_deepseek, UNTRANSLATED),
        "hosted_vllm" => (of_vllm, UNTRANSLATED),
        _ => return,
    };
    for entry in params.entries.iter().filter(|entry| entry.node.value != Value::Null) {
        if let Some(advice) = advice(&entry.key) {
            reader.report.warn(entry.place, &params.path.key(&entry.key), message, advice);
        }
    }
}

fn of_gemini(key: &str) -> Option<&'static str> {
    match key {
        "thinking" => Some("use reasoning_effort, or extra_body: {google: {thinking_config: ..}}"),
        _ => GEMINIS.contains(&key).then_some("remove it"),
    }
}

fn of_databricks(key: &str) -> Option<&'static str> {
    matches!(key, "user_agent" | "databricks_user_agent").then_some("write it as user-agent in extra_headers")
}

/// LiteLLM sends both instead, by the model.
fn of_messages(key: &str) -> Option<&'static str> {
    (key == "reasoning_effort").then_some("write output_config: {effort: ..}, or thinking")
}

/// LiteLLM sends `thinking` instead, enabled unless the effort is `none`.
fn of_deepseek(key: &str) -> Option<&'static str> {
    (key == "reasoning_effort").then_some("write thinking: {type: enabled}, or disabled in place of none")
}

/// LiteLLM sends `reasoning_effort` instead, by the budget.
fn of_vllm(key: &str) -> Option<&'static str> {
    (key == "thinking").then_some("use reasoning_effort")
}

/// Where a parameter of Ollama's own is set instead.
fn of_ollama(key: &str) -> Option<&'static str> {
    match key {
        "num_ctx" => Some(CONTEXT),
        "keep_alive" => Some("set OLLAMA_KEEP_ALIVE at the server"),
        "think" => Some("use reasoning_effort"),
        "format" => Some("use response_format"),
        "num_predict" => Some("use max_tokens"),
        "min_p" | "mirostat" | "mirostat_eta" | "mirostat_tau" | "num_batch" | "num_gpu" | "num_keep"
        | "num_thread" | "options" | "repeat_last_n" | "repeat_penalty" | "tfs_z" | "top_k" | "typical_p" => {
            Some(MODELFILE)
        }
        _ => None,
    }
}
