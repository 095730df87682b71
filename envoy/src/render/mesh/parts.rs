//! The bootstrap taken apart, for a gateway that has a bootstrap of its own.

use llm_balancer_config::names;
use serde_json::{Map, Value};

/// The bootstrap's pieces. Those of the edge are for the gateway's listener.
#[derive(Debug, Default)]
pub(super) struct BootstrapParts {
    /// Fields of the edge's connection manager for the gateway's.
    pub manager: Map<String, Value>,
    /// HTTP filters of the edge, without the router.
    pub filters: Vec<Value>,
    /// Fields of the edge's virtual host.
    pub virtual_host: Map<String, Value>,
    /// Fields of the edge's only route.
    pub route: Map<String, Value>,
    /// All listeners but the edge.
    pub listeners: Vec<Value>,
    pub clusters: Vec<Value>,
    /// Labels and buckets of the metrics.
    pub stats: Map<String, Value>,
}

/// Pointer to the connection manager of a listener with one filter chain.
pub(super) const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";

/// Fields of the connection manager that the gateway sets.
const GATEWAYS_OWN: [&str; 5] = ["@type", "stat_prefix", "codec_type", "route_config", "http_filters"];

impl BootstrapParts {
    pub fn of(mut bootstrap: Value) -> Self {
        let mut listeners = array(&mut bootstrap, "/static_resources/listeners");
        let edge = listeners.iter().position(|listener| listener.get("name") == Some(&"edge".into()));
        let mut edge = edge.map(|edge| listeners.remove(edge)).unwrap_or_default();
        let mut filters = array(&mut edge, &format!("{MANAGER}/http_filters"));
        filters.pop();
        let host = format!("{MANAGER}/route_config/virtual_hosts/0");
        let mut route = object(&mut edge, &format!("{host}/routes/0"));
        let mut virtual_host = object(&mut edge, &host);
        let mut manager = object(&mut edge, MANAGER);
        for key in GATEWAYS_OWN {
            manager.shift_remove(key);
        }
        for key in ["name", "domains", "routes"] {
            virtual_host.shift_remove(key);
        }
        route.shift_remove("match");
        let mut stats = object(&mut bootstrap, "/stats_config");
        // The gateway selects the statistics to keep.
        stats.shift_remove("stats_matcher");
        let clusters = array(&mut bootstrap, "/static_resources/clusters");
        Self { manager, filters, virtual_host, route, listeners, clusters, stats }
    }

    /// The HTTP filter with the wasm module, on any listener.
    pub fn wasm(&mut self) -> Option<&mut Value> {
        let behind = self
            .listeners
            .iter_mut()
            .filter_map(|listener| listener.pointer_mut(&format!("{MANAGER}/http_filters"))?.as_array_mut());
        let mut all = self.filters.iter_mut().chain(behind.flatten());
        all.find(|filter| filter.get("name") == Some(&names::FILTER.into()))
    }
}

/// Takes the array at this pointer, or an empty one.
fn array(value: &mut Value, pointer: &str) -> Vec<Value> {
    match value.pointer_mut(pointer).map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// Takes the object at this pointer, or an empty one.
fn object(value: &mut Value, pointer: &str) -> Map<String, Value> {
    match value.pointer_mut(pointer).map(Value::take) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}
