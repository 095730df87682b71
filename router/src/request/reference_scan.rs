//! Finds in an answer what later requests may refer to ([`references`](super::references)).

use crate::http::json::member_scan::{Found, MemberScan};
use crate::http::sse::first_byte;
use crate::request::references::{ENCRYPTED, HASHED, ID, Reference, ReferenceKind, conversation, is_stored};
use crate::request::sent_members::SentMembers;

/// The value of `include` that asks for encrypted reasoning.
const INCLUDE: &str = "reasoning.encrypted_content";

/// Where a response has the ids of its items: in its output, and in a stream in the events of items.
const OUTPUT: &str = "output";
const RESPONSE: &str = "response";
const ITEM: &str = "item";

/// Items of an answer that are remembered, at most: the first ones, and as many of the last. A
/// client gives back all of an answer, or else its first or its last items.
const MOST_IDS: usize = 4;

/// Finds in an answer what later requests may refer to.
#[derive(Clone, Debug)]
pub struct ReferenceScan {
    scan: MemberScan,
    caller: u64,
    /// Depth of the response's id, once the format of the answer is known.
    id_depth: Option<u32>,
    /// What is still to be found.
    wanted: Wanted,
    /// The items so far, the first and the last.
    ids: Vec<Reference>,
    found: Vec<Reference>,
}

/// What of an answer can be referred to.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// The response's id.
    response: bool,
    /// The ids of its items.
    ids: bool,
    /// Encrypted content of items.
    encrypted: bool,
    /// The conversation of the request. A deployment that answers knows it.
    conversation: Option<Reference>,
}

impl ReferenceScan {
    /// For the answer to this request. `None` where nothing of it can be referred to: the provider
    /// does not store it, and has no encrypted reasoning to give.
    pub fn new(body: &SentMembers<'_>, caller: u64) -> Option<Self> {
        let is_stored = is_stored(body);
        let includes = body.present("include").is_some_and(|include| include.contains(INCLUDE));
        // With it, an answer may begin with a compacted conversation.
        let encrypted = includes || body.present("context_management").is_some();
        let conversation = conversation(body, caller);
        let is_wanted = is_stored || encrypted || conversation.is_some();
        let wanted = Wanted { response: is_stored, ids: is_stored, encrypted, conversation };
        is_wanted.then(|| Self::of(wanted, caller))
    }

    /// For an answer that is not stored itself and has encrypted items.
    pub fn of_items(caller: u64) -> Self {
        Self::of(Wanted { encrypted: true, ..Wanted::default() }, caller)
    }

    /// For a response that was made before, and may have been without items then.
    pub fn of_stored(caller: u64) -> Self {
        Self::of(Wanted { ids: true, ..Wanted::default() }, caller)
    }

    fn of(wanted: Wanted, caller: u64) -> Self {
        let scan = MemberScan::new(&[ID, ENCRYPTED, OUTPUT, RESPONSE, ITEM], HASHED);
        Self { scan, caller, id_depth: None, wanted, ids: Vec::new(), found: Vec::new() }
    }

    /// Reads the next piece of the answer, and returns what is found there. Ids of items are found
    /// when the last one is known: at the end of the output, in a stream at that of its final event.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<Reference> {
        let Self { scan, caller, wanted, ids, found, .. } = self;
        if !wanted.response && !wanted.ids && !wanted.encrypted && wanted.conversation.is_none() {
            return Vec::new();
        }
        // The data of an event has the response one level deeper.
        let id_depth =
            self.id_depth.or_else(|| first_byte(piece).map(|first| if first == b'{' { 1 } else { 2 }));
        self.id_depth = id_depth;
        scan.feed(piece, &mut |member| {
            let reference = |kind| Reference::of(kind, member.hash.unwrap_or_default(), *caller);
            match place(&member, id_depth.unwrap_or_default()) {
                Place::Encrypted if wanted.encrypted => found.push(reference(ReferenceKind::Item)),
                Place::Response => {
                    if std::mem::take(&mut wanted.response) {
                        found.push(reference(ReferenceKind::Response));
                    }
                    found.extend(wanted.conversation.take());
                }
                Place::Item if wanted.ids => keep(ids, reference(ReferenceKind::Item)),
                Place::End if !ids.is_empty() => {
                    wanted.ids = false;
                    found.append(ids);
                }
                _ => {}
            }
        });
        std::mem::take(found)
    }
}

/// Adds an item, unless an event had it before.
fn keep(ids: &mut Vec<Reference>, id: Reference) {
    if !ids.contains(&id) {
        ids.push(id);
        if ids.len() > MOST_IDS {
            ids.remove(MOST_IDS / 2);
        }
    }
}

/// Where a member of an answer is.
enum Place {
    /// Encrypted content.
    Encrypted,
    /// The response's id.
    Response,
    /// The id of an item of its output.
    Item,
    /// Behind the output.
    End,
    /// Anywhere else, as in what the response repeats of its request.
    Other,
}

