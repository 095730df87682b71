//! Envoy Gateway, played: the resources that it generates for a Gateway and an HTTPRoute, and the
//! patches of an EnvoyPatchPolicy applied as it applies them: one by one, each of which must leave a
//! valid resource.

use std::collections::BTreeMap;

use json_patch::Patch;
use serde_json::{Value, json};
use serde_json_path::JsonPath;

use super::{Pod, Rendered, merge, start};
use crate::product::Envoy;

/// The gateway that runs with these objects.
pub async fn gateway(rendered: &Rendered, secret: &BTreeMap<&str, &str>) -> Envoy {
    let deployment = &rendered.one("EnvoyProxy")["spec"]["provider"]["kubernetes"]["envoyDeployment"];
    let pod = Pod {
        rendered,
        namespace: &json!("envoy-gateway-system"),
        container: &deployment["container"],
        volumes: &deployment["pod"]["volumes"],
    };
    start(bootstrap(rendered), BTreeMap::new(), &pod, secret).await
}

/// Resources by the last part of their type.
#[derive(Debug)]
struct Resources(BTreeMap<String, Vec<Value>>);

fn bootstrap(rendered: &Rendered) -> Value {
    let mut resources = generated(rendered);
    let policy = &rendered.one("EnvoyPatchPolicy")["spec"];
    assert_eq!(policy["targetRef"]["name"], rendered.one("Gateway")["metadata"]["name"]);
    for patch in policy["jsonPatches"].as_array().expect("patches") {
        resources.apply(patch);
    }
    let Resources(mut resources) = resources;
    let mut take = |kind: &str| resources.remove(kind).expect("resources");
    let (mut listeners, routes) = (take("Listener"), take("RouteConfiguration"));
    // What Envoy would ask for by RDS.
    let manager = listeners[0].pointer_mut(chain(rendered).1).expect("its connection manager");
    manager["route_config"] = routes[0].clone();
    let mut bootstrap = json!({
        "node": {"id": "envoy-llm-balancer", "cluster": "llm-balancer/llm-balancer"},
        "layered_runtime": {"layers": [{"name": "global_config", "static_layer": {
            "re2.max_program_size.error_level": 4_294_967_295_u32,
        }}]},
        "static_resources": {"listeners": listeners, "clusters": take("Cluster")},
    });
    let merged = &rendered.one("EnvoyProxy")["spec"]["bootstrap"];
    if let Some(value) = merged["value"].as_str() {
        assert_eq!(merged["type"], "Merge");
        merge(&mut bootstrap, &serde_saphyr::from_str(value).expect("YAML"));
    }
    bootstrap
}

impl Resources {
    fn apply(&mut self, patch: &Value) {
        let kind = patch["type"].as_str().expect("a type").rsplit('.').next().expect("a name").to_owned();
        let resources = self.0.get_mut(&kind).expect("a type that Envoy Gateway knows");
        let operation = &patch["operation"];
        if operation["path"] == "" {
            assert_eq!(operation["op"], "add");
            resources.push(operation["value"].clone());
            assert_valid(&operation["value"], operation);
            return;
        }
        let named = resources.iter_mut().find(|resource| resource["name"] == patch["name"]);
        let resource = named.unwrap_or_else(|| panic!("ResourceNotFound: {} {}", kind, patch["name"]));
        let path = operation["path"].as_str().unwrap_or_default();
        let places = match operation["jsonPath"].as_str() {
            None => vec![path.to_owned()],
            Some(json_path) => places(resource, json_path, path),
        };
        assert!(!places.is_empty(), "nothing found by {operation}");
        for place in places {
            let mut one = json!({"op": operation["op"], "path": place});
            if let Some(value) = operation.get("value") {
                one["value"] = value.clone();
            }
            let one: Patch = serde_json::from_value(json!([one])).expect("a patch");
            json_patch::patch(resource, &one).unwrap_or_else(|error| panic!("{error}"));
        }
        assert_valid(resource, operation);
    }
}

/// Fields of which a message has one at most. Envoy Gateway reads a resource anew after each patch,
/// and skips the patch if it cannot.
const ONE_OF: [&[&str]; 6] = [
    ACTIONS,
    &["cluster", "cluster_header", "weighted_clusters", "cluster_specifier_plugin"],
    &["rds", "route_config", "scoped_routes"],
    &["typed_config", "config_discovery"],
    &["type", "cluster_type"],
    &["prefix", "path", "safe_regex", "connect_matcher", "path_separated_prefix"],
];

/// A route has one of these.
const ACTIONS: &[&str] = &["route", "redirect", "direct_response", "filter_action", "non_forwarding_action"];

