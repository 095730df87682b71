//! How much of a body is read where one group after another refuses a request without an attempt.

use std::time::Duration;

use super::*;
use crate::http::headers::Headers;
use crate::http::json::count_read;
use crate::random::SplitMix;
use crate::router::Arrival;
use crate::state::store::Memory;

const GROUPS: usize = 51;

/// Groups `g0` to `g50`, whose contexts are shorter than any prompt here, with every affinity.
fn router() -> Router {
    let group = |n| {
        format!(
            "- model_name: g{n}\n  litellm_params: {{model: openai/m, api_base: 'http://a.test/v1', api_key: k, rpm: 1}}\n  model_info: {{id: d{n}, max_input_tokens: 10}}\n"
        )
    };
    let groups: String = (0..GROUPS).map(group).collect();
    let settings = "enable_pre_call_checks: true, optional_pre_call_checks: [session_affinity, deployment_affinity, prompt_caching]";
    let yaml = format!("model_list:\n{groups}router_settings: {{{settings}}}\n");
    Router::new(llm_balancer_config::read("config.yaml", &yaml, &|_| None).config.unwrap(), 1)
}

/// A chat with a prompt of some size; the reply, and how many bytes were read for it.
fn read(fallbacks: &str, prompt: usize) -> (Reply, usize) {
    let router = router();
    let store = Memory::default();
    router.open(&store);
    let headers: Headers = [(":method", "POST"), (":path", "/v1/chat/completions")].into_iter().collect();
    let Arrival::Hold(request) = router.on_request_headers(&headers, false) else { panic!("not held") };
    let body = format!(
        r#"{{"model":"g0","messages":[{{"role":"user","content":"{}"}}],"fallbacks":[{fallbacks}]}}"#,
        "a".repeat(prompt)
    );
    let mut moment =
        Moment { now: Duration::from_secs(1_740_000_000), random: &mut SplitMix::new(1), store: &store };
    let before = count_read(0);
    let step = router.on_request_body(&request, body.as_bytes(), None, &mut moment);
    let Step::Reply(reply, _) = step else { panic!("{step:?}") };
    (reply, count_read(0).saturating_sub(before))
}

#[test]
fn a_body_is_read_as_often_for_fifty_fallbacks_as_for_one() {
    let names = |count| (1..=count).map(|n| format!("\"g{n}\"")).collect::<Vec<_>>().join(",");
    let (one, most) = (read(&names(1), 100_000), read(&names(50), 100_000));
    assert_eq!((one.0.status, most.0.status), (400, 400));
    assert!(one.1 > 200_000, "the body and its prompt: {} bytes", one.1);
    assert!(most.1.saturating_sub(one.1) < 10_000, "{} and {} bytes", most.1, one.1);
}

#[test]
fn fallbacks_of_fallbacks_with_parameters_are_bounded_with_the_body() {
    let target = |n: usize, more: &str| format!(r#"{{"model":"g{n}","n":{n},{more}}}"#);
    let list = |count, more: &dyn Fn(usize) -> String| {
        (1..=count).map(|n| target(n, &more(n))).collect::<Vec<_>>().join(",")
    };
    let nested = list(10, &|n| format!(r#""fallbacks":[{}]"#, list(40, &|_| format!(r#""seed":{n}"#))));
    let (small, _) = read(&nested, 1000);
    let (large, bytes) = read(&nested, 1_500_000);
    assert!(small.body.contains("input tokens"), "{}", small.body);
    assert!(large.body.contains("fewer fallbacks with parameters"), "{}", large.body);
    // Each is read as JSON, and for its tokens and its affinity.
    assert!(bytes < 4 * 64 * 1024 * 1024, "{bytes} bytes");
}
