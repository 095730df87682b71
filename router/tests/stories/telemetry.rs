//! Stories of metrics and the access log.

use std::time::Duration;

use llm_balancer_router::Change::{self, Add, Gauge, GaugeDelta, Observe};
use llm_balancer_router::{
    AccessLogEntry, Headers, Moment, Outcome, Refusal, RetryState, SplitMix, StreamEnd,
};
use wasm_bindgen_test::wasm_bindgen_test as story;

use crate::common::{Answer, CHAT, World, group};

fn of(group: &str, id: &str) -> String {
    format!("group={group};deployment={id}")
}

/// Those counters that have grown.
fn growth(world: &mut World) -> Vec<(String, u64)> {
    let counted = world.counted().into_iter();
    counted
        .filter_map(|(name, changes)| match changes[..] {
            [Add(count)] => Some((name, count)),
            _ => None,
        })
        .collect()
}

fn grown(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[story(unsupported = test)]
fn a_request_that_succeeds_counts_once_with_its_tokens_and_times() {
    let mut world = World::of(&group(&["a"], ""));
    world.chat("g", "", |_| Answer::After(120));
    let counted = world.counted();
    let a = of("g", "a");
    let expected: [(String, Change); 5] = [
        (format!("attempts_total;{a};outcome=success;status=200"), Add(1)),
        (format!("duration_milliseconds;{a}"), Observe(120)),
        ("requests_total;group=g;outcome=success;status=200".into(), Add(1)),
        (format!("time_to_first_byte_milliseconds;{a}"), Observe(120)),
        (format!("tokens_total;{a};type=completion"), Add(1)),
    ];
    for (name, change) in expected {
        assert_eq!(counted.get(&name), Some(&vec![change]), "{name} in {counted:#?}");
    }
    assert_eq!(growth(&mut world), [], "nothing is counted twice");
}

#[story(unsupported = test)]
fn an_answer_that_ends_early_shows_the_tokens_that_it_has_reported() {
    let mut world = World::of(&group(&["a"], ""));
    world.chat("g", "", |_| Answer::UsedSoFar(25, 1, StreamEnd::ClientDisconnected));
    assert_eq!(world.lines[0]["outcome"], "client_disconnected");
    assert_eq!(world.lines[0]["tokens"], serde_json::json!({"prompt": 25, "completion": 1}));
    assert!(growth(&mut world).contains(&(format!("tokens_total;{};type=prompt", of("g", "a")), 25)));
}

#[story(unsupported = test)]
fn a_retry_counts_where_it_failed_and_one_line_has_both_attempts() {
    let mut world = World::of(&group(&["a", "b"], ""));
    world.chat("g", "", |id| if id == "a" { Answer::Status(500) } else { Answer::Used(3, 4) });
    world.chat("g", "", |id| if id == "a" { Answer::Status(500) } else { Answer::Used(3, 4) });
    let line = world.lines.iter().find(|line| line["retries"] == 1).expect("one of two begins with a");
    assert_eq!(line["outcome"], "success");
    assert_eq!(line["attempts"][0]["deployment"], "a");
    assert_eq!(line["attempts"][0]["outcome"], "server_error");
    assert_eq!(line["attempts"][0]["status"], 500);
    assert_eq!(line["attempts"][1]["deployment"], "b");
    assert_eq!(line["deployment"], "b");
    assert_eq!(line["tokens"], serde_json::json!({"prompt": 3, "completion": 4}));
    assert_eq!(line["routing"]["strategy"], "simple-shuffle");
    let a = of("g", "a");
    let retries = world.lines.iter().filter(|line| line["retries"] == 1).count() as u64;
    let growth = growth(&mut world);
    assert!(growth.contains(&(format!("attempts_total;{a};outcome=server_error;status=500"), retries)));
    assert!(growth.contains(&(format!("failures_total;{a};class=server"), retries)));
    assert!(growth.contains(&(format!("retries_total;{a}"), retries)));
    assert!(growth.contains(&("requests_total;group=g;outcome=success;status=200".into(), 2)));
}

#[story(unsupported = test)]
fn every_end_of_a_request_has_its_outcome() {
    for (answer, status, outcome) in [
        (Answer::Status(400), "400", "client_error"),
        (Answer::Status(429), "429", "rate_limited"),
        (Answer::Status(503), "503", "server_error"),
        (Answer::Refused, "500", "connection_error"),
        (Answer::TimedOut, "408", "timeout"),
        (Answer::Reset, "500", "stream_interrupted"),
        (Answer::ClientDisconnects, "none", "client_disconnected"),
    ] {
        let mut world = World::of(&format!("{}router_settings: {{num_retries: 0}}\n", group(&["a"], "")));
        world.chat("g", "", |_| answer);
        let expected = format!("requests_total;group=g;outcome={outcome};status={status}");
        let growth = growth(&mut world);
        let requests: Vec<_> =
            growth.iter().filter(|(name, _)| name.starts_with("requests_total")).cloned().collect();
        assert_eq!(requests, [(expected, 1)], "{answer:?}");
        assert_eq!(world.lines.len(), 1, "{answer:?}");
        assert_eq!(world.lines[0]["outcome"], outcome, "{answer:?}");
        assert_eq!(world.lines[0]["attempts"].as_array().map(Vec::len), Some(1), "{answer:?}");
    }
}

#[story(unsupported = test)]
fn refusals_have_reasons_and_groups_that_no_client_can_invent() {
    let yaml = group(&["a"], ", rpm: 1") + "general_settings: {master_key: sk-long-enough}\n";
    let mut world = World::of(&yaml);
    let key = [("authorization", "Bearer sk-long-enough")];
    let body = |model: &str| format!(r#"{{"model":"{model}","messages":[]}}"#).into_bytes();
    world.post(CHAT, &[], &body("g"), |_| Answer::Ok);
    world.post(CHAT, &key, &body("nobody"), |_| Answer::Ok);
    world.post(CHAT, &key, b"{", |_| Answer::Ok);
    world.post(CHAT, &key, &body("g"), |_| Answer::Ok);
    world.post(CHAT, &key, &body("g"), |_| Answer::Ok);
    let growth = growth(&mut world);
    let refusals: Vec<_> =
        growth.into_iter().filter(|(name, _)| name.starts_with("refusals_total")).collect();
    assert_eq!(
        refusals,
        grown(&[
            ("refusals_total;group=g;reason=over_limit", 1),
            ("refusals_total;reason=malformed", 1),
            ("refusals_total;reason=unauthorized", 1),
            ("refusals_total;reason=unknown_model", 1),
        ])
    );
    let reasons: Vec<_> =
        world.lines.iter().map(|line| line["reason"].as_str().unwrap_or("served")).collect();
    assert_eq!(reasons, ["unauthorized", "unknown_model", "malformed", "served", "over_limit"]);
}

#[story(unsupported = test)]
fn a_request_that_envoy_answers_by_itself_is_counted_with_the_status_that_its_client_got() {
    let mut world = World::of(&group(&["a"], ""));
    let refusal = || AccessLogEntry::of_refusal(&Refusal::TooLarge(1));
    let listing = || AccessLogEntry::new(RetryState::default(), Outcome::Success, 200);
    for (entry, status, reason) in [
        (None, 408, "incomplete_request"),
        (Some(refusal()), 408, "body_too_large"),
        (Some(listing()), 400, "incomplete_request"),
        (None, 504, "upstream_unavailable"),
    ] {
        let entry = AccessLogEntry::of_local_reply(entry, RetryState::default(), status);
        let line = world.router.record_request(entry, &Headers::default(), Duration::ZERO).unwrap();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["outcome"], &line["status"]), (&"refused".into(), &status.into()), "{line}");
        assert_eq!(line["reason"], reason, "{line}");
    }
    let counted = growth(&mut world);
    assert!(counted.contains(&("requests_total;outcome=refused;status=408".to_owned(), 2)), "{counted:?}");
    assert!(counted.contains(&("refusals_total;reason=incomplete_request".to_owned(), 2)), "{counted:?}");
}

