//! Stories of prompts that Anthropic's safeguards refuse under status 200: a fallback answers them, if
//! there is one.

use crate::common::{Answer, ClientResponse, World};
use wasm_bindgen_test::wasm_bindgen_test as story;

const REFUSED: &str = r#"{"id":"m","type":"message","content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","category":"cyber","explanation":"This request triggered safeguards."}}"#;
const REFUSED_STREAM: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[]}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"refusal\",\"stop_details\":{\"type\":\"refusal\",\"category\":null}}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// A group that refuses, one that may answer in its place, and settings.
fn with_fallback(settings: &str) -> World {
    let item = |name: &str, id: &str| {
        format!(
            "- {{model_name: {name}, litellm_params: {{model: anthropic/m, api_key: k, api_base: 'http://{id}.test'}}, model_info: {{id: {id}}}}}\n"
        )
    };
    World::of(&format!("model_list:\n{}{}{settings}", item("claude", "strict"), item("mild", "other")))
}

fn post(world: &mut World, answer: impl FnMut(&str) -> Answer) -> ClientResponse {
    let body = br#"{"model":"claude","max_tokens":99,"messages":[]}"#;
    world.post("/v1/messages", &[("content-type", "application/json")], body, answer)
}

#[story(unsupported = test)]
fn a_prompt_that_safeguards_refuse_goes_to_a_fallback() {
    for settings in [
        "router_settings: {content_policy_fallbacks: [{claude: [mild]}]}\n",
        "router_settings: {fallbacks: [{claude: [mild]}]}\n",
        "router_settings: {default_fallbacks: [mild]}\n",
    ] {
        for refused in [REFUSED, REFUSED_STREAM] {
            let mut world = with_fallback(settings);
            let response = post(&mut world, |id| match id {
                "strict" => Answer::Checked(refused),
                _ => Answer::Ok,
            });
            assert_eq!((response.status, &*response.called.join(" ")), (200, "strict other"), "{settings}");
            let line = world.lines.remove(0);
            assert_eq!(line["attempts"][0]["class"], "content_policy", "{line}");
            assert_eq!(line["attempts"][0]["outcome"], "client_error", "{line}");
        }
    }
}

#[story(unsupported = test)]
fn a_refusal_is_an_answer_where_no_fallback_is_for_it() {
    for settings in [
        "",
        "router_settings: {context_window_fallbacks: [{claude: [mild]}]}\n",
        "router_settings: {fallbacks: [{claude: [mild]}], content_policy_fallbacks: [{other: [mild]}]}\n",
    ] {
        let mut world = with_fallback(settings);
        let response = post(&mut world, |_| Answer::Checked(REFUSED));
        assert_eq!((response.status, &*response.called.join(" ")), (200, "strict"), "{settings}");
        assert_eq!(response.body, REFUSED);
    }
    let mut world = with_fallback("router_settings: {fallbacks: [{claude: [mild]}]}\n");
    let response = post(&mut world, |_| Answer::Checked(REFUSED));
    assert_eq!((response.status, &*response.called.join(" ")), (200, "strict other"), "the fallback's own");
    let response = post(&mut world, |id| match id {
        "strict" => Answer::Checked(REFUSED),
        _ => Answer::Status(500),
    });
    assert!(response.body.contains("This request triggered safeguards."), "{}", response.body);
    assert_eq!(response.status, 400);
}
