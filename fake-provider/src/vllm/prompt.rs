//! Prompts as tokens and blocks. Four bytes of text stand for a token, about as many as a token of
//! English has.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::cache::{BLOCK_TOKENS, BlockHash};

/// Bytes of text that stand for a token.
pub const TOKEN_BYTES: usize = 4;

/// The text that a chat template makes of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt(String);

impl Prompt {
    /// Of messages, each a role and its text.
    pub fn of<'a>(messages: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut prompt = Self::default();
        for (role, text) in messages {
            prompt.add(role, text);
        }
        prompt.0.push_str("<|assistant|>");
        prompt
    }

    /// Of the body of a chat completion; tools come first, as in the templates of most models.
    pub fn of_body(body: &Value) -> Self {
        let mut prompt = Self::default();
        if !body["tools"].is_null() {
            prompt.0 = body["tools"].to_string();
        }
        for message in body["messages"].as_array().into_iter().flatten() {
            prompt.add(message["role"].as_str().unwrap_or_default(), &text_of(&message["content"]));
        }
        prompt.0.push_str("<|assistant|>");
        prompt
    }

    fn add(&mut self, role: &str, text: &str) {
        for part in ["<|", role, "|>", text, "<|end|>\n"] {
            self.0.push_str(part);
        }
    }

    /// The same followed by the reply, as the next turn of the conversation has it.
    pub fn with_reply(mut self, reply: &str) -> Self {
        self.0.push_str(reply);
        self.0.push_str("<|end|>\n");
        self
    }

    /// The number of tokens.
    pub fn tokens(&self) -> usize {
        self.0.len().div_ceil(TOKEN_BYTES)
    }

    /// A number for each token.
    pub fn token_ids(&self) -> Vec<u32> {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        self.0.as_bytes().chunks(TOKEN_BYTES).map(number).collect()
    }

    /// The hashes of its full blocks.
    pub fn blocks(&self) -> Vec<BlockHash> {
        let mut parent = 0;
        let full = self.0.as_bytes().chunks_exact(BLOCK_TOKENS * TOKEN_BYTES);
        full.map(|bytes| {
            parent = hash(&(parent, bytes));
            parent
        })
        .collect()
    }
}

/// The text of a message: a string, or the text parts of a list.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// What the model replies to a last message: always the same, so that a workload knows the whole
/// conversation in advance.
pub fn reply(last_message: &str, tokens: usize) -> String {
    words(hash(&last_message), tokens)
}

/// So many tokens of text, which depend on the seed alone: words of three letters.
pub fn words(seed: u64, tokens: usize) -> String {
    let mut state = seed;
    (0..tokens)
        .flat_map(|_| {
            let bits = super::random(&mut state);
            [0, 8, 16].map(|shift| char::from(b'a' + (bits >> shift) as u8 % 26)).into_iter().chain([' '])
        })
        .collect()
}

/// The same for all processes and machines: a `DefaultHasher` that is made by `new` has fixed keys.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Prompt, reply, words};

    #[test]
    fn the_next_turn_of_a_conversation_begins_with_the_blocks_of_the_turn_before_and_its_reply() {
        let (system, user) = (words(1, 200), words(2, 50));
        let first = Prompt::of([("system", &*system), ("user", &user)]);
        let said = reply(&user, 100);
        let next =
            Prompt::of([("system", &*system), ("user", &user), ("assistant", &said), ("user", "and then?")]);
        let (first, with_reply) = (first.clone(), first.with_reply(&said));
        assert!(next.blocks().starts_with(&with_reply.blocks()));
        assert!(with_reply.blocks().starts_with(&first.blocks()));
        assert!(with_reply.blocks().len() > first.blocks().len() + 5);
    }

    #[test]
    fn prompts_share_blocks_up_to_the_first_difference() {
        let system = words(1, 160);
        let blocks = |user: &str| Prompt::of([("system", &*system), ("user", user)]).blocks();
        let (one, other) = (blocks(&words(2, 160)), blocks(&words(3, 160)));
        let shared = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
        assert_eq!(shared, 10, "160 tokens are ten blocks; the user's text begins in the eleventh");
        assert!(one.iter().skip(shared).zip(other.iter().skip(shared)).all(|(one, other)| one != other));
    }

    #[test]
    fn a_body_is_the_same_prompt_as_its_messages_in_both_forms_of_content() {
        let prompt = Prompt::of([("system", "be brief"), ("user", "hello")]);
        let body = json!({"messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]},
        ]});
        assert_eq!(Prompt::of_body(&body), prompt);
        let with_tools = json!({"tools": [{"type": "function"}], "messages": body["messages"]});
        assert!(Prompt::of_body(&with_tools).tokens() > prompt.tokens());
    }

    #[test]
    fn words_have_the_tokens_that_they_are_asked_for() {
        let empty = Prompt::of([("user", "")]).tokens();
        let prompt = Prompt::of([("user", &*words(5, 999))]);
        assert_eq!(prompt.token_ids().len(), prompt.tokens());
        assert_eq!(Prompt::of([("user", &*words(5, 1_000))]).tokens(), empty + 1_000);
        assert_ne!(words(5, 20), words(6, 20));
    }

    #[test]
    fn a_body_without_messages_is_a_short_prompt() {
        assert!(Prompt::of_body(&json!(null)).blocks().is_empty());
    }
}
