//! Items of earlier responses are referred to by their ids, as the Vercel AI SDK and the OpenAI
//! Agents SDK do: such requests go where the items were made.

use std::collections::BTreeSet;

use llm_balancer_router::Store;

use crate::common::{Answer, ClientResponse, World, group, items_of};

const RESPONSES: &str = "/v1/responses";
const HI: &[u8] = br#"{"model":"g","input":"hi"}"#;
const MADE: &str = r#"{"id":"resp_1","output":[{"type":"reasoning","id":"rs_1","summary":[]},{"type":"message","id":"msg_1","content":[]}]}"#;
const STREAMED: &str = r#"event: response.created
data: {"type":"response.created","response":{"id":"resp_1","output":[]}}

event: response.output_item.added
data: {"type":"response.output_item.added","item":{"type":"reasoning","id":"rs_1"}}

event: response.output_item.done
data: {"type":"response.output_item.done","item":{"type":"message","id":"msg_1"}}

event: response.completed
data: {"type":"response.completed","response":{"id":"resp_1","output":[{"id":"rs_1"},{"id":"msg_1"}]}}

"#;
const UNKNOWN: Answer = Answer::Error(
    404,
    r#"{"error":{"message":"Item with id 'rs_1' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input.","type":"invalid_request_error","param":"input","code":null}}"#,
);

/// The next turn of the Vercel AI SDK, and that of the OpenAI Agents SDK.
const NEXT: [&str; 2] = [
    r#"{"role":"user","content":"hi"},{"type":"item_reference","id":"rs_1"},{"type":"item_reference","id":"msg_1"},{"role":"user","content":"and?"}"#,
    r#"{"role":"user","content":"hi"},{"type":"reasoning","id":"rs_1","summary":[]},{"type":"message","id":"msg_1","content":[]},{"role":"user","content":"and?"}"#,
];

/// Three deployments with an account each.
fn world() -> World {
    World::of(&group(&["a", "b", "c"], ""))
}

impl World {
    fn make_items(&mut self, answer: &'static str) -> String {
        self.post(RESPONSES, &[], HI, |_| Answer::Body(answer)).called[0].clone()
    }

