//! Stories of requests that go to the same deployment again: sessions, callers and prompts.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{Answer, CHAT, World, group, items};
use llm_balancer_router::Change;
use wasm_bindgen_test::wasm_bindgen_test as story;

const CITIES: [&str; 4] = ["paris", "oslo", "rome", "bonn"];

fn sessions(ids: &[&str]) -> String {
    group(ids, "") + "router_settings: {num_retries: 2, optional_pre_call_checks: [session_affinity]}\n"
}

fn prefixes(ids: &[&str]) -> String {
    group(ids, ", llm_balancer: {affinity: prefix}") + "router_settings: {num_retries: 2}\n"
}

/// The member that makes a chat request one of a session.
fn session(n: usize) -> String {
    format!(r#""metadata":{{"session_id":"session-{n}"}}"#)
}

/// The deployment of a session.
fn of_session(world: &mut World, n: usize) -> String {
    let response = world.chat("g", &session(n), |_| Answer::Ok);
    assert_eq!(response.called.len(), 1, "{response:?}");
    response.called[0].clone()
}

/// A turn of a conversation, as a whole body.
fn turn(conversation: usize, turns: usize) -> String {
    let mut messages = vec![
        r#"{"role":"system","content":"You know every city."}"#.to_owned(),
        format!(r#"{{"role":"user","content":"Tell me of city {conversation}."}}"#),
    ];
    for turn in 0..turns {
        messages.push(format!(r#"{{"role":"assistant","content":"Answer {turn}."}}"#));
        messages.push(format!(r#"{{"role":"user","content":"And then, {turn}?"}}"#));
    }
    format!(r#"{{"model":"g","messages":[{}]}}"#, messages.join(","))
}

fn of_turn(world: &mut World, conversation: usize, turns: usize) -> String {
    world.post(CHAT, &[], turn(conversation, turns).as_bytes(), |_| Answer::Ok).called[0].clone()
}

/// What was counted of affinity since the last call.
fn outcomes(world: &mut World) -> BTreeMap<String, u64> {
    let counted = world.counted().into_iter();
    let own = counted.filter_map(|(name, changes)| {
        let labels = name.strip_prefix("affinity_total;group=g;outcome=")?.to_owned();
        let count = changes.iter().map(|change| if let Change::Add(count) = change { *count } else { 0 });
        Some((labels, count.sum()))
    });
    own.collect()
}

#[story(unsupported = test)]
fn a_session_in_extra_body_is_that_of_the_body() {
    let mut world = World::of(&sessions(&CITIES));
    for n in 0..50 {
        let extra = format!(r#""extra_body":{{{}}}"#, session(n));
        let response = world.chat("g", &extra, |_| Answer::Ok);
        assert_eq!(response.called, [of_session(&mut world, n)]);
    }
}

#[story(unsupported = test)]
fn a_session_stays_where_it_is_and_sessions_spread() {
    let mut world = World::of(&sessions(&CITIES));
    let mut counts = BTreeMap::new();
    for n in 0..400 {
        let first = of_session(&mut world, n);
        assert_eq!(of_session(&mut world, n), first);
        *counts.entry(first).or_insert(0) += 1;
    }
    // A quarter each; four standard deviations are 35.
    assert!(counts.len() == 4 && counts.values().all(|count| (65..135).contains(count)), "{counts:?}");
    assert_eq!(outcomes(&mut world), BTreeMap::from([("hit".to_owned(), 800)]));
}

#[story(unsupported = test)]
fn workers_instances_and_later_configurations_agree() {
    let yaml = sessions(&CITIES);
    let mut one = World::of(&yaml);
    let mut worker = one.beside(2);
    let mut instance = World::of(&yaml);
    let mut reversed = World::of(&sessions(&["bonn", "rome", "oslo", "paris"]));
    for n in 0..100 {
        let first = of_session(&mut one, n);
        for other in [&mut worker, &mut instance, &mut reversed] {
            assert_eq!(of_session(other, n), first);
        }
    }
}

#[story(unsupported = test)]
fn a_deployment_that_is_added_takes_its_share_and_moves_nothing_else() {
    let mut world = World::of(&sessions(&CITIES));
    let before: Vec<String> = (0..500).map(|n| of_session(&mut world, n)).collect();
    let mut ids = CITIES.to_vec();
    ids.insert(0, "kyiv");
    let mut world = world.reloaded(&sessions(&ids));
    let mut moved = 0;
    for (n, before) in before.iter().enumerate() {
        let after = of_session(&mut world, n);
        assert!(after == *before || after == "kyiv", "{n} moved from {before} to {after}");
        moved += usize::from(after != *before);
    }
    // A fifth; four standard deviations are 36.
    assert!((64..136).contains(&moved), "{moved} of 500");
}

#[story(unsupported = test)]
fn sessions_spread_by_the_weights_of_the_file() {
    let yaml = group(&["paris"], ", weight: 3")
        + &items(&["oslo"], ", weight: 1")
        + "router_settings: {optional_pre_call_checks: [session_affinity]}\n";
    let mut world = World::of(&yaml);
    let paris = (0..400).filter(|n| of_session(&mut world, *n) == "paris").count();
    assert!((265..335).contains(&paris), "{paris} of 400");
}

#[story(unsupported = test)]
fn while_its_deployment_cools_down_a_session_has_another_one_and_returns() {
    let mut world = World::of(&sessions(&CITIES));
    let homes: Vec<String> = (0..40).map(|n| of_session(&mut world, n)).collect();
    let home = homes[0].clone();
    world.chat(&home, "", |_| Answer::RateLimited(5));
    outcomes(&mut world);
    let away: Vec<String> = (0..40).map(|n| of_session(&mut world, n)).collect();
    let again: Vec<String> = (0..40).map(|n| of_session(&mut world, n)).collect();
    assert_eq!(away, again, "the second place is as firm as the first");
    for (before, during) in homes.iter().zip(&away) {
        assert_eq!(*before == home, before != during, "{before} {during}");
        assert_ne!(*during, home);
    }
    let moved = homes.iter().filter(|own| **own == home).count() as u64;
    let expected = [("hit".to_owned(), 80 - 2 * moved), ("moved;reason=cooling_down".to_owned(), 2 * moved)];
    assert_eq!(outcomes(&mut world), BTreeMap::from(expected));
    world.wait(6.0);
    assert_eq!((0..40).map(|n| of_session(&mut world, n)).collect::<Vec<_>>(), homes);
}

#[story(unsupported = test)]
fn a_full_deployment_is_passed_over_in_the_same_order() {
    let yaml =
        group(&CITIES, ", rpm: 3") + "router_settings: {optional_pre_call_checks: [session_affinity]}\n";
    let mut world = World::of(&yaml);
    let served: Vec<String> = (0..12).map(|_| of_session(&mut world, 7)).collect();
    let mut places = served.clone();
    places.dedup();
    assert_eq!(places.len(), 4, "three each, one deployment after another: {served:?}");
    assert_eq!(world.chat("g", &session(7), |_| Answer::Ok).status, 429);
    let outcomes = outcomes(&mut world);
    assert_eq!(outcomes.get("hit"), Some(&3));
    assert_eq!(outcomes.get("moved;reason=over_rpm"), Some(&9));
}

#[story(unsupported = test)]
fn a_retry_goes_to_the_next_in_the_order() {
    let mut world = World::of(&sessions(&CITIES));
    let fail = |world: &mut World| world.chat("g", &session(1), |_| Answer::Status(500)).called;
    let order = fail(&mut world);
    assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 3, "each attempt elsewhere: {order:?}");
    assert_eq!(fail(&mut world), order, "the order of a session is always the same");
    let outcomes = outcomes(&mut world);
    assert_eq!((outcomes["hit"], outcomes["moved;reason=already_tried"]), (2, 4));
}

#[story(unsupported = test)]
fn a_fallback_group_has_sessions_of_its_own() {
    let yaml = group(&["paris"], "")
        + &crate::common::items_of("other", &["oslo", "rome", "bonn"], "")
        + "router_settings: {num_retries: 0, fallbacks: [{g: [other]}], optional_pre_call_checks: [session_affinity]}\n";
    let mut world = World::of(&yaml);
    for n in 0..20 {
        let mut send = || {
            let answer = |id: &str| if id == "paris" { Answer::Status(400 + 104) } else { Answer::Ok };
            world.chat("g", &session(n), answer).called[1].clone()
        };
        let first = send();
        assert!((0..3).all(|_| send() == first), "session {n}");
    }
}

#[story(unsupported = test)]
fn a_deployment_that_is_addressed_by_its_id_or_excluded_by_tags_or_order_has_no_say() {
    let yaml = group(&["paris"], ", order: 2")
        + &items(&["oslo", "rome"], ", order: 1")
        + "router_settings: {num_retries: 0, optional_pre_call_checks: [session_affinity]}\n";
    let mut world = World::of(&yaml);
    for n in 0..40 {
        assert_ne!(of_session(&mut world, n), "paris");
        assert_eq!(world.chat("paris", &session(n), |_| Answer::Ok).called, ["paris"]);
    }
    assert_eq!(outcomes(&mut world), BTreeMap::from([("hit".to_owned(), 40)]));
}

#[story(unsupported = test)]
fn clients_do_not_steer_each_others_sessions() {
    let mut world = World::of(&sessions(&CITIES));
    let mut differ = 0;
    for n in 0..40 {
        let id = format!("session-{n}-abc");
        let mut of = |key: &str| {
            let headers = [("authorization", key), ("x-litellm-session-id", id.as_str())];
            let body = turn(n, 0);
            world.post(CHAT, &headers, body.as_bytes(), |_| Answer::Ok).called
        };
        let (one, other) = (of("Bearer sk-one"), of("Bearer sk-other"));
        assert_eq!(of("Bearer sk-one"), one);
        differ += usize::from(one != other);
    }
    assert!(differ > 15, "{differ} of 40");
}

#[story(unsupported = test)]
fn without_a_session_the_strategy_decides() {
    let mut world = World::of(&sessions(&CITIES));
    let called: BTreeSet<String> =
        (0..60).map(|_| world.chat("g", "", |_| Answer::Ok).called[0].clone()).collect();
    assert_eq!(called.len(), 4);
    assert_eq!(outcomes(&mut world), BTreeMap::from([("miss".to_owned(), 60)]));
}

#[story(unsupported = test)]
fn a_caller_stays_where_it_is_if_callers_can_be_told_apart() {
    let yaml = |general: &str| {
        group(&CITIES, "") + "router_settings: {optional_pre_call_checks: [deployment_affinity]}\n" + general
    };
    let mut world = World::of(&yaml(""));
    let mut send = |key: &str, members: &str| {
        let body = format!(r#"{{"model":"g","messages":[]{members}}}"#);
        world.post(CHAT, &[("authorization", key)], body.as_bytes(), |_| Answer::Ok).called
    };
    let places: BTreeSet<_> = (0..40).map(|n| send(&format!("Bearer sk-{n}"), "")).collect();
    assert_eq!(places.len(), 4);
    let first = send("Bearer sk-1", "");
    assert!((0..9).all(|_| send("Bearer sk-1", "") == first));
    let users: BTreeSet<_> = (0..40).map(|n| send("Bearer sk-1", &format!(r#","user":"u{n}""#))).collect();
    assert_eq!(users.len(), 4, "a user of one key is a caller, too");
    let mut world = World::of(&yaml("general_settings: {master_key: sk-1234567890abcdef}\n"));
    let called = |world: &mut World, members: &str| -> BTreeSet<_> {
        let body = format!(r#"{{"model":"g","messages":[]{members}}}"#);
        let headers = [("authorization", "Bearer sk-1234567890abcdef")];
        (0..40).map(|_| world.post(CHAT, &headers, body.as_bytes(), |_| Answer::Ok).called).collect()
    };
    assert_eq!(called(&mut world, "").len(), 4, "one key for all does not send all to one place");
    assert_eq!(called(&mut world, r#","user":"u""#).len(), 1);
}

#[story(unsupported = test)]
fn a_client_with_two_keys_is_one_caller_in_whatever_order_it_sends_them() {
    let yaml = group(&CITIES, "") + "router_settings: {optional_pre_call_checks: [deployment_affinity]}\n";
    let mut world = World::of(&yaml);
    for n in 0..20 {
        let (bearer, key) = (format!("Bearer sk-{n}"), format!("key-{n}"));
        let mut headers = [("authorization", bearer.as_str()), ("x-api-key", key.as_str())];
        let body = br#"{"model":"g","messages":[]}"#;
        let mut called = || {
            headers.reverse();
            world.post(CHAT, &headers, body, |_| Answer::Ok).called
        };
        assert_eq!(called(), called(), "{n}");
    }
}

#[story(unsupported = test)]
fn a_group_may_have_checks_of_its_own() {
    let yaml = group(&CITIES, "")
        + "router_settings:\n  optional_pre_call_checks: [session_affinity]\n  model_group_affinity_config: {g: [deployment_affinity]}\n";
    let mut world = World::of(&yaml);
    let called: BTreeSet<_> = (0..60).map(|_| of_session(&mut world, 1)).collect();
    assert_eq!(called.len(), 4, "its list replaces that of all groups");
}

#[story(unsupported = test)]
fn all_turns_of_a_conversation_go_to_one_deployment() {
    let mut world = World::of(&prefixes(&CITIES));
    let mut other = World::of(&prefixes(&CITIES)).beside(2);
    let mut places = BTreeSet::new();
    for conversation in 0..40 {
        let first = of_turn(&mut world, conversation, 0);
        for turns in 1..4 {
            assert_eq!(of_turn(&mut world, conversation, turns), first);
            assert_eq!(of_turn(&mut other, conversation, turns), first);
        }
        places.insert(first);
    }
    assert_eq!(places.len(), 4);
}

/// Requests in flight by deployment, of a popular prompt: the mean of many moments, and the most,
/// in the fair share. `open` requests are in flight all the time.
fn popular(workers: &mut [World], open: usize) -> (f64, f64) {
    let mut in_flight = std::collections::VecDeque::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut sums, mut most, mut moments) = (BTreeMap::<String, usize>::new(), 0, 0);
    for n in 0..6000 {
        let worker = n % workers.len();
        let attempt = workers[worker].begin("g", r#""tools":[{"type":"function"}]"#).unwrap();
        let id = workers[worker].id(&attempt);
        *counts.entry(id.clone()).or_default() += 1;
        in_flight.push_back((worker, id, attempt));
        if in_flight.len() > open {
            let (worker, id, attempt) = in_flight.pop_front().unwrap();
            *counts.get_mut(&id).unwrap() -= 1;
            workers[worker].end(attempt, None);
        }
        if n > 3000 {
            most = counts.values().copied().max().unwrap().max(most);
            counts.iter().for_each(|(id, count)| *sums.entry(id.clone()).or_default() += count);
            moments += 1;
        }
    }
    let share = (open / CITIES.len() * moments) as f64;
    (*sums.values().max().unwrap() as f64 / share, most as f64 / (open / CITIES.len()) as f64)
}

#[story(unsupported = test)]
fn a_popular_prompt_takes_no_deployment_above_its_share() {
    for open in [24, 80, 200] {
        let (mean, most) = popular(&mut [World::of(&prefixes(&CITIES))], open);
        assert!(mean <= 1.3 && most <= 2.0, "{open} in flight: {mean} on average, {most} at most");
    }
}

#[story(unsupported = test)]
fn all_workers_together_keep_the_bound_that_each_keeps() {
    let (mean, most) = popular(&mut World::workers(&prefixes(&CITIES), 4), 160);
    // Each rounds 12.8 of 10 to 13.
    assert!(mean <= 1.32 && most <= 2.0, "{mean} on average, {most} at most");
}

#[story(unsupported = test)]
fn when_the_load_is_gone_the_first_place_is_the_first_again() {
    let mut world = World::of(&prefixes(&CITIES));
    let first = world.chat("g", "", |_| Answer::Ok).called;
    let open: Vec<_> = (0..40).map(|_| world.begin("g", "").unwrap()).collect();
    let places: BTreeSet<_> = open.iter().map(|attempt| world.id(attempt)).collect();
    assert!(places.len() > 1, "{places:?}");
    let moved = outcomes(&mut world)["moved;reason=over_load"];
    assert!((15..35).contains(&moved), "{moved} of 40");
    open.into_iter().for_each(|attempt| world.end(attempt, None));
    assert!((0..20).all(|_| world.chat("g", "", |_| Answer::Ok).called == first));
}

#[story(unsupported = test)]
fn prompt_caching_is_for_prompts_that_providers_cache() {
    let yaml = group(&CITIES, "") + "router_settings: {optional_pre_call_checks: [prompt_caching]}\n";
    let mut world = World::of(&yaml);
    let mut called = |length: usize| -> BTreeSet<_> {
        let body = format!(
            r#"{{"model":"g","messages":[{{"role":"user","content":"{}"}}]}}"#,
            "word ".repeat(length)
        );
        (0..40).map(|_| world.post(CHAT, &[], body.as_bytes(), |_| Answer::Ok).called).collect()
    };
    assert_eq!(called(100).len(), 4);
    assert_eq!(called(1000).len(), 1);
    assert_eq!(outcomes(&mut world), BTreeMap::from([("hit".to_owned(), 40), ("miss".to_owned(), 40)]));
}

/// Requests that are larger than a minute of any deployment: each takes a whole one.
#[story(unsupported = test)]
fn metric_log_and_explanation_have_the_same_reason_for_a_request_that_has_moved() {
    let yaml = group(&["paris", "oslo"], ", tpm: 100")
        + "router_settings: {optional_pre_call_checks: [session_affinity]}\n"
        + "general_settings: {master_key: sk-1234567890abcdef}\n";
    let mut world = World::of(&yaml);
    let headers = [("authorization", "Bearer sk-1234567890abcdef"), ("x-llm-balancer-explain", "1")];
    let content = "word ".repeat(200);
    let body = format!(
        r#"{{"model":"g","messages":[{{"role":"user","content":"{content}"}}],"max_tokens":1,{}}}"#,
        session(1)
    );
    let mut send = || world.post(CHAT, &headers, body.as_bytes(), |_| Answer::Ok);
    let (first, second) = (send(), send());
    assert_ne!(first.called, second.called);
    let explained: serde_json::Value =
        serde_json::from_str(second.header("x-llm-balancer-explain").unwrap()).unwrap();
    let candidates = explained["candidates"].as_array().unwrap();
    let passed_over = candidates.iter().find(|own| own["deployment"] == *first.called[0]).unwrap();
    assert_eq!(passed_over["reason"], "over_tpm", "{explained}");
    assert_eq!(explained["routing"]["affinity_reason"], "over_tpm");
    assert_eq!(world.lines[1]["routing"]["affinity_reason"], "over_tpm");
    let expected = BTreeMap::from([("hit".to_owned(), 1), ("moved;reason=over_tpm".to_owned(), 1)]);
    assert_eq!(outcomes(&mut world), expected);
}
