//! Stories of prompts of many applications: which deployments serve which of their system prompts.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{Answer, CHAT, World, group, items};
use wasm_bindgen_test::wasm_bindgen_test as story;

const CITIES: [&str; 4] = ["paris", "oslo", "rome", "bonn"];
/// System prompts, of which the first ones are more popular.
const APPLICATIONS: usize = 8;
const SETTINGS: &str = "router_settings: {num_retries: 2}\n";

fn prefixes(params: &str) -> String {
    group(&CITIES, &format!("{params}, llm_balancer: {{affinity: prefix}}")) + SETTINGS
}

/// The n-th request: one of half as many, of a third as many .. as the first application has.
fn application(n: usize) -> usize {
    let weights = (1..=APPLICATIONS).map(|place| 840 / place);
    let mut left = n * 617 % weights.clone().sum::<usize>();
    let mut counted = weights.enumerate();
    counted.find(|(_, weight)| left.checked_sub(*weight).map(|rest| left = rest).is_none()).unwrap().0
}

/// The deployment of a conversation with an application.
fn serve(world: &mut World, application: usize, conversation: usize, members: &str) -> String {
    let body = format!(
        r#"{{"model":"g","messages":[{{"role":"system","content":"You are number {application}."}},{{"role":"user","content":"I am {conversation}."}}]{members}}}"#
    );
    let response = world.post(CHAT, &[], body.as_bytes(), |_| Answer::Ok);
    assert_eq!(response.called.len(), 1, "{response:?}");
    response.called[0].clone()
}

/// Serves conversations for some seconds, so that the workers know the applications.
fn learn(workers: &mut [World]) {
    for second in 0..10 {
        for n in 0..300 {
            let worker = n % workers.len();
            serve(&mut workers[worker], application(n), second * 300 + n, "");
        }
        // Twice, so that each knows what all others have written.
        workers.iter_mut().for_each(|worker| worker.wait(0.5));
        workers.iter_mut().for_each(|worker| worker.wait(0.5));
    }
}

/// Which deployments serve each application, and how many of a thousand new conversations each
/// deployment serves.
fn observe(workers: &mut [World]) -> (Vec<BTreeSet<String>>, BTreeMap<String, usize>) {
    let mut places = vec![BTreeSet::new(); APPLICATIONS];
    let mut counts = BTreeMap::new();
    for n in 0..1000 {
        let worker = n % workers.len();
        let id = serve(&mut workers[worker], application(n), 100_000 + n, "");
        places[application(n)].insert(id.clone());
        *counts.entry(id).or_insert(0) += 1;
    }
    (places, counts)
}

#[story(unsupported = test)]
fn each_deployment_serves_few_applications_and_its_share_of_the_requests() {
    let mut workers = World::workers(&prefixes(""), 3);
    learn(&mut workers);
    let (places, counts) = observe(&mut workers);
    // Three ends of a deployment's part are within that of an application.
    let pairs: usize = places.iter().map(BTreeSet::len).sum();
    assert!(pairs <= APPLICATIONS + 3, "{places:?}");
    assert!(counts.len() == 4 && counts.values().all(|count| (215..285).contains(count)), "{counts:?}");
}

#[story(unsupported = test)]
fn deployments_serve_applications_by_their_weights() {
    let yaml = group(&["paris"], ", weight: 3, llm_balancer: {affinity: prefix}")
        + &items(&["oslo"], ", weight: 1")
        + SETTINGS;
    let mut workers = World::workers(&yaml, 1);
    learn(&mut workers);
    let (places, counts) = observe(&mut workers);
    assert!(places.iter().map(BTreeSet::len).sum::<usize>() <= APPLICATIONS + 1, "{places:?}");
    assert!((710..790).contains(&counts["paris"]), "{counts:?}");
}

#[story(unsupported = test)]
fn a_conversation_stays_where_it_is_at_every_worker_and_through_a_reload() {
    let mut workers = World::workers(&prefixes(""), 3);
    learn(&mut workers);
    let mut reloaded = workers[0].reloaded(&prefixes(""));
    for n in 0..200 {
        let first = serve(&mut workers[0], application(n), n, "");
        assert_eq!(serve(&mut workers[1], application(n), n, ""), first, "another worker");
        assert_eq!(serve(&mut reloaded, application(n), n, ""), first, "after a reload");
    }
}

#[story(unsupported = test)]
fn a_deployment_that_cools_down_moves_its_own_conversations_to_all_others() {
    let mut workers = World::workers(&prefixes(""), 1);
    learn(&mut workers);
    let world = &mut workers[0];
    let homes: Vec<_> = (0..400).map(|n| serve(world, application(n), n, "")).collect();
    world.chat("oslo", "", |_| Answer::RateLimited(5));
    let mut others = BTreeSet::new();
    for (n, home) in homes.iter().enumerate() {
        let now = serve(world, application(n), n, "");
        assert_eq!(home != &now, home == "oslo", "{n} moved from {home} to {now}");
        if home == "oslo" {
            others.insert(now);
        }
    }
    assert_eq!(others.len(), 3, "{others:?}");
    world.wait(6.0);
    let back = homes.iter().enumerate().filter(|(n, home)| serve(world, application(*n), *n, "") == **home);
    // What was counted meanwhile moves the ends of the applications' parts a little.
    assert!(back.count() > 385);
}

#[story(unsupported = test)]
fn the_first_level_of_an_order_is_all_that_counts() {
    let yaml = group(&["kyiv", "riga"], ", order: 2")
        + &items(&CITIES, ", order: 1, llm_balancer: {affinity: prefix}")
        + SETTINGS;
    let mut workers = World::workers(&yaml, 1);
    learn(&mut workers);
    let (places, counts) = observe(&mut workers);
    assert!(places.iter().map(BTreeSet::len).sum::<usize>() <= APPLICATIONS + 3, "{places:?}");
    assert!(!counts.contains_key("kyiv") && !counts.contains_key("riga"), "{counts:?}");
}

#[story(unsupported = test)]
fn a_cache_key_has_one_deployment_whatever_its_prompts_are() {
    let mut workers = World::workers(&prefixes(""), 2);
    let named = |worker: &mut World, key: usize, n: usize| {
        serve(worker, n, n, &format!(r#","prompt_cache_key":"key-{key}""#))
    };
    let first = named(&mut workers[0], 1, 0);
    assert!((1..20).all(|n| named(&mut workers[n % 2], 1, n) == first), "before anything is known");
    for round in 0..20 {
        for key in 0..100 {
            named(&mut workers[key % 2], key, round);
        }
        workers.iter_mut().for_each(|worker| worker.wait(0.5));
    }
    let places = |key| (0..20).map(|n| named(&mut workers[n % 2], key, n)).collect::<BTreeSet<_>>().len();
    let split = (0..100).map(places).filter(|places| *places > 1).count();
    assert!(split <= 3, "{split} of 100 keys have several deployments");
}
