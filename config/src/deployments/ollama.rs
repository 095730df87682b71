//! Parameters of Ollama's own API, which LiteLLM uses. Its OpenAI-compatible API, which is used here,
//! passes over them.

use crate::diagnostics::ADVISES;
use crate::providers::Resolved;
use crate::values::{Reader, Section};
use crate::yaml::Value;

const MODELFILE: &str = "write it in the model's Modelfile";
const CONTEXT: &str = "set OLLAMA_CONTEXT_LENGTH at the server, or write num_ctx in the model's Modelfile";

/// Warns of parameters that have no effect at Ollama.
pub(super) fn warn(reader: &mut Reader<'_>, params: &Section<'_>, resolved: &Resolved) {
    if !ADVISES || !matches!(resolved.provider, "ollama" | "ollama_chat") {
        return;
    }
    for entry in params.entries.iter().filter(|entry| entry.node.value != Value::Null) {
        if let Some(advice) = advice(&entry.key) {
            let message = "has no effect at Ollama's OpenAI-compatible API";
            reader.report.warn(entry.place, &params.path.key(&entry.key), message, advice);
        }
    }
}

/// Where a parameter of Ollama's own is set instead.
fn advice(key: &str) -> Option<&'static str> {
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
