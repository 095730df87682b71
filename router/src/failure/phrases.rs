//! Phrases of providers' error messages, in lower case, with `§` for a quote
//! ([`unquoted`](super::unquoted)).
//!
//! Each was seen in a public bug report, a provider's documentation, or LiteLLM's
//! `ExceptionCheckers` (1.109). A phrase of two parts needs both. Single words (`billing`,
//! `context`) would be in too many messages.

use super::codes::Meaning;
use super::own_words::are_own;

/// Both parts have to be in the message. The second may be empty.
type Phrase = (&'static str, &'static str);

const CONTEXT: &[Phrase] = &[
    ("maximum context length", ""),
    ("maximum context limit", ""),
    ("model's context length", ""),
    ("context length exceeded", ""),
    ("max context length", ""),
    ("than the context length", ""),
    ("exceeds the context length", ""),
    ("context overflow", ""),
    ("context length of only", ""),
    ("context window", ""),
    ("exceed context limit", ""),
    ("exceeds context limit", ""),
    ("context limit exceeded", ""),
    ("context size", ""),
    ("prompt is too long", ""),
    ("prompt too long", ""),
    ("prompt exceeds max length", ""),
    ("total length of all messages is too long", ""),
    ("prompt length", "exceeds maximum"),
    ("contextwindowexceedederror", ""),
    ("maximum prompt length", ""),
    ("maximum model length", ""),
    ("max_model_len", ""),
    ("max_seq_len", ""),
    // vLLM: what a prompt above the context leaves.
    ("max_tokens must be at least 1, got -", ""),
    ("input is too long", ""),
    ("input too long", ""),
    ("input is too large to process", ""),
    ("input token count", "exceeds"),
    ("input token count is", "only supports up to"),
    ("too long to fit into the model", ""),
    ("input tokens exceed", ""),
    ("input tokens", "cannot exceed"),
    ("tokens too long", ""),
    ("exceed max message tokens", ""),
    ("maximum number of tokens allowed", ""),
    ("maximum number of input tokens", ""),
    ("maximum input length is", "tok"),
    ("range of input length should be", ""),
    ("input length", "exceeds"),
    ("model token limit", ""),
    ("token limit exceeded", ""),
    ("token count", "exceeds the limit of"),
    ("too many tokens", ""),
    ("too many input tokens", ""),
    ("too large for model with", ""),
    ("reduce the length of the", ""),
    ("reduce your prompt", ""),
    ("current length is", "while limit is"),
    ("token length exceed model limit", ""),
    ("tokens > ", "maximum"),
    // TGI, TEI, Together: `inputs` must have less than 4096 tokens; `inputs` tokens +
    // `max_new_tokens` must be <= 4097.
    ("§ must have less than", "tokens"),
    ("§ tokens + § must be", ""),
    ("string too long. expected a string with maximum length", ""),
    // DashScope, Zhipu.
    ("超过最大长度", ""),
    ("上下文长度", ""),
];

/// Not the context window's, whatever else they say: OpenAI's `user` has 64 characters at most
/// (LiteLLM's exclusion); a limit per minute.
const NOT_CONTEXT: &[Phrase] = &[
    ("string_above_max_length", ""),
    ("invalid §: string too long", ""),
    ("tokens per min", ""),
    ("request too large for", "limit"),
    ("please wait before trying again", ""),
    ("throttlingexception", ""),
];

const POLICY: &[Phrase] = &[
    ("content_policy_violation", ""),
    ("contentpolicyviolationerror", ""),
    ("responsibleaipolicyviolation", ""),
    ("new_sensitive", ""),
    ("content management policy", ""),
    ("content policy", ""),
    ("content filter", ""),
    ("content filtering policy", ""),
    ("content_filter", ""),
    ("safety system", ""),
    ("usage policy", ""),
    ("usage policies", ""),
    ("usage guidelines", ""),
    ("responsible ai", ""),
    ("the model produced invalid content", ""),
    ("cybersecurity risk", ""),
    ("requires moderation", ""),
    ("input was flagged", ""),
    ("prompt was flagged", ""),
    ("request was flagged", ""),
    ("flagged by", "moderation"),
    ("flagged as potentially", ""),
    ("blocked by", "safety"),
    ("blocked by", "guardrail"),
    ("due to safety", ""),
    ("safety filter", ""),
    ("inappropriate content", ""),
    ("content exists risk", ""),
    ("considered high risk", ""),
    ("sensitive words", ""),
    ("sensitive content", ""),
    ("prohibited content", ""),
    // OpenAI
    ("limited access to this content", ""),
    // Cloudflare, with status 424
    ("blocked due to security configurations", ""),
    ("敏感内容", ""),
];

