//! Envoy Gateway: a Gateway, and an EnvoyPatchPolicy that makes its listener the edge and adds what
//! is behind it.
//!
//! Patches find resources by the names that Envoy Gateway generates, in the second scheme
//! (`XDSNameSchemeV2`). Envoy Gateway applies them one by one, and skips a patch after which its
//! resource is not valid.

use serde_json::{Value, json};

use super::gateway::{self, Mesh, NAME, labels, object_of};
use super::parts::{BootstrapParts, MANAGER};
use super::single_hop;
use crate::render::message::with;

const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";
const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
const EXTENSIONS: &str = "gateway.envoyproxy.io/v1alpha1";
const EXTENSIONS_GROUP: &str = "gateway.envoyproxy.io";

/// Envoy's own default; Envoy Gateway's is 32 KiB.
const BUFFER_LIMIT: &str = "1Mi";

/// All objects, in the order to apply them in.
pub(crate) fn objects(mut bootstrap: Value, mesh: &Mesh) -> Vec<Value> {
    let extensions = bootstrap.get_mut("bootstrap_extensions").map(Value::take).unwrap_or_default();
    let parts = BootstrapParts::of(bootstrap);
    let mut merged = json!({});
    if !mesh.single_hop {
        merged = with(merged, "bootstrap_extensions", extensions);
    }
    if !parts.stats.is_empty() {
        merged = with(merged, "stats_config", Value::Object(parts.stats.clone()));
    }
    let mut objects: Vec<Value> = mesh.filter_config_map().into_iter().collect();
    objects.extend([
        mesh.namespaced(EXTENSIONS, "EnvoyProxy", NAME, proxy(mesh, &merged)),
        gateway_class(mesh),
        mesh.namespaced(GATEWAY_API, "Gateway", NAME, gateway(mesh)),
        mesh.namespaced(EXTENSIONS, "ClientTrafficPolicy", NAME, client_traffic()),
        mesh.namespaced(EXTENSIONS, "HTTPRouteFilter", NAME, not_patched()),
        mesh.namespaced(GATEWAY_API, "HTTPRoute", NAME, route(mesh)),
    ]);
    let spec = json!({
        "targetRef": {"group": GATEWAY_GROUP, "kind": "Gateway", "name": NAME},
        "type": "JSONPatch",
        "jsonPatches": patches(parts, mesh),
    });
    objects.push(mesh.namespaced(EXTENSIONS, "EnvoyPatchPolicy", NAME, json!({"spec": spec})));
    objects
}

fn gateway_class(mesh: &Mesh) -> Value {
    let metadata = json!({"name": mesh.name_in_cluster(), "labels": labels()});
    let spec = json!({"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"});
    object_of(GATEWAY_API, "GatewayClass", metadata, json!({"spec": spec}))
}

/// Envoy's pods: variables, volumes, and additions to Envoy Gateway's bootstrap.
fn proxy(mesh: &Mesh, bootstrap: &Value) -> Value {
    let (volumes, mounts) = mesh.volumes(true);
    let container = json!({"env": mesh.env(), "volumeMounts": mounts});
    let deployment =
        json!({"replicas": mesh.replicas(), "container": container, "pod": {"volumes": volumes}});
    // No `shutdown`: its `drainTimeout` is also how long Envoy keeps requests of a listener that changes,
    // and the operator's to choose.
    let spec = json!({"provider": {"type": "Kubernetes", "kubernetes": {"envoyDeployment": deployment}}});
    let is_empty = bootstrap.as_object().is_none_or(serde_json::Map::is_empty);
    let merged = (!is_empty).then(|| json!({"type": "Merge", "value": bootstrap.to_string()}));
    json!({"spec": with(spec, "bootstrap", merged)})
}

fn gateway(mesh: &Mesh) -> Value {
    let (port, name) = mesh.port();
    let listener = json!({
        "name": name,
        "port": port,
        "protocol": name.to_ascii_uppercase(),
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    });
    let tls = mesh
        .tls_secret
        .as_ref()
        .map(|secret| json!({"mode": "Terminate", "certificateRefs": [{"name": secret}]}));
    json!({"spec": {
        "gatewayClassName": mesh.name_in_cluster(),
        "infrastructure": {"parametersRef": {"group": EXTENSIONS_GROUP, "kind": "EnvoyProxy", "name": NAME}},
        "listeners": [with(listener, "tls", tls)],
    }})
}

/// Names of models hold slashes, also as `%2F`, and bodies are larger than 32 KiB.
fn client_traffic() -> Value {
    json!({"spec": {
        "targetRefs": [{"group": GATEWAY_GROUP, "kind": "Gateway", "name": NAME}],
        "connection": {"bufferLimit": BUFFER_LIMIT},
        "headers": {"requestID": "Generate"},
        "path": {"escapedSlashesAction": "KeepUnchanged", "disableMergeSlashes": true},
    }})
}

