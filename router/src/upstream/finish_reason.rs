//! Why an answer ends, where that is a failure of the provider.

/// Finish reasons by which a provider says that it has given an answer up: OpenRouter's, vLLM's and
/// Cohere's; that of MiniMax, DeepSeek, Novita and vLLM; z.ai's; DeepSeek's.
const FAILURES: [&[u8]; 4] = [b"error", b"abort", b"network_error", b"insufficient_system_resource"];

/// Whether a finish reason says that the provider has failed.
pub fn is_failure(reason: &[u8]) -> bool {
    FAILURES.iter().any(|failure| failure.eq_ignore_ascii_case(reason))
}
