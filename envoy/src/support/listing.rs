//! Numbers with their nouns, and ids of deployments, for lines to the operator.

/// `1 deployment`, `3 deployments`
pub(crate) fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

/// The first ids and how many follow: `paris, tokyo and 3 more`
pub(crate) fn id_list(ids: &[&str], max: usize) -> String {
    let named = ids.iter().take(max).map(|id| short(id)).collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(max) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// The first digits of an id that LiteLLM generates, a SHA-256 of 64 digits; any other id whole.
pub(crate) fn short(id: &str) -> &str {
    const DIGITS: usize = 8;
    let is_generated = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_generated { id.get(..DIGITS).unwrap_or(id) } else { id }
}
