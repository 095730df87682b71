//! The same for an Envoy whose configuration changes while it serves: the bootstrap holds the edge alone, and names files
//! for all else, which Envoy reads anew when another file takes their place.
//!
//! ```text
//! edge ── routes ─┬─ attempts-1 ── the filter with the first configuration, as long as requests pass through it
//!                 └─ attempts-2 ── with the second: one update of the routes sends every new request there
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use llm_balancer_config::{Config, names};
use serde_json::{Value, json};

use super::bootstrap::{behind, clusters};
use super::message::{typed, with};
use super::options::Options;
use super::{edge, metrics_listener, process};

/// Where Envoy finds what may change.
#[derive(Clone, Debug)]
pub struct Files {
    /// All clusters.
    pub clusters: PathBuf,
    /// All listeners but the edge.
    pub listeners: PathBuf,
    /// Where the edge sends requests.
    pub routes: PathBuf,
}

impl Files {
    /// In this folder.
    pub fn of(folder: &Path) -> Self {
        let file = |name| folder.join(name);
        Self {
            clusters: file("clusters.json"),
            listeners: file("listeners.json"),
            routes: file("routes.json"),
        }
    }
}

/// What one configuration takes, in JSON, by name.
#[derive(Clone, Debug)]
pub struct Resources {
    /// Its number, of which its listener has its name.
    pub number: u64,
    /// All that its requests may go through.
    pub clusters: BTreeMap<String, String>,
    /// The filter, and the way to Redis.
    pub listeners: BTreeMap<String, String>,
    /// What sends every request to the filter.
    pub routes: Value,
}

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";
const LISTENER: &str = "envoy.config.listener.v3.Listener";
const ROUTES: &str = "envoy.config.route.v3.RouteConfiguration";

impl Resources {
    /// Of the configuration with this number.
    pub fn new(number: u64, config: &Config, text: &str, options: &Options) -> Self {
        let attempts = Self::listener_of(number);
        Self {
            number,
            clusters: by_name(CLUSTER, clusters(&attempts, config, options)),
            listeners: by_name(LISTENER, behind(&attempts, config, text, options)),
            routes: typed(ROUTES, edge::routes(config, &attempts)),
        }
    }

    /// The listeners with one more, whose filter says goodbye to the other instances.
    pub fn goodbye(number: u64, config: &Config, text: &str, options: &Options) -> Option<String> {
        const ROOT_ID: &str =
            "/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config/root_id";
        let mut listener = behind(&Self::listener_of(number), config, text, options).into_iter().next()?;
        *listener.pointer_mut(ROOT_ID)? = names::LEAVING.into();
        Some(typed(LISTENER, listener).to_string())
    }

    /// `attempts-3`
    pub fn listener_of(number: u64) -> String {
        format!("{}-{number}", names::ATTEMPTS)
    }
}

fn by_name(kind: &str, resources: Vec<Value>) -> BTreeMap<String, String> {
    let name = |resource: &Value| resource.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    resources.into_iter().map(|resource| (name(&resource), typed(kind, resource).to_string())).collect()
}

/// Routes that tell load balancers to stay away, and serve as before.
pub fn readiness_refused(mut routes: Value) -> Value {
    let refused = json!({
        "match": {"path": "/health/readiness"},
        "direct_response": {"status": 503, "body": {"inline_string": "draining"}},
    });
    if let Some(Value::Array(routes)) = routes.pointer_mut("/virtual_hosts/0/routes") {
        routes.insert(0, refused);
    }
    routes
}

/// The bootstrap that finds all else in these files.
pub fn live_bootstrap(config: &Config, options: &Options, files: &Files) -> Value {
    let routes = json!({"route_config_name": edge::EDGE, "config_source": source(&files.routes)});
    let (mut listeners, mut clusters) = (vec![edge::listener(options.listen, ("rds", routes))], Vec::new());
    metrics_listener::add(options, &mut listeners, &mut clusters);
    let resources = json!({"listeners": listeners, "clusters": clusters});
    let bootstrap = with(process::process(config, options), "static_resources", resources);
    let sources = json!({"cds_config": source(&files.clusters), "lds_config": source(&files.listeners)});
    with(bootstrap, "dynamic_resources", sources)
}

fn source(file: &Path) -> Value {
    json!({"path_config_source": {"path": file.display().to_string()}, "resource_api_version": "V3"})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goodbye_is_the_filter_under_another_name() {
        let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_key: k}}\n";
        let config = llm_balancer_config::read("config.yaml", text, &|_| None).config.unwrap();
        let options = Options {
            listen: "127.0.0.1:4000".parse().unwrap(),
            admin_port: 9901,
            metrics: None,
            filter: String::new(),
            system_cas: String::new(),
            redis_socket: String::new(),
        };
        let ours = Resources::new(7, &config, text, &options).listeners["attempts-7"].clone();
        let goodbye = Resources::goodbye(7, &config, text, &options).unwrap();
        let (ours_root, goodbye_root) =
            ["llm-balancer-7", names::LEAVING].map(|id| format!("\"root_id\":\"{id}\"")).into();
        assert!(ours.contains(&ours_root));
        assert_eq!(goodbye, ours.replace(&ours_root, &goodbye_root));
    }
}
