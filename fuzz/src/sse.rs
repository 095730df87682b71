//! Responses in chunks: the usage that is read of them, what passes to a client that did not ask
//! for it, and the id by which later requests refer to them, against the same of the whole response.

use llm_balancer_router::testing::{Object, SentMembers};
use llm_balancer_router::{Reference, ReferenceScan};

use crate::plain::json;
use crate::plain::stream::{cut, passed, usage, usage_of, without_usage};

/// The hash of a client's key.
const CALLER: u64 = 7;

/// The first byte is the number of lengths of chunks, which follow; then follows the response.
pub fn sse(bytes: &[u8]) {
    let Some((count, rest)) = bytes.split_first() else { return };
    let Some((lengths, response)) = rest.split_at_checked(usize::from(count % 4) + 1) else { return };
    let lengths: Vec<usize> = lengths.iter().map(|length| usize::from(*length) + 1).collect();
    let chunks = cut(response, &lengths);
    let (kept, expected) = (passed(&chunks), without_usage(response));
    assert!(kept == expected, "{:?}", String::from_utf8_lossy(&kept));
    let whole = usage(&[response]);
    assert_eq!(usage(&chunks), whole, "in chunks of {lengths:?}");
    if let Ok(plain) = usage_of(response) {
        assert_eq!(whole, plain);
    }
    for request in [r#"{}"#, r#"{"include":["reasoning.encrypted_content"]}"#] {
        let whole = references(request, &[response]);
        assert_eq!(references(request, &chunks), whole, "in chunks of {lengths:?}");
    }
    if let Some(members) = json::members(response) {
        let is_id = |member: &&json::Member<'_>| member.written == "\"id\"" && member.value.starts_with('"');
        let found = references("{}", &chunks);
        // The others are items of its output: at most the first two and the last two.
        match members.iter().find(is_id).map(|member| serde_json::from_str::<String>(member.value)) {
            Some(Ok(id)) => {
                assert!(found.len() <= 5 && found.contains(&Reference::response(&id, CALLER)));
            }
            // Half of a surrogate pair: it is no text, to which no request can refer.
            Some(Err(_)) => assert!((1..=5).contains(&found.len())),
            None => assert!(found.len() <= 4),
        }
    }
}

/// What later requests may refer to, if the response is one to this request.
fn references(request: &str, chunks: &[&[u8]]) -> Vec<Reference> {
    let request = SentMembers::of(Object::parse(request.as_bytes()).expect("an object"));
    let mut scan = ReferenceScan::new(&request, CALLER).expect("it is stored");
    chunks.iter().flat_map(|chunk| scan.feed(chunk)).collect()
}
