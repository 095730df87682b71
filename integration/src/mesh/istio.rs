//! Istio, played: the listener that its control plane makes of a Gateway and a VirtualService, the
//! patches of an EnvoyFilter applied as it applies them, and the agent that fetches the filter.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Pod, Rendered, filter_file, merge, start};
use crate::product::Envoy;

/// The gateway that runs with these objects.
pub async fn gateway(rendered: &Rendered, secret: &BTreeMap<&str, &str>) -> Envoy {
    let mut bootstrap = patched(rendered);
    let fetched = fetch(&mut bootstrap);
    start(bootstrap, fetched, &pod(rendered), secret).await
}

/// Hands the gateway what these objects change of those that it runs with, which must be its filters
/// alone.
pub fn apply_to(gateway: &Envoy, before: &Rendered, after: &Rendered) {
    let [(old, _), (new, filters)] = [before, after].map(|rendered| {
        let mut bootstrap = patched(rendered);
        let filters = fetch(&mut bootstrap);
        (bootstrap, filters)
    });
    assert_eq!(old, new, "a listener, a route or a cluster changes");
    pod(after).put(gateway.dir.path(), &filters);
}

fn pod(rendered: &Rendered) -> Pod<'_> {
    let deployment = rendered.one("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let namespace = &deployment["metadata"]["namespace"];
    Pod { rendered, namespace, container: &pod["containers"][0], volumes: &pod["volumes"] }
}

/// Our patches, applied to what Istio makes of our Gateway and our VirtualService.
fn patched(rendered: &Rendered) -> Value {
    let mut bootstrap = surroundings(rendered);
    let spec = &rendered.one("EnvoyFilter")["spec"];
    let labels = &rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"];
    for (label, value) in spec["workloadSelector"]["labels"].as_object().expect("labels") {
        assert_eq!(&labels[label], value, "the EnvoyFilter selects its gateway");
    }
    let patches = spec["configPatches"].as_array().expect("patches");
    // Merges come before everything that is added.
    let (adds, others): (Vec<_>, Vec<_>) =
        patches.iter().partition(|patch| patch["patch"]["operation"] != "MERGE");
    others.into_iter().chain(adds).for_each(|one| patch(&mut bootstrap, one));
    bootstrap
}

fn patch(bootstrap: &mut Value, patch: &Value) {
    let value = &patch["patch"]["value"];
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let hosts = format!("{manager}/route_config/virtual_hosts");
    let mut at = |pointer: &str| bootstrap.pointer_mut(pointer).expect(pointer).take();
    let (pointer, new) = match (
        patch["applyTo"].as_str().expect("a kind"),
        patch["patch"]["operation"].as_str().expect("an operation"),
    ) {
        ("BOOTSTRAP", "MERGE") => (String::new(), merged(at(""), value)),
        ("NETWORK_FILTER", "MERGE") => {
            assert_eq!(patch["match"]["listener"]["filterChain"]["filter"]["name"], value["name"]);
            (manager.to_owned(), merged(at(manager), &value["typed_config"]))
        }
        ("VIRTUAL_HOST", "MERGE") => {
            let mut new = at(&hosts);
            let name = patch["match"].pointer("/routeConfiguration/vhost/name");
            for host in new.as_array_mut().expect("a list") {
                if name.is_none_or(|name| host["name"] == *name) {
                    merge(host, value);
                }
            }
            (hosts, new)
        }
        (kind @ ("HTTP_FILTER" | "HTTP_ROUTE"), operation) => {
            let (name, pointer) = match kind {
                "HTTP_FILTER" => {
                    ("/listener/filterChain/filter/subFilter/name", format!("{manager}/http_filters"))
                }
                _ => ("/routeConfiguration/vhost/route/name", format!("{hosts}/0/routes")),
            };
            let name = patch["match"].pointer(name).expect("what it matches");
            let list = at(&pointer);
            let new = match operation {
                "INSERT_BEFORE" => inserted_before(list, name, value),
                "MERGE" => merged_into(list, name, value),
                other => panic!("not what Istio knows: {other}"),
            };
            (pointer, new)
        }
        (kind @ ("CLUSTER" | "LISTENER" | "EXTENSION_CONFIG" | "VIRTUAL_HOST"), "ADD") => {
            let pointer = match kind {
                "CLUSTER" => "/static_resources/clusters",
                "LISTENER" => "/static_resources/listeners",
                "VIRTUAL_HOST" => &hosts,
                _ => "/extensions",
            };
            (pointer.to_owned(), merged(at(pointer), &json!([value])))
        }
        other => panic!("not what Istio knows: {other:?}"),
    };
    *bootstrap.pointer_mut(&pointer).expect("its place") = new;
}

/// A list with one more item in front of the one of this name.
fn inserted_before(mut list: Value, name: &Value, item: &Value) -> Value {
    let items = list.as_array_mut().expect("a list");
    let place = items.iter().position(|item| item["name"] == *name).expect("a match");
    items.insert(place, item.clone());
    list
}

/// A list in which the item of this name has the fields of another one, too.
fn merged_into(mut list: Value, name: &Value, fields: &Value) -> Value {
    let mut items = list.as_array_mut().expect("a list").iter_mut();
    merge(items.find(|item| item["name"] == *name).expect("a match"), fields);
    list
}