const ACCOUNT: &[Phrase] = &[
    ("credit balance is too low", ""),
    ("insufficient balance", ""),
    ("balance is insufficient", ""),
    ("insufficient credits", ""),
    ("insufficient funds", ""),
    ("insufficient quota", ""),
    ("requires more credits", ""),
    ("never purchased credits", ""),
    ("out of credits", ""),
    ("exceeded your current quota", ""),
    ("quota", "per day"),
    ("quota", "perday"),
    ("daily quota", ""),
    ("daily free allocation", ""),
    ("monthly quota", ""),
    ("out of call volume quota", ""),
    ("call volume quota exceeded", ""),
    ("key limit exceeded", ""),
    ("spending limit", ""),
    ("spend limit", ""),
    ("billing hard limit", ""),
    ("billing to be enabled", ""),
    ("billing is not active", ""),
    ("billing has not been enabled", ""),
    ("payment required", ""),
    ("specified api usage limits", ""),
    ("budget has been exceeded", ""),
    ("exceededbudget", ""),
    ("account is not active", ""),
    ("account has been deactivated", ""),
    ("account is in good standing", ""),
    ("organization has been disabled", ""),
    ("organization has been restricted", ""),
    ("organization must be verified to use", ""),
    ("free tier is not available", ""),
    ("account is not authorized to invoke", ""),
    ("api key not valid", ""),
    ("api key expired", ""),
    ("invalid api key", ""),
    ("incorrect api key", ""),
    ("user location is not supported", ""),
    ("matching your data policy", ""),
    ("guardrail restrictions and data policy", ""),
];

const LIMIT: &[Phrase] = &[
    ("rate limit", ""),
    ("ratelimit", ""),
    ("too many requests", ""),
    ("requests per min", ""),
    ("tokens per min", ""),
    ("service tier capacity exceeded", ""),
    ("resource exhausted", ""),
    ("resource has been exhausted", ""),
    ("quota exceeded for", ""),
    ("rate exceeded", ""),
    ("please wait before trying again", ""),
    ("throttlingexception", ""),
];

/// The request by itself is above what the account may use at once.
const SIZE: &[Phrase] = &[
    ("request too large for", "limit"),
    ("request too large", "per min"),
    // Anthropic, of prompts above 200,000 tokens.
    ("extra usage is required for long context", ""),
    ("long context beta is not yet available", ""),
    // OpenRouter, of a key with little credit.
    ("prompt tokens limit exceeded", ""),
];

const MODEL: &[Phrase] = &[
    ("model § does not exist", ""),
    ("model § not found", ""),
    ("model § was not found", ""),
    ("model § is not found", ""),
    ("model § is not available", ""),
    ("model § is not supported", ""),
    ("model § has been", "decommissioned"),
    ("model § has been", "deprecated"),
    ("model § is decommissioned", ""),
    ("model § is deprecated", ""),
    ("model § is blocked", ""),
    ("model not exist", ""),
    ("model does not exist", ""),
    ("model not found", ""),
    ("unavailable model", ""),
    ("could not resolve the foundation model", ""),
    ("no such model", ""),
    ("unknown model", ""),
    ("invalid model", ""),
    ("is not a valid model", ""),
    ("have access to model", ""),
    ("have access to the model", ""),
    ("not allowed to access model", ""),
    ("publisher model", ""),
    ("is not found for api version", ""),
    ("api deployment for this resource does not exist", ""),
    ("try pulling it first", ""),
    ("has been decommissioned", ""),
    ("no endpoints found for", ""),
    ("not supported by any provider", ""),
    ("provided model identifier is invalid", ""),
    ("invocation of model id", "on-demand throughput"),
    ("model access is denied", ""),
    ("end of its life", ""),
    // Hugging Face, of an address
    ("§ is no longer supported. please use §", ""),
    // Azure
    ("api version not supported", ""),
];

/// With status 404 these suffice, since the request has been understood so far.
const MODEL_IN_404: &[Phrase] = &[
    ("model", "does not exist"),
    ("model", "not found"),
    ("model", "has been deprecated"),
    ("unable to access model", ""),
    // NVIDIA
    ("function", "not found for account"),
];

