//! Which other keys of `litellm_params` are parameters of requests.

/// Request parameters of OpenAI, and those of other providers that real files set. Anything else is
/// sent as well, with a warning, because it may be a misspelling.
pub(crate) fn is_request_parameter(name: &str) -> bool {
    REQUEST_PARAMETERS.binary_search(&name).is_ok()
}

/// Sorted by name.
pub(crate) const REQUEST_PARAMETERS: &[&str] = &[
    "allow_fallbacks", "anthropic_beta", "anthropic_version", "aspect_ratio", "audio", "background",
    "best_of", "cache_control", "cache_prompt", "chat_template", "chat_template_kwargs",
    "context_management", "dimensions", "do_sample", "echo", "enable_thinking", "encoding_format", "format",
    "frequency_penalty", "function_call", "functions", "generationConfig", "generation_config",
    "google_search", "guided_choice", "guided_grammar", "guided_json", "guided_regex", "ignore_eos",
    "image_config", "include", "include_reasoning", "include_stop_str_in_output", "input_type",
    "instructions", "keep_alive", "language", "length_penalty", "logit_bias", "logprobs",
    "max_completion_tokens", "max_output_tokens", "max_tokens", "max_tool_calls", "min_p", "min_tokens",
    "mirostat", "mirostat_eta", "mirostat_tau", "modalities", "moderation", "n", "num_batch", "num_beams",
    "num_ctx", "num_gpu", "num_keep", "num_predict", "num_thread", "options", "output_compression",
    "output_config", "output_format", "parallel_tool_calls", "plugins", "prediction", "presence_penalty",
    "prompt_cache_key", "prompt_cache_retention", "provider", "quality", "raw_mode", "reasoning",
    "reasoning_budget", "reasoning_effort", "reasoning_format", "repeat_last_n", "repeat_penalty",
    "repetition_penalty", "response_format", "return_citations", "safe_mode", "safe_prompt",
    "safety_identifier", "safety_settings", "search_domain_filter", "search_parameters", "seed",
    "service_tier", "size", "skip_special_tokens", "speed", "stop", "stop_token_ids", "store", "stream",
    "stream_options", "style", "suffix", "task_type", "temperature", "text", "tfs_z", "think", "thinking",
    "thinking_budget", "timestamp_granularities", "tool_choice", "tools", "top_a", "top_k", "top_logprobs",
    "top_n", "top_p", "transforms", "truncate", "truncation", "typical_p", "use_beam_search", "user",
    "venice_parameters", "verbosity", "voice", "web_search_options",
];

#[cfg(test)]
mod tests {
    use super::super::{is_litellms_own_key, is_litellms_own_member};
    use super::*;

    #[test]
    fn the_request_parameters_are_sorted_and_none_is_also_a_key() {
        assert!(REQUEST_PARAMETERS.is_sorted_by(|a, b| a < b));
        for name in REQUEST_PARAMETERS {
            assert!(!is_litellms_own_member(name) && !is_litellms_own_key(name), "{name}");
        }
    }
}