fn merged(mut into: Value, from: &Value) -> Value {
    merge(&mut into, from);
    into
}

/// What the agent does with each extension: it puts a file in the place of an image, leaves a file of
/// the pod's as it is, and hands the extension on to Envoy. Here Envoy finds it in a file. Returns
/// names and contents of the files.
fn fetch(bootstrap: &mut Value) -> BTreeMap<String, Value> {
    let extensions = bootstrap.as_object_mut().expect("an object").remove("extensions").expect("a list");
    let extensions: Vec<Value> = serde_json::from_value(extensions).expect("a list");
    let file = |(number, mut extension): (usize, Value)| {
        let code = extension.pointer_mut("/typed_config/config/vm_config/code").expect("code");
        if let Some(remote) = code.get("remote") {
            let uri = remote["http_uri"]["uri"].as_str().expect("a URI");
            let digest = remote["sha256"].as_str().expect("a digest");
            assert!(uri.starts_with("oci://") && uri.ends_with(digest));
            *code = json!({"local": {"filename": filter_file()}});
        }
        extension["@type"] = json!("type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig");
        let name = format!("fetched-{number}.json");
        let discovered = discover(bootstrap, &extension["name"], &format!("DIR/{name}"));
        assert_eq!(discovered, 1, "filters that are discovered as {}", extension["name"]);
        (name, json!({"version_info": "1", "resources": [extension]}))
    };
    extensions.into_iter().enumerate().map(file).collect()
}

/// Has Envoy find a discovered filter of this name in a file. Returns how many there are.
fn discover(value: &mut Value, name: &Value, file: &str) -> usize {
    if value.get("config_discovery").is_some() && value["name"] == *name {
        let source = value["config_discovery"]["config_source"].as_object_mut().expect("a source");
        source.remove("ads").expect("a filter that comes with everything else");
        source.insert("path_config_source".to_owned(), json!({"path": file}));
        return 1;
    }
    match value {
        Value::Object(members) => members.values_mut().map(|value| discover(value, name, file)).sum(),
        Value::Array(items) => items.iter_mut().map(|item| discover(item, name, file)).sum(),
        _ => 0,
    }
}

/// Another host of the same gateway, which is not ours.
pub const NEIGHBOUR: &str = "neighbour.example.com";

/// Its virtual host, which answers with headers that providers of ours may not send.
fn neighbour() -> Value {
    let header = |name: &str, value: &str| json!({"header": {"key": name, "value": value}});
    json!({
        "name": format!("{NEIGHBOUR}:80"),
        "domains": [NEIGHBOUR],
        "include_request_attempt_count": true,
        "routes": [{
            "name": "neighbour",
            "match": {"prefix": "/"},
            "direct_response": {"status": 200},
            "response_headers_to_add": [header("set-cookie", "a=b"), header("location", "/new")],
        }],
    })
}

/// Istio's bootstrap and its listener for a Gateway with one HTTP server, without what only the
/// control plane serves.
fn surroundings(rendered: &Rendered) -> Value {
    let server = &rendered.one("Gateway")["spec"]["servers"][0];
    let service = &rendered.one("VirtualService")["spec"];
    assert_eq!((&server["port"]["number"], &server["hosts"]), (&json!(80), &service["hosts"]));
    let mut hosts: Vec<String> = serde_json::from_value(service["hosts"].clone()).expect("names");
    // Hosts with the same routes become one virtual host, with the name of the longest.
    hosts.sort_by_key(|host| std::cmp::Reverse(host.len()));
    let route = &service["http"][0];
    let direct = &route["directResponse"];
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let fault = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";
    let cors = "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors";
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound_0.0.0.0_8080",
        "use_remote_address": true,
        "normalize_path": true,
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"subject": true, "cert": true, "dns": true, "uri": true},
        "server_name": "istio-envoy",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {"name": "http.8080", "virtual_hosts": [{
            "name": format!("{}:80", hosts[0]),
            "domains": hosts,
            "include_request_attempt_count": true,
            "routes": [{
                "name": route["name"],
                "match": {"prefix": "/"},
                "direct_response": {
                    "status": direct["status"],
                    "body": {"inline_string": direct["body"]["string"]},
                },
            }],
        }, neighbour()]},
        "http_filters": [
            {"name": "envoy.filters.http.cors", "typed_config": {"@type": cors}},
            {"name": "envoy.filters.http.fault", "typed_config": {"@type": fault}},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": router}},
        ],
    });
    json!({
        "node": {"id": "router~10.0.0.1~llm-balancer~llm-balancer.svc.cluster.local", "cluster": "llm-balancer"},
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": {
                "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
                "type_url": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
                "value": {"buffer_size_kb": 64},
            },
        }],
        "stats_config": {"use_all_default_tags": false},
        "extensions": [],
        "static_resources": {
            "listeners": [{
                "name": "0.0.0.0_8080",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 8080}},
                "filter_chains": [{"filters": [
                    {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
                ]}],
            }],
            "clusters": [],
        },
    })
}
