//! What the objects of a mesh have in common, whatever the mesh is.

use llm_balancer_config::Config;
use serde_json::{Value, json};

use super::envoy_gateway;
use super::gateway::{FilterCode, Mesh};
use crate::render::bootstrap;
use crate::render::process::{Hops, Options, Runtime};

const TEXT: &str = "model_list:
- {model_name: g, litellm_params: {model: openai/m, api_key: k}}
";

pub(super) fn mesh() -> Mesh {
    Mesh {
        namespace: "llm-balancer".to_owned(),
        pods_namespace: "llm-balancer".to_owned(),
        hostnames: Vec::new(),
        tls_secret: None,
        code: FilterCode::ConfigMap(b""),
        single_hop: false,
        variables: Vec::new(),
        redis_socket: None,
    }
}

/// The bootstrap for the mesh.
fn bootstrap_of(text: &str, mesh: &Mesh, hops: Hops) -> Value {
    let config: Config = llm_balancer_config::read("config.yaml", text, &|_| None).config.unwrap();
    let options = Options {
        listen: "127.0.0.1:4000".parse().unwrap(),
        admin_port: 9901,
        metrics: None,
        runtime: Runtime::Wasm,
        filter: mesh.filter_file(),
        hold: json!({"inline_bytes": ""}),
        hops,
        system_cas: String::new(),
        redis_socket: String::new(),
        proxy_changes: 0,
    };
    bootstrap(&config, text, &options)
}

/// The ways to render a mesh: two hops, one, and a single hop.
fn ways() -> [(Mesh, Hops); 3] {
    [(mesh(), Hops::Two), (mesh(), Hops::One), (Mesh { single_hop: true, ..mesh() }, Hops::Two)]
}

/// The only object of this kind.
fn one(objects: &[Value], kind: &str) -> Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let one = found.next().cloned().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "more than one {kind}");
    one
}

#[test]
fn envoy_gateway_gets_no_patch_that_would_leave_a_route_without_an_action() {
    for (mesh, hops) in ways() {
        let objects = envoy_gateway::objects(bootstrap_of(TEXT, &mesh, hops), &mesh);
        let policy = one(&objects, "EnvoyPatchPolicy");
        let patches = policy["spec"]["jsonPatches"].as_array().unwrap();
        let of_routes = patches.iter().map(|patch| &patch["operation"]).filter(|operation| {
            operation["jsonPath"].as_str().is_some_and(|path| path.starts_with("..routes["))
        });
        let mut count = 0;
        for operation in of_routes {
            let (action, matched) = (operation.pointer("/value/route"), operation.pointer("/value/match"));
            let is_whole = operation["op"] == "add" && operation.get("path").is_none();
            assert!(is_whole && action.is_some() && matched.is_some(), "{operation}");
            count += 1;
        }
        assert!(count > 0, "no route");
    }
}
