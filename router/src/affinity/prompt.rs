//! How a prompt begins: what all turns of a conversation have in common, and what a provider has in
//! its cache if it has served one of them.
//!
//! That is the tools, the system prompt, and the messages to the first one of the user, of which
//! its beginning counts: a document with a question behind it has the same key for all questions.
//! Only text counts, and who says it. So a breakpoint (`cache_control`) that moves on with a
//! conversation changes no key, nor does a client that writes a block of text as a plain string.

use crate::affinity::popularity::Beginning;
use crate::hash::Hasher;
use crate::http::json::split_string;
use crate::http::route::{COMPACT, INPUT_TOKENS, RESPONSES};
use crate::request::sent_members::SentMembers;

/// Bytes of the first message of a user that count; about 1,000 tokens.
const MESSAGE: usize = 4096;
/// Bytes of a prompt without messages that count. It grows from turn to turn.
const PROMPT: usize = 1024;
/// All bytes of a system prompt or of tools that count; longer ones differ before.
const SYSTEM: usize = 65_536;
/// Claude Code begins its system prompt with a line that differs from request to request, which
/// servers such as vLLM remove.
const BILLING_LINE: &str = "x-anthropic-billing-header";

/// How a request's prompt begins; `None` for a request without one.
pub(super) fn beginning(object: &SentMembers<'_>, route: &str) -> Option<Beginning> {
    let mut hasher = Hasher::new(1);
    // OpenAI's parameter for this purpose.
    let cache_key = object.present("prompt_cache_key").map(|key| {
        hasher.add_field(key.as_bytes());
        hasher.finish()
    });
    let (system, prompt) = match route {
        "/chat/completions" | "/messages" => ("system", "messages"),
        RESPONSES | COMPACT | INPUT_TOKENS => ("instructions", "input"),
        "/completions" => {
            hasher.add(first(object.present("prompt")?, PROMPT));
            return Some(Beginning { cache_key, system: None, conversation: hasher.finish() });
        }
        _ => return None,
    };
    let prompt = object.present(prompt)?;
    if let Some(tools) = object.present("tools") {
        hasher.add_field(first(tools, SYSTEM));
    }
    if let Some(system) = object.present(system) {
        Scanner::new(system, &mut hasher, SYSTEM, false).run();
    }
    let system = Scanner::new(prompt, &mut hasher, SYSTEM, true).run();
    Some(Beginning { cache_key, system: Some(system), conversation: hasher.finish() })
}

/// Bytes of the members that make a prompt, as JSON.
pub(super) fn prompt_bytes(object: &SentMembers<'_>) -> usize {
    let members = ["messages", "input", "prompt", "system", "instructions", "tools"];
    members.iter().filter_map(|name| object.present(name)).map(str::len).sum()
}

fn first(text: &str, most: usize) -> &[u8] {
    text.as_bytes().get(..most).unwrap_or(text.as_bytes())
}

/// What a member's name says about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Other,
    Type,
    Role,
    CacheControl,
}

/// Finds the strings of a prompt that count, from quote to quote.
struct Scanner<'a> {
    json: &'a str,
    at: usize,
    hasher: &'a mut Hasher,
    /// Bytes that are left to be hashed.
    left: usize,
    /// Whether this is a list of messages, of which those behind the first one of the user do not
    /// count.
    ends_at_user: bool,
    /// Open objects and lists.
    depth: u32,
    key: Key,
    is_user: bool,
    /// Where the last message of a list began, what had been hashed, and what was left.
    message: Option<(usize, Hasher, usize)>,
    /// The hash when the user's first message began.
    system: Option<u64>,
    /// The depth of an object that does not count.
    skipped: Option<u32>,
    /// The depth at whose end the prompt's beginning ends.
    last: Option<u32>,
}

