//! Stories of errors in the middle of a stream: the client has them already, and the deployment is
//! judged by their cause.

use crate::common::{Answer, World, group};
use wasm_bindgen_test::wasm_bindgen_test as story;

/// Errors as providers write them in the middle of a stream.
const FILTERED: &str = r#"data: {"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400}}"#;
const TOO_LONG: &str = r#"data: {"error":{"message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","code":400}}"#;
const LLAMA_CPP: &str = r#"error: {"code":400,"message":"the request exceeds the available context size","type":"invalid_request_error"}"#;
const INVALID: &str = r#"data: {"object":"error","message":"guided decoding failed: invalid grammar","type":"BadRequestError","param":null,"code":400}"#;
const INVALID_PROMPT: &str = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\",\"status\":\"failed\",\"error\":{\"code\":\"invalid_prompt\",\"message\":\"Your prompt was flagged as potentially violating our usage policy.\"}}}";
const BAD_IMAGE: &str = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\",\"status\":\"failed\",\"error\":{\"code\":\"invalid_image_format\",\"message\":\"You uploaded an unsupported image.\"}}}";
const RATE_LIMITED: &str = r#"data: {"error":{"message":"Rate limit reached.","code":429,"retry_after":60}}"#;
const RATE_LIMITED_IN_WORDS: &str = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\",\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"Rate limit reached for gpt-5 in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 9000. Please try again in 59.054s. Visit https://platform.openai.com/account/rate-limits to learn more.\"}}}";
const NO_QUOTA: &str = r#"data: {"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","code":"insufficient_quota"}}"#;
const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}";
const DISCONNECTED: &str = r#"data: {"id":"gen-1","error":{"code":502,"message":"Provider disconnected"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#;
const IN_WORDS: &str = r#"data: {"error":"Insufficient balance"}"#;
const LIMIT_IN_WORDS: &str = r#"data: {"error":"Rate limit exceeded, try again in 60s"}"#;
const NO_WORDS: &str = "event: error\ndata: {}";

fn world() -> World {
    World::of(&(group(&["paris", "oslo"], "") + "router_settings: {num_retries: 0}\n"))
}

/// Sends streams to Paris, called by its id, so that they go there whatever has happened.
fn fail(world: &mut World, times: u32, answer: Answer) {
    (0..times).for_each(|_| drop(world.chat("paris", r#""stream":true"#, |_| answer)));
}

/// Whether requests to the group still go to Paris.
fn serves(world: &mut World) -> bool {
    (0..30).any(|_| world.chat("g", "", |_| Answer::Ok).called == ["paris"])
}

#[story(unsupported = test)]
fn an_error_in_mid_stream_cools_a_deployment_down_by_its_class() {
    for (event, class, times, serves_on) in [
        (FILTERED, "content_policy", 20, true),
        (TOO_LONG, "context_window", 20, true),
        (LLAMA_CPP, "context_window", 20, true),
        (INVALID, "invalid_request", 20, true),
        (INVALID_PROMPT, "content_policy", 20, true),
        (BAD_IMAGE, "invalid_request", 20, true),
        (RATE_LIMITED, "rate_limit", 1, false),
        (NO_QUOTA, "account", 1, false),
        (OVERLOADED, "rate_limit", 1, false),
        (IN_WORDS, "account", 1, false),
        (LIMIT_IN_WORDS, "rate_limit", 1, false),
        (DISCONNECTED, "server", 1, true),
        (DISCONNECTED, "server", 20, false),
        (NO_WORDS, "server", 20, false),
    ] {
        for answer in [Answer::ErrorEvent(event), Answer::LeftAtErrorEvent(event)] {
            let mut world = world();
            fail(&mut world, times, answer);
            let (line, counted) = (world.lines[0].clone(), world.counted());
            let attempt = &line["attempts"][0];
            assert_eq!((&line["outcome"], &attempt["class"]), (&"stream_interrupted".into(), &class.into()));
            assert_eq!((&line["status"], &attempt["status"]), (&200.into(), &200.into()), "{line}");
            assert_eq!(attempt["detail"], "error in the middle of the response", "{line}");
            let failures = format!("failures_total;group=g;deployment=paris;class={class}");
            assert!(counted.contains_key(&failures), "{failures} is not in {counted:?}");
            assert_eq!(serves(&mut world), serves_on, "{event} {times} times");
        }
    }
}

#[story(unsupported = test)]
fn a_limit_in_mid_stream_cools_for_the_time_that_it_names() {
    for event in [RATE_LIMITED, RATE_LIMITED_IN_WORDS, LIMIT_IN_WORDS] {
        let mut world = world();
        fail(&mut world, 1, Answer::ErrorEvent(event));
        world.wait(59.9);
        assert!(!serves(&mut world));
        world.wait(0.1);
        assert!(serves(&mut world));
    }
}

#[story(unsupported = test)]
fn a_policy_of_a_deployment_knows_an_error_in_mid_stream_by_its_name() {
    let policy = "model_info: {allowed_fails_policy: {ContentPolicyViolationErrorAllowedFails: 1}, ";
    for (event, is_named) in [(FILTERED, true), (TOO_LONG, false)] {
        let yaml = group(&["paris", "oslo"], "").replace("model_info: {", policy);
        let mut world = World::of(&(yaml + "router_settings: {num_retries: 0}\n"));
        fail(&mut world, 1, Answer::ErrorEvent(event));
        assert!(serves(&mut world));
        fail(&mut world, 1, Answer::ErrorEvent(event));
        assert_eq!(serves(&mut world), !is_named, "{event}");
    }
}
