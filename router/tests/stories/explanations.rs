//! Stories of explanations: why a request went where it did.

use wasm_bindgen_test::wasm_bindgen_test as story;

use crate::common::{Answer, CHAT, World, group, items_of};

const EXPLAIN: &str = "x-llm-balancer-explain";

fn explained(world: &mut World, headers: &[(&str, &str)]) -> Option<serde_json::Value> {
    let body = br#"{"model":"g","messages":[]}"#;
    let response = world.post(CHAT, headers, body, |id| match id {
        "broken" => Answer::Status(401),
        _ => Answer::Ok,
    });
    response.header(EXPLAIN).map(|text| serde_json::from_str(text).expect("an explanation is JSON"))
}

#[story(unsupported = test)]
fn an_explanation_lists_the_eligible_deployments_and_why_the_others_were_not() {
    let yaml = "model_list:
- {model_name: g, litellm_params: {model: openai/m, api_key: k, rpm: 1, weight: 1000}, model_info: {id: small}}
- {model_name: g, litellm_params: {model: openai/m, api_key: k, weight: 100}, model_info: {id: broken}}
- {model_name: g, litellm_params: {model: openai/m, api_key: k, weight: 1}, model_info: {id: large}}
general_settings: {master_key: sk-long-enough}
";
    let mut world = World::of(yaml);
    let asking = [("authorization", "Bearer sk-long-enough"), (EXPLAIN, "1")];
    let mut last = serde_json::Value::Null;
    for _ in 0..3 {
        last = explained(&mut world, &asking).expect("it was asked for");
    }
    assert_eq!(last["selected"], "large", "{last:#}");
    let candidates = last["candidates"].as_array().expect("candidates");
    let reasons: Vec<_> = candidates.iter().map(|candidate| candidate["reason"].as_str()).collect();
    assert_eq!(reasons, [Some("over_rpm"), Some("cooling_down"), None], "{last:#}");
    assert_eq!(candidates[2]["eligible"], true);
    assert_eq!(
        (&last["routing"]["eligible"], &last["routing"]["candidates"]),
        (&1.into(), &3.into()),
        "{last:#}"
    );
    assert_eq!(candidates[0]["retry_after_ms"], 60_000);
}

