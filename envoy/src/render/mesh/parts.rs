//! The bootstrap taken apart, for a gateway that has a bootstrap of its own.

use llm_balancer_config::names;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::gateway::Mesh;
use crate::render::message::{typed, with};

/// The bootstrap's pieces. Those of the edge are for the gateway's listener.
#[derive(Debug, Default)]
pub(super) struct BootstrapParts {
    /// Fields of the edge's connection manager for the gateway's.
    pub manager: Map<String, Value>,
    /// HTTP filters of the edge, in front of the router.
    pub filters: Vec<Value>,
    /// Fields of the edge's router for the gateway's.
    pub router: Map<String, Value>,
    /// Fields of the edge's virtual host, without headers.
    pub virtual_host: Map<String, Value>,
    /// All routes but the last.
    pub routes: Vec<Value>,
    /// The last route, which matches everything.
    pub last_route: Map<String, Value>,
    /// All listeners but the edge.
    pub listeners: Vec<Value>,
    pub clusters: Vec<Value>,
    /// Labels and buckets of the metrics.
    pub stats: Map<String, Value>,
}

/// Pointer to the connection manager of a listener with one filter chain.
pub(super) const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";

/// Fields that a virtual host and a route have.
const HEADERS: [&str; 3] =
    ["request_headers_to_add", "request_headers_to_remove", "response_headers_to_remove"];

/// Fields of the connection manager that the gateway sets.
const GATEWAYS_OWN: [&str; 5] = ["@type", "stat_prefix", "codec_type", "route_config", "http_filters"];

impl BootstrapParts {
    pub fn of(mut bootstrap: Value) -> Self {
        let mut listeners: Vec<Value> = take(&mut bootstrap, "/static_resources/listeners");
        let edge = listeners.iter().position(|listener| listener.get("name") == Some(&"edge".into()));
        let mut edge = edge.map(|edge| listeners.remove(edge)).unwrap_or_default();
        let mut filters: Vec<Value> = take(&mut edge, &format!("{MANAGER}/http_filters"));
        let mut router: Map<String, Value> =
            filters.pop().map(|mut router| take(&mut router, "/typed_config")).unwrap_or_default();
        router.retain(|key, _| key == "upstream_http_filters");
        let host = format!("{MANAGER}/route_config/virtual_hosts/0");
        let mut routes: Vec<Value> = take(&mut edge, &format!("{host}/routes"));
        let mut virtual_host: Map<String, Value> = take(&mut edge, &host);
        let mut manager: Map<String, Value> = take(&mut edge, MANAGER);
        for key in GATEWAYS_OWN {
            manager.shift_remove(key);
        }
        for key in ["name", "domains", "routes"] {
            virtual_host.shift_remove(key);
        }
        move_headers(&mut virtual_host, &mut routes);
        let mut stats: Map<String, Value> = take(&mut bootstrap, "/stats_config");
        // The gateway selects the statistics to keep.
        stats.shift_remove("stats_matcher");
        let clusters = take(&mut bootstrap, "/static_resources/clusters");
        let mut parts =
            Self { manager, filters, router, virtual_host, listeners, clusters, stats, ..Self::default() };
        parts.set_routes(routes);
        parts
    }

    /// Replaces all routes by these, of which the last one matches everything.
    pub fn set_routes(&mut self, mut routes: Vec<Value>) {
        let mut last = routes.pop().unwrap_or_default();
        self.last_route = take(&mut last, "");
        self.routes = routes;
    }

    /// Turns the filters on the gateway's listener off, and on again for the routes: the gateway may
    /// have others.
    pub fn limit_filters_to_routes(&mut self) {
        let mut enabled = Map::new();
        for filter in &mut self.filters {
            let name = filter.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            enabled.insert(name, typed("envoy.config.route.v3.FilterConfig", json!({"config": {}})));
            *filter = with(filter.take(), "disabled", Value::Bool(true));
        }
        for route in &mut self.routes {
            *route = with(route.take(), PER_FILTER, Value::Object(enabled.clone()));
        }
        self.last_route.insert(PER_FILTER.to_owned(), Value::Object(enabled));
    }

    /// Whether requests need [`Self::rewritten_host`]: the filter on the gateway's listener sets the
    /// provider's host, and Envoy then looks for the route again.
    pub fn needs_rewritten_host(&self, mesh: &Mesh) -> bool {
        !mesh.hostnames.is_empty() && self.filters.iter().any(is_wasm)
    }

    /// A virtual host for requests that have the provider's host.
    pub fn rewritten_host(&self) -> Value {
        let last = Value::Object(self.last_route.clone());
        // A request whose first attempt failed comes back with that host, and without the cluster.
        let again = with(last.clone(), "match", json!({"path": names::NEXT_ATTEMPT_PATH}));
        let selected = json!({"name": names::CLUSTER, "present_match": true});
        let routes = self.routes.iter().chain([&last]).map(|route| {
            let mut matched = route["match"].clone();
            let mut headers: Vec<Value> = take(&mut matched, "/headers");
            headers.push(selected.clone());
            with(route.clone(), "match", with(matched, "headers", Value::Array(headers)))
        });
        let routes: Vec<_> = [again].into_iter().chain(routes).collect();
        let host = json!({"name": names::FILTER, "domains": ["*"], "routes": routes});
        self.virtual_host.iter().fold(host, |host, (field, value)| with(host, field, value.clone()))
    }

    /// The HTTP filters with the wasm module, on any listener.
    pub fn wasm(&mut self) -> impl Iterator<Item = &mut Value> {
        let behind = self
            .listeners
            .iter_mut()
            .filter_map(|listener| listener.pointer_mut(&format!("{MANAGER}/http_filters"))?.as_array_mut());
        let all = self.filters.iter_mut().chain(behind.flatten());
        all.filter(|filter| is_wasm(filter))
    }
}

/// The field of a route with an entry for each HTTP filter.
const PER_FILTER: &str = "typed_per_filter_config";

fn is_wasm(filter: &Value) -> bool {
    filter.get("name") == Some(&names::FILTER.into())
}

/// Moves headers to add and to remove from a virtual host to each of its routes: the gateway's may
/// have other routes.
pub(super) fn move_headers(host: &mut Map<String, Value>, routes: &mut [Value]) {
    for name in HEADERS {
        let moved: Vec<Value> =
            host.shift_remove(name).as_mut().map(|list| take(list, "")).unwrap_or_default();
        for route in routes.iter_mut().filter(|_| !moved.is_empty()) {
            let mut all: Vec<Value> = take(route, &format!("/{name}"));
            let new: Vec<_> = moved.iter().filter(|header| !all.contains(header)).cloned().collect();
            all.extend(new);
            *route = with(route.take(), name, Value::Array(all));
        }
    }
}

/// Takes the array or object at this pointer; an empty one if there is none.
pub(super) fn take<T: DeserializeOwned + Default>(value: &mut Value, pointer: &str) -> T {
    let taken = value.pointer_mut(pointer).map(Value::take);
    taken.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
}
