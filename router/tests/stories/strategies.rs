//! Stories of the deployment that is selected: by strategy, by tag, and in routing groups.

use crate::common::{Answer, CHAT, ClientResponse, NOON, World, group, items, items_of};
use wasm_bindgen_test::wasm_bindgen_test as story;

fn by(strategy: &str, ids: &[&str]) -> World {
    World::of(&file(strategy, ids))
}

fn file(strategy: &str, ids: &[&str]) -> String {
    group(ids, "") + &format!("router_settings: {{num_retries: 0, routing_strategy: {strategy}}}\n")
}

/// The number of requests that a deployment serves, of so many.
fn share(world: &mut World, requests: usize, id: &str) -> usize {
    (0..requests).filter(|_| world.chat("g", "", |_| Answer::Ok).called == [id]).count()
}

fn call(world: &mut World, id: &str, answer: Answer) -> ClientResponse {
    world.chat(id, "", |_| answer)
}

#[story(unsupported = test)]
fn least_busy_breaks_ties_at_random() {
    let mut world = by("least-busy", &["paris", "oslo", "rome"]);
    for id in ["paris", "oslo", "rome"] {
        let served = share(&mut world, 300, id);
        assert!((60..140).contains(&served), "{id}: {served} of 300");
    }
}

#[story(unsupported = test)]
fn least_busy_spreads_a_burst_evenly_over_all_workers() {
    let mut one = by("least-busy", &["paris", "oslo", "rome"]);
    let mut other = one.beside(2);
    let mut counts = std::collections::HashMap::new();
    let mut open = Vec::new();
    for _ in 0..15 {
        for world in [&mut one, &mut other] {
            let attempt = world.begin("g", "").unwrap();
            *counts.entry(world.id(&attempt)).or_insert(0) += 1;
            open.push(attempt);
        }
    }
    assert!(counts.values().all(|count| (9..=11).contains(count)), "{counts:?}");
}

#[story(unsupported = test)]
fn usage_based_selects_the_fewest_tokens_of_all_workers() {
    for strategy in ["usage-based-routing", "usage-based-routing-v2"] {
        let mut one = by(strategy, &["paris", "oslo"]);
        let mut other = one.beside(2);
        call(&mut one, "paris", Answer::Used(500, 5000));
        let response: Vec<ClientResponse> =
            (0..9).map(|_| other.chat("g", "", |_| Answer::Used(1, 9))).collect();
        assert!(
            response.iter().skip(1).all(|response| response.called == ["oslo"]),
            "{strategy}: {response:?}"
        );
        other.wait(60.0);
        assert!(share(&mut other, 10, "paris") > 0, "the minute has turned");
    }
}

#[story(unsupported = test)]
fn cost_based_selects_the_cheapest_and_the_next_during_its_cooldown() {
    let params = |price: &str| format!(", input_cost_per_token: {price}, output_cost_per_token: {price}");
    let yaml = group(&["dear"], &params("0.00002"))
        + &items(&["cheap"], &params("0.00001"))
        + &items(&["unknown"], "")
        + "router_settings: {num_retries: 0, routing_strategy: cost-based-routing}\n";
    let mut world = World::of(&yaml);
    assert_eq!(share(&mut world, 20, "cheap"), 20);
    call(&mut world, "cheap", Answer::Status(429));
    assert_eq!(share(&mut world, 20, "dear"), 20);
}

#[story(unsupported = test)]
fn latency_based_selects_the_fastest() {
    let mut world = by("latency-based-routing", &["slow", "fast"]);
    for _ in 0..4 {
        call(&mut world, "slow", Answer::After(900));
        call(&mut world, "fast", Answer::After(100));
    }
    assert_eq!(share(&mut world, 30, "fast"), 30);
}

#[story(unsupported = test)]
fn one_that_was_never_measured_is_tried_by_one_request_at_a_time() {
    let mut one = by("latency-based-routing", &["known", "new"]);
    let mut other = one.beside(2);
    call(&mut one, "known", Answer::After(100));
    let probe = one.begin("g", "").unwrap();
    assert_eq!(one.id(&probe), "new");
    for world in [&mut one, &mut other] {
        for _ in 0..5 {
            let attempt = world.begin("g", "").unwrap();
            assert_eq!(world.id(&attempt), "known", "no second probe");
            world.end(attempt, Some(1));
        }
    }
    // The probe measures nothing, so that another one is needed.
    one.disconnect(probe);
    let attempt = other.begin("g", "").unwrap();
    assert_eq!(other.id(&attempt), "new");
}

