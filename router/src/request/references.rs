//! What a request refers to that one deployment has made: a response by its id, or encrypted
//! reasoning. Both mean something to the provider's account alone that made them.
//!
//! Providers' ids and contents stay as they are. What is remembered of each is a hash, of its kind,
//! of its text and, where clients have keys of their own, of the client's key, so that a client is
//! not steered by what others have.

use crate::hash::{Hasher, hash};
use crate::http::json::member_scan::MemberScan;
use crate::http::json::string;
use crate::http::sse::first_byte;
use crate::request::sent_members::SentMembers;

/// The value of `include` that asks for encrypted reasoning, and the member that has it.
const INCLUDE: &str = "reasoning.encrypted_content";
const ENCRYPTED: &str = "encrypted_content";

/// Bytes of an id or a content that are hashed, at most. The start of encrypted content is random.
pub const HASHED: usize = 256;

/// Items of a request that are looked up, at most: the last ones.
const MOST_ITEMS: usize = 8;

/// The hash of what a request refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reference(pub u64);

/// What a reference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceKind {
    /// The id of a response.
    Response,
    /// The encrypted content of an item.
    Item,
}

impl Reference {
    /// A response by its id. `caller` is the hash of the client's key.
    pub fn response(id: &str, caller: u64) -> Self {
        let id = id.as_bytes();
        Self::of(ReferenceKind::Response, hash(id.get(..HASHED).unwrap_or(id)), caller)
    }

    /// From the hash of its text, up to [`HASHED`] bytes.
    pub fn of(kind: ReferenceKind, text: u64, caller: u64) -> Self {
        let mut hasher = Hasher::new(kind as u64);
        hasher.add(&text.to_le_bytes());
        hasher.add(&caller.to_le_bytes());
        Self(hasher.finish())
    }
}

/// What a new response refers to: the response that it continues, then its encrypted reasoning,
/// the last first.
pub fn references(body: &SentMembers<'_>, caller: u64) -> Vec<Reference> {
    let previous = body.present("previous_response_id").and_then(string);
    let mut all: Vec<_> = previous.iter().map(|id| Reference::response(id, caller)).collect();
    let input = body.present("input").filter(|input| input.contains(ENCRYPTED)).unwrap_or_default();
    let mut items = Vec::new();
    MemberScan::new(&[ENCRYPTED], HASHED).feed(input.as_bytes(), &mut |found| {
        items.push(Reference::of(ReferenceKind::Item, found.hash, caller));
    });
    all.extend(items.into_iter().rev().take(MOST_ITEMS));
    all
}

/// Whether it may refer to anything.
pub fn refers(body: &SentMembers<'_>) -> bool {
    body.present("previous_response_id").is_some()
        || body.present("input").is_some_and(|input| input.contains(ENCRYPTED))
}

/// Finds in an answer what later requests may refer to.
#[derive(Clone, Debug)]
pub struct ReferenceScan {
    scan: MemberScan,
    caller: u64,
    /// Depth of the response's id, once the format of the answer is known.
    id_depth: Option<u32>,
    /// Whether the id is still to be found.
    wants_id: bool,
    wants_items: bool,
    found: Vec<Reference>,
}

impl ReferenceScan {
    /// For the answer to this request. `None` where nothing of it can be referred to: the provider
    /// does not store it, and has no encrypted reasoning to give.
    pub fn new(body: &SentMembers<'_>, caller: u64) -> Option<Self> {
        let wants_id = body.present("store") != Some("false");
        let includes = body.present("include").is_some_and(|include| include.contains(INCLUDE));
        // With it, an answer may begin with a compacted conversation.
        let wants_items = includes || body.present("context_management").is_some();
        (wants_id || wants_items).then(|| Self { wants_id, wants_items, ..Self::of_items(caller) })
    }

    /// For an answer that is not stored itself and has encrypted items.
    pub fn of_items(caller: u64) -> Self {
        Self {
            scan: MemberScan::new(&["id", ENCRYPTED], HASHED),
            caller,
            id_depth: None,
            wants_id: false,
            wants_items: true,
            found: Vec::new(),
        }
    }

