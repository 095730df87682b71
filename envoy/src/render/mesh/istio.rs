//! Istio: a gateway, and an EnvoyFilter that makes its listener the edge and adds what is behind
//! it.
//!
//! ```text
//! client ── listener of the Gateway ── cluster "attempts" ── listener "attempts" ── the deployment's cluster
//!           merged: fields of the edge   added                 added, with the filter   added
//! ```

use serde_json::{Map, Value, json};

use super::gateway::{FilterCode, Mesh, NAME, labels, not_patched};
use super::parts::BootstrapParts;
use super::single_hop;
use crate::render::message::{
    HTTP_CONNECTION_MANAGER, HTTP_CONNECTION_MANAGER_TYPE, ROUTER, ROUTER_TYPE, typed, with,
};

const NETWORKING: &str = "networking.istio.io/v1";

/// The label of the gateway's pods.
const SELECTOR: &str = "istio";

/// Unprivileged ports of the pods; the Service has the Gateway's port.
const HTTP_TARGET: u16 = 8080;
const HTTPS_TARGET: u16 = 8443;

/// The readiness port of Istio's proxy.
const STATUS_PORT: u16 = 15021;

/// Seconds that requests in progress have when a pod ends. The agent's own are 5, after which it ends
/// Envoy.
const DRAIN: u32 = 25;
/// Seconds until Kubernetes ends a pod.
const TERMINATION: u32 = DRAIN + 5;

/// All objects, in the order to apply them in.
pub(crate) fn objects(bootstrap: Value, mesh: &Mesh) -> Vec<Value> {
    let mut objects: Vec<Value> = mesh.filter_config_map().into_iter().collect();
    objects.push(mesh.namespaced("v1", "ServiceAccount", NAME, json!({})));
    objects.extend(certificate_reader(mesh));
    objects.push(mesh.namespaced("v1", "Service", NAME, service(mesh)));
    objects.push(mesh.namespaced("apps/v1", "Deployment", NAME, deployment(mesh)));
    objects.push(mesh.namespaced(NETWORKING, "Gateway", NAME, gateway(mesh)));
    objects.push(mesh.namespaced(NETWORKING, "VirtualService", NAME, virtual_service(mesh)));
    let patches = patches(BootstrapParts::of(bootstrap), mesh);
    let spec = json!({"workloadSelector": {"labels": selector(mesh)}, "configPatches": patches});
    objects.push(mesh.namespaced("networking.istio.io/v1alpha3", "EnvoyFilter", NAME, json!({"spec": spec})));
    objects
}

/// A Gateway selects pods of all namespaces.
fn selector(mesh: &Mesh) -> Value {
    json!({SELECTOR: mesh.name_in_cluster()})
}

fn service(mesh: &Mesh) -> Value {
    let (port, name) = mesh.port();
    let target = if mesh.tls_secret.is_some() { HTTPS_TARGET } else { HTTP_TARGET };
    json!({"spec": {
        "type": "LoadBalancer",
        "selector": selector(mesh),
        "ports": [
            {"name": name, "port": port, "targetPort": target},
            {"name": "status-port", "port": STATUS_PORT, "targetPort": STATUS_PORT},
        ],
    }})
}

/// A gateway by injection: Istio completes the container.
fn deployment(mesh: &Mesh) -> Value {
    let (volumes, mounts) = mesh.volumes(false);
    let container = json!({
        "name": "istio-proxy",
        "image": "auto",
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
        },
    });
    let some = |items: Vec<Value>| (!items.is_empty()).then_some(Value::Array(items));
    let container = with(container, "env", some(mesh.env()));
    let container = with(container, "volumeMounts", some(mounts));
    let pod = json!({
        "serviceAccountName": NAME,
        // Links to a Service "redis" would set the filter's REDIS_PORT to an address.
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": TERMINATION,
        "containers": [container],
    });
    let mut all = labels();
    if let (Value::Object(all), Value::Object(selector)) = (&mut all, selector(mesh)) {
        all.extend(selector);
        all.insert("sidecar.istio.io/inject".to_owned(), "true".into());
    }
    let annotations = json!({
        "inject.istio.io/templates": "gateway",
        "proxy.istio.io/config": json!({"terminationDrainDuration": format!("{DRAIN}s")}).to_string(),
    });
    let metadata = json!({"labels": all, "annotations": annotations});
    json!({"spec": {
        "replicas": mesh.replicas(),
        "selector": {"matchLabels": selector(mesh)},
        "template": {"metadata": metadata, "spec": with(pod, "volumes", some(volumes))},
    }})
}

