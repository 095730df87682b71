//! Parameters of chats that providers refuse for every model, by LiteLLM's lists
//! (`get_supported_openai_params` of 1.106).

/// A set of parameters, a bit each.
pub(super) type Params = u32;

const AUDIO: Params = 1 << 0;
pub(super) const FREQUENCY_PENALTY: Params = 1 << 1;
const LOGIT_BIAS: Params = 1 << 2;
const LOGPROBS: Params = 1 << 3;
const MODALITIES: Params = 1 << 4;
const N: Params = 1 << 5;
const PARALLEL_TOOL_CALLS: Params = 1 << 6;
const PREDICTION: Params = 1 << 7;
const PRESENCE_PENALTY: Params = 1 << 8;
const PROMPT_CACHE_KEY: Params = 1 << 9;
const PROMPT_CACHE_RETENTION: Params = 1 << 10;
pub(super) const REASONING_EFFORT: Params = 1 << 11;
const SAFETY_IDENTIFIER: Params = 1 << 12;
const SEED: Params = 1 << 13;
const SERVICE_TIER: Params = 1 << 14;
pub(super) const STOP: Params = 1 << 15;
const STORE: Params = 1 << 16;
pub(super) const TEMPERATURE: Params = 1 << 17;
const TOP_LOGPROBS: Params = 1 << 18;
const TOP_P: Params = 1 << 19;
pub(super) const USER: Params = 1 << 20;
pub(super) const VERBOSITY: Params = 1 << 21;
const WEB_SEARCH_OPTIONS: Params = 1 << 22;

const NAMES: [(&str, Params); 23] = [
    ("audio", AUDIO),
    ("frequency_penalty", FREQUENCY_PENALTY),
    ("logit_bias", LOGIT_BIAS),
    ("logprobs", LOGPROBS),
    ("modalities", MODALITIES),
    ("n", N),
    ("parallel_tool_calls", PARALLEL_TOOL_CALLS),
    ("prediction", PREDICTION),
    ("presence_penalty", PRESENCE_PENALTY),
    ("prompt_cache_key", PROMPT_CACHE_KEY),
    ("prompt_cache_retention", PROMPT_CACHE_RETENTION),
    ("reasoning_effort", REASONING_EFFORT),
    ("safety_identifier", SAFETY_IDENTIFIER),
    ("seed", SEED),
    ("service_tier", SERVICE_TIER),
    ("stop", STOP),
    ("store", STORE),
    ("temperature", TEMPERATURE),
    ("top_logprobs", TOP_LOGPROBS),
    ("top_p", TOP_P),
    ("user", USER),
    ("verbosity", VERBOSITY),
    ("web_search_options", WEB_SEARCH_OPTIONS),
];

/// The set of one parameter; empty, if no provider refuses it.
pub(super) fn named(name: &str) -> Params {
    NAMES.iter().find(|(other, _)| *other == name).map_or(0, |(_, param)| *param)
}

pub(super) const SAMPLING: Params = TEMPERATURE | TOP_P | LOGPROBS | TOP_LOGPROBS;

pub(super) const PENALTIES: Params = PRESENCE_PENALTY | FREQUENCY_PENALTY;

pub(super) const NOT_OF_GPT5: Params =
    STOP | LOGIT_BIAS | MODALITIES | PREDICTION | AUDIO | WEB_SEARCH_OPTIONS;

/// What few but OpenAI have.
const OPENAIS: Params = AUDIO
    | LOGIT_BIAS
    | LOGPROBS
    | MODALITIES
    | PREDICTION
    | PROMPT_CACHE_KEY
    | PROMPT_CACHE_RETENTION
    | SAFETY_IDENTIFIER
    | SERVICE_TIER
    | STORE
    | TOP_LOGPROBS
    | VERBOSITY
    | WEB_SEARCH_OPTIONS;

const TOKENS: Params = LOGIT_BIAS | LOGPROBS | TOP_LOGPROBS;