impl<'a> Scanner<'a> {
    fn new(json: &'a str, hasher: &'a mut Hasher, left: usize, ends_at_user: bool) -> Self {
        Self {
            json,
            at: 0,
            hasher,
            left,
            ends_at_user,
            depth: 0,
            key: Key::Other,
            is_user: false,
            message: None,
            system: None,
            skipped: None,
            last: None,
        }
    }

    /// Returns the hash of what comes before the user's first message.
    fn run(mut self) -> u64 {
        #[cfg(test)]
        crate::http::json::count_read(self.json.len());
        if self.ends_at_user && self.json.starts_with('"') {
            // A prompt that is one string is what the user says.
            self.enter_user();
        }
        while self.left > 0
            && let Some(byte) = self.json.as_bytes().get(self.at)
        {
            self.at = self.at.saturating_add(1);
            match byte {
                b'"' => self.string(),
                b'{' => self.open(true),
                b'[' => self.open(false),
                b',' => self.key = Key::Other,
                b'}' | b']' if self.close() => break,
                _ => {}
            }
        }
        self.system.unwrap_or_else(|| self.hasher.finish())
    }

    fn open(&mut self, is_object: bool) {
        self.depth = self.depth.saturating_add(1);
        if is_object && self.key == Key::CacheControl && self.skipped.is_none() {
            self.skipped = Some(self.depth);
            if self.is_user {
                // A breakpoint: the beginning ends with the block that has it.
                self.last = Some(self.depth.saturating_sub(1));
            }
        }
        if self.ends_at_user && self.depth == 2 {
            self.message = Some((self.at, *self.hasher, self.left));
        }
        self.key = Key::Other;
    }

    /// Whether the beginning of the prompt ends here.
    fn close(&mut self) -> bool {
        let depth = self.depth;
        self.depth = depth.saturating_sub(1);
        if self.skipped == Some(depth) {
            self.skipped = None;
        }
        self.last == Some(depth)
    }

    fn enter_user(&mut self) {
        self.is_user = true;
        self.system = Some(self.hasher.finish());
        self.left = self.left.min(MESSAGE);
    }

    /// Begins the message anew as one of the user: its text may come before its role.
    fn read_message_again(&mut self) {
        if let Some((at, hasher, left)) = self.message {
            (self.at, *self.hasher, self.left) = (at, hasher, left);
        }
        self.key = Key::Other;
        self.enter_user();
        self.last = Some(self.depth);
    }

    /// Reads a string from behind its opening quote.
    fn string(&mut self) {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let (text, after) = split_string(rest);
        self.at = self.json.len().saturating_sub(after.len());
        if after.trim_ascii_start().starts_with(':') {
            self.key = match text {
                "type" => Key::Type,
                "role" => Key::Role,
                "cache_control" => Key::CacheControl,
                _ => Key::Other,
            };
            return;
        }
        if self.skipped.is_none() && !(self.key == Key::Type && text == "text") {
            self.value(text);
        }
    }