#[story(unsupported = test)]
fn a_fallback_counts_between_two_groups_and_the_request_in_the_first() {
    let yaml = "model_list:
- {model_name: g, litellm_params: {model: openai/m, api_key: k}, model_info: {id: a}}
- {model_name: 'other/*', litellm_params: {model: 'openai/*', api_key: k}, model_info: {id: b}}
router_settings: {num_retries: 0, fallbacks: [{g: [other/x]}]}
";
    let mut world = World::of(yaml);
    world.chat("g", "", |id| if id == "a" { Answer::Status(500) } else { Answer::Ok });
    let growth = growth(&mut world);
    for (name, count) in grown(&[
        ("fallbacks_total;group=g;target=other/*", 1),
        ("requests_total;group=g;outcome=success;status=200", 1),
        ("attempts_total;group=other/*;deployment=b;outcome=success;status=200", 1),
    ]) {
        assert!(growth.contains(&(name.clone(), count)), "{name} in {growth:#?}");
    }
    assert_eq!((&world.lines[0]["model"], &world.lines[0]["fallbacks"]), (&"g".into(), &1.into()));
}

#[story(unsupported = test)]
fn gauges_have_limits_what_remains_of_them_and_cooldowns() {
    let mut world = World::of(&group(&["a", "b"], ", rpm: 10, tpm: 1000"));
    world.chat("g", "", |_| Answer::Used(30, 40));
    let served = world.lines[0]["deployment"].as_str().unwrap_or_default().to_owned();
    let other = if served == "a" { "b" } else { "a" };
    let counted = world.counted();
    for (name, value) in [
        (format!("limit_requests;{}", of("g", &served)), 10),
        (format!("remaining_requests;{}", of("g", &served)), 9),
        (format!("remaining_tokens;{}", of("g", &served)), 930),
        (format!("remaining_tokens;{}", of("g", other)), 1000),
        (format!("cooling_down;{}", of("g", &served)), 0),
        ("config_revision".into(), 1),
        (format!("build_info;version={}", env!("CARGO_PKG_VERSION")), 1),
    ] {
        assert_eq!(counted.get(&name), Some(&vec![Gauge(value)]), "{name} in {counted:#?}");
    }
    world.chat("g", "", |_| Answer::Status(401));
    let counted = world.counted();
    let cooling = counted.iter().filter(|(name, _)| name.starts_with("cooling_down"));
    assert!(
        cooling.clone().count() > 0 && cooling.clone().all(|(_, change)| *change == [Gauge(1)]),
        "{counted:#?}"
    );
    let end = world.now.as_secs_f64().ceil() as u64 + 5;
    for id in ["a", "b"] {
        let end_of = counted.get(&format!("cooldown_end_timestamp_seconds;{}", of("g", id)));
        assert_eq!(end_of, Some(&vec![Gauge(end)]), "{counted:#?}");
    }
    world.wait(61.0);
    let counted = world.counted();
    assert_eq!(counted.get(&format!("remaining_requests;{}", of("g", &served))), Some(&vec![Gauge(10)]));
}