/// The gateway reads its certificate by way of istiod, which asks whether its service account may
/// list Secrets; without a name, so a rule with `resourceNames` would say no.
fn certificate_reader(mesh: &Mesh) -> Vec<Value> {
    if mesh.tls_secret.is_none() {
        return Vec::new();
    }
    const RBAC: &str = "rbac.authorization.k8s.io/v1";
    let rule = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"]});
    let binding = json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME}],
    });
    vec![
        mesh.namespaced(RBAC, "Role", NAME, json!({"rules": [rule]})),
        mesh.namespaced(RBAC, "RoleBinding", NAME, binding),
    ]
}

fn hosts(mesh: &Mesh) -> Vec<String> {
    if mesh.hostnames.is_empty() { vec!["*".to_owned()] } else { mesh.hostnames.clone() }
}

fn gateway(mesh: &Mesh) -> Value {
    let (number, name) = mesh.port();
    let server = json!({
        "port": {"number": number, "name": name, "protocol": name.to_ascii_uppercase()},
        "hosts": hosts(mesh),
    });
    let tls = mesh.tls_secret.as_ref().map(|secret| json!({"mode": "SIMPLE", "credentialName": secret}));
    json!({"spec": {"selector": selector(mesh), "servers": [with(server, "tls", tls)]}})
}

/// A route whose name the EnvoyFilter finds.
fn virtual_service(mesh: &Mesh) -> Value {
    // An EnvoyFilter has no status.
    let body = not_patched("its EnvoyFilter does not apply, see docs/istio.md");
    json!({"spec": {
        "hosts": hosts(mesh),
        "gateways": [NAME],
        "http": [{"name": NAME, "directResponse": {"status": 503, "body": {"string": body}}}],
    }})
}

/// Matches our virtual hosts. Istio names them by host and port; if it makes one of several, by one
/// of them.
fn virtual_hosts(mesh: &Mesh) -> Vec<Value> {
    let (port, _) = mesh.port();
    let hosts = hosts(mesh).into_iter();
    hosts.map(|host| json!({"routeConfiguration": {"vhost": {"name": format!("{host}:{port}")}}})).collect()
}

fn patches(mut parts: BootstrapParts, mesh: &Mesh) -> Vec<Value> {
    if mesh.single_hop {
        single_hop::rearrange(&mut parts);
    }
    let needs_rewritten_host = parts.needs_rewritten_host(mesh);
    let fetched = match &mesh.code {
        FilterCode::Image { reference, sha256 } => Some(fetched_by_agent(reference, sha256)),
        FilterCode::ConfigMap(_) => None,
    };
    let extensions = discovered(&mut parts, fetched.as_ref());
    parts.limit_filters_to_routes();
    let rewritten_host = needs_rewritten_host.then(|| parts.rewritten_host());
    let in_manager = json!({"listener": {"filterChain": {"filter": {"name": HTTP_CONNECTION_MANAGER}}}});
    let router = json!({"name": HTTP_CONNECTION_MANAGER, "subFilter": {"name": ROUTER}});
    let router = json!({"listener": {"filterChain": {"filter": router}}});
    let our_route = json!({"routeConfiguration": {"vhost": {"route": {"name": NAME}}}});
    let mut patches = Vec::new();
    if !parts.stats.is_empty() {
        patches.push(patch("BOOTSTRAP", None, "MERGE", json!({"stats_config": parts.stats})));
    }
    let extensions = extensions.into_iter();
    patches.extend(extensions.map(|extension| patch("EXTENSION_CONFIG", None, "ADD", extension)));
    let manager = json!({"name": HTTP_CONNECTION_MANAGER, "typed_config": typed(HTTP_CONNECTION_MANAGER_TYPE, Value::Object(parts.manager))});
    patches.push(patch("NETWORK_FILTER", Some(&in_manager), "MERGE", manager));
    // Behind the gateway's own filters: what they refuse is not counted.
    let filters = parts.filters.into_iter();
    patches.extend(filters.map(|filter| patch("HTTP_FILTER", Some(&router), "INSERT_BEFORE", filter)));
    if !parts.router.is_empty() {
        let fields = typed(ROUTER_TYPE, Value::Object(parts.router));
        let merged = json!({"name": ROUTER, "typed_config": fields});
        patches.push(patch("HTTP_FILTER", Some(&router), "MERGE", merged));
    }
    patches.extend(rewritten_host.map(|host| patch("VIRTUAL_HOST", None, "ADD", host)));
    if !parts.virtual_host.is_empty() {
        let fields = Value::Object(parts.virtual_host);
        let hosts = virtual_hosts(mesh).into_iter();
        patches.extend(hosts.map(|host| patch("VIRTUAL_HOST", Some(&host), "MERGE", fields.clone())));
    }
    let routes = parts.routes.into_iter();
    patches.extend(routes.map(|route| patch("HTTP_ROUTE", Some(&our_route), "INSERT_BEFORE", route)));
    // It keeps its own match.
    parts.last_route.shift_remove("match");
    patches.push(patch("HTTP_ROUTE", Some(&our_route), "MERGE", Value::Object(parts.last_route)));
    patches.extend(parts.clusters.into_iter().map(|cluster| patch("CLUSTER", None, "ADD", cluster)));
    patches.extend(parts.listeners.into_iter().map(|listener| patch("LISTENER", None, "ADD", listener)));
    patches
}

