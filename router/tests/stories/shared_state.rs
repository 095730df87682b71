//! Stories of the state that workers share: it outlives them, and no value in it stops a request.

use crate::common::{Answer, CHAT, World, group};
use llm_balancer_router::{Arrival, ErrorResponse, Failure, Moment, SplitMix, Step, Store, Verdict};
use wasm_bindgen_test::wasm_bindgen_test as story;

fn served(world: &mut World, requests: u32) -> usize {
    (0..requests).filter(|_| world.chat("g", "", |_| Answer::Ok).status == 200).count()
}

#[story(unsupported = test)]
fn a_worker_that_starts_late_finds_the_counts_of_the_others() {
    let mut first = World::of(&group(&["paris"], ", rpm: 5"));
    assert_eq!(served(&mut first, 4), 4);
    let mut late = first.beside(2);
    assert_eq!(served(&mut late, 4), 1);
    assert_eq!(served(&mut first, 4), 0);
}

#[story(unsupported = test)]
fn requests_of_a_dead_worker_do_not_count_for_a_strategy() {
    let settings = "router_settings: {routing_strategy: least-busy}\n";
    let mut world = World::of(&(group(&["paris", "oslo"], "") + settings));
    let mut dead = world.beside(2);
    let _never_end: Vec<_> = (0..9).map(|_| dead.begin("paris", "").unwrap()).collect();
    let open: Vec<_> = (0..4).map(|_| world.begin("g", "").unwrap()).collect();
    assert!(open.iter().all(|attempt| world.id(attempt) == "oslo"));
    (0..5).for_each(|_| world.wait(1.0));
    let open: Vec<_> = (0..4).map(|_| world.begin("g", "").unwrap()).collect();
    assert!(
        open.iter().all(|attempt| world.id(attempt) == "paris"),
        "four are in flight at oslo, and none here"
    );
}

#[story(unsupported = test)]
fn a_pause_of_the_whole_process_ends_no_worker() {
    let mut one = World::of(&group(&["paris"], ", max_parallel_requests: 1"));
    let mut other = one.beside(2);
    let attempt = other.begin("g", "").unwrap();
    // No heartbeats for ten minutes; then both workers go on, one before the other.
    other.wait(600.0);
    one.wait(600.0);
    assert!(one.begin("g", "").is_err(), "it is still in flight");
    other.end(attempt, None);
    assert!(one.begin("g", "").is_ok());
}

#[story(unsupported = test)]
fn a_value_of_another_version_reads_as_empty() {
    let mut world = World::of(&group(&["paris"], ", rpm: 2"));
    assert_eq!(served(&mut world, 9), 2);
    for garbage in [&b""[..], b"\xff", &[1; 7], &[0; 4000]] {
        for key in ["d/paris", "g/g", "vms"] {
            let version = world.store.get(key).map(|(_, version)| version);
            assert!(world.store.swap(key, garbage, version));
        }
        assert_eq!(served(&mut world, 9), 2, "{garbage:?}");
    }
}

#[story(unsupported = test)]
fn a_missing_key_is_created_again() {
    let mut world = World::of(&group(&["paris"], ", rpm: 2"));
    assert_eq!(served(&mut world, 1), 1);
    world.store = std::sync::Arc::default();
    let sum = served(&mut world, 9);
    assert!((1..=2).contains(&sum), "{sum}");
    assert_eq!(served(&mut world, 9), 0);
}

#[story(unsupported = test)]
fn streams_are_measured_by_their_first_byte_and_apart_from_other_answers() {
    let settings = "router_settings: {routing_strategy: latency-based-routing}\n";
    let mut world = World::of(&(group(&["chatty", "prompt"], "") + settings));
    for (id, milliseconds) in [("chatty", 50), ("prompt", 400)] {
        world.chat(id, "", |_| Answer::After(milliseconds));
    }
    for (id, milliseconds) in [("chatty", 900), ("prompt", 100)] {
        world.chat(id, r#""stream":true"#, |_| Answer::BeginsAfter(milliseconds));
    }
    for _ in 0..10 {
        for (members, expected) in [("", "chatty"), (r#""stream":true"#, "prompt")] {
            assert_eq!(world.chat("g", members, |_| Answer::Ok).called, [expected], "{members}");
        }
    }
}

#[story(unsupported = test)]
fn a_request_that_another_configuration_continues_keeps_the_deployments_it_has_tried() {
    let settings = "router_settings: {disable_cooldowns: true}\n";
    let mut old = World::of(&(group(&["paris", "oslo", "rome"], "") + settings));
    // In another order and with others, so that an index would be another deployment.
    let new = old.reloaded(&(group(&["tokyo", "rome", "oslo", "paris"], "") + settings));
    let error = ErrorResponse::default;
    let body = br#"{"model":"g","messages":[]}"#;
    let all = [(":method", "POST"), (":path", CHAT)].into_iter().collect();
    for seed in 0..20 {
        let attempt = old.begin("g", "").unwrap();
        let tried = old.id(&attempt);
        let mut random = SplitMix::new(seed);
        let mut moment = Moment { now: old.now, random: &mut random, store: &*old.store };
        let verdict = old.router.on_attempt_failed(attempt, Failure::TimedOut, &error, &mut moment);
        let Verdict::Retry(retry_state, _) = verdict else { panic!("{verdict:?}") };
        let Arrival::Hold(request) = new.router.on_request_headers(&all, false) else { panic!("not held") };
        let Step::Send(sending) = new.router.on_request_body(&request, body, Some(*retry_state), &mut moment)
        else {
            panic!("no deployment is left")
        };
        let attempt = sending.attempt;
        assert_ne!(new.id(&attempt), tried);
        assert_eq!(attempt.retry_state.tried.iter().map(|id| &**id).next(), Some(tried.as_str()));
        drop(new.router.on_client_disconnect(attempt, &moment));
    }
}
