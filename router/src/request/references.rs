//! What a request refers to that one deployment has made: a response, an item of it or a
//! conversation by its id, or encrypted reasoning. They mean something to the provider's account
//! alone that made them.
//!
//! Providers' ids and contents stay as they are. What is remembered of each is a hash, of its kind,
//! of its text and, where clients have keys of their own, of the client's key, so that a client is
//! not steered by what others have.

use memchr::memmem;

use crate::hash::{Hasher, hash};
use crate::http::json::member_scan::MemberScan;
use crate::http::json::{Object, string};
use crate::request::sent_members::SentMembers;

/// The members of an item that can be referred to.
pub(super) const ID: &str = "id";
pub(super) const ENCRYPTED: &str = "encrypted_content";

/// How the id of reasoning begins.
const REASONING: &str = "\"rs_";

/// Bytes of an id or a content that are hashed, at most. The start of encrypted content is random.
pub const HASHED: usize = 256;

/// Ids and contents of a request's items that are looked up, at most: the last ones.
const MOST_ITEMS: usize = 8;

/// The hash of what a request refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reference(pub u64);

/// What a reference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceKind {
    /// The id of a response.
    Response,
    /// The id or the encrypted content of an item.
    Item,
    /// The id of a conversation.
    Conversation,
}

impl Reference {
    /// A response by its id. `caller` is the hash of the client's key.
    pub fn response(id: &str, caller: u64) -> Self {
        Self::of_id(ReferenceKind::Response, id, caller)
    }

    pub(super) fn of_id(kind: ReferenceKind, id: &str, caller: u64) -> Self {
        let id = id.as_bytes();
        Self::of(kind, hash(id.get(..HASHED).unwrap_or(id)), caller)
    }

    /// From the hash of its text, up to [`HASHED`] bytes.
    pub fn of(kind: ReferenceKind, text: u64, caller: u64) -> Self {
        let mut hasher = Hasher::new(kind as u64);
        hasher.add(&text.to_le_bytes());
        hasher.add(&caller.to_le_bytes());
        Self(hasher.finish())
    }
}

/// What a new response refers to: the response or the conversation that it continues, then the items
/// of its input, the last first.
pub fn references(body: &SentMembers<'_>, caller: u64) -> Vec<Reference> {
    let previous = body.present("previous_response_id").and_then(string);
    let mut all: Vec<_> = previous.iter().map(|id| Reference::response(id, caller)).collect();
    all.extend(conversation(body, caller));
    let Some(items) = Items::of(body) else { return all };
    let mut found = Vec::new();
    MemberScan::new(&[ID, ENCRYPTED], HASHED).feed(items.input.as_bytes(), &mut |member| {
        // In the list of items, each has its own id.
        let is_reference = member.name == ENCRYPTED || items.have_ids && member.depth == 2;
        let hash = member.hash.filter(|_| is_reference);
        found.extend(hash.map(|hash| Reference::of(ReferenceKind::Item, hash, caller)));
    });
    all.extend(found.into_iter().rev().take(MOST_ITEMS));
    all
}

/// Whether it may refer to anything.
pub fn refers(body: &SentMembers<'_>) -> bool {
    let continues = ["previous_response_id", "conversation"].map(|name| body.present(name).is_some());
    continues.contains(&true) || Items::of(body).is_some()
}

/// An input with items that may refer to anything.
struct Items<'a> {
    input: &'a str,
    /// Whether ids of theirs count.
    have_ids: bool,
}

impl<'a> Items<'a> {
    /// A text has none. Names have no escapes, and quotes in a text have: both are searched for as
    /// they are written.
    fn of(body: &SentMembers<'a>) -> Option<Self> {
        let input = body.present("input").filter(|input| input.starts_with('['))?;
        let has = |name: &str| memmem::find(input.as_bytes(), name.as_bytes()).is_some();
        // Of items that are there whole, a provider looks up reasoning alone. Clients that have nothing
        // stored give back ids that no provider knows.
        let have_ids = is_stored(body) && (has("item_reference") || has(REASONING));
        (have_ids || has(ENCRYPTED)).then_some(Self { input, have_ids })
    }
}

/// Whether the provider keeps the answer.
pub(super) fn is_stored(body: &SentMembers<'_>) -> bool {
    body.present("store") != Some("false")
}