fn patch(apply_to: &str, condition: Option<&Value>, operation: &str, value: Value) -> Value {
    let mut condition = condition.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    // A patch of the bootstrap has no context.
    if apply_to != "BOOTSTRAP" {
        condition = with(condition, "context", Value::from("GATEWAY"));
    }
    json!({"applyTo": apply_to, "match": condition, "patch": {"operation": operation, "value": value}})
}

/// Replaces each filter by a reference, and returns the extensions that they refer to. The file is in
/// the filter's configuration: a listener that had it would change with the file, and Envoy would cut
/// its streams. Istio's agent fetches images of discovered extensions only; the listener waits for it.
fn discovered(parts: &mut BootstrapParts, code: Option<&Value>) -> Vec<Value> {
    let extension = |filter: &mut Value| {
        let mut extension = filter.take();
        let config_type = extension.pointer("/typed_config/@type")?.clone();
        let name = extension.pointer("/typed_config/config/root_id")?.clone();
        *filter = json!({
            "name": name,
            "config_discovery": {
                "config_source": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
                "type_urls": [config_type],
            },
        });
        if let Some(code) = code {
            *extension.pointer_mut("/typed_config/config/vm_config/code")? = code.clone();
        }
        Some(with(extension, "name", name))
    };
    parts.wasm().filter_map(extension).collect()
}

/// The filter's code for Istio's agent, which fetches it and names a file instead.
fn fetched_by_agent(reference: &str, sha256: &str) -> Value {
    // The agent does not use the cluster, but Envoy's API requires one.
    let uri = json!({"uri": format!("oci://{reference}"), "cluster": "_", "timeout": "30s"});
    json!({"remote": {"http_uri": uri, "sha256": sha256}})
}

#[cfg(test)]
mod tests {
    use super::super::tests::mesh;
    use super::*;

    #[test]
    fn a_gateway_without_its_patches_names_the_envoyfilter_and_the_page_about_it() {
        let service = virtual_service(&mesh());
        let body =
            service.pointer("/spec/http/0/directResponse/body/string").and_then(Value::as_str).unwrap();
        let error: Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            error["error"]["message"],
            "The gateway has not been patched: its EnvoyFilter does not apply, see docs/istio.md."
        );
    }

    #[test]
    fn the_filters_variables_are_those_of_the_secret_and_not_links_to_services() {
        let links = deployment(&mesh()).pointer("/spec/template/spec/enableServiceLinks").cloned();
        assert_eq!(links, Some(false.into()));
    }

    #[test]
    fn the_gateway_may_list_secrets_without_a_name_as_istiod_asks() {
        let mut mesh = Mesh { tls_secret: Some("certificate".to_owned()), ..mesh() };
        let objects = certificate_reader(&mesh);
        let rule = objects.iter().find_map(|object| object.pointer("/rules/0")).unwrap();
        assert_eq!(
            rule,
            &json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"]})
        );
        mesh.tls_secret = None;
        assert!(certificate_reader(&mesh).is_empty());
    }
}
