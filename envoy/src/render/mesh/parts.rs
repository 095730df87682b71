//! The bootstrap taken apart, for a gateway that has a bootstrap of its own.

use llm_balancer_config::names;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The bootstrap's pieces. Those of the edge are for the gateway's listener.
#[derive(Debug, Default)]
pub(super) struct BootstrapParts {
    /// Fields of the edge's connection manager for the gateway's.
    pub manager: Map<String, Value>,
    /// HTTP filters of the edge, in front of the router.
    pub filters: Vec<Value>,
    /// Fields of the edge's router for the gateway's.
    pub router: Map<String, Value>,
    /// Fields of the edge's virtual host.
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
        let routes: Vec<Value> = take(&mut edge, &format!("{host}/routes"));
        let mut virtual_host: Map<String, Value> = take(&mut edge, &host);
        let mut manager: Map<String, Value> = take(&mut edge, MANAGER);
        for key in GATEWAYS_OWN {
            manager.shift_remove(key);
        }
        for key in ["name", "domains", "routes"] {
            virtual_host.shift_remove(key);
        }
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

    /// The HTTP filters with the wasm module, on any listener.
    pub fn wasm(&mut self) -> impl Iterator<Item = &mut Value> {
        let behind = self
            .listeners
            .iter_mut()
            .filter_map(|listener| listener.pointer_mut(&format!("{MANAGER}/http_filters"))?.as_array_mut());
        let all = self.filters.iter_mut().chain(behind.flatten());
        all.filter(|filter| filter.get("name") == Some(&names::FILTER.into()))
    }
}

/// Takes the array or object at this pointer; an empty one if there is none.
pub(super) fn take<T: DeserializeOwned + Default>(value: &mut Value, pointer: &str) -> T {
    let taken = value.pointer_mut(pointer).map(Value::take);
    taken.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
}