/// Of Google's compatible endpoint, which answers 400 to a name that it does not know.
const NOT_OF_GEMINI: Params = LOGIT_BIAS
    | PREDICTION
    | PROMPT_CACHE_KEY
    | PROMPT_CACHE_RETENTION
    | SAFETY_IDENTIFIER
    | STORE
    | TOP_LOGPROBS
    | USER
    | VERBOSITY;

/// Mistral answers 422 to them. LiteLLM's list is older: `n`, the penalties and `prediction` are
/// Mistral's, too.
const NOT_OF_MISTRAL: Params = OPENAIS & !PREDICTION | USER;

/// Of the other providers that have OpenAI's format, `user` and `verbosity`.
pub(super) const REFUSED: &[(&str, Params)] = &[
    ("ai21", OPENAIS | PENALTIES | PARALLEL_TOOL_CALLS | REASONING_EFFORT | USER),
    ("ai21_chat", OPENAIS | PENALTIES | PARALLEL_TOOL_CALLS | REASONING_EFFORT | USER),
    ("amazon_nova", OPENAIS | PENALTIES | N | PARALLEL_TOOL_CALLS | SEED | USER),
    ("baseten", OPENAIS | N | PARALLEL_TOOL_CALLS | REASONING_EFFORT),
    ("bedrock", VERBOSITY),
    ("cerebras", OPENAIS | PENALTIES | N | PARALLEL_TOOL_CALLS),
    ("clarifai", OPENAIS | N | PARALLEL_TOOL_CALLS | REASONING_EFFORT | SEED | STOP | USER),
    ("codestral", NOT_OF_MISTRAL),
    ("databricks", OPENAIS | PENALTIES | PARALLEL_TOOL_CALLS | SEED | USER),
    ("deepinfra", OPENAIS & !TOKENS | LOGPROBS | PARALLEL_TOOL_CALLS | SEED | TOP_LOGPROBS | USER),
    (
        "fireworks_ai",
        AUDIO
            | MODALITIES
            | PROMPT_CACHE_RETENTION
            | SAFETY_IDENTIFIER
            | STORE
            | VERBOSITY
            | WEB_SEARCH_OPTIONS,
    ),
    ("gemini", NOT_OF_GEMINI),
    ("groq", USER | VERBOSITY | WEB_SEARCH_OPTIONS),
    ("hyperbolic", OPENAIS | PARALLEL_TOOL_CALLS | REASONING_EFFORT),
    ("inception", OPENAIS | PENALTIES | N | PARALLEL_TOOL_CALLS | SEED | TOP_P | USER),
    ("minimax", REASONING_EFFORT | USER | VERBOSITY),
    ("mistral", NOT_OF_MISTRAL),
    ("nscale", OPENAIS & !TOKENS | PARALLEL_TOOL_CALLS | REASONING_EFFORT | SEED | USER),
    ("nvidia_nim", OPENAIS | N | REASONING_EFFORT | USER),
    ("perplexity", OPENAIS & !WEB_SEARCH_OPTIONS | N | PARALLEL_TOOL_CALLS | SEED | STOP | USER),
    ("sail", TOKENS | PENALTIES | SEED | STOP | VERBOSITY),
    ("sambanova", OPENAIS | PENALTIES | N | REASONING_EFFORT | SEED | USER),
    ("vertex_ai", USER | VERBOSITY),
    ("volcengine", OPENAIS & !TOKENS | PARALLEL_TOOL_CALLS | REASONING_EFFORT | USER),
    ("xai", OPENAIS & !TOKENS & !WEB_SEARCH_OPTIONS),
    ("zai", OPENAIS | PENALTIES | N | PARALLEL_TOOL_CALLS | REASONING_EFFORT | SEED | USER),
];

#[cfg(test)]
mod tests {
    use super::REFUSED;
    use crate::providers::lookup;

    #[test]
    fn each_list_is_of_a_provider_and_they_are_sorted() {
        for pair in REFUSED.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{}", pair[1].0);
        }
        for (provider, _) in REFUSED {
            assert!(lookup::find(provider).is_some_and(|found| found.name == *provider), "{provider}");
        }
    }
}