#[story(unsupported = test)]
fn within_the_buffer_all_are_selected_alike() {
    let settings = "router_settings: {routing_strategy: latency-based-routing, routing_strategy_args: {lowest_latency_buffer: 0.5}}\n";
    let mut world = World::of(&(group(&["a", "b", "c"], "") + settings));
    for (id, milliseconds) in [("a", 100), ("b", 140), ("c", 160)] {
        call(&mut world, id, Answer::After(milliseconds));
    }
    let mut counts = [0; 3];
    for _ in 0..200 {
        let attempt = world.begin("g", "").unwrap();
        let id = world.id(&attempt);
        counts[usize::from(id.as_bytes()[0] - b'a')] += 1;
        world.disconnect(attempt);
    }
    assert!(counts[0] > 60 && counts[1] > 60 && counts[2] == 0, "{counts:?}");
}

#[story(unsupported = test)]
fn a_timeout_counts_as_a_slow_response() {
    let mut world = by("latency-based-routing", &["stuck", "fine"]);
    call(&mut world, "fine", Answer::After(200));
    let attempt = world.begin("g", "").unwrap();
    assert_eq!(world.id(&attempt), "stuck");
    world.wait(30.0);
    let failure = llm_balancer_router::Failure::TimedOut;
    let random = &mut llm_balancer_router::SplitMix::new(1);
    let mut moment = llm_balancer_router::Moment { now: world.now, random, store: &*world.store };
    drop(world.router.on_attempt_failed(attempt, failure, &Default::default, &mut moment));
    assert_eq!(share(&mut world, 10, "fine"), 10);
}

/// Deployments of one group with their tags.
fn tagged(settings: &str) -> World {
    let item = |id: &str, tags: &str| {
        items(&[id], if tags.is_empty() { String::new() } else { format!(", tags: [{tags}]") }.as_str())
    };
    let items = item("free", "free") + &item("paid", "paid, eu") + &item("rest", "default");
    World::of(&format!("model_list:\n{items}router_settings: {{enable_tag_filtering: true{settings}}}\n"))
}