#[story(unsupported = test)]
fn the_info_of_a_deployment_has_its_share_by_weight() {
    let item = |group: &str, id: &str, params: &str| {
        format!(
            "- {{model_name: {group}, litellm_params: {{model: openai/m, api_key: k{params}}}, model_info: {{id: {id}}}}}\n"
        )
    };
    let items = [
        item("weighted", "a", ", weight: 2"),
        item("weighted", "b", ", weight: 1, rpm: 5000"),
        item("by-rpm", "c", ", rpm: 6"),
        item("by-rpm", "d", ", rpm: 1440"),
        item("even/*", "e", ""),
        item("ordered", "f", ", weight: 1, order: 1"),
        item("busy", "g", ", weight: 1"),
    ];
    let settings = "router_settings: {routing_groups: [{group_name: both, models: [weighted, by-rpm], routing_strategy: simple-shuffle}, {group_name: own, models: [busy], routing_strategy: least-busy}]}\n";
    let counted = World::of(&format!("model_list:\n{}{settings}", items.concat())).counted();
    let weight = |id: &str| {
        let deployment = format!(";deployment={id};");
        let name =
            counted.keys().find(|name| name.starts_with("deployment_info;") && name.contains(&deployment));
        name.and_then(|name| Some(name.split_once(";weight=")?.1.to_owned()))
    };
    let weights = ["a", "b", "c", "d", "e", "f", "g"].map(weight);
    let expected = ["0.6667", "0.3333", "0.0041", "0.9959", "1.0000"].map(|weight| Some(weight.to_owned()));
    assert_eq!(weights[..5], expected, "{counted:#?}");
    assert_eq!(weights[5..], [None, None], "order and least-busy do not draw by weight: {counted:#?}");
}

