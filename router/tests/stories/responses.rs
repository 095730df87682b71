//! Responses are continued, and looked at, where they were made.

use std::collections::BTreeSet;

use llm_balancer_router::{Arrival, Attempt, Awaited, Moment, RetryState, SplitMix, Step, Store};

use crate::common::{Answer, ClientResponse, World, group, items, items_of};

const RESPONSES: &str = "/v1/responses";
const MADE: Answer = Answer::Body(r#"{"id":"resp_1","object":"response"}"#);
const UNKNOWN: Answer = Answer::Error(
    400,
    r#"{"error":{"message":"Previous response with id 'resp_1' not found.","type":"invalid_request_error","param":"previous_response_id","code":"previous_response_not_found"}}"#,
);
const NOT_FOUND: Answer =
    Answer::Error(404, r#"{"error":{"message":"Response with id 'resp_1' not found.","code":null}}"#);

/// Three deployments with an account each.
fn world() -> World {
    World::of(&group(&["a", "b", "c"], ""))
}

impl World {
    /// Makes `resp_1`, and returns the deployment that did.
    fn make(&mut self) -> String {
        let made = self.post(RESPONSES, &[], br#"{"model":"g","input":"hi"}"#, |_| MADE);
        assert_eq!(made.status, 200, "{made:?}");
        made.called[0].clone()
    }

    /// Continues `resp_1`.
    fn go_on(&mut self, answer: impl FnMut(&str) -> Answer) -> ClientResponse {
        let body = br#"{"model":"g","input":"and?","previous_response_id":"resp_1"}"#;
        self.post(RESPONSES, &[], body, answer)
    }

    fn ask(&mut self, method: &str, below: &str, answer: impl FnMut(&str) -> Answer) -> ClientResponse {
        self.send((method, &format!("{RESPONSES}/resp_1{below}")), &[], None, answer)
    }

    fn is_cooling(&self, id: &str) -> bool {
        self.record(id).cooldown.active_until(self.now).is_some()
    }
}

#[test]
fn a_response_gets_no_parameter_of_chats_from_the_file_and_its_effort_as_reasoning() {
    let sent = |params: &str, client: &str| {
        let deployment =
            "{model_name: g, litellm_params: {model: openai/m, api_key: k, api_base: 'http://a/v1'";
        let mut world = World::of(&format!("model_list: [{deployment}{params}}}}}]\n"));
        let body = format!(r#"{{"model":"g","input":"hi"{client}}}"#);
        world.post(RESPONSES, &[], body.as_bytes(), |_| MADE).sent.unwrap().body
    };
    let chats =
        ", max_tokens: 100, stop: [x], seed: 3, top_p: 0.5, reasoning_effort: low, extra_body: {own: 1}";
    for (params, client, expected) in [
        (chats, "", r#","top_p":0.5,"own":1,"reasoning":{"effort":"low"}"#),
        (chats, r#","seed":7"#, r#","seed":7,"top_p":0.5,"own":1,"reasoning":{"effort":"low"}"#),
        (", reasoning_effort: low", r#","reasoning":null"#, r#","reasoning":{"effort":"low"}"#),
        (", reasoning_effort: low", r#","reasoning":{"effort":"high"}"#, r#","reasoning":{"effort":"high"}"#),
        (
            ", reasoning_effort: {effort: low, summary: auto}",
            "",
            r#","reasoning":{"effort":"low","summary":"auto"}"#,
        ),
        (", reasoning_effort: low, reasoning: {effort: high}", "", r#","reasoning":{"effort":"high"}"#),
        (", reasoning_effort: low, extra_body: {reasoning: {}}", "", r#","reasoning":{}"#),
    ] {
        assert_eq!(sent(params, client), format!(r#"{{"model":"m","input":"hi"{expected}}}"#), "{params}");
    }
}

#[test]
fn a_response_is_continued_where_it_was_made_by_every_worker() {
    let mut first = world();
    let maker = first.make();
    for vm in 2..12 {
        let mut other = first.beside(vm);
        let next = other.go_on(|_| Answer::Ok);
        assert_eq!((next.status, next.called), (200, vec![maker.clone()]));
    }
}

#[test]
fn a_continuation_does_not_leave_a_deployment_that_cools_down() {
    let mut world = world();
    let maker = world.make();
    while !world.is_cooling(&maker) {
        world.chat("g", "", |id| if id == maker { Answer::RateLimited(30) } else { Answer::Ok });
    }
    for _ in 0..10 {
        let next = world.go_on(|_| Answer::Ok);
        assert_eq!((next.status, next.called), (200, vec![maker.clone()]));
    }
    // It waits there, rather than to go where the response is unknown.
    let mut answers = [Answer::RateLimited(2), Answer::Status(500), Answer::Ok].into_iter();
    let next = world.go_on(|_| answers.next().unwrap());
    assert_eq!((next.status, next.called), (200, vec![maker; 3]));
    assert!(next.waits[0] >= 2.0 && next.waits[1] >= 0.5, "{:?}", next.waits);
}

#[test]
fn a_continuation_waits_for_a_full_deployment_by_its_client() {
    let mut world = World::of(&group(&["a", "b", "c"], ", rpm: 1"));
    world.make();
    let next = world.go_on(|_| Answer::Ok);
    assert_eq!((next.status, next.header("retry-after")), (429, Some("60")), "{next:?}");
    assert!(next.called.is_empty());
}

#[test]
fn deployments_with_one_account_know_the_same_responses() {
    let item = |id: &str, limit: &str| {
        format!(
            "- model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://one.test/v1', api_key: k{limit}}}\n  model_info: {{id: {id}}}\n"
        )
    };
    let both = format!("model_list:\n{}{}{}", item("a", ", rpm: 1"), item("b", ""), items(&["c"], ""));
    for _ in 0..10 {
        let mut world = World::of(&both);
        if world.make() != "a" {
            continue;
        }
        let next = world.go_on(|_| Answer::Ok);
        assert_eq!((next.status, next.called), (200, vec!["b".to_owned()]), "a is full");
        return;
    }
}

#[test]
fn an_unknown_response_is_looked_for_at_each_deployment_and_cools_none() {
    for knows in ["a", "b", "c"] {
        let mut world = world();
        // Also while the one that knows it cools down.
        while !world.is_cooling(knows) {
            world.chat("g", "", |id| if id == knows { Answer::RateLimited(30) } else { Answer::Ok });
        }
        let next = world.go_on(|id| if id == knows { MADE } else { UNKNOWN });
        assert_eq!((next.status, next.called.last().map(String::as_str)), (200, Some(knows)));
        let different: BTreeSet<_> = next.called.iter().collect();
        assert_eq!(different.len(), next.called.len(), "each once: {:?}", next.called);
        let others = ["a", "b", "c"].into_iter().filter(|id| *id != knows);
        assert!(others.into_iter().all(|id| !world.is_cooling(id)));
        assert_eq!(world.go_on(|_| Answer::Ok).called, [knows], "it is known now");
    }
}

#[test]
fn a_response_of_a_deployment_that_has_weight_0_now_is_found() {
    let yaml = group(&["a"], ", weight: 1") + &items(&["b"], ", weight: 0");
    let next = World::of(&yaml).go_on(|id| if id == "b" { MADE } else { UNKNOWN });
    assert_eq!((next.status, next.called.last().map(String::as_str)), (200, Some("b")));
}

#[test]
fn a_response_that_none_knows_is_unknown_after_one_attempt_each() {
    let ids: Vec<String> = (0..8).map(|n| format!("d{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut world = World::of(&group(&ids, ""));
    let next = world.go_on(|_| UNKNOWN);
    assert_eq!((next.status, next.called.len()), (400, 8));
    assert!(next.body.contains("previous_response_not_found"), "{next:?}");
    let none = [("x-litellm-num-retries", "0")];
    let body = br#"{"model":"g","input":"","previous_response_id":"resp_1"}"#;
    assert_eq!(world.post(RESPONSES, &none, body, |_| UNKNOWN).called.len(), 1, "the client's own number");
    // One that may know it did not answer.
    let next = world.go_on(|id| if id == "d3" { Answer::Status(503) } else { UNKNOWN });
    assert_eq!(next.status, 503, "{next:?}");
}

#[test]
fn a_response_that_its_deployment_has_lost_is_looked_for_elsewhere() {
    let mut world = world();
    let maker = world.make();
    let next = world.go_on(|id| if id == maker { UNKNOWN } else { Answer::Ok });
    assert_eq!((next.status, next.called.len(), &next.called[0]), (200, 2, &maker));
}

#[test]
fn a_response_is_not_known_in_a_group_of_other_accounts() {
    let two = format!("model_list:\n{}{}", items_of("g", &["a"], ""), items_of("h", &["x", "y"], ""));
    let mut world = World::of(&two);
    world.make();
    let body = br#"{"model":"h","input":"","previous_response_id":"resp_1"}"#;
    let next = world.post(RESPONSES, &[], body, |_| UNKNOWN);
    assert_eq!((next.status, next.called.len()), (400, 2), "{next:?}");
}

#[test]
fn a_client_is_not_steered_by_the_responses_of_others() {
    let mut world = world();
    let key = |name: &'static str| [("authorization", name)];
    let body = br#"{"model":"g","input":"hi","previous_response_id":"resp_1"}"#;
    let maker = world.post(RESPONSES, &key("Bearer one"), body, |_| MADE).called[0].clone();
    for _ in 0..20 {
        assert_eq!(
            world.post(RESPONSES, &key("Bearer one"), body, |_| Answer::Ok).called,
            std::slice::from_ref(&maker)
        );
    }
    let other: BTreeSet<_> = (0..40)
        .map(|_| world.post(RESPONSES, &key("Bearer two"), body, |_| Answer::Ok).called[0].clone())
        .collect();
    assert_eq!(other.len(), 3, "{other:?}");
    let keyed = format!("{}general_settings: {{master_key: sk-1}}\n", group(&["a", "b", "c"], ""));
    let mut world = World::of(&keyed);
    let maker = world.post(RESPONSES, &key("Bearer sk-1"), body, |_| MADE).called[0].clone();
    let by_another_header = [("x-api-key", "sk-1")];
    assert_eq!(world.post(RESPONSES, &by_another_header, body, |_| Answer::Ok).called, [maker]);
}

#[test]
fn tags_are_stricter_than_the_origin() {
    let tagged = |id: &str, tag: &str| items(&[id], &format!(", tags: [{tag}]"));
    let yaml = format!(
        "model_list:\n{}{}router_settings: {{enable_tag_filtering: true}}\n",
        tagged("free", "free"),
        tagged("paid", "paid")
    );
    let mut world = World::of(&yaml);
    let body = br#"{"model":"g","input":"hi","tags":["paid"]}"#;
    assert_eq!(world.post(RESPONSES, &[], body, |_| MADE).called, ["paid"]);
    let body = br#"{"model":"g","input":"hi","tags":["free"],"previous_response_id":"resp_1"}"#;
    assert_eq!(world.post(RESPONSES, &[], body, |_| UNKNOWN).called, ["free"]);
}

#[test]
fn encrypted_reasoning_goes_to_the_account_that_made_it() {
    let mut world = world();
    let asks = br#"{"model":"g","input":"hi","store":false,"include":["reasoning.encrypted_content"]}"#;
    let answer = r#"{"id":"resp_1","output":[{"type":"reasoning","encrypted_content":"gAAAAABx"}]}"#;
    let maker = world.post(RESPONSES, &[], asks, |_| Answer::Body(answer)).called[0].clone();
    let next = br#"{"model":"g","input":[{"type":"reasoning","encrypted_content":"gAAAAABx"}]}"#;
    for _ in 0..20 {
        assert_eq!(world.post(RESPONSES, &[], next, |_| Answer::Ok).called, std::slice::from_ref(&maker));
    }
    let foreign = Answer::Error(400, r#"{"error":{"message":"no","code":"invalid_encrypted_content"}}"#);
    let elsewhere = br#"{"model":"g","input":[{"type":"reasoning","encrypted_content":"gAAAAABy"}]}"#;
    let found = world.post(RESPONSES, &[], elsewhere, |id| if id == "b" { Answer::Ok } else { foreign });
    assert_eq!((found.status, found.called.last().map(String::as_str)), (200, Some("b")));
}

#[test]
fn a_compacted_conversation_goes_on_where_it_was_compacted() {
    let mut world = world();
    let compact = |world: &mut World, body: &[u8], answer: &'static str| {
        world.post(&format!("{RESPONSES}/compact"), &[], body, |_| Answer::Body(answer))
    };
    let answer = r#"{"id":"resp_2","output":[{"type":"compaction","encrypted_content":"gAAAAABz"}]}"#;
    let maker = world.make();
    let compacted = compact(&mut world, br#"{"model":"g","previous_response_id":"resp_1"}"#, answer);
    assert_eq!(compacted.called, [maker]);
    let other = compact(&mut world, br#"{"model":"g","input":"hi"}"#, answer).called[0].clone();
    let next = br#"{"model":"g","input":[{"type":"compaction","encrypted_content":"gAAAAABz"}]}"#;
    for path in [RESPONSES.to_owned(), format!("{RESPONSES}/compact"), format!("{RESPONSES}/input_tokens")] {
        for _ in 0..10 {
            let called = world.post(&path, &[], next, |_| Answer::Ok).called;
            assert_eq!(called, std::slice::from_ref(&other), "{path}");
        }
    }
}

#[test]
fn routes_about_a_response_go_to_its_deployment_with_its_key_and_path() {
    let mut world = world();
    let maker = world.make();
    for (method, below) in [
        ("GET", ""),
        ("GET", "?stream=true&starting_after=4&include%5B%5D=file_search_call.results"),
        ("GET", "/input_items?limit=2&order=asc"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ] {
        let reply = world.ask(method, below, |_| Answer::Ok);
        assert_eq!((reply.status, reply.called), (200, vec![maker.clone()]), "{method} {below}");
        let sent = reply.sent.unwrap();
        assert_eq!(sent.header(":method"), method);
        assert_eq!(sent.header(":path"), format!("/v1/responses/resp_1{below}"));
        assert_eq!(sent.header(":authority"), format!("{maker}.test"));
        assert_eq!((sent.header("authorization"), sent.body.as_str()), ("Bearer k", ""));
        let streams = below.contains("stream=true");
        let limit =
            if streams { "x-envoy-upstream-rq-per-try-timeout-ms" } else { "x-envoy-upstream-rq-timeout-ms" };
        assert_eq!(sent.header(limit), "6000000", "{method} {below}");
        assert_eq!(sent.headers.get("content-type"), None, "{method}");
        let length = (method != "GET").then_some("0");
        assert_eq!(sent.headers.get("content-length"), length, "{method}");
    }
    // It was deleted.
    let called: BTreeSet<_> =
        (0..40).map(|_| world.ask("GET", "", |_| NOT_FOUND).called[0].clone()).collect();
    assert_eq!(called.len(), 3, "{called:?}");
    let line = world.lines.last().unwrap();
    assert_eq!((line["group"].as_str(), line["outcome"].as_str()), (Some("g"), Some("client_error")));
}

#[test]
fn azure_gets_its_own_path_and_version() {
    let yaml = "model_list:\n- model_name: g\n  litellm_params: {model: azure/m, api_base: 'https://r.openai.azure.com', api_key: k, api_version: 2025-04-01-preview}\n";
    let mut world = World::of(yaml);
    let sent = world
        .ask("GET", "/input_items?api-version=1&api%2Dversion=2&API-version=3&limit=2", |_| Answer::Ok)
        .sent
        .unwrap();
    assert_eq!(
        (sent.header(":path"), sent.header("api-key")),
        ("/openai/responses/resp_1/input_items?api-version=2025-04-01-preview&limit=2", "k")
    );
}

#[test]
fn requests_about_responses_count_for_no_limit_and_cool_none() {
    let mut world = World::of(&group(&["a", "b"], ", rpm: 2, tpm: 50"));
    let maker = world.make();
    let before = world.record(&maker).window;
    for _ in 0..5 {
        let reply = world.ask("GET", "", |_| Answer::Used(20, 20));
        assert_eq!((reply.status, reply.called), (200, vec![maker.clone()]));
    }
    assert_eq!(world.record(&maker).window, before);
    for answer in [Answer::Status(401), Answer::Status(403), Answer::Status(429), Answer::Refused] {
        world.ask("DELETE", "", |_| answer);
    }
    assert!(!world.is_cooling("a") && !world.is_cooling("b"));
}

#[test]
fn a_response_that_no_provider_has_is_not_found_in_openais_shape() {
    let mut world = world();
    let reply = world.ask("GET", "", |_| NOT_FOUND);
    assert_eq!((reply.status, reply.called.len()), (404, 3));
    assert!(reply.body.contains("Response with id 'resp_1' not found."), "{}", reply.body);
    let page = world.ask("GET", "", |_| Answer::Error(404, "<h1>Not Found</h1>"));
    assert_eq!((page.status, page.called.len()), (404, 3));
    let error: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(error["error"]["message"], "Response with id 'resp_1' not found.");
    let found = world.ask("GET", "", |id| if id == "b" { Answer::Ok } else { NOT_FOUND });
    assert_eq!((found.status, found.called.last().map(String::as_str)), (200, Some("b")));
    assert_eq!(world.ask("GET", "", |_| Answer::Ok).called, ["b"], "it is known now");
}

#[test]
fn without_a_deployment_for_responses_there_are_none() {
    let yaml = "model_list:\n- model_name: g\n  litellm_params: {model: gemini/m, api_key: k}\n";
    let reply = World::of(yaml).ask("GET", "", |_| Answer::Ok);
    assert_eq!((reply.status, reply.called.len()), (404, 0), "{reply:?}");
}

#[test]
fn nothing_is_remembered_where_one_account_has_all_responses() {
    let mut world = World::of(&group(&["a"], ""));
    world.make();
    world.ask("GET", "", |_| Answer::Ok);
    assert!((0..1024).all(|bucket| world.store.get(&format!("o/{bucket}")).is_none()));
    assert_eq!(world.go_on(|_| UNKNOWN).called, ["a"]);
}

/// What the router asks the filter for.
fn step(world: &World, body: &[u8], retry_state: Option<RetryState>) -> Step {
    let headers = [(":method", "POST"), (":path", RESPONSES)].into_iter().collect();
    let Arrival::Hold(request) = world.router.on_request_headers(&headers, false) else { panic!("not held") };
    let mut random = SplitMix::new(7);
    let mut moment = Moment { now: world.now, random: &mut random, store: &*world.store };
    world.router.on_request_body(&request, body, retry_state, &mut moment)
}

#[test]
fn instances_tell_each_other_where_a_response_was_made() {
    let redis = "router_settings: {redis_host: redis.test}\n";
    let instance = || World::of(&format!("{}{redis}", group(&["a", "b", "c"], "")));
    let (mut first, other) = (instance(), instance());
    let maker = first.make();
    let mut random = SplitMix::new(7);
    let mut moment = Moment { now: first.now, random: &mut random, store: &*first.store };
    let [published] = &first.router.fleet().unwrap().publish_news(&mut moment)[..] else { panic!() };
    let sent = String::from_utf8_lossy(&published.bytes);
    assert!(sent.contains("SET") && sent.contains(":origin:") && sent.contains(&format!("\r\n{maker}\r\n")));
    assert!(first.router.fleet().unwrap().publish_news(&mut moment).is_empty(), "once");

    let body = br#"{"model":"g","input":"and?","previous_response_id":"resp_1"}"#;
    let known = |deployment: &Attempt| other.id(deployment);
    for (reply, expected) in
        [(&b"$-1\r\n+OK\r\n"[..], None), (format!("$1\r\n{maker}\r\n+OK\r\n").as_bytes(), Some(&maker))]
    {
        let Step::AwaitRedis(retry_state, Awaited::Origin(references)) = step(&other, body, None) else {
            panic!("it is not known")
        };
        let mut moment = Moment { now: other.now, random: &mut random, store: &*other.store };
        let call = other.router.fleet().unwrap().find_origins(&references, &mut moment).unwrap();
        assert!(String::from_utf8_lossy(&call.bytes).contains("GET"));
        let result = other.router.apply_reply(&call, Some(reply), false, &moment);
        assert_eq!((result.outcome, result.resumes), ("success", true));
        let Step::Send(sending) = step(&other, body, Some(*retry_state)) else { panic!("it is asked once") };
        assert!(expected.is_none_or(|expected| *expected == known(&sending.attempt)));
    }
    let Step::Send(sending) = step(&other, body, None) else { panic!("it is known now") };
    assert_eq!(known(&sending.attempt), maker);
}