#[story(unsupported = test)]
fn an_explanation_counts_the_eligible_deployments_that_it_lists() {
    for strategy in ["simple-shuffle", "least-busy", "latency-based-routing"] {
        for size in [1, 3, 70, 130] {
            let ids: Vec<String> = (0..size).map(|nth| format!("d{nth}")).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let settings = format!(
                "router_settings: {{routing_strategy: {strategy}, num_retries: 0, cooldown_time: 60}}\n"
            );
            let key = "general_settings: {master_key: sk-long-enough}\n";
            let mut world = World::of(&(group(&ids, "") + &settings + key));
            let key = [("authorization", "Bearer sk-long-enough")];
            let cooled = size / 3;
            for id in ids.iter().take(cooled) {
                let body = format!(r#"{{"model":"{id}","messages":[]}}"#);
                world.post(CHAT, &key, body.as_bytes(), |_| Answer::Status(429));
            }
            for _ in 0..5 {
                let response = explained(&mut world, &[key[0], (EXPLAIN, "1")]).expect("it was asked for");
                assert_eq!(
                    response["routing"]["eligible"],
                    size - cooled,
                    "{strategy}: {}",
                    response["routing"]
                );
                // The access log has the same number, or none.
                let logged = &world.lines.last().expect("a line")["routing"];
                assert!(
                    logged.get("eligible").is_none_or(|logged| *logged == size - cooled),
                    "{strategy}: {logged}"
                );
            }
        }
    }
}

#[story(unsupported = test)]
fn a_refusal_is_explained_as_well() {
    let yaml = group(&["a"], ", rpm: 1") + "general_settings: {master_key: sk-long-enough}\n";
    let mut world = World::of(&yaml);
    let asking = [("authorization", "Bearer sk-long-enough"), (EXPLAIN, "1")];
    explained(&mut world, &asking);
    let response = explained(&mut world, &asking).expect("it was asked for");
    assert_eq!(response["selected"], serde_json::Value::Null);
    assert_eq!(response["candidates"][0]["reason"], "over_rpm");
}

#[story(unsupported = test)]
fn nothing_is_explained_without_a_request_for_it_and_a_key() {
    let mut open = World::of(&group(&["a"], ""));
    assert_eq!(explained(&mut open, &[(EXPLAIN, "1")]), None);
    let mut guarded = World::of(&(group(&["a"], "") + "general_settings: {master_key: sk-long-enough}\n"));
    assert_eq!(explained(&mut guarded, &[("authorization", "Bearer sk-long-enough")]), None);
    assert_eq!(explained(&mut guarded, &[(EXPLAIN, "1")]), None);
}

#[story(unsupported = test)]
fn an_error_of_the_first_group_is_no_refusal_where_the_fallback_is_refused() {
    let limited = items_of("a", &["full"], ", rpm: 1");
    let yaml = group(&["first"], "") + &limited + "router_settings: {num_retries: 0}\n";
    let mut world = World::of(&yaml);
    world.chat("a", "", |_| Answer::Ok);
    let mut logged = |model: &str, fallback: &str| {
        let body = format!(r#""fallbacks":["{fallback}"]"#);
        let response = world.chat(model, &body, |_| Answer::Error(500, r#"{"error":"the first"}"#));
        let line = world.lines.last().unwrap();
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        (response.status, text("outcome"), text("reason"))
    };
    let failed = (500, "server_error".to_owned(), String::new());
    assert_eq!([logged("g", "unknown"), logged("g", "a")], [failed.clone(), failed]);
    // Nothing was tried: the reason is the one that the client learns.
    assert_eq!(logged("a", "unknown"), (429, "refused".to_owned(), "over_limit".to_owned()));
}

#[story(unsupported = test)]
fn an_explanation_reads_no_more_records_than_it_lists() {
    let reads = |size: usize| {
        let ids: Vec<String> = (0..size).map(|nth| format!("d{nth}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let yaml = group(&ids, ", tags: [free]")
            + "router_settings: {enable_tag_filtering: true}\ngeneral_settings: {master_key: sk-long-enough}\n";
        let mut world = World::of(&yaml);
        let before = world.store.calls().0;
        let body = br#"{"model":"g","messages":[],"tags":["free"]}"#;
        let headers = [("authorization", "Bearer sk-long-enough"), (EXPLAIN, "1")];
        let response = world.post(CHAT, &headers, body, |_| Answer::Ok);
        let text = response.header(EXPLAIN).expect("it was asked for");
        let explanation: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(explanation["routing"]["eligible"], size, "{text}");
        world.store.calls().0 - before
    };
    assert_eq!(reads(1_000), reads(100));
}

#[story(unsupported = test)]
fn an_explanation_says_who_was_preferred_and_why_another_serves() {
    let yaml = group(&["paris", "oslo", "rome", "bonn"], "")
        + "router_settings: {optional_pre_call_checks: [session_affinity]}\n"
        + "general_settings: {master_key: sk-1234567890abcdef}\n";
    let mut world = World::of(&yaml);
    let explained = |world: &mut World| -> serde_json::Value {
        let headers = [("authorization", "Bearer sk-1234567890abcdef"), ("x-llm-balancer-explain", "1")];
        let body = br#"{"model":"g","messages":[],"metadata":{"session_id":"session-3"}}"#;
        let response = world.post(CHAT, &headers, body, |_| Answer::Ok);
        let text = response.headers.iter().find(|(name, _)| name == "x-llm-balancer-explain").unwrap();
        serde_json::from_str(&text.1).unwrap()
    };
    let first = explained(&mut world);
    assert_eq!(
        (&first["routing"]["affinity"], &first["routing"]["affinity_rank"]),
        (&"hit".into(), &0.into())
    );
    let home = first["selected"].as_str().unwrap().to_owned();
    let headers = [("authorization", "Bearer sk-1234567890abcdef")];
    let body = format!(r#"{{"model":"{home}","messages":[]}}"#);
    world.post(CHAT, &headers, body.as_bytes(), |_| Answer::RateLimited(5));
    let second = explained(&mut world);
    let routing = &second["routing"];
    assert_eq!((&routing["affinity"], &routing["affinity_rank"]), (&"moved".into(), &1.into()), "{second}");
    assert_eq!(routing["affinity_reason"], "cooling_down");
}