#[story(unsupported = test)]
fn the_gauges_of_many_deployments_begin_over_several_seconds() {
    let ids: Vec<String> = (0..450).map(|index| format!("d{index}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut world = World::of(&group(&ids, ", rpm: 10"));
    let mut begun = || {
        let counted = world.counted();
        ["deployment_info;", "limit_requests;"]
            .map(|gauge| counted.keys().filter(|name| name.starts_with(gauge)).count())
    };
    assert_eq!([begun(), begun(), begun(), begun()], [[200; 2], [200; 2], [50; 2], [0; 2]]);
}

#[story(unsupported = test)]
fn after_a_reload_the_gauges_are_those_of_the_new_configuration() {
    let mut old = World::of(&group(&["a"], ", rpm: 10"));
    old.counted();
    let mut new = old.reloaded(&group(&["b"], ", rpm: 20"));
    assert_eq!(new.counted(), std::collections::BTreeMap::default(), "the old one still leads");
    let cleared = old.counted();
    assert_eq!(
        cleared.get(&format!("limit_requests;{}", of("g", "a"))),
        Some(&vec![Gauge(0)]),
        "{cleared:#?}"
    );
    assert_eq!(new.counted(), std::collections::BTreeMap::default(), "and flushes its zeros first");
    assert_eq!(old.counted(), std::collections::BTreeMap::default());
    let shown = new.counted();
    assert_eq!(shown.get("config_revision"), Some(&vec![Gauge(2)]), "{shown:#?}");
    assert_eq!(shown.get(&format!("limit_requests;{}", of("g", "b"))), Some(&vec![Gauge(20)]));
    assert!(!cleared.keys().any(|name| name.starts_with("build_info")), "it does not end: {cleared:#?}");
    assert_eq!(old.counted(), std::collections::BTreeMap::default());
}

#[story(unsupported = test)]
fn after_a_reload_without_redis_its_gauges_are_zero() {
    const NAMES: [&str; 4] = ["instances", "redis_mode;mode=local", "redis_mode;mode=shared", "redis_up"];
    let shown = |world: &mut World| {
        let counted = world.counted();
        NAMES.map(|name| match counted.get(name).map(Vec::as_slice) {
            Some([Gauge(value)]) => Some(*value),
            _ => None,
        })
    };
    let without = group(&["a"], ", rpm: 10");
    assert_eq!(shown(&mut World::of(&without)), [None; 4], "there was none");
    let mut old = World::of(&format!("{without}router_settings: {{redis_host: redis.test}}\n"));
    let mut random = SplitMix::new(1);
    let mut moment = Moment { now: old.now, random: &mut random, store: &*old.store };
    old.router.fleet().expect("it has Redis").exchange(&mut moment);
    assert_eq!(shown(&mut old), [Some(1), Some(0), Some(1), None]);
    let mut new = old.reloaded(&without);
    let _ = (old.counted(), old.counted());
    assert_eq!(shown(&mut new), [Some(0); 4]);
}

#[story(unsupported = test)]
fn what_is_in_flight_goes_up_and_down() {
    let mut world = World::of(&group(&["a"], ""));
    let in_flight = format!("in_flight;{}", of("g", "a"));
    let attempt = world.begin("g", "").expect("it is served");
    assert_eq!(world.counted().get(&in_flight), Some(&vec![GaugeDelta(1)]));
    world.end(attempt, None);
    assert_eq!(world.counted().get(&in_flight), Some(&vec![GaugeDelta(-1)]));
}