    fn refer(&mut self, items: &str, members: &str, answer: impl FnMut(&str) -> Answer) -> ClientResponse {
        let body = format!(r#"{{"model":"g","input":[{items}]{members}}}"#);
        self.post(RESPONSES, &[], body.as_bytes(), answer)
    }
}

#[test]
fn items_are_referred_to_where_they_were_made_by_every_worker() {
    for answer in [MADE, STREAMED] {
        let mut first = world();
        let maker = first.make_items(answer);
        for vm in 2..10 {
            let mut other = first.beside(vm);
            for next in NEXT {
                let next = other.refer(next, "", |id| if id == maker { Answer::Ok } else { UNKNOWN });
                assert_eq!((next.status, next.called), (200, vec![maker.clone()]));
            }
        }
    }
}

#[test]
fn the_last_item_that_is_known_decides() {
    let mut world = world();
    let answers = [r#"{"id":"r1","output":[{"id":"i1"}]}"#, r#"{"id":"r2","output":[{"id":"i2"}]}"#];
    let (mut first, mut second) = (String::new(), String::new());
    while first == second {
        (first, second) = (world.make_items(answers[0]), world.make_items(answers[1]));
    }
    let known = r#"{"type":"item_reference","id":"i1"},{"type":"item_reference","id":"i2"}"#;
    assert_eq!(world.refer(known, "", |_| Answer::Ok).called, [second]);
    let also = r#"{"type":"item_reference","id":"i1"},{"type":"message","id":"of-a-client","content":""}"#;
    assert_eq!(world.refer(also, "", |_| Answer::Ok).called, [first.clone()]);
    let continued = r#","previous_response_id":"r1""#;
    assert_eq!(world.refer(known, continued, |_| Answer::Ok).called, [first]);
}

#[test]
fn an_unknown_item_is_looked_for_at_each_deployment_and_cools_none() {
    for knows in ["a", "b", "c"] {
        let mut world = world();
        let next = world.refer(NEXT[0], "", |id| if id == knows { Answer::Body(MADE) } else { UNKNOWN });
        assert_eq!((next.status, next.called.last().map(String::as_str)), (200, Some(knows)));
        let cools = |id: &&str| world.record(id).cooldown.active_until(world.now).is_some();
        assert!(!["a", "b", "c"].iter().any(cools));
        assert_eq!(world.refer(NEXT[1], "", |_| Answer::Ok).called, [knows], "it is known now");
    }
    let ids: Vec<String> = (0..8).map(|n| format!("d{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let none = World::of(&group(&ids, "")).refer(NEXT[0], "", |_| UNKNOWN);
    assert_eq!((none.status, none.called.len()), (404, 8));
    assert!(none.body.contains("Item with id 'rs_1' not found"), "{none:?}");
}

#[test]
fn ids_of_what_is_not_stored_lead_nowhere() {
    let mut world = world();
    world.post(RESPONSES, &[], br#"{"model":"g","input":"hi","store":false}"#, |_| Answer::Body(MADE));
    assert!((0..1024).all(|bucket| world.store.get(&format!("o/{bucket}")).is_none()));
    world.make_items(MADE);
    let called: BTreeSet<_> = (0..40)
        .map(|_| world.refer(NEXT[1], r#","store":false"#, |_| Answer::Ok).called[0].clone())
        .collect();
    assert_eq!(called.len(), 3, "{called:?}");
}

#[test]
fn items_that_an_answer_only_repeats_were_made_by_another() {
    let mut world = world();
    let maker = world.make_items(MADE);
    let repeats = r#"{"id":"r","instructions":[{"id":"msg_1"}],"tools":[{"id":"rs_1"}],"output":[]}"#;
    for _ in 0..10 {
        world.post(RESPONSES, &[], HI, |_| Answer::Body(repeats));
    }
    assert_eq!(world.refer(NEXT[0], "", |_| Answer::Ok).called, [maker]);
}

#[test]
fn a_conversation_goes_on_where_it_was_answered_last() {
    let body = br#"{"model":"g","input":"hi","conversation":"conv_1"}"#;
    let object = br#"{"model":"g","input":"hi","conversation":{"id":"conv_1"}}"#;
    let foreign = Answer::Error(404, r#"{"error":{"message":"Conversation with id 'conv_1' not found."}}"#);
    for knows in ["a", "b", "c"] {
        let mut world = world();
        let first = world.post(RESPONSES, &[], body, |id| {
            if id == knows { Answer::Body(r#"{"id":"r","conversation":{"id":"conv_1"}}"#) } else { foreign }
        });
        assert_eq!((first.status, first.called.last().map(String::as_str)), (200, Some(knows)));
        for next in [body.as_slice(), object] {
            assert_eq!(world.post(RESPONSES, &[], next, |_| Answer::Ok).called, [knows]);
        }
    }
}

#[test]
fn items_of_a_background_response_are_known_when_it_is_retrieved() {
    let mut world = world();
    let begun = r#"{"id":"resp_1","status":"queued","output":[]}"#;
    let maker = world.make_items(begun);
    for answer in [begun, MADE] {
        world.send(("GET", "/v1/responses/resp_1"), &[], None, |_| Answer::Body(answer));
    }
    for next in NEXT {
        assert_eq!(world.refer(next, "", |_| Answer::Ok).called, std::slice::from_ref(&maker));
    }
}

#[test]
fn a_fallback_serves_items_it_does_not_know_only_when_retries_are_used_up() {
    let yaml = format!(
        "model_list:\n{}{}router_settings: {{num_retries: 2, fallbacks: [{{g: [h]}}]}}\n",
        items_of("g", &["a", "b", "c"], ""),
        items_of("h", &["x"], "")
    );
    let mut world = World::of(&yaml);
    let maker = world.make_items(MADE);
    let next = world.refer(NEXT[0], "", |id| if id == "x" { Answer::Ok } else { Answer::RateLimited(1) });
    let mut expected = vec![maker; 3];
    expected.push("x".to_owned());
    assert_eq!((next.status, next.called), (200, expected));
}