#[story(unsupported = test)]
fn tags_decide_which_deployments_may_serve() {
    let mut world = tagged("");
    for (members, id) in [
        (r#""tags":["free"]"#, "free"),
        (r#""metadata":{"tags":["eu","us"]}"#, "paid"),
        (r#""tags":["nobody's"]"#, "rest"),
        ("", "rest"),
    ] {
        for _ in 0..10 {
            assert_eq!(world.chat("g", members, |_| Answer::Ok).called, [id], "{members}");
        }
    }
    let response =
        world.post(CHAT, &[("x-litellm-tags", "free,x")], br#"{"model":"g","messages":[]}"#, |_| Answer::Ok);
    assert_eq!(response.called, ["free"]);
    let mut strict = tagged(", tag_filtering_match_any: false");
    assert_eq!(strict.chat("g", r#""tags":["paid","eu"]"#, |_| Answer::Ok).called, ["paid"]);
    assert_eq!(strict.chat("g", r#""tags":["paid","us"]"#, |_| Answer::Ok).called, ["rest"]);
}

#[story(unsupported = test)]
fn a_tag_that_excludes_or_requires_is_never_compared_literally() {
    let mut world = tagged("");
    let rows = [
        (r#""tags":["!free"]"#, "rest"),
        (r#""tags":["paid","!free"]"#, "paid"),
        (r#""metadata":{"tags":["&paid","&eu"]}"#, "paid"),
        (r#""tags":["&free","eu"]"#, ""),
        (r#""tags":["!free","!paid","!default"]"#, ""),
        (r#""tags":["&nowhere"]"#, ""),
    ];
    for (tags, served) in rows {
        let response = world.chat("g", tags, |_| Answer::Ok);
        assert_eq!(response.called.concat(), served, "{tags}");
        assert_eq!(response.status, if served.is_empty() { 401 } else { 200 }, "{tags}: {}", response.body);
    }
    let body = br#"{"model":"g","messages":[]}"#;
    let response = world.post(CHAT, &[("x-litellm-tags", "paid, !eu")], body, |_| Answer::Ok);
    assert_eq!((response.status, response.called.len()), (401, 0));
    assert_eq!(world.chat("g", r#""tags":["!"]"#, |_| Answer::Ok).status, 400);
    let mut prefixed = tagged(", tag_routing_prefix: 'route:'");
    assert_eq!(prefixed.chat("g", r#""tags":["route:paid"]"#, |_| Answer::Ok).called, ["paid"]);
    assert_eq!(prefixed.chat("g", r#""tags":["paid","route:!eu"]"#, |_| Answer::Ok).status, 401);
}

#[story(unsupported = test)]
fn a_group_may_filter_by_tags_where_the_file_does_not() {
    let item = |id: &str| {
        let info = format!("model_info: {{id: {id}, enable_tag_filtering: true}}");
        format!(
            "- {{model_name: g, litellm_params: {{model: openai/m, api_base: 'http://{id}.example', api_key: k, tags: [{id}]}}, {info}}}\n"
        )
    };
    let mut world = World::of(&format!("model_list:\n{}{}", item("eu"), item("us")));
    for _ in 0..10 {
        assert_eq!(world.chat("g", r#""tags":["!us"]"#, |_| Answer::Ok).called, ["eu"]);
    }
}

#[story(unsupported = test)]
fn tags_of_no_deployment_are_not_allowed() {
    let yaml = group(&["paris"], ", tags: [a]") + "router_settings: {enable_tag_filtering: true}\n";
    let response = World::of(&yaml).chat("g", r#""tags":["x"]"#, |_| Answer::Ok);
    assert_eq!((response.status, response.called.len()), (401, 0));
    assert!(
        response.body.contains("Not allowed to access model due to tags configuration"),
        "{}",
        response.body
    );
}

#[story(unsupported = test)]
fn retries_stay_among_those_with_the_tag() {
    let response = tagged(", num_retries: 2").chat("g", r#""tags":["free"]"#, |_| Answer::Status(500));
    assert_eq!(response.called, ["free", "free", "free"]);
}

/// Two groups, `cheap` and `dear`, and a routing group.
fn grouped(routing_group: &str) -> World {
    let items = items_of("cheap", &["c1", "c2"], "") + &items_of("dear", &["d1"], "");
    World::of(&format!(
        "model_list:\n{items}router_settings:\n  num_retries: 0\n  routing_groups:\n  - {routing_group}\n"
    ))
}

#[story(unsupported = test)]
fn a_routing_group_is_called_by_its_name_and_has_a_strategy_of_its_own() {
    let mut world = grouped("{group_name: both, models: [cheap, dear], routing_strategy: least-busy}");
    let first = world.begin("both", "").unwrap();
    let second = world.begin("both", "").unwrap();
    let third = world.begin("both", "").unwrap();
    let mut ids = [world.id(&first), world.id(&second), world.id(&third)];
    ids.sort();
    assert_eq!(ids, ["c1", "c2", "d1"], "each the least busy in its turn");
}

#[story(unsupported = test)]
fn in_a_group_of_priorities_the_next_one_serves_when_the_first_cannot() {
    let mut world = grouped(
        "{group_name: both, models: [cheap, dear], routing_strategy: priority, model_priorities: {cheap: 1, dear: 2}}",
    );
    for _ in 0..20 {
        assert!(world.chat("both", "", |_| Answer::Ok).called[0].starts_with('c'));
    }
    let response = world.chat("both", "", |id| if id == "d1" { Answer::Ok } else { Answer::Status(500) });
    assert_eq!((response.status, response.called.last().unwrap().as_str()), (200, "d1"));
    world.chat("c1", "", |_| Answer::Status(401));
    world.chat("c2", "", |_| Answer::Status(401));
    assert_eq!(world.chat("both", "", |_| Answer::Ok).called, ["d1"]);
}

#[story(unsupported = test)]
fn of_a_thousand_deployments_the_fastest_and_the_cheapest_are_found() {
    let ids: Vec<String> = (0..1000).map(|n| format!("d{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let fast = |id: &str| if id == "d700" { 10 } else { 500 };
    let settings = "router_settings: {routing_strategy: latency-based-routing}\n";
    let mut world = World::of(&(group(&ids, "") + settings));
    for id in &ids {
        world.chat(id, "", |id| Answer::After(fast(id)));
        world.now = NOON;
    }
    let mut found = 0;
    for _ in 0..100 {
        found += usize::from(world.chat("g", "", |id| Answer::After(fast(id))).called == ["d700"]);
    }
    assert!(found > 90, "{found} of 100");
}

#[story(unsupported = test)]
fn a_thousand_deployments_share_requests_evenly_under_least_busy() {
    let ids: Vec<String> = (0..1000).map(|n| format!("d{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let settings = "router_settings: {routing_strategy: least-busy}\n";
    let mut world = World::of(&(group(&ids, "") + settings));
    let attempts: Vec<_> = (0..2000).map(|_| world.begin("g", "").unwrap()).collect();
    let mut loads = vec![0; 1000];
    for attempt in &attempts {
        loads[attempt.deployment] += 1;
    }
    assert_eq!(loads.iter().filter(|load| **load == 2).count(), 1000, "two for each");
}

/// The share of the requests that a deployment serves, in per cent, ten a second at all workers in
/// turn. `speed` has the milliseconds of the nth request at a deployment.
fn share_in_time(
    worlds: &mut [World],
    requests: usize,
    id: &str,
    speed: &dyn Fn(usize, &str) -> u64,
) -> usize {
    let mut served = 0;
    for nth in 0..requests {
        let count = worlds.len();
        let world = &mut worlds[nth * 7 % count];
        served += usize::from(world.chat("g", "", |id| Answer::After(speed(nth, id))).called == [id]);
        let now = world.now + std::time::Duration::from_millis(90);
        for world in worlds.iter_mut() {
            let is_beat = now.as_secs() > world.now.as_secs();
            world.now = now;
            if is_beat {
                world.wait(0.0);
            }
        }
    }
    served * 100 / requests
}

fn measured_workers(count: u32) -> Vec<World> {
    World::workers(&file("latency-based-routing", &["paris", "oslo"]), count)
}

/// Milliseconds that vary at random by up to a fifth.
fn about(milliseconds: u64, nth: usize) -> u64 {
    let random = llm_balancer_router::Random::fraction(&mut llm_balancer_router::SplitMix::new(nth as u64));
    (milliseconds as f64 * (0.8 + 0.4 * random)) as u64
}

#[story(unsupported = test)]
fn a_deployment_that_becomes_fast_has_its_share_again_within_a_minute() {
    for (workers, before) in [(1, 500), (4, 500), (4, 200), (4, 5000)] {
        let mut worlds = measured_workers(workers);
        let slow = |nth: usize, id: &str| about(if id == "oslo" { before } else { 100 }, nth);
        let share = share_in_time(&mut worlds, 300, "oslo", &slow);
        assert!(share <= 2, "{share} % while it is slow");
        share_in_time(&mut worlds, 315, "oslo", &|nth, _| about(100, nth));
        let share = share_in_time(&mut worlds, 200, "oslo", &|nth, _| about(100, nth));
        assert!(
            (25..=75).contains(&share),
            "{workers} workers, {before} ms before: {share} % after a minute"
        );
    }
}

#[story(unsupported = test)]
fn a_deployment_that_becomes_slow_loses_its_share_with_the_second_slow_answer() {
    let mut worlds = measured_workers(4);
    share_in_time(&mut worlds, 200, "oslo", &|nth, _| about(100, nth));
    let slow = |nth: usize, id: &str| about(if id == "oslo" { 3000 } else { 100 }, nth);
    let served = share_in_time(&mut worlds, 100, "oslo", &slow);
    assert!(served <= 3, "{served} of 100");
}

#[story(unsupported = test)]
fn a_single_slow_answer_costs_a_deployment_nothing() {
    let mut worlds = measured_workers(4);
    share_in_time(&mut worlds, 200, "oslo", &|nth, _| about(100, nth));
    let hiccup = std::cell::Cell::new(true);
    let once = |nth: usize, id: &str| if id == "oslo" && hiccup.take() { 3000 } else { about(100, nth) };
    let share = share_in_time(&mut worlds, 200, "oslo", &once);
    assert!((25..=75).contains(&share), "{share} %");
}

#[story(unsupported = test)]
fn a_single_fast_answer_of_a_slow_deployment_draws_no_requests() {
    let mut worlds = measured_workers(4);
    let slow = |nth: usize, id: &str| about(if id == "oslo" { 800 } else { 100 }, nth);
    share_in_time(&mut worlds, 200, "oslo", &slow);
    let lucky = std::cell::Cell::new(true);
    let once = |nth: usize, id: &str| if id == "oslo" && lucky.take() { 5 } else { slow(nth, id) };
    let share = share_in_time(&mut worlds, 600, "oslo", &once);
    assert!(share <= 1, "{share} %");
}
