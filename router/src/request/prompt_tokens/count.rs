//! The count of a prompt's tokens.

/// Bytes of English text per token, by OpenAI's rule of thumb.
const BYTES_PER_TOKEN: u64 = 4;

/// Text in bytes, and anything else in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCount {
    text_bytes: u64,
    tokens: u64,
}

impl TokenCount {
    /// Adds text, or JSON that counts as text.
    pub fn add_text(&mut self, text: &str) {
        self.text_bytes = self.text_bytes.saturating_add(text.len() as u64);
    }

    /// Takes back text that turned out to be no text.
    pub(super) fn remove_text(&mut self, text: &str) {
        self.text_bytes = self.text_bytes.saturating_sub(text.len() as u64);
    }

    pub(super) fn add_tokens(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    /// All tokens.
    pub fn total(&self) -> u64 {
        self.text_bytes.div_ceil(BYTES_PER_TOKEN).saturating_add(self.tokens)
    }
}