    fn value(&mut self, text: &str) {
        // A list, and a message in it.
        let is_role = self.ends_at_user && self.key == Key::Role && self.depth == 2;
        if is_role && text == "user" && !self.is_user {
            return self.read_message_again();
        }
        if text.starts_with(BILLING_LINE) {
            return;
        }
        let counted = first(text, self.left);
        self.left = self.left.saturating_sub(counted.len());
        self.hasher.add_field(counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::json::Object;

    fn of(route: &str, body: &str) -> Option<Beginning> {
        beginning(&SentMembers::of(Object::parse(body.as_bytes()).unwrap()), route)
    }

    fn key(body: &str) -> Option<u64> {
        of("/chat/completions", body).map(|beginning| beginning.conversation)
    }

    fn chat(messages: &str) -> Option<u64> {
        key(&format!(r#"{{"messages":[{messages}]}}"#))
    }

    const SYSTEM: &str = r#"{"role":"system","content":"You are terse."}"#;
    const FIRST: &str = r#"{"role":"user","content":"Where is Oslo?"}"#;
    const REST: &str = r#"{"role":"assistant","content":"North."},{"role":"user","content":"And Rome?"}"#;

    #[test]
    fn all_turns_of_a_conversation_have_one_key() {
        let first = chat(&format!("{SYSTEM},{FIRST}"));
        assert_eq!(first, chat(&format!("{SYSTEM},{FIRST},{REST}")));
        assert_eq!(first, key(&format!(r#"{{"messages": [ {SYSTEM}, {FIRST} , {REST} ], "n": 1}}"#)));
        assert!(first.is_some());
    }

    #[test]
    fn conversations_with_one_system_prompt_have_that_in_common() {
        let system = |messages: &str| {
            of("/chat/completions", &format!(r#"{{"messages":[{messages}]}}"#)).unwrap().system
        };
        let other = FIRST.replace("Oslo", "Rome");
        assert_eq!(system(&format!("{SYSTEM},{FIRST}")), system(&format!("{SYSTEM},{other},{REST}")));
        assert_ne!(system(&format!("{SYSTEM},{FIRST}")), system(FIRST));
        let anthropic = |text: &str| {
            let body = format!(r#"{{"system":"{text}","messages":[{FIRST}]}}"#);
            of("/messages", &body).unwrap()
        };
        assert_ne!(anthropic("a").system, anthropic("b").system);
        assert_ne!(anthropic("a").system, Some(anthropic("a").conversation));
    }

    #[test]
    fn a_message_may_have_its_role_behind_its_text() {
        let system = r#"{"content":"You are terse.","role":"system"}"#;
        let ask = |content: &str| {
            let body = format!(r#"{{"messages":[{system},{{"content":{content},"role":"user"}}]}}"#);
            of("/chat/completions", &body).unwrap()
        };
        let (oslo, rome) = (ask(r#""Where is Oslo?""#), ask(r#""Where is Rome?""#));
        assert_eq!(oslo.system, rome.system);
        assert_ne!(oslo.conversation, rome.conversation);
        let book = |question: &str| ask(&format!(r#""{}{question}""#, "book ".repeat(1000)));
        assert_eq!(book("Who?"), book("Why?"), "a long document");
        let mark = r#"{"cache_control":{"type":"ephemeral"},"text":"A book.","type":"text"}"#;
        let marked = |question: &str| ask(&format!(r#"[{mark},{{"text":"{question}","type":"text"}}]"#));
        assert_eq!(marked("Who?"), marked("Why?"), "a breakpoint");
    }

    #[test]
    fn other_conversations_have_other_keys() {
        let mut keys = vec![
            chat(&format!("{SYSTEM},{FIRST}")),
            chat(FIRST),
            chat(&format!("{SYSTEM},{REST}")),
            chat(&FIRST.replace("Oslo", "Bergen")),
            key(&format!(r#"{{"messages":[{FIRST}],"tools":[{{"name":"a"}}]}}"#)),
            key(&format!(r#"{{"messages":[{FIRST}],"tools":[{{"name":"b"}}]}}"#)),
            key(&format!(r#"{{"messages":[{FIRST}],"system":"a"}}"#)),
            key(&format!(r#"{{"messages":[{FIRST}],"prompt_cache_key":"a"}}"#)),
        ];
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 8);
    }

    #[test]
    fn a_breakpoint_that_moves_on_changes_no_key() {
        let marked = r#"{"role":"user","content":[{"type":"text","text":"Where is Oslo?","cache_control":{"type":"ephemeral","ttl":"1h"}}]}"#;
        let on_message = r#"{"role":"user","content":"Where is Oslo?","cache_control":{"type":"ephemeral"}}"#;
        let blocks = r#"{"role":"user","content":[{"type":"text","text":"Where is Oslo?"}]}"#;
        for first in [marked, on_message, blocks] {
            assert_eq!(chat(&format!("{first},{REST}")), chat(FIRST), "{first}");
        }
        let system = |block: &str| key(&format!(r#"{{"system":[{block}],"messages":[{FIRST}]}}"#));
        let plain = system(r#"{"type":"text","text":"Be terse."}"#);
        assert_eq!(
            plain,
            system(r#"{"cache_control":{"type":"ephemeral"},"text":"Be terse.","type":"text"}"#)
        );
        assert_eq!(plain, key(&format!(r#"{{"system":"Be terse.","messages":[{FIRST}]}}"#)));
    }

    #[test]
    fn of_the_first_message_what_follows_a_breakpoint_does_not_count() {
        let ask = |mark: &str, question: &str| {
            chat(&format!(
                r#"{{"role":"user","content":[{{"type":"text","text":"A book."{mark}}},{{"type":"text","text":"{question}"}}]}}"#
            ))
        };
        let mark = r#","cache_control":{"type":"ephemeral"}"#;
        assert_eq!(ask(mark, "Who?"), ask(mark, "Why?"));
        assert_ne!(ask("", "Who?"), ask("", "Why?"));
        assert_ne!(ask(r#","cache_control":null"#, "Who?"), ask(r#","cache_control":null"#, "Why?"));
    }

    #[test]
    fn questions_about_one_long_document_have_one_key() {
        let ask = |length: usize, question: &str| {
            chat(&format!(r#"{{"role":"user","content":"{}{question}"}}"#, "book ".repeat(length)))
        };
        assert_eq!(ask(1000, "Who?"), ask(1000, "Why?"));
        assert_ne!(ask(100, "Who?"), ask(100, "Why?"));
    }

    #[test]
    fn a_line_that_differs_from_request_to_request_does_not_count() {
        let claude = |line: &str| {
            key(&format!(
                r#"{{"system":[{{"type":"text","text":"x-anthropic-billing-header: cch={line}"}},{{"type":"text","text":"a"}}],"messages":[{FIRST}]}}"#
            ))
        };
        assert_eq!(claude("1"), claude("2"));
    }

    #[test]
    fn every_route_with_a_prompt_has_a_key() {
        let responses = |input: &str| of("/responses", &format!(r#"{{"instructions":"a","input":{input}}}"#));
        let first = r#"{"role":"user","content":[{"type":"input_text","text":"Hi"}]}"#;
        let later = r#"{"type":"function_call_output","call_id":"7","output":"x"}"#;
        assert_eq!(responses(&format!("[{first}]")), responses(&format!("[{first},{later}]")));
        assert_ne!(responses(r#""Hi""#), responses(r#""Ho""#));
        let long = "once upon a time ".repeat(100);
        let completion = |prompt: &str| of("/completions", &format!(r#"{{"prompt":"{prompt}"}}"#));
        assert_eq!(completion(&long), completion(&format!("{long}there was a key")));
        assert_ne!(completion("a"), completion("b"));
        assert_ne!(of("/completions", r#"{"prompt":[1,2]}"#), of("/completions", r#"{"prompt":[1,3]}"#));
        assert_eq!(of("/embeddings", r#"{"input":"a"}"#), None);
        assert_eq!(of("/chat/completions", "{}"), None);
    }

    #[test]
    fn a_prompt_in_extra_body_is_the_prompt() {
        let own = format!(r#"{{"messages":[{FIRST}],"tools":[{{"name":"a"}}]}}"#);
        let extra = format!(r#"{{"messages":[],"extra_body":{own}}}"#);
        assert_eq!(key(&extra), key(&own));
    }

    #[test]
    fn escaped_quotes_and_odd_shapes_are_read_to_their_end() {
        let tail = r#","b \\","\\\"",{"role":"user","content":"x"}"#;
        assert!(chat(&format!(r#""a"{tail}"#)).is_some());
        for odd in ["[]", "{}", "7", "null", r#""x""#, "[[[[]]]]", r#"[{"role":["user"]}]"#] {
            assert_eq!(key(&format!(r#"{{"messages":{odd}}}"#)).is_some(), odd != "null", "{odd}");
        }
    }
}