fn not_patched() -> Value {
    let body = gateway::not_patched("see the status of its patch policy");
    let response = json!({"statusCode": 503, "contentType": "application/json", "body": {"type": "Inline", "inline": body}});
    json!({"spec": {"directResponse": response}})
}

fn route(mesh: &Mesh) -> Value {
    let filter = json!({
        "type": "ExtensionRef",
        "extensionRef": {"group": EXTENSIONS_GROUP, "kind": "HTTPRouteFilter", "name": NAME},
    });
    let spec = json!({
        "parentRefs": [{"name": NAME}],
        "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "filters": [filter]}],
    });
    let hostnames = (!mesh.hostnames.is_empty()).then(|| json!(mesh.hostnames));
    json!({"spec": with(spec, "hostnames", hostnames)})
}

/// Names that Envoy Gateway generates: the listener, the pointer to its connection manager, the
/// routes.
fn generated(mesh: &Mesh) -> (String, &'static str, String) {
    let (port, name) = mesh.port();
    let listener = format!("tcp-{port}");
    match mesh.tls_secret {
        Some(_) => (listener, MANAGER, format!("{}/{NAME}/{name}", mesh.namespace)),
        None => (listener, "/default_filter_chain/filters/0/typed_config", format!("http-{port}")),
    }
}

const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/// The router of the Gateway's listener. What is added here goes in front of it.
const ROUTER: &str = "..http_filters[?match(@.name, 'envoy.filters.http.router')]";

const ACCESS_LOG: &str = "access_log";

fn patches(mut parts: BootstrapParts, mesh: &Mesh) -> Vec<Value> {
    if mesh.single_hop {
        single_hop::rearrange(&mut parts);
    }
    let rewritten_host = parts.needs_rewritten_host(mesh).then(|| {
        // Requests for other hosts have no route of ours before the filter sets the provider's host.
        parts.limit_filters_to_routes();
        parts.rewritten_host()
    });
    let (listener, manager, routes) = generated(mesh);
    let mut patches: Vec<_> = parts.clusters.into_iter().map(|cluster| added(CLUSTER, cluster)).collect();
    patches.extend(parts.listeners.into_iter().map(|listener| added(LISTENER, listener)));
    // Behind the gateway's own filters: what they refuse is not counted.
    for filter in parts.filters {
        let operation = json!({"op": "add", "jsonPath": ROUTER, "value": filter});
        patches.push(patch(LISTENER, &listener, operation));
    }
    for (field, value) in parts.router {
        let path = format!("typed_config/{field}");
        let operation = json!({"op": "add", "jsonPath": ROUTER, "path": path, "value": value});
        patches.push(patch(LISTENER, &listener, operation));
    }
    for (field, value) in parts.manager {
        for (place, value) in added_to_manager(&field, value) {
            let operation = json!({"op": "add", "path": format!("{manager}/{place}"), "value": value});
            patches.push(patch(LISTENER, &listener, operation));
        }
    }
    let every_host = "..virtual_hosts[?match(@.name, '.*')]";
    for (field, value) in parts.virtual_host {
        let operation = json!({"op": "add", "jsonPath": every_host, "path": field, "value": value});
        patches.push(patch(ROUTES, &routes, operation));
    }
    // In front of the 503, which no request reaches then. A change of that route in place would take
    // two patches, and Envoy Gateway skips a patch that leaves a route without an action or with two.
    let not_patched = format!("..routes[?match(@.name, 'httproute/{}/{NAME}/.*')]", mesh.namespace);
    for route in parts.routes.into_iter().chain([Value::Object(parts.last_route)]) {
        patches.push(patch(ROUTES, &routes, json!({"op": "add", "jsonPath": not_patched, "value": route})));
    }
    patches.extend(
        rewritten_host.map(|host| {
            patch(ROUTES, &routes, json!({"op": "add", "path": "/virtual_hosts/-", "value": host}))
        }),
    );
    patches
}

/// Where a field of the connection manager is added. A list of access logs would replace the
/// gateway's.
fn added_to_manager(field: &str, value: Value) -> Vec<(String, Value)> {
    match (field, value) {
        (ACCESS_LOG, Value::Array(logs)) => {
            logs.into_iter().map(|log| (format!("{ACCESS_LOG}/-"), log)).collect()
        }
        (_, value) => vec![(field.to_owned(), value)],
    }
}

fn patch(kind: &str, name: &str, operation: Value) -> Value {
    json!({"type": kind, "name": name, "operation": operation})
}

/// Adds a resource.
fn added(kind: &str, resource: Value) -> Value {
    let name = resource.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    patch(kind, &name, json!({"op": "add", "path": "", "value": resource}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_logs_of_the_gateway_stay() {
        let added = added_to_manager("access_log", json!(["one", "two"]));
        let appended = |value: &str| ("access_log/-".to_owned(), Value::from(value));
        assert_eq!(added, [appended("one"), appended("two")]);
        assert_eq!(added_to_manager("stat_prefix", json!("x")), [("stat_prefix".to_owned(), json!("x"))]);
    }
}
