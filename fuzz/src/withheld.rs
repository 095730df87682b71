//! Which members of a client's body no provider gets, by LiteLLM's behaviour (BEHAVIOUR 9.3), apart
//! from the router's own tables.

/// Whether the members of a name stay here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// No provider gets them.
    Yes,
    /// They are the provider's.
    No,
    /// LiteLLM has hundreds of settings with names of several words.
    Either,
}

/// What LiteLLM strips, and what says where a request goes and with which key.
const STRIPPED: [&str; 39] = [
    "litellm_metadata", "tags", "fallbacks", "context_window_fallbacks", "content_policy_fallbacks",
    "num_retries", "timeout", "stream_timeout", "request_timeout", "max_retries", "cache", "caching",
    "guardrails", "rpm", "tpm", "weight", "order", "drop_params", "disable_fallbacks", "mock_response",
    "mock_testing_fallbacks", "mock_testing_rate_limit_error", "api_key", "api_base", "base_url",
    "api_version", "custom_llm_provider", "organization", "headers", "extra_headers", "extra_body",
    "aws_access_key_id", "aws_secret_access_key", "vertex_credentials", "vertex_project", "azure_ad_token",
    "client_secret", "model_list", "routing_strategy",
];

/// Other settings of LiteLLM of one word.
const WORDS: [&str; 15] = [
    "acompletion", "aembedding", "azure", "client", "id", "itpm", "otpm", "policies", "roles", "rpd", "rust",
    "self", "tpd", "ttl", "verbose",
];

/// Parameters of several words that providers take.
const PROVIDERS: [&str; 22] = [
    "max_tokens", "max_completion_tokens", "max_output_tokens", "top_p", "top_k", "tool_choice",
    "response_format", "stream_options", "logit_bias", "presence_penalty", "frequency_penalty",
    "top_logprobs", "parallel_tool_calls", "reasoning_effort", "prompt_cache_key", "service_tier",
    "encoding_format", "best_of", "previous_response_id", "stop_sequences", "cache_control", "chat_template",
];

/// By a name in the case of [`fold_case`], and a route without `/v1`.
pub fn withheld(name: &str, route: &str) -> Withheld {
    let keeps_metadata = matches!(route, "/responses" | "/messages");
    if name == "metadata" {
        return if keeps_metadata { Withheld::No } else { Withheld::Yes };
    }
    if STRIPPED.contains(&name) {
        return Withheld::Yes;
    }
    if PROVIDERS.contains(&name) {
        return Withheld::No;
    }
    // Unknown names are kept.
    let is_open = name.contains(['_', '-']) || WORDS.contains(&name);
    if is_open { Withheld::Either } else { Withheld::No }
}

/// A name as Go's readers compare it: Unicode's simple folding, of which two letters fold to ASCII.
pub fn fold_case(name: &str) -> String {
    name.replace('\u{212a}', "k").replace('\u{17f}', "s").to_ascii_lowercase()
}