    /// Reads the next piece of the answer, and returns what is found there.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<Reference> {
        let Self { scan, caller, wants_id, wants_items, found, .. } = self;
        if !*wants_id && !*wants_items {
            return Vec::new();
        }
        // The data of an event has the response one level deeper.
        let id_depth =
            self.id_depth.or_else(|| first_byte(piece).map(|first| if first == b'{' { 1 } else { 2 }));
        self.id_depth = id_depth;
        scan.feed(piece, &mut |member| {
            if member.name == ENCRYPTED && *wants_items {
                found.push(Reference::of(ReferenceKind::Item, member.hash, *caller));
            } else if member.name != ENCRYPTED && *wants_id && Some(member.depth) == id_depth {
                *wants_id = false;
                found.push(Reference::of(ReferenceKind::Response, member.hash, *caller));
            }
        });
        std::mem::take(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::json::Object;

    fn object(text: &str) -> SentMembers<'_> {
        SentMembers::of(Object::parse(text.as_bytes()).unwrap())
    }

    fn found(request: &str, answer: &str, size: usize) -> Vec<Reference> {
        let Some(mut scan) = ReferenceScan::new(&object(request), 7) else { return Vec::new() };
        answer.as_bytes().chunks(size).flat_map(|piece| scan.feed(piece)).collect()
    }

    const ITEM: &str = r#"{"id":"rs_1","type":"reasoning","encrypted_content":"gAAAA/b+c=="}"#;

    #[test]
    fn what_an_answer_has_is_what_the_next_request_refers_to() {
        let document =
            format!(r#"{{"conversation":{{"id":"conv_1"}},"output":[{ITEM}],"id":"resp_1","user":"id"}}"#);
        let events = format!(
            "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_1\",\"output\":[]}}}}\n\n\
             event: response.output_item.done\ndata: {{\"item\":{ITEM}}}\n\n\
             event: response.completed\ndata: {{\"response\":{{\"id\":\"resp_2\",\"output\":[]}}}}\n\n"
        );
        let both = r#"{"include":["reasoning.encrypted_content"]}"#;
        let next = format!(r#"{{"previous_response_id":"resp_1","input":[{ITEM}]}}"#);
        let expected = references(&object(&next), 7);
        assert_eq!(expected.len(), 2);
        for answer in [&document, &events] {
            for size in [1, 5, 10_000] {
                let mut seen = found(both, answer, size);
                seen.retain(|reference| expected.contains(reference));
                assert_eq!(seen.len(), 2, "{size} {answer}");
                assert_eq!(found("{}", answer, size), [expected[0]], "the id alone: {size} {answer}");
            }
        }
    }

    /// PHP's json_encode escapes slashes, .NET's serializer plus signs, and base64 has both.
    #[test]
    fn what_a_client_escapes_is_the_same() {
        let next =
            r#"{"previous_response_id":"resp\u005f1","input":[{"encrypted_content":"gAAAA\/b\u002Bc=="}]}"#;
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
    fn what_extra_body_asks_for_is_found_in_the_answer() {
        let answer = format!(r#"{{"id":"resp_1","output":[{ITEM}]}}"#);
        for members in [
            r#""include":["reasoning.encrypted_content"]"#,
            r#""store":false"#,
            r#""store":false,"context_management":[{"type":"compaction"}]"#,
        ] {
            let (own, extra) = (format!("{{{members}}}"), format!(r#"{{"extra_body":{{{members}}}}}"#));
            assert_eq!(found(&extra, &answer, 100), found(&own, &answer, 100), "{members}");
        }
    }

    #[test]
    fn an_answer_that_is_not_stored_is_not_referred_to_by_its_id() {
        let answer = format!(r#"{{"id":"resp_1","output":[{ITEM}]}}"#);
        assert_eq!(found(r#"{"store":false}"#, &answer, 100), []);
        let item = references(&object(&format!(r#"{{"input":[{ITEM}]}}"#)), 7);
        let compacts = r#"{"store":false,"context_management":[{"type":"compaction"}]}"#;
        assert!(ReferenceScan::new(&object(compacts), 0).is_some_and(|scan| scan.wants_items));
        let request = r#"{"store":false,"include":["reasoning.encrypted_content"]}"#;
        assert_eq!(found(request, &answer, 100), item);
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