/// Why a 403 is about the account and not about the request.
const PERMISSION: &[Phrase] = &[
    ("permission", ""),
    ("authorized", ""),
    ("access denied", ""),
    ("access_denied", ""),
    ("accessdenied", ""),
    ("have access", ""),
    ("not allowed to access", ""),
    ("api key", ""),
    ("api_key", ""),
    ("access token", ""),
    ("security token", ""),
    ("signature", ""),
    ("credential", ""),
    ("subscription", ""),
    ("suspended", ""),
    ("overdue", ""),
    ("quota", ""),
    ("credits", ""),
    ("billing", ""),
    ("supported_country", ""),
];

/// The operation is not there, or not for this model: a chat model asked for embeddings.
const OPERATION: &[Phrase] = &[
    ("is not a chat model", ""),
    ("only supported in v1/", "and not in v1/"),
    ("not supported in the v1/", ""),
    ("operation does not work with the specified model", ""),
    ("§ does not support chat", ""),
    ("§ does not support generate", ""),
    ("§ does not support embed", ""),
    ("model does not support", " api"),
    ("server does not support embeddings", ""),
    ("no endpoints found that support", ""),
    // OpenAI: streams and summaries of reasoning.
    ("organization must be verified to stream", ""),
    ("organization must be verified to generate", ""),
    // LM Studio, with status 200.
    ("unexpected endpoint or method", ""),
    // Anthropic, Bedrock: a beta of the header, which another server of the API may have.
    ("unexpected value(s) §", "for the § header"),
    ("invalid beta flag", ""),
];

/// An id that another deployment may know.
const REFERENCE: &[Phrase] = &[
    ("previous response with id", "not found"),
    ("previous response", "not found"),
    ("response with id", "not found"),
    ("item with id", "not found"),
    ("conversation with id", "not found"),
    ("container with id", "not found"),
    ("vector store with id", "not found"),
    ("no such file", ""),
    ("file not found: ", ""),
    ("no file found", ""),
    ("no batch found", ""),
    ("no thread found", ""),
    ("no assistant found", ""),
    ("encrypted content", "could not be"),
    // Azure, of files of another resource
    ("ownership verification failure", ""),
];

/// LM Studio, with status 400.
const SERVER: &[Phrase] = &[
    ("the model has crashed without additional information", ""),
    ("failed to load model", ""),
    ("model unloaded", ""),
];

fn phrases(meaning: Meaning) -> &'static [Phrase] {
    match meaning {
        Meaning::Parameter => &[],
        Meaning::Context => CONTEXT,
        Meaning::Policy => POLICY,
        Meaning::Account => ACCOUNT,
        Meaning::Limit => LIMIT,
        Meaning::Model => MODEL,
        Meaning::Operation => OPERATION,
        Meaning::Reference => REFERENCE,
        Meaning::Server => SERVER,
    }
}

/// Whether one of these messages has a phrase of this meaning.
pub(super) fn says(messages: &[String], meaning: Meaning) -> bool {
    let says = |phrases: &[Phrase]| messages.iter().any(|message| any(message, phrases));
    says(phrases(meaning)) && !(meaning == Meaning::Context && says(NOT_CONTEXT))
}

/// Whether one of these messages begins with a phrase of this meaning, apart from words of the
/// provider's own: behind others (`Unexpected role ..`), a phrase may be the client's.
pub(super) fn begins(messages: &[String], meaning: Meaning) -> bool {
    let is_led = |(lead, _): (&str, &str)| are_own(lead);
    let begins = |message: &String| {
        let mut phrases = phrases(meaning).iter();
        phrases
            .any(|(first, second)| message.split_once(first).is_some_and(is_led) && message.contains(second))
    };
    messages.iter().any(begins)
}

/// Whether a 404 is about the model. Anthropic writes "model: " and the name.
pub(super) fn says_unknown_model(messages: &[String]) -> bool {
    messages.iter().any(|message| any(message, MODEL_IN_404) || message.trim_start().starts_with("model: "))
}

/// Whether a 403 is about the account, by its codes or by its messages.
pub(super) fn says_no_permission(texts: &[String]) -> bool {
    texts.iter().any(|text| any(text, PERMISSION))
}

/// Whether the request alone is above a limit of the account.
pub(super) fn says_too_large(messages: &[String]) -> bool {
    messages.iter().any(|message| any(message, SIZE) || affords_less(message))
}

/// OpenRouter's words where a smaller `max_tokens` would be served; with 0, none would.
fn affords_less(message: &str) -> bool {
    let (_, tokens) = message.split_once("can only afford ").unwrap_or_default();
    tokens.starts_with(|first: char| matches!(first, '1'..='9'))
}

fn any(message: &str, phrases: &[Phrase]) -> bool {
    phrases.iter().any(|(first, second)| message.contains(first) && message.contains(second))
}
