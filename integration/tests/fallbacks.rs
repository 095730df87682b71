//! Where a request goes when its group cannot serve it: which list, in which order, rewritten how,
//! and what the client gets.

use std::time::Duration;

use llm_balancer_integration::{Answer, DONE, Reply, World, item, minute};
use serde_json::{Value, json};

/// A group for each of these names, of one deployment that has it too, and these sections. No
/// deployment is tried twice.
async fn groups(names: &[&str], settings: &str) -> World {
    let items: String = names.iter().map(|name| item(name, name, "")).collect();
    World::new(&format!(
        "model_list:\n{items}router_settings: {{num_retries: 0, disable_cooldowns: true, {settings}}}\n"
    ))
    .await
}

/// Lets these fail, each with its own words.
fn fail(world: &World, names: &[&str]) {
    for name in names {
        world.provider.always(name, Answer::status(500));
    }
}

fn fallbacks(reply: &Reply) -> u32 {
    let header = reply.header("x-litellm-attempted-fallbacks").expect("it stands on every routed answer");
    header.parse().unwrap()
}

fn too_long() -> Answer {
    Answer::status(400).body(r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#)
}

fn improper() -> Answer {
    Answer::status(400)
        .body(r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":"content_policy_violation"}}"#)
}

#[tokio::test]
async fn each_hop_is_rewritten_for_its_group() {
    let items = item("gpt", "paris", "")
        + "- {model_name: other, litellm_params: {model: azure/deep, api_base: PROVIDER/lima, api_version: '2024-10-21', api_key: sk-lima, temperature: 0.5}, model_info: {id: lima}}\n";
    let world = World::new(&format!(
        "model_list:\n{items}router_settings: {{num_retries: 0, fallbacks: [{{gpt: [other]}}]}}\n"
    ))
    .await;
    fail(&world, &["paris"]);
    let reply = world.chat_with("gpt", &json!({"top_p": 0.25})).await;
    assert_eq!((reply.served_by().as_str(), fallbacks(&reply)), ("lima", 1));
    assert_eq!(reply.header("x-litellm-model-id"), Some("lima"));
    assert_eq!(reply.header("x-litellm-model-group"), Some("other"));
    let [first, second] = &world.provider.received()[..] else { panic!("{:?}", world.provider.calls()) };
    assert_eq!((first.name.as_str(), first.model().as_str()), ("paris", "m-paris"));
    assert_eq!(first.header("authorization"), Some("Bearer sk-paris"));
    assert_eq!(first.json().get("temperature"), None);
    assert_eq!(second.target, "/lima/openai/deployments/deep/chat/completions?api-version=2024-10-21");
    assert_eq!((second.header("api-key"), second.header("authorization")), (Some("sk-lima"), None));
    assert_eq!((&second.json()["temperature"], &second.json()["top_p"]), (&json!(0.5), &json!(0.25)));
}

#[tokio::test]
async fn whatever_the_failure_there_is_a_fallback_for_it() {
    let world = groups(&["gpt", "other"], "fallbacks: [{gpt: [other]}]").await;
    for answer in [400, 401, 403, 404, 408, 422, 429, 500, 503].map(Answer::status).into_iter().chain([
        Answer::ok().reset(),
        Answer::ok().reset_after(0),
        Answer::ok().close(),
        too_long(),
        improper(),
    ]) {
        // A kept connection that breaks is no failure, so none is kept.
        world.provider.script("gpt", [answer.clone().header("connection", "close")]);
        let reply = world.chat("gpt").await;
        assert_eq!((reply.served_by().as_str(), fallbacks(&reply)), ("other", 1), "{answer:?}");
        assert_eq!(world.provider.calls(), ["gpt", "other"], "{answer:?}");
        world.provider.forget();
    }
    world.provider.script("gpt", [Answer::ok().hang()]);
    let reply = world.chat_with("gpt", &json!({"timeout": 1.5})).await;
    assert_eq!((reply.served_by().as_str(), fallbacks(&reply)), ("other", 1));
}

#[tokio::test]
async fn each_kind_of_failure_has_a_list_of_its_own_and_the_rest_has_the_default() {
    let settings = "fallbacks: [{gpt: [regular]}], default_fallbacks: [spare], context_window_fallbacks: [{gpt: [long]}], content_policy_fallbacks: [{gpt: [lax]}]";
    let world = groups(&["gpt", "alone", "regular", "spare", "long", "lax"], settings).await;
    for (group, answer, expected) in [
        ("gpt", Answer::status(500), Some("regular")),
        ("gpt", Answer::status(400), Some("regular")),
        ("gpt", too_long(), Some("long")),
        ("gpt", improper(), Some("lax")),
        ("alone", Answer::status(500), Some("spare")),
        ("alone", too_long(), None),
        ("alone", improper(), None),
    ] {
        world.provider.script(group, [answer.clone()]);
        let reply = world.chat(group).await;
        match expected {
            Some(name) => {
                assert_eq!((reply.served_by().as_str(), fallbacks(&reply)), (name, 1), "{answer:?}")
            }
            None => assert_eq!((reply.status, fallbacks(&reply)), (400, 0), "{answer:?}: {}", reply.text()),
        }
    }
}

#[tokio::test]
async fn a_fallbacks_own_fallbacks_come_first_and_when_all_fail_the_client_gets_the_first_error() {
    let names = ["gpt", "a", "b", "c", "d"];
    let world = groups(&names, "fallbacks: [{gpt: [a, d]}, {a: [b]}, {b: [c]}]").await;
    fail(&world, &["gpt", "b"]);
    // A kept connection that breaks is no failure, so none is kept to where one breaks below.
    world.provider.always("a", Answer::status(500).header("connection", "close"));
    let reply = world.chat("gpt").await;
    assert_eq!((reply.served_by().as_str(), fallbacks(&reply)), ("c", 3));
    world.provider.forget();

    world.provider.always("gpt", Answer::status(503).header("retry-after-ms", "6100"));
    world.provider.always("a", Answer::ok().reset());
    fail(&world, &["b", "c", "d"]);
    let reply = world.chat("gpt").await;
    assert_eq!(world.provider.calls(), ["gpt", "a", "b", "c", "d"]);
    assert_eq!((reply.status, fallbacks(&reply)), (503, 4), "{}", reply.text());
    assert_eq!(reply.json()["error"]["message"], "gpt says 503");
    assert_eq!(reply.header("retry-after"), Some("7"), "in whole seconds, and not too early");
    assert_eq!(reply.header("x-litellm-model-id"), Some("d"), "the last one that was tried");
    assert_eq!(reply.header("x-litellm-model-group"), Some("d"));
}

#[tokio::test]
async fn when_the_last_fallback_breaks_off_the_client_gets_the_first_error_all_the_same() {
    let world = groups(&["gpt", "a"], "fallbacks: [{gpt: [a]}]").await;
    for last in [Answer::ok().reset(), Answer::ok().reset_after(0), Answer::status(500).close_after(1)] {
        world.provider.script("gpt", [Answer::status(503)]);
        world.provider.script("a", [last.clone()]);
        let reply = world.chat("gpt").await;
        assert_eq!((reply.status, fallbacks(&reply)), (503, 1), "{last:?}: {}", reply.text());
        assert_eq!(reply.json()["error"]["message"], "gpt says 503", "{last:?}");
    }
}

#[tokio::test]
async fn circles_end_and_max_fallbacks_bounds_the_depth() {
    let circle = groups(&["gpt", "a", "b"], "fallbacks: [{gpt: [a]}, {a: [b]}, {b: [gpt, a]}]").await;
    fail(&circle, &["gpt", "a", "b"]);
    assert_eq!(circle.chat("gpt").await.status, 500);
    assert_eq!(circle.provider.calls(), ["gpt", "a", "b"]);
    let names = ["g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7"];
    let list: Vec<String> = (0..7).map(|n| format!("{{g{n}: [g{}]}}", n + 1)).collect();
    for (max, calls) in [("", 6), (", max_fallbacks: 2", 3), (", max_fallbacks: 0", 1)] {
        let world = groups(&names, &format!("fallbacks: [{}]{max}", list.join(", "))).await;
        fail(&world, &names);
        assert_eq!(world.chat("g0").await.status, 500);
        assert_eq!(world.provider.calls(), names[..calls], "{max}");
    }
}

#[tokio::test]
async fn a_request_may_bring_its_own_list_in_three_forms_or_do_without() {
    let world = groups(&["gpt", "a", "b", "c"], "fallbacks: [{gpt: [c]}]").await;
    fail(&world, &["gpt", "a"]);
    let changed =
        json!({"model": "b", "temperature": 0.75, "messages": [{"role": "user", "content": "short"}]});
    let cases = [
        (json!({}), "c", 1),
        (json!({"fallbacks": ["a", "b"]}), "b", 2),
        (json!({"fallbacks": [{"model": "a"}, changed]}), "b", 2),
        (json!({"fallbacks": [{"gpt": ["b"]}]}), "b", 1),
        (json!({"fallbacks": null}), "c", 1),
    ];
    for (members, name, hops) in cases {
        let reply = world.chat_with("gpt", &members).await;
        assert_eq!((reply.served_by().as_str(), fallbacks(&reply)), (name, hops), "{members}");
        let (first, last) = (world.provider.received().remove(0), world.provider.received_by(name).remove(0));
        assert_eq!((first.json().get("fallbacks"), last.json().get("fallbacks")), (None, None));
        assert_eq!(first.json().get("temperature"), None, "the change is for the fallback alone");
        let is_changed = members["fallbacks"][1].is_object();
        let content = if is_changed { "short" } else { "hi" };
        assert_eq!(last.json()["messages"][0]["content"], content, "{members}");
        assert_eq!(last.json()["temperature"], if is_changed { json!(0.75) } else { Value::Null });
        assert_eq!(last.model(), format!("m-{name}"));
        world.provider.forget();
    }
    for members in [json!({"disable_fallbacks": true}), json!({"fallbacks": []})] {
        let reply = world.chat_with("gpt", &members).await;
        assert_eq!((reply.status, fallbacks(&reply)), (500, 0), "{members}");
        assert_eq!(world.provider.only_request().json().get("disable_fallbacks"), None);
        world.provider.forget();
    }
    world.provider.script("gpt", [too_long(), improper()]);
    for kind in ["context_window_fallbacks", "content_policy_fallbacks"] {
        let reply = world.chat_with("gpt", &json!({kind: [{"gpt": ["b"]}]})).await;
        assert_eq!(reply.served_by(), "b", "{kind}");
    }
    world.chat_with("nobody", &json!({"fallbacks": ["b"]})).await.error(400);
    world.chat_with("gpt", &json!({"fallbacks": "b"})).await.error(400);
}

#[tokio::test]
async fn a_fallback_may_be_an_alias_or_a_deployment_and_has_its_own_retries() {
    let items = item("gpt", "paris", "")
        + &item("other", "lima", ", num_retries: 2")
        + &item("other", "oslo", ", num_retries: 2")
        + &item("third", "rome", "");
    let world = World::new(&format!(
        "model_list:\n{items}router_settings: {{num_retries: 0, disable_cooldowns: true, model_group_alias: {{nickname: other}}, fallbacks: [{{gpt: [nickname]}}, {{third: [oslo]}}]}}\n"
    ))
    .await;
    fail(&world, &["paris", "rome"]);
    world.provider.script("lima", [Answer::status(500)]);
    world.provider.script("oslo", [Answer::status(500)]);
    let reply = world.chat("gpt").await;
    assert_eq!((reply.status, reply.retries(), fallbacks(&reply)), (200, 2, 1), "{}", reply.text());
    assert_eq!(world.provider.calls().len(), 4);
    let reply = world.chat("third").await;
    assert_eq!((reply.served_by().as_str(), fallbacks(&reply)), ("oslo", 1));
}

#[tokio::test]
async fn streams_fall_back_too_and_so_do_other_routes() {
    let world = groups(&["gpt", "other"], "fallbacks: [{gpt: [other]}]").await;
    for answer in [Answer::status(500), Answer::ok().reset_after(0), Answer::status(400)] {
        world.provider.script("gpt", [answer.clone()]);
        let mut events = world.stream_chat("gpt").await;
        assert_eq!(events.header("x-litellm-attempted-fallbacks"), Some("1"), "{answer:?}");
        let text = events.rest().await;
        assert!(text.contains("2 from other") && text.ends_with(DONE) && !events.broken, "{text}");
    }
    world.provider.script("gpt", [Answer::status(500)]);
    let reply = world.post("/v1/embeddings", &json!({"model": "gpt", "input": "x"})).await;
    assert_eq!((reply.json()["served_by"].as_str(), fallbacks(&reply)), (Some("other"), 1));
    // Once bytes have reached the client, no fallback is possible.
    world.provider.script("gpt", [Answer::ok().reset_after(1).every(Duration::from_millis(20))]);
    let mut events = world.stream_chat("gpt").await;
    while events.next().await.is_some() {}
    assert!(events.broken);
}

#[tokio::test]
async fn a_group_without_room_or_without_anybody_awake_goes_on_to_its_fallback_and_a_full_fallback_is_passed_over()
 {
    let items = item("limited", "paris", ", rpm: 2")
        + &item("asleep", "lima", "")
        + &item("asleep", "oslo", "")
        + &item("full", "rome", ", rpm: 1")
        + &item("spare", "cairo", "");
    let world = World::with_workers(
        4,
        &format!("model_list:\n{items}router_settings: {{num_retries: 1, fallbacks: [{{limited: [full, spare]}}, {{asleep: [spare]}}]}}\n"),
    )
    .await;
    for name in ["lima", "oslo"] {
        world.provider.always(name, Answer::status(429).retry_after("60"));
    }
    minute::with_room_for(Duration::from_secs(6)).await;
    for (nth, hops) in [0, 0, 1, 2, 2].into_iter().enumerate() {
        let reply = world.newcomer().chat("limited").await;
        assert_eq!((reply.status, fallbacks(&reply)), (200, hops), "{nth}: {}", reply.text());
    }
    for _ in 0..4 {
        let reply = world.newcomer().chat("asleep").await;
        assert_eq!((reply.served_by().as_str(), fallbacks(&reply)), ("cairo", 1));
    }
    for (name, calls) in [("paris", 2), ("rome", 1), ("lima", 1), ("oslo", 1)] {
        assert_eq!(world.provider.received_by(name).len(), calls, "{name}");
    }
    // Without any room left at all, the client learns when the first group has some again.
    let reply = world.newcomer().chat_with("limited", &json!({"fallbacks": ["full"]})).await;
    let error = reply.error(429);
    assert!(error["message"].as_str().unwrap().contains("Passed model=limited."), "{error}");
    assert!(reply.header("retry-after").is_some());
}

#[tokio::test]
async fn mock_errors_show_the_way_without_a_call() {
    let settings = "fallbacks: [{gpt: [regular]}], context_window_fallbacks: [{gpt: [long]}], content_policy_fallbacks: [{gpt: [lax]}]";
    let world = groups(&["gpt", "regular", "long", "lax", "alone"], settings).await;
    for (member, name, status) in [
        ("mock_testing_fallbacks", "regular", 500),
        ("mock_testing_context_window_fallbacks", "long", 400),
        ("mock_testing_context_fallbacks", "long", 400),
        ("mock_testing_content_policy_fallbacks", "lax", 400),
    ] {
        let reply = world.chat_with("gpt", &json!({member: true})).await;
        assert_eq!((reply.served_by().as_str(), fallbacks(&reply)), (name, 1), "{member}");
        assert_eq!(world.provider.only_request().json().get(member), None);
        world.provider.forget();
        let error = world.chat_with("alone", &json!({member: true})).await.error(status);
        assert!(error["message"].as_str().unwrap().contains("mock exception for model=alone"), "{error}");
        assert!(world.provider.received().is_empty());
    }
}