/// The conversation that a response belongs to, by its id or by an object that has it.
pub(super) fn conversation(body: &SentMembers<'_>, caller: u64) -> Option<Reference> {
    let value = body.present("conversation")?;
    let object = Object::parse(value.as_bytes()).ok();
    let id = string(object.as_ref().map_or(Some(value), |object| object.present(ID))?)?;
    Some(Reference::of_id(ReferenceKind::Conversation, &id, caller))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::json::Object;

    fn object(text: &str) -> SentMembers<'_> {
        SentMembers::of(Object::parse(text.as_bytes()).unwrap())
    }

    const ITEM: &str = r#"{"id":"rs_1","type":"reasoning","encrypted_content":"gAAAA/b+c=="}"#;

    fn items(ids: &[&str]) -> Vec<Reference> {
        ids.iter().map(|id| Reference::of_id(ReferenceKind::Item, id, 7)).collect()
    }

    #[test]
    fn items_are_referred_to_by_their_ids() {
        let input = r#"{"role":"user","content":[{"id":"no"}]},{"type":"item_reference","id":"rs_1"},
            {"type":"function_call","id" : "fc_1","call_id":"no","arguments":"{\"id\":\"no\"}"},
            {"type":"function_call_output","call_id":"no","output":[{"id":"no"}]}"#;
        let body = |members: &str| format!(r#"{{"input":[{input}]{members}}}"#);
        assert_eq!(references(&object(&body("")), 7), items(&["fc_1", "rs_1"]));
        assert!(refers(&object(&body(""))));
        // What is not stored is not known by its id.
        assert_eq!(references(&object(&body(r#","store":false"#)), 7), []);
        assert!(!refers(&object(&body(r#","store":false"#))));
        let whole = r#"[{"role":"assistant","id":"msg_1"},{"type":"function_call","id":"fc_1"}]"#;
        for input in
            [whole, r#""\"id\":\"rs_1\"""#, "[]", r#"[{"role":"user","content":"\"id\": encrypted"}]"#]
        {
            assert!(!refers(&object(&format!(r#"{{"input":{input}}}"#))), "{input}");
        }
    }

    #[test]
    fn a_conversation_is_referred_to_by_its_id() {
        let conversation = [Reference::of_id(ReferenceKind::Conversation, "conv_1", 7)];
        for value in [r#""conv_1""#, r#"{"id":"conv_1"}"#] {
            let body = format!(r#"{{"conversation":{value}}}"#);
            assert_eq!(references(&object(&body), 7), conversation);
            assert!(refers(&object(&body)));
        }
        for value in ["null", "7", "{}", r#"{"id":7}"#, "[\"conv_1\"]"] {
            assert_eq!(references(&object(&format!(r#"{{"conversation":{value}}}"#)), 7), [], "{value}");
        }
    }

    /// PHP's json_encode escapes slashes, .NET's serializer plus signs, and base64 has both.
    #[test]
    fn what_a_client_escapes_is_the_same() {
        let next = r#"{"previous_response_id":"resp\u005f1","input":[{"id":"rs_\u0031","encrypted_content":"gAAAA\/b\u002Bc=="}]}"#;
        let plain = format!(r#"{{"previous_response_id":"resp_1","input":[{ITEM}]}}"#);
        assert_eq!(references(&object(next), 7), references(&object(&plain), 7));
    }

    #[test]
    fn what_extra_body_refers_to_is_referred_to() {
        let body = r#"{"extra_body":{"previous_response_id":"resp_1"}}"#;
        assert_eq!(references(&object(body), 7), [Reference::response("resp_1", 7)]);
        assert!(refers(&object(body)));
    }

    #[test]
    fn clients_with_different_keys_have_different_references() {
        assert_ne!(Reference::response("resp_1", 1), Reference::response("resp_1", 2));
        assert_ne!(Reference::response("resp_1", 1), Reference::response("resp_2", 1));
        let text = hash(b"resp_1");
        assert_ne!(Reference::of(ReferenceKind::Item, text, 1), Reference::response("resp_1", 1));
    }

    #[test]
    fn a_request_without_references_has_none() {
        for body in [
            "{}",
            r#"{"previous_response_id":null,"input":"encrypted_content"}"#,
            r#"{"previous_response_id":7,"input":[{"encrypted_content":null}]}"#,
        ] {
            assert_eq!(references(&object(body), 7), [], "{body}");
        }
    }

    #[test]
    fn the_last_of_many_items_are_looked_up() {
        let items: Vec<String> = (0..20).map(|n| format!(r#"{{"encrypted_content":"{n}"}}"#)).collect();
        let body = format!(r#"{{"input":[{}]}}"#, items.join(","));
        let last = Reference::of(ReferenceKind::Item, hash(b"19"), 7);
        let all = references(&object(&body), 7);
        assert_eq!((all.len(), all[0]), (MOST_ITEMS, last));
    }
}
