//! Stories of limits: rpm, tpm and max_parallel_requests.

use std::time::Duration;

use crate::common::{Answer, ClientResponse, NOON, World, group, items, items_of};
use wasm_bindgen_test::wasm_bindgen_test as story;

fn ok(world: &mut World) -> ClientResponse {
    world.chat("g", "", |_| Answer::Ok)
}

/// The number of served requests among so many.
fn served(world: &mut World, requests: u32) -> usize {
    (0..requests).filter(|_| ok(world).status == 200).count()
}

fn seconds<'r>(reply: &'r [(&'static str, String)]) -> Option<&'r str> {
    reply.iter().find(|(name, _)| *name == "retry-after").map(|(_, value)| value.as_str())
}

#[story(unsupported = test)]
fn a_group_serves_what_its_minute_has_and_opens_when_the_minute_turns() {
    let mut world = World::of(&group(&["paris", "oslo"], ", rpm: 20"));
    world.wait(10.0);
    let response: Vec<ClientResponse> = (0..100).map(|_| ok(&mut world)).collect();
    let (served, refused): (Vec<&ClientResponse>, Vec<&ClientResponse>) =
        response.iter().partition(|response| response.status == 200);
    assert_eq!((served.len(), refused.len()), (40, 60));
    for response in refused {
        assert_eq!((response.status, response.header("retry-after")), (429, Some("50")));
        assert!(response.body.contains(r#""type":"rate_limit_error""#), "{}", response.body);
        assert!(response.called.is_empty());
    }
    world.wait(49.9);
    assert_eq!(ok(&mut world).header("retry-after"), Some("1"));
    world.wait(0.1);
    assert_eq!(ok(&mut world).status, 200);
}

#[story(unsupported = test)]
fn a_full_deployment_is_skipped_and_that_is_no_retry() {
    let yaml = group(&["paris"], ", rpm: 1, weight: 100") + &items(&["oslo"], ", rpm: 50, weight: 1");
    let mut world = World::of(&yaml);
    let response: Vec<ClientResponse> = (0..20).map(|_| ok(&mut world)).collect();
    assert_eq!(response.iter().filter(|response| response.called == ["paris"]).count(), 1);
    assert_eq!(response.iter().filter(|response| response.called == ["oslo"]).count(), 19);
    assert!(response.iter().all(|response| response.header("x-litellm-attempted-retries") == Some("0")));
}

#[story(unsupported = test)]
fn a_refusal_names_the_limits_of_the_group() {
    let yaml = group(&["paris"], ", rpm: 1")
        + &items(&["oslo"], ", max_parallel_requests: 1")
        + &items(&["rome"], ", tpm: 2")
        + &items(&["bern", "kyiv"], "")
        + "router_settings: {num_retries: 0}\n";
    let mut world = World::of(&yaml);
    assert_eq!(world.chat("paris", "", |_| Answer::Ok).status, 200);
    let _begun = world.begin("oslo", "").unwrap();
    for cooling in ["bern", "kyiv"] {
        assert_eq!(world.chat(cooling, "", |_| Answer::RateLimited(30)).status, 429);
    }
    assert_eq!(world.chat("rome", r#""max_tokens":1"#, |_| Answer::Used(1, 1)).status, 200);
    let refused = world.chat("g", r#""max_tokens":1"#, |_| Answer::Ok);
    let words = "No deployments available for selected model, Try again in 1 seconds. All deployments for selected model are at their limits or in cooldown: rpm, max_parallel_requests, tpm, cooldown. Passed model=g.";
    assert!(refused.body.contains(words), "{}", refused.body);
    let line = world.lines.last().unwrap();
    let limits = serde_json::json!(["over_rpm", "over_max_parallel_requests", "over_tpm", "cooling_down"]);
    assert_eq!((&line["reason"], &line["limits"]), (&"over_limit".into(), &limits), "{line}");
}

#[story(unsupported = test)]
fn every_attempt_counts_where_it_goes_retries_included() {
    let mut world = World::of(&group(&["paris", "oslo"], ", rpm: 1"));
    let response = world.chat("g", "", |_| Answer::Status(500));
    assert_eq!(
        (response.called.len(), response.status),
        (2, 500),
        "no deployment has room for a third attempt"
    );
    assert_eq!(ok(&mut world).status, 429);
}

#[story(unsupported = test)]
fn a_fallback_counts_where_it_goes() {
    let yaml = group(&["paris"], "")
        + &items_of("f", &["oslo"], ", rpm: 1")
        + "router_settings: {num_retries: 0, fallbacks: [{g: [f]}]}\n";
    let mut world = World::of(&yaml);
    let mut ask = || world.chat("g", "", |id| if id == "paris" { Answer::Status(500) } else { Answer::Ok });
    assert_eq!(ask().called, ["paris", "oslo"]);
    let response = ask();
    assert_eq!(
        (response.called, response.status),
        (vec!["paris".to_owned()], 500),
        "the first error, not the limit's"
    );
    assert_eq!(world.chat("f", "", |_| Answer::Ok).status, 429);
}

#[story(unsupported = test)]
fn tokens_are_reserved_when_a_request_is_admitted_and_corrected_when_it_ends() {
    let mut world = World::of(&group(&["paris"], ", tpm: 100"));
    // `[]` is one token, and 40 are asked for.
    let begin = |world: &mut World| world.begin("g", r#""max_tokens":40"#);
    let (first, second) = (begin(&mut world).unwrap(), begin(&mut world).unwrap());
    let refused = begin(&mut world).unwrap_err();
    assert_eq!((refused.status, seconds(&refused.headers)), (429, Some("1")), "nothing is answered yet");
    world.end(first, Some(5));
    let third = begin(&mut world).unwrap();
    world.end(second, Some(90));
    world.end(third, Some(41));
    assert!(begin(&mut world).is_err(), "136 of 100 are used");
    world.wait(60.0);
    assert!(begin(&mut world).is_ok());
}

#[story(unsupported = test)]
fn unused_tokens_are_given_back_in_the_minute_of_the_request_alone() {
    let mut world = World::of(&group(&["paris"], ", tpm: 100"));
    let (small, large) =
        (world.begin("g", r#""max_tokens":49"#).unwrap(), world.begin("g", r#""max_tokens":49"#).unwrap());
    world.wait(60.0);
    world.end(small, Some(1));
    world.end(large, Some(110));
    // 60 more than expected count now, and the 49 that were not needed then do not.
    assert!(world.begin("g", r#""max_tokens":40"#).is_err());
    assert!(world.begin("g", r#""max_tokens":39"#).is_ok());
}

#[story(unsupported = test)]
fn a_request_larger_than_a_minute_takes_a_whole_one() {
    let mut world = World::of(&group(&["paris"], ", tpm: 100"));
    let large = format!(r#""messages":["{}"],"max_tokens":5000"#, "x".repeat(300));
    let attempt = world.begin("g", &large).unwrap();
    assert!(world.begin("g", r#""max_tokens":1"#).is_err());
    world.end(attempt, Some(10));
    assert!(world.begin("g", r#""max_tokens":1"#).is_ok());
    world.wait(60.0);
    assert!(world.begin("g", &large).is_ok());
}

#[story(unsupported = test)]
fn a_providers_error_costs_no_tokens_and_a_request_without_a_response_costs_its_reservation() {
    for (answer, next) in [
        (Answer::Status(500), 200),
        (Answer::Refused, 200),
        (Answer::TimedOut, 429),
        (Answer::Reset, 429),
        (Answer::ClientDisconnects, 429),
    ] {
        let mut world = World::of(&(group(&["paris"], ", tpm: 100") + "router_settings: {num_retries: 0}\n"));
        world.chat("g", r#""max_tokens":80"#, |_| answer);
        assert_eq!(world.chat("g", r#""max_tokens":80"#, |_| Answer::Ok).status, next, "{answer:?}");
    }
}

#[story(unsupported = test)]
fn a_request_without_a_bound_reserves_what_others_took() {
    let mut world = World::of(&group(&["paris"], ", tpm: 1000"));
    assert_eq!(world.chat("g", "", |_| Answer::Used(0, 300)).status, 200);
    let (_first, _second) = (world.begin("g", "").unwrap(), world.begin("g", "").unwrap());
    assert!(world.begin("g", "").is_err(), "300 and twice 301 leave no 301");
}

#[story(unsupported = test)]
fn limits_may_be_in_the_item_in_litellm_params_or_in_model_info() {
    let item = |entry: &str, params: &str, info: &str| {
        format!(
            "model_list:\n- model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://a.test', api_key: k{params}}}\n  model_info: {{id: a{info}}}\n{entry}"
        )
    };
    for yaml in [item("  rpm: 2\n", "", ""), item("", ", rpm: 2", ""), item("", "", ", rpm: 2")] {
        assert_eq!(served(&mut World::of(&yaml), 5), 2, "{yaml}");
    }
}

#[story(unsupported = test)]
fn soft_limits_are_weights_alone() {
    let yaml = group(&["paris"], ", rpm: 9") + &items(&["oslo"], ", rpm: 1");
    let mut world = World::of(&(yaml + "llm_balancer: {limits: soft}\n"));
    let response: Vec<ClientResponse> = (0..1000).map(|_| ok(&mut world)).collect();
    assert!(
        response.iter().all(|response| response.status == 200 && response.header("x-ratelimit-limit-requests").is_none())
    );
    let paris = response.iter().filter(|response| response.called == ["paris"]).count();
    assert!((850..950).contains(&paris), "{paris} of 1000 instead of nine in ten");
}

#[story(unsupported = test)]
fn a_deployment_serves_no_more_at_once_than_its_slots() {
    for (params, settings) in [
        (", max_parallel_requests: 2", ""),
        ("", "router_settings: {default_max_parallel_requests: 2}\n"),
        (", max_parallel_requests: 2", "router_settings: {default_max_parallel_requests: 9}\n"),
    ] {
        let mut world = World::of(&(group(&["paris"], params) + settings));
        let (first, _second) = (world.begin("g", "").unwrap(), world.begin("g", "").unwrap());
        let refused = world.begin("g", "").unwrap_err();
        assert_eq!((refused.status, seconds(&refused.headers)), (429, Some("1")), "free at any moment");
        world.end(first, None);
        assert!(world.begin("g", "").is_ok(), "{params} {settings}");
    }
}

#[story(unsupported = test)]
fn a_slot_is_free_again_however_an_attempt_ends() {
    let yaml = group(&["paris"], ", max_parallel_requests: 1") + "router_settings: {num_retries: 1}\n";
    let mut world = World::of(&yaml);
    for answer in [
        Answer::Ok,
        Answer::Used(1, 2),
        Answer::ClientDisconnects,
        Answer::Status(400),
        Answer::Status(500),
        Answer::Refused,
        Answer::TimedOut,
        Answer::Reset,
    ] {
        world.chat("g", "", |_| answer);
        let attempt = world.begin("g", "").unwrap_or_else(|reply| panic!("{answer:?}: {reply:?}"));
        world.end(attempt, None);
    }
}

#[story(unsupported = test)]
fn a_response_has_the_limits_of_its_group_and_what_remains_of_them() {
    let yaml = group(&["paris", "oslo"], ", rpm: 20, tpm: 1000");
    let mut world = World::of(&yaml);
    let response = world.chat("g", r#""max_tokens":99"#, |_| Answer::Used(1, 49));
    let reset = format!("{}s", 60 - world.now.as_secs() % 60);
    for (name, value) in [
        ("x-ratelimit-reset-requests", &*reset),
        ("x-ratelimit-reset-tokens", &*reset),
        ("x-ratelimit-limit-requests", "40"),
        ("x-ratelimit-remaining-requests", "39"),
        ("x-ratelimit-limit-tokens", "2000"),
        ("x-ratelimit-remaining-tokens", "1900"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let response = world.chat("g", r#""max_tokens":99"#, |_| Answer::Ok);
    assert_eq!(response.header("x-ratelimit-remaining-requests"), Some("38"));
    assert_eq!(
        response.header("x-ratelimit-remaining-tokens"),
        Some("1850"),
        "50 tokens were used, 100 expected"
    );
    let mut unlimited = World::of(&group(&["paris"], ""));
    assert_eq!(ok(&mut unlimited).header("x-ratelimit-limit-requests"), None);
}

#[story(unsupported = test)]
fn what_remains_is_said_as_of_the_answer_and_over_all_workers() {
    let mut one = World::of(&group(&["paris"], ", rpm: 20"));
    let mut other = one.beside(2);
    let remaining = |world: &World, attempt| {
        let mut headers = world.router.response_headers(attempt, &|| world.now, &*world.store);
        headers.find(|(name, _)| *name == "x-ratelimit-remaining-requests").unwrap().1.into_owned()
    };
    let attempt = one.begin("g", "").unwrap();
    assert_eq!(remaining(&one, &attempt), "19");
    assert_eq!(served(&mut other, 5), 5);
    assert_eq!(remaining(&one, &attempt), "14");
    one.wait(60.0);
    assert_eq!(remaining(&one, &attempt), "20", "in the next minute");
    one.end(attempt, None);
}

#[story(unsupported = test)]
fn after_a_reload_what_remains_is_that_of_the_members_which_the_group_has_then() {
    let of = |group: &str, id: &str| items_of(group, &[id], &format!(", rpm: 20, order: {}", id.len()));
    let mut world = World::of(&format!("model_list:\n{}{}", of("g", "oslo"), of("g", "paris")));
    assert_eq!(served(&mut world, 5), 5);
    let by_id = world.chat("paris", "", |_| Answer::Ok);
    assert_eq!(by_id.header("x-ratelimit-remaining-requests"), Some("34"));
    for (list, model, remaining) in [
        (of("g", "paris"), "g", "18"),
        (of("g", "oslo") + &of("g", "london"), "g", "34"),
        (of("h", "oslo") + &of("g", "paris"), "h", "13"),
    ] {
        let mut reloaded = world.reloaded(&format!("model_list:\n{list}"));
        let response = reloaded.chat(model, "", |_| Answer::Ok);
        assert_eq!(response.header("x-ratelimit-remaining-requests"), Some(remaining), "{list}");
    }
}

#[story(unsupported = test)]
fn requests_to_a_member_without_a_limit_use_nothing_of_the_others_limits() {
    let yaml = group(&["paris"], ", rpm: 20, weight: 1") + &items(&["oslo"], ", weight: 0, tpm: 500");
    let mut world = World::of(&yaml);
    assert_eq!(world.chat("oslo", r#""max_tokens":99"#, |_| Answer::Ok).status, 200);
    let response = world.chat("g", r#""max_tokens":99"#, |_| Answer::Ok);
    assert_eq!(response.called, ["paris"]);
    assert_eq!(response.header("x-ratelimit-remaining-requests"), Some("19"), "of paris alone");
    assert_eq!(response.header("x-ratelimit-remaining-tokens"), Some("400"), "of oslo alone");
}

#[story(unsupported = test)]
fn a_refusal_of_any_worker_says_that_nothing_remains() {
    let mut one = World::of(&group(&["paris"], ", rpm: 3"));
    let mut other = one.beside(2);
    assert_eq!(served(&mut one, 3), 3);
    let response = ok(&mut other);
    assert_eq!((response.status, response.header("x-ratelimit-remaining-requests")), (429, Some("0")));
}

#[story(unsupported = test)]
fn workers_share_every_limit() {
    let mut one = World::of(&group(&["paris", "oslo"], ", rpm: 20"));
    let mut other = one.beside(2);
    let sum: usize = (0..60).map(|_| served(&mut one, 1) + served(&mut other, 1)).sum();
    assert_eq!(sum, 40);

    let mut one = World::of(&group(&["paris"], ", tpm: 100"));
    let mut other = one.beside(2);
    let attempt = one.begin("g", r#""max_tokens":80"#).unwrap();
    assert!(other.begin("g", r#""max_tokens":80"#).is_err());
    one.end(attempt, Some(3));
    assert!(other.begin("g", r#""max_tokens":80"#).is_ok(), "an old copy is no reason to refuse");

    let mut one = World::of(&group(&["paris"], ", max_parallel_requests: 1"));
    let mut other = one.beside(2);
    let attempt = one.begin("g", "").unwrap();
    assert!(other.begin("g", "").is_err());
    one.end(attempt, None);
    assert!(other.begin("g", "").is_ok());
}

#[story(unsupported = test)]
fn a_deployment_that_another_worker_has_freed_is_used_again() {
    for strategy in ["simple-shuffle", "least-busy", "latency-based-routing"] {
        let settings = format!("router_settings: {{routing_strategy: {strategy}}}\n");
        let mut one =
            World::of(&(group(&["paris", "oslo"], ", max_parallel_requests: 5, order: 1") + &settings));
        let mut other = one.beside(2);
        one.wait(1.0);
        let busy: Vec<_> = (0..5).map(|_| one.begin("paris", "").unwrap()).collect();
        for _ in 0..3 {
            assert_eq!(ok(&mut other).called, ["oslo"], "{strategy}");
        }
        busy.into_iter().for_each(|attempt| one.end(attempt, None));
        let paris = (0..40).filter(|_| ok(&mut other).called == ["paris"]).count();
        assert!(paris > 0, "{strategy}: no request went to paris again");
    }
}

#[story(unsupported = test)]
fn what_a_dead_worker_had_in_flight_is_given_back_within_seconds() {
    for strategy in ["simple-shuffle", "least-busy", "usage-based-routing", "latency-based-routing"] {
        let settings = format!("router_settings: {{routing_strategy: {strategy}}}\n");
        let mut one = World::of(&(group(&["paris"], ", max_parallel_requests: 1") + &settings));
        let mut dead = one.beside(2);
        let _never_ends = dead.begin("g", "").unwrap();
        one.wait(1.0);
        assert!(one.begin("g", "").is_err(), "{strategy}");
        (0..4).for_each(|_| one.wait(1.0));
        assert!(one.begin("g", "").is_ok(), "{strategy}");
    }
}

#[story(unsupported = test)]
fn a_clock_that_steps_back_opens_no_minute_a_second_time() {
    let mut world = World::of(&group(&["paris"], ", rpm: 2"));
    world.wait(1.0);
    assert_eq!(served(&mut world, 3), 2);
    world.now = NOON - Duration::from_secs(2);
    assert_eq!(ok(&mut world).header("retry-after"), Some("62"));
    world.now = NOON + Duration::from_secs(60);
    assert_eq!(served(&mut world, 3), 2);
}

#[story(unsupported = test)]
fn a_reload_keeps_the_counts_of_what_stays_the_same() {
    let yaml = |oslo: &str| group(&["paris"], ", rpm: 2") + &items(&[oslo], ", rpm: 2");
    let mut world = World::of(&yaml("oslo"));
    assert_eq!(served(&mut world, 9), 4);
    assert_eq!(served(&mut world.reloaded(&yaml("oslo")), 9), 0);
    assert_eq!(served(&mut world.reloaded(&yaml("rome")), 9), 2, "rome is new");
    let more = yaml("oslo").replace("rpm: 2", "rpm: 5");
    assert_eq!(served(&mut world.reloaded(&more), 20), 6, "two of five are used");
}
