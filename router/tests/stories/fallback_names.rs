//! Stories of the names under which a group that cannot serve has fallbacks.

use wasm_bindgen_test::wasm_bindgen_test as story;

use crate::common::{Answer, World};

/// Groups of one deployment each, where `a` has room and the others one request per minute: a
/// wildcard, `g` and `h`, which the routing group `both` has. `star` and
/// `litellm-model` are aliases.
fn world(fallbacks: &str) -> World {
    let item = |name: &str, model: &str, id: &str, params: &str| {
        format!(
            "- {{model_name: '{name}', litellm_params: {{model: '{model}', api_base: 'http://{id}.test/v1', api_key: k{params}}}, model_info: {{id: {id}}}}}\n"
        )
    };
    let items = item("mistral/*", "mistral/*", "of-star", ", rpm: 1")
        + &item("g", "openai/of-g", "of-g", ", rpm: 1")
        + &item("h", "openai/of-h", "of-h", ", rpm: 1")
        + &item("a", "openai/of-a", "of-a", "");
    let groups = "[{group_name: both, models: [g, h], routing_strategy: simple-shuffle}]";
    let settings = format!(
        "{{num_retries: 0, model_group_alias: {{star: mistral/x, litellm-model: openai/of-g}}, routing_groups: {groups}, fallbacks: {fallbacks}}}"
    );
    World::of(&format!("model_list:\n{items}router_settings: {settings}\n"))
}

/// Whether the fallback `a` serves a model whose deployments answer with a 500, and one whose
/// deployments are full.
fn falls_back(fallbacks: &str, model: &str) -> [bool; 2] {
    let mut world = world(fallbacks);
    let failed = world.chat(model, "", |id| if id == "of-a" { Answer::Ok } else { Answer::Status(500) });
    assert_ne!(failed.called[0], "of-a", "{model}");
    // Of two deployments, one has room.
    world.chat(model, r#""disable_fallbacks":true"#, |_| Answer::Ok);
    let full = world.chat(model, "", |_| Answer::Ok);
    assert!(matches!(full.called.join(" ").as_str(), "" | "of-a"), "{model}: {full:?}");
    [&failed, &full].map(|response| response.status == 200)
}

#[story(unsupported = test)]
fn a_group_that_is_full_has_the_fallbacks_of_one_that_fails() {
    for (fallbacks, model) in [
        ("[{g: [a]}]", "g"),
        // A wildcard has those of its pattern and of the name that it serves.
        ("[{mistral/*: [a]}]", "mistral/x"),
        ("[{mistral/x: [a]}]", "mistral/x"),
        ("[{x: [a]}]", "mistral/x"),
        // An alias has those of its target, too.
        ("[{star: [a]}]", "star"),
        ("[{mistral/x: [a]}]", "star"),
        ("[{mistral/*: [a]}]", "star"),
        // An id and a litellm model have those of that name.
        ("[{of-g: [a]}]", "of-g"),
        ("[{'*': [a]}]", "of-g"),
        ("[{openai/of-g: [a]}]", "openai/of-g"),
        ("[{of-g: [a]}]", "openai/of-g"),
        ("[{'*': [a]}]", "openai/of-g"),
        ("[{litellm-model: [a]}]", "litellm-model"),
        // A routing group has those of its name.
        ("[{both: [a]}]", "both"),
        ("[{'*': [a]}]", "both"),
    ] {
        assert_eq!(falls_back(fallbacks, model), [true, true], "{model} with {fallbacks}");
    }
    for (fallbacks, model) in [
        ("[{h: [a]}]", "g"),
        ("[{g: [a]}]", "mistral/x"),
        // Clients pin a deployment by these names.
        ("[{g: [a]}]", "of-g"),
        ("[{g: [a]}]", "openai/of-g"),
        ("[{g: [a]}]", "litellm-model"),
    ] {
        assert_eq!(falls_back(fallbacks, model), [false, false], "{model} with {fallbacks}");
    }
}

#[story(unsupported = test)]
fn a_routing_group_without_fallbacks_has_those_of_its_groups() {
    let each = "[{g: [a]}, {h: [a]}]";
    assert_eq!(falls_back(each, "both"), [true, true], "whichever group fails last");
    assert_eq!(falls_back("[{both: []}, {g: [a]}, {h: [a]}]", "both"), [false, false], "its own go before");
}

#[story(unsupported = test)]
fn the_last_list_for_every_group_is_that_of_a_wildcard_for_every_model() {
    let item = |name: &str| {
        format!(
            "- {{model_name: '{name}', litellm_params: {{model: 'openai/{name}', api_base: http://x.test/v1, api_key: k, rpm: 1}}}}\n"
        )
    };
    let items = item("*") + &item("openai/*") + &item("a") + &item("b");
    for model in ["mistral/x", "openai/x"] {
        let settings = "{num_retries: 0, fallbacks: [{'*': [a]}], default_fallbacks: [b]}";
        let mut world = World::of(&format!("model_list:\n{items}router_settings: {settings}\n"));
        let mut answers = [Answer::Status(500), Answer::Ok].into_iter();
        let response = world.chat(model, "", |_| answers.next().expect("two attempts"));
        assert_eq!(response.header("x-litellm-model-group"), Some("b"), "{model}");
    }
}

#[story(unsupported = test)]
fn a_deployment_that_is_named_by_its_id_may_fall_back_to_its_group() {
    for answer in [Answer::Status(500), Answer::Status(429)] {
        let yaml = crate::common::group(&["one", "two"], "")
            + "router_settings: {num_retries: 0, fallbacks: [{one: [g]}]}\n";
        let mut world = World::of(&yaml);
        world.chat("two", "", |_| Answer::Ok);
        for _ in 0..5 {
            let response = world.chat("one", "", |id| if id == "one" { answer } else { Answer::Ok });
            assert_eq!(response.called[0], "one", "{answer:?}");
            assert!(response.called.len() > 1, "{answer:?} {response:?}");
        }
    }
}
