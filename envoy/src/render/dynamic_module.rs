//! The filter as a dynamic module: a native library that Envoy loads, in place of WebAssembly.
//!
//! Envoy looks for it in the folders of [`SEARCH_PATH`]. A filter of the module cannot call a worker
//! that serves no request, nor the main thread; a cluster of the module can. So the bootstrap has
//! one, without hosts.

use llm_balancer_config::names;
use serde_json::{Value, json};

use super::message::{typed, with};

/// Variable of Envoy's environment with the folders of modules.
pub(crate) const SEARCH_PATH: &str = "ENVOY_DYNAMIC_MODULES_SEARCH_PATH";

/// The message of a filter.
pub(super) const FILTER: &str = "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";
const CLUSTER: &str = "envoy.extensions.clusters.dynamic_modules.v3.ClusterConfig";

/// The file of the library in a folder of the search path.
pub(crate) fn file_name() -> String {
    format!("lib{}.so", names::MODULE)
}

/// A filter of the module. `role` is what the root id is in WebAssembly.
pub(super) fn filter(name: &str, role: &str, configuration: Option<Value>) -> Value {
    let filter = json!({"dynamic_module_config": library(), "filter_name": role});
    json!({"name": name, "typed_config": typed(FILTER, with(filter, "filter_config", configuration))})
}

/// The cluster through which the module has the threads of the workers. It speaks to Redis through
/// the socket.
pub(super) fn workers(redis_socket: &str) -> Value {
    let module = json!({
        "dynamic_module_config": library(),
        "cluster_name": names::MODULE_WORKERS,
        "cluster_config": typed("google.protobuf.StringValue", json!({"value": redis_socket})),
    });
    json!({
        "name": names::MODULE_WORKERS,
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": "envoy.clusters.dynamic_modules", "typed_config": typed(CLUSTER, module)},
    })
}

/// Names of metrics in Prometheus' format begin with ours, as in WebAssembly.
pub(super) fn layered_runtime() -> Value {
    json!({"layers": [{"name": "module", "static_layer": {
        "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix": true,
    }}]})
}

/// A library that is unloaded could take code with it that another thread runs.
fn library() -> Value {
    json!({"name": names::MODULE, "do_not_close": true})
}