fn place(member: &Found, id_depth: u32) -> Place {
    let (around, depth) = (member.path, member.depth);
    if member.hash.is_none() {
        let has_output = if id_depth == 1 { OUTPUT } else { RESPONSE };
        return if depth == 1 && member.name == has_output { Place::End } else { Place::Other };
    }
    match (member.name, id_depth, depth, around) {
        (ENCRYPTED, ..) => Place::Encrypted,
        (ID, 1, 3, [_, OUTPUT, ..]) | (ID, 2, 2, [_, ITEM, ..]) | (ID, 2, 4, [_, RESPONSE, OUTPUT, _]) => {
            Place::Item
        }
        (ID, ..) if depth == id_depth => Place::Response,
        _ => Place::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::json::Object;
    use crate::request::references::references;

    fn object(text: &str) -> SentMembers<'_> {
        SentMembers::of(Object::parse(text.as_bytes()).unwrap())
    }

    fn found(request: &str, answer: &str, size: usize) -> Vec<Reference> {
        let Some(mut scan) = ReferenceScan::new(&object(request), 7) else { return Vec::new() };
        answer.as_bytes().chunks(size).flat_map(|piece| scan.feed(piece)).collect()
    }

    const ITEM: &str = r#"{"id":"rs_1","type":"reasoning","encrypted_content":"gAAAA/b+c=="}"#;

    fn items(ids: &[&str]) -> Vec<Reference> {
        ids.iter().map(|id| Reference::of_id(ReferenceKind::Item, id, 7)).collect()
    }

    /// The same answer as a document and as events.
    fn forms(output: &[&str]) -> [String; 2] {
        let items = output.join(",");
        let echoed = r#""instructions":[{"id":"msg_0"}],"tools":[{"id":"t"}],"prompt":{"id":"pmpt_1"}"#;
        let response = format!(
            r#"{{"conversation":{{"id":"conv_1"}},"output":[{items}],"id":"resp_1","user":"id",{echoed}}}"#
        );
        let begun = format!(r#"{{"id":"resp_1","output":[],{echoed}}}"#);
        let event = |name: &str, member: &str, value: &str| {
            format!("event: {name}\ndata: {{\"type\":\"{name}\",\"{member}\":{value}}}\n\n")
        };
        let mut events = event("response.created", "response", &begun);
        for item in output {
            events += &event("response.output_item.added", "item", item);
            events +=
                "data: {\"item_id\":\"x\",\"delta\":\"\\\"id\\\":\\\"y\\\"\",\"part\":{\"id\":\"z\"}}\n\n";
            events += &event("response.output_item.done", "item", item);
        }
        events += &event("response.completed", "response", &response);
        [response, events]
    }

    #[test]
    fn what_an_answer_has_is_what_the_next_request_refers_to() {
        let both = r#"{"include":["reasoning.encrypted_content"]}"#;
        let next = format!(r#"{{"previous_response_id":"resp_1","input":[{ITEM}]}}"#);
        let expected = references(&object(&next), 7);
        assert_eq!(expected.len(), 3);
        for answer in forms(&[ITEM]) {
            for size in [1, 5, 10_000] {
                let mut seen = found(both, &answer, size);
                seen.sort_by_key(|reference| expected.iter().position(|own| own == reference));
                seen.dedup();
                assert_eq!(seen, expected, "{size} {answer}");
                let mut ids = found("{}", &answer, size);
                ids.sort_by_key(|reference| *reference != expected[0]);
                let id = Reference::of_id(ReferenceKind::Item, "rs_1", 7);
                assert_eq!(ids, [expected[0], id], "the ids alone: {size} {answer}");
                assert_eq!(found(r#"{"store":false}"#, &answer, size), []);
            }
        }
    }

    #[test]
    fn the_first_and_the_last_items_of_an_answer_are_remembered_once() {
        let output: Vec<String> = (1..=9).map(|n| format!(r#"{{"type":"x","id":"i{n}"}}"#)).collect();
        let output: Vec<&str> = output.iter().map(String::as_str).collect();
        for answer in forms(&output) {
            let mut found = found("{}", &answer, 7);
            found.retain(|reference| *reference != Reference::response("resp_1", 7));
            assert_eq!(found, items(&["i1", "i2", "i8", "i9"]), "{answer}");
        }
        // Some providers leave them out of the last event.
        let [_, events] = forms(&output);
        let short = events.replace(&output.join(","), "");
        assert_eq!(found("{}", &short, 7)[1..], items(&["i1", "i2", "i8", "i9"]));
        let answer = &forms(&output)[0];
        let mut scan = ReferenceScan::of_stored(7);
        assert_eq!(scan.feed(answer.as_bytes()), items(&["i1", "i2", "i8", "i9"]));
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
        let item = references(&object(&format!(r#"{{"store":false,"input":[{ITEM}]}}"#)), 7);
        let compacts = r#"{"store":false,"context_management":[{"type":"compaction"}]}"#;
        assert!(ReferenceScan::new(&object(compacts), 0).is_some_and(|scan| scan.wanted.encrypted));
        let request = r#"{"store":false,"include":["reasoning.encrypted_content"]}"#;
        assert_eq!(found(request, &answer, 100), item);
    }

    #[test]
    fn a_conversation_is_known_where_it_was_answered() {
        let conversation = Reference::of_id(ReferenceKind::Conversation, "conv_1", 7);
        for answer in forms(&[ITEM]) {
            let seen = found(r#"{"conversation":"conv_1"}"#, &answer, 3);
            assert_eq!(seen.iter().filter(|seen| **seen == conversation).count(), 1, "{answer}");
            let unstored = r#"{"conversation":{"id":"conv_1"},"store":false}"#;
            assert_eq!(found(unstored, &answer, 3), [conversation]);
        }
    }
}
