//! Stories of betas of Anthropic's API that a deployment does not know.

use crate::common::{Answer, ClientResponse, World};
use wasm_bindgen_test::wasm_bindgen_test as story;

const REFUSAL: Answer = Answer::Error(
    400,
    r#"{"type":"error","error":{"type":"invalid_request_error","message":"Unexpected value(s) `advisor-tool-2026-03-01`, `x` for the `anthropic-beta` header. Please consult our documentation at docs.anthropic.com or try again without the header."},"request_id":"req_1"}"#,
);

const BETAS: &str = "advisor-tool-2026-03-01, effort-2025-11-24,x, z";

/// Deployments of these names, and further settings.
fn world(names: &[&str], params: &str, settings: &str) -> World {
    let item = |name: &&str| {
        format!(
            "- {{model_name: g, litellm_params: {{model: azure_ai/m, api_base: 'https://{name}.services.ai.azure.com', api_key: k, llm_balancer: {{wire: anthropic}}{params}}}, model_info: {{id: {name}}}}}\n"
        )
    };
    let items: String = names.iter().map(item).collect();
    World::of(&format!(
        "model_list:\n{items}- {{model_name: f, litellm_params: {{model: anthropic/m, api_key: k}}, model_info: {{id: fallback}}}}\n{settings}"
    ))
}

fn post(world: &mut World, betas: &str, answer: impl FnMut(&str) -> Answer) -> ClientResponse {
    let client = [("anthropic-beta", betas), ("anthropic-beta", "y")];
    world.post("/v1/messages", &client, br#"{"model":"g","messages":[]}"#, answer)
}

/// A deployment that refuses the first request.
fn refusing_once(refusing: &[&str]) -> impl FnMut(&str) -> Answer {
    let mut refusing: Vec<String> = refusing.iter().map(|name| (*name).to_owned()).collect();
    move |id| match refusing.iter().position(|name| name == id) {
        Some(place) => {
            refusing.remove(place);
            REFUSAL
        }
        None => Answer::Ok,
    }
}

fn betas(response: &ClientResponse) -> Vec<String> {
    let headers = &response.sent.as_ref().unwrap().headers;
    let named = headers.iter().filter(|(name, _)| *name == "anthropic-beta");
    named.map(|(_, value)| value.to_owned()).collect()
}

#[story(unsupported = test)]
fn the_only_deployment_gets_the_request_again_without_the_betas_that_it_refuses() {
    let mut world = world(&["paris"], "", "router_settings: {num_retries: 0}\n");
    let response = post(&mut world, BETAS, refusing_once(&["paris"]));
    assert_eq!((response.status, response.called.len()), (200, 2), "{}", response.body);
    assert_eq!(betas(&response), ["effort-2025-11-24,z", "y"]);
    assert_eq!(response.header("x-litellm-attempted-retries"), Some("0"));
    let response = post(&mut world, BETAS, |_| Answer::Ok);
    assert_eq!(
        (response.called.len(), betas(&response)),
        (1, vec!["effort-2025-11-24,z".into(), "y".into()])
    );
    let known = "effort-2025-11-24 , context-1m-2025-08-07";
    assert_eq!(betas(&post(&mut world, known, |_| Answer::Ok)), [known, "y"]);
    assert_eq!(betas(&post(&mut world, "x", |_| Answer::Ok)), ["y"]);
    world.wait(3601.0);
    assert_eq!(betas(&post(&mut world, BETAS, |_| Answer::Ok)), [BETAS, "y"], "it may have learned them");
}

#[story(unsupported = test)]
fn a_deployment_that_knows_the_betas_gets_them() {
    let mut world = world(&["paris", "tokyo"], "", "router_settings: {num_retries: 1}\n");
    for _ in 0..20 {
        let response = post(&mut world, BETAS, |id| if id == "paris" { REFUSAL } else { Answer::Ok });
        assert_eq!((response.status, response.called.last().unwrap().as_str()), (200, "tokyo"));
        assert_eq!(betas(&response), [BETAS, "y"]);
    }
}

#[story(unsupported = test)]
fn where_all_deployments_refuse_a_beta_each_is_asked_once() {
    let mut world = world(&["paris", "tokyo", "oslo"], "", "router_settings: {num_retries: 2}\n");
    let response = post(&mut world, BETAS, refusing_once(&["paris", "tokyo", "oslo"]));
    let mut called = response.called.clone();
    assert_eq!((response.status, called.len()), (200, 4), "{called:?}");
    assert_eq!(called.pop(), called.last().cloned(), "the last one again");
    for _ in 0..10 {
        let response = post(&mut world, BETAS, |_| Answer::Ok);
        assert_eq!(
            (response.called.len(), betas(&response)),
            (1, vec!["effort-2025-11-24,z".into(), "y".into()])
        );
    }
}

#[story(unsupported = test)]
fn a_deployment_that_refuses_the_request_again_is_followed_by_the_fallback() {
    let settings = "router_settings: {num_retries: 0, fallbacks: [{g: [f]}]}\n";
    let mut with_fallback = world(&["paris"], ", extra_headers: {anthropic-beta: x}", settings);
    let response = post(&mut with_fallback, BETAS, |id| if id == "paris" { REFUSAL } else { Answer::Ok });
    assert_eq!((response.status, response.called.join(" ").as_str()), (200, "paris paris fallback"));
    assert_eq!(betas(&response), [BETAS, "y"], "the fallback may know them");
    let mut alone = world(&["paris"], ", extra_headers: {anthropic-beta: x}", "");
    let response = post(&mut alone, BETAS, |_| REFUSAL);
    assert_eq!((response.status, response.called.len()), (400, 2), "{:?}", response.called);
    assert!(response.body.contains("Unexpected value(s)"), "{}", response.body);
}

#[story(unsupported = test)]
fn an_error_that_names_no_beta_is_no_reason_to_leave_one_out() {
    let error = Answer::Error(
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"invalid beta flag"}}"#,
    );
    let response = post(&mut world(&["paris"], "", ""), BETAS, |_| error);
    assert_eq!((response.status, response.called.len()), (400, 1));
}