/// Panics if Envoy Gateway would skip the patch that made this of a resource.
fn assert_valid(value: &Value, patch: &Value) {
    if let Value::Object(message) = value {
        let count = |fields: &[&str]| fields.iter().filter(|field| message.contains_key(**field)).count();
        for fields in ONE_OF {
            assert!(count(fields) <= 1, "more than one of {fields:?} in {value} after {patch}");
        }
        for route in message.get("routes").and_then(Value::as_array).into_iter().flatten() {
            let has_action = ACTIONS.iter().any(|action| route.get(action).is_some());
            assert!(has_action && route.get("match").is_some(), "no route: {route} after {patch}");
        }
    }
    let members = value.as_object().into_iter().flat_map(|members| members.values());
    members.chain(value.as_array().into_iter().flatten()).for_each(|member| assert_valid(member, patch));
}

/// All that the JSONPath finds, with the path behind it.
fn places(resource: &Value, json_path: &str, path: &str) -> Vec<String> {
    let query = JsonPath::parse(&format!("${json_path}")).unwrap_or_else(|error| panic!("{error}"));
    let found = query.query_located(resource);
    let behind = if path.is_empty() { String::new() } else { format!("/{path}") };
    found.locations().map(|location| format!("{}{behind}", location.to_json_pointer())).collect()
}

/// The Gateway's port and protocol, and where its listener has the connection manager. TLS itself
/// is left out: the names and the places are what patches depend on.
fn chain(rendered: &Rendered) -> (&'static str, &'static str) {
    let listener = &rendered.one("Gateway")["spec"]["listeners"][0];
    match (listener["port"].as_u64(), listener["protocol"].as_str(), listener.get("tls")) {
        (Some(80), Some("HTTP"), None) => ("80", "/default_filter_chain/filters/0/typed_config"),
        (Some(443), Some("HTTPS"), Some(_)) => ("443", "/filter_chains/0/filters/0/typed_config"),
        other => panic!("no listener of ours: {other:?}"),
    }
}

/// As in the golden files of Envoy Gateway's own tests, by its second scheme of names.
fn generated(rendered: &Rendered) -> Resources {
    let (gateway, route) = (rendered.one("Gateway"), rendered.one("HTTPRoute"));
    let (port, place) = chain(rendered);
    assert_eq!(route["spec"]["rules"][0]["filters"][0]["extensionRef"]["kind"], "HTTPRouteFilter");
    let direct = &rendered.one("HTTPRouteFilter")["spec"]["directResponse"];
    let traffic = &rendered.one("ClientTrafficPolicy")["spec"];
    assert_eq!(traffic["connection"]["bufferLimit"], "1Mi");
    let name = |object: &Value| object["metadata"]["name"].as_str().expect("a name").to_owned();
    let namespace = route["metadata"]["namespace"].as_str().expect("a namespace");
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http-80",
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
        "http2_protocol_options": {
            "initial_connection_window_size": 1_048_576,
            "initial_stream_window_size": 65_536,
            "max_concurrent_streams": 100,
        },
        "normalize_path": true,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "server_header_transformation": "PASS_THROUGH",
        "use_remote_address": true,
        // Envoy Gateway's default, which a patch must not replace.
        "access_log": [{
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": "/dev/null",
            },
        }],
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                "suppress_envoy_headers": true,
            },
        }],
    });
    let mut listener = json!({
        "name": format!("tcp-{port}"),
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 8080}},
        "max_connections_to_accept_per_socket_event": 1,
        "per_connection_buffer_limit_bytes": 1_048_576,
    });
    // HTTPS listeners keep the names of the first scheme for their routes.
    let routes_name = match port {
        "80" => "http-80".to_owned(),
        _ => format!("{namespace}/{}/https", name(gateway)),
    };
    let chain = json!({"name": routes_name, "filters": [
        {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
    ]});
    if place.starts_with("/default") {
        listener["default_filter_chain"] = chain;
    } else {
        listener["filter_chains"] = json!([chain]);
    }
    let hosts = route["spec"]["hostnames"].as_array().cloned().unwrap_or_else(|| vec![json!("*")]);
    let virtual_host = |host: &Value| {
        let host = host.as_str().expect("a name");
        json!({
            "name": format!("{namespace}/{}/{}/{}", name(gateway), "http", host.replace('.', "_")),
            "domains": [host],
            "routes": [{
                "name": format!("httproute/{namespace}/{}/rule/0/match/0/{}", name(route), host.replace('.', "_")),
                "match": {"prefix": "/"},
                "direct_response": {"status": direct["statusCode"], "body": {"inline_string": direct["body"]["inline"]}},
            }],
        })
    };
    let routes = json!({
        "name": routes_name,
        "ignore_port_in_host_matching": true,
        "virtual_hosts": hosts.iter().map(virtual_host).collect::<Vec<_>>(),
    });
    let one = |kind: &str, resource: Value| (kind.to_owned(), vec![resource]);
    Resources(BTreeMap::from([
        one("Listener", listener),
        one("RouteConfiguration", routes),
        ("Cluster".to_owned(), Vec::new()),
    ]))
}
