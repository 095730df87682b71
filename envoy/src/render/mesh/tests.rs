//! What the objects of a mesh have in common, whatever the mesh is.

use llm_balancer_config::Config;
use serde_json::{Value, json};

use super::gateway::{FilterCode, Mesh};
use super::{envoy_gateway, istio};
use crate::render::bootstrap;
use crate::render::process::{FilterSource, Hops, Options};

const TEXT: &str = "model_list:
- {model_name: g, litellm_params: {model: openai/m, api_key: k}}
";

pub(crate) fn mesh() -> Mesh {
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
        filter: FilterSource::Wasm { filter: mesh.filter_file(), hold: json!({"inline_bytes": ""}) },
        hops,
        ..Options::example()
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

#[test]
fn in_envoy_gateway_the_drain_timeout_is_the_operators() {
    let mesh = mesh();
    let objects = envoy_gateway::objects(bootstrap_of(TEXT, &mesh, Hops::Two), &mesh);
    assert!(one(&objects, "EnvoyProxy")["spec"].get("shutdown").is_none());
}

#[test]
fn in_istio_requests_have_nearly_the_whole_grace_period_when_a_pod_ends() {
    let mesh = mesh();
    let objects = istio::objects(bootstrap_of(TEXT, &mesh, Hops::Two), &mesh);
    let template = &one(&objects, "Deployment")["spec"]["template"];
    assert_eq!(template["spec"]["terminationGracePeriodSeconds"], 30);
    let config = template["metadata"]["annotations"]["proxy.istio.io/config"].as_str().unwrap();
    assert_eq!(config, r#"{"terminationDrainDuration":"25s"}"#);
}

#[test]
fn installations_in_two_namespaces_share_no_name_that_both_see() {
    let [long, shorter] = [63, 62].map(|length| "n".repeat(length));
    let gateways = ["llm-balancer", "team-a", "team-b", &long, &shorter].map(|namespace| Mesh {
        namespace: namespace.to_owned(),
        pods_namespace: "envoy-gateway-system".to_owned(),
        variables: vec![("KEY".to_owned(), true)],
        ..mesh()
    });
    let mut seen = std::collections::BTreeSet::new();
    for mesh in gateways {
        let bootstrap = bootstrap_of(TEXT, &mesh, Hops::Two);
        let objects = envoy_gateway::objects(bootstrap.clone(), &mesh);
        let class = one(&objects, "GatewayClass")["metadata"]["name"].clone();
        assert_eq!(one(&objects, "Gateway")["spec"]["gatewayClassName"], class);
        let map = one(&objects, "ConfigMap")["metadata"]["name"].clone();
        let kubernetes = &one(&objects, "EnvoyProxy")["spec"]["provider"]["kubernetes"];
        let deployment = &kubernetes["envoyDeployment"];
        assert_eq!(deployment["pod"]["volumes"][0]["configMap"]["name"], map);
        let secret = deployment["container"]["env"][0]["valueFrom"]["secretKeyRef"]["name"].clone();
        let mesh = Mesh { pods_namespace: mesh.namespace.clone(), ..mesh };
        let gateway = one(&istio::objects(bootstrap, &mesh), "Gateway");
        let label = gateway["spec"]["selector"]["istio"].clone();
        for (kind, name) in [("class", class), ("map", map), ("secret", secret), ("label", label)] {
            let name = name.as_str().unwrap().to_owned();
            assert!(kind == "map" || name.len() <= 63, "{name}");
            assert!(seen.insert((kind, name.clone())), "{kind} {name} twice");
        }
    }
}

/// The patches of the EnvoyFilter.
fn istio_patches(text: &str, mesh: &Mesh, hops: Hops) -> Vec<Value> {
    let filter = one(&istio::objects(bootstrap_of(text, mesh, hops), mesh), "EnvoyFilter");
    filter["spec"]["configPatches"].as_array().unwrap().clone()
}

fn applied_to<'a>(patches: &'a [Value], kind: &str) -> Vec<&'a Value> {
    patches.iter().filter(|patch| patch["applyTo"] == kind).collect()
}

#[test]
fn istio_patches_the_virtual_hosts_of_ours_and_nothing_about_headers_there() {
    let hostnames = vec!["llm.example.com".to_owned(), "ai.example.com".to_owned()];
    let mesh = Mesh { hostnames, tls_secret: Some("certificate".to_owned()), ..mesh() };
    for hops in [Hops::Two, Hops::One] {
        let patches = istio_patches(TEXT, &mesh, hops);
        let mut hosts = applied_to(&patches, "VIRTUAL_HOST");
        hosts.retain(|patch| patch["patch"]["operation"] == "MERGE");
        let names = hosts.iter().map(|patch| &patch["match"]["routeConfiguration"]["vhost"]["name"]);
        assert_eq!(names.collect::<Vec<_>>(), ["llm.example.com:443", "ai.example.com:443"]);
        for patch in hosts {
            assert_eq!(patch["patch"]["value"], json!({"include_request_attempt_count": true}));
        }
    }
}

#[test]
fn requests_with_the_host_of_a_provider_have_routes_where_the_filter_sets_it() {
    let named = |mesh: Mesh| Mesh { hostnames: vec!["llm.example.com".to_owned()], ..mesh };
    for (mesh, hops) in ways() {
        let needs_them = mesh.single_hop || hops == Hops::One;
        for (mesh, expected) in [(named(mesh.clone()), needs_them), (mesh, false)] {
            let bootstrap = bootstrap_of(TEXT, &mesh, hops);
            let objects = [istio::objects, envoy_gateway::objects].map(|of| of(bootstrap.clone(), &mesh));
            for objects in objects {
                let added = serde_json::to_string(&objects)
                    .unwrap()
                    .contains(r#""name":"llm-balancer","domains":["*"]"#);
                assert_eq!(added, expected, "{mesh:?}");
            }
        }
    }
}

#[test]
fn in_istio_a_filter_runs_on_our_routes_alone() {
    for (mesh, hops) in ways() {
        let patches = istio_patches(TEXT, &mesh, hops);
        let added = applied_to(&patches, "HTTP_FILTER");
        let added = added.into_iter().filter(|patch| patch["patch"]["operation"] == "INSERT_BEFORE");
        let names: Vec<_> = added
            .map(|patch| {
                assert_eq!(patch["patch"]["value"]["disabled"], true, "{patch}");
                patch["patch"]["value"]["name"].as_str().unwrap()
            })
            .collect();
        for route in applied_to(&patches, "HTTP_ROUTE") {
            let enabled = route["patch"]["value"]["typed_per_filter_config"].as_object().unwrap();
            assert_eq!(enabled.keys().collect::<Vec<_>>(), names, "{route}");
        }
    }
}

/// Envoy drains a listener that changes, and cuts its streams when the drain ends.
#[test]
fn in_istio_a_change_of_the_file_changes_extensions_alone() {
    let changed = format!("{TEXT}router_settings: {{num_retries: 3, allowed_fails: 9}}\n");
    for (mesh, hops) in ways() {
        let [before, after] = [TEXT, &changed].map(|text| istio_patches(text, &mesh, hops));
        assert_ne!(applied_to(&before, "EXTENSION_CONFIG"), applied_to(&after, "EXTENSION_CONFIG"));
        let rest = |mut patches: Vec<Value>| {
            patches.retain(|patch| patch["applyTo"] != "EXTENSION_CONFIG");
            patches
        };
        assert_eq!(rest(before), rest(after), "{hops:?}");
    }
}
