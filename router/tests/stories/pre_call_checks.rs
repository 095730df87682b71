//! `enable_pre_call_checks`: a prompt goes only to deployments into whose context it fits.

use crate::common::{Answer, CHAT, World};

/// Deployments of `g` with these contexts, and a fallback for long prompts.
fn world(settings: &str) -> World {
    let item = |group: &str, id: &str, context: &str| {
        format!(
            "- model_name: {group}\n  litellm_params: {{model: openai/m, api_base: 'http://{id}.test/v1', api_key: k}}\n  model_info: {{id: {id}{context}}}\n"
        )
    };
    World::of(&format!(
        "model_list:\n{}{}{}router_settings: {{{settings}}}\n",
        item("g", "small", ", max_input_tokens: 100"),
        item("g", "large", ", max_input_tokens: 1000"),
        item("long", "huge", ""),
    ))
}

const CHECKS: &str = "enable_pre_call_checks: true, num_retries: 2";
const FALLBACK: &str =
    "enable_pre_call_checks: true, num_retries: 2, context_window_fallbacks: [{g: [long]}]";

/// A chat request of about so many tokens.
fn body(tokens: usize) -> String {
    format!(r#"{{"model":"g","messages":[{{"role":"user","content":"{}"}}]}}"#, "four".repeat(tokens))
}

#[test]
fn a_prompt_goes_where_it_fits_without_an_attempt_elsewhere() {
    let mut world = world(CHECKS);
    for _ in 0..20 {
        let reply = world.post(CHAT, &[], body(300).as_bytes(), |_| Answer::Ok);
        assert_eq!((reply.status, reply.called), (200, vec!["large".to_owned()]));
    }
    let short: Vec<_> =
        (0..40).flat_map(|_| world.post(CHAT, &[], body(10).as_bytes(), |_| Answer::Ok).called).collect();
    assert!(short.contains(&"small".to_owned()) && short.contains(&"large".to_owned()));
    // Retries stay where it fits.
    let reply = world.post(CHAT, &[], body(300).as_bytes(), |_| Answer::Status(500));
    assert!(reply.called.len() > 1 && reply.called.iter().all(|id| id == "large"), "{reply:?}");
}

#[test]
fn a_prompt_that_may_fit_is_left_to_the_provider() {
    let reply = world(FALLBACK).post(CHAT, &[], body(1300).as_bytes(), |_| Answer::Ok);
    assert_eq!((reply.status, reply.called), (200, vec!["large".to_owned()]));
}

#[test]
fn a_prompt_that_fits_nowhere_goes_to_the_fallback_for_long_ones() {
    let reply = world(FALLBACK).post(CHAT, &[], body(5000).as_bytes(), |_| Answer::Ok);
    assert_eq!((reply.status, reply.called), (200, vec!["huge".to_owned()]));
    assert_eq!(
        reply.headers.iter().find(|(name, _)| name == "x-litellm-attempted-fallbacks").unwrap().1,
        "1"
    );
}

#[test]
fn without_a_fallback_the_client_gets_openais_error() {
    let mut world = world(CHECKS);
    let reply = world.post(CHAT, &[], body(5000).as_bytes(), |_| Answer::Ok);
    assert_eq!((reply.status, reply.called.len()), (400, 0));
    let error: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(error["error"]["code"], "context_length_exceeded", "{error}");
    assert_eq!(error["error"]["type"], "invalid_request_error");
    assert_eq!(world.lines[0]["reason"], "context_window");
}

#[test]
fn without_the_setting_nothing_is_compared() {
    let mut world = world("num_retries: 0");
    let called: Vec<_> =
        (0..20).flat_map(|_| world.post(CHAT, &[], body(5000).as_bytes(), |_| Answer::Ok).called).collect();
    assert!(called.contains(&"small".to_owned()), "{called:?}");
}
