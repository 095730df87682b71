//! The configuration of an Envoy that `serve` runs: the bootstrap holds the edge, and names files
//! for everything that changes with a reload. Envoy re-reads a file when another takes its place.
//!
//! ```text
//! edge ── filter ─┬─ attempts-1 ── the filter with the first configuration, while it has connections
//!                 └─ attempts-2 ── with the second: one update of the filter moves every new request
//! ```
//!
//! With two hops the edge has no filter, and the update of its routes does that.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use llm_balancer_config::{Config, names};
use serde_json::{Value, json};

use super::bootstrap::{behind, clusters};
use super::message::{typed, with};
use super::process::{Hops, Options, Runtime};
use super::{
    admin_paths, attempts, binary, dynamic_module, edge, first_hop, gauges, metrics_listener, process,
};

/// What changes with a reload. Each type has a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ResourceType {
    Clusters,
    /// All listeners but the edge.
    Listeners,
    /// The edge's routes.
    Routes,
    /// The edge's filter.
    Filter,
}

impl ResourceType {
    /// In the order of an update: a listener must find its clusters, and a request its listener.
    pub(crate) const fn all(hops: Hops) -> &'static [Self] {
        match hops {
            Hops::One => &[Self::Clusters, Self::Listeners, Self::Routes, Self::Filter],
            Hops::Two => &[Self::Clusters, Self::Listeners, Self::Routes],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Listeners => "listeners",
            Self::Routes => "routes",
            Self::Filter => "filter",
        }
    }

    /// The file in the runtime folder. Clusters are binary: there may be many.
    pub(crate) fn file(self, folder: &Path) -> PathBuf {
        folder.join(self.name()).with_extension(if self.is_binary() { "pb" } else { "json" })
    }

    fn is_binary(self) -> bool {
        matches!(self, Self::Clusters)
    }

    /// The content of its file.
    pub(crate) fn response(self, version: u64, resources: &[&[u8]]) -> Vec<u8> {
        if self.is_binary() {
            return binary::discovery_response(&version.to_string(), resources);
        }
        let head = format!("{{\"version_info\":\"{version}\",\"resources\":[");
        [head.as_bytes(), &resources.join(&b","[..]), b"]}"].concat()
    }
}

/// Counts the configurations of one run of `serve`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revision(u64);

impl Revision {
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The name of its listener: `attempts-3`
    pub(crate) fn listener(self) -> String {
        format!("{}-{self}", names::ATTEMPTS)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The resources of one revision.
#[derive(Clone, Debug)]
pub(crate) struct Resources {
    pub(crate) revision: Revision,
    /// All clusters that its requests may use.
    pub(crate) clusters: ByName,
    /// The filter's listener, and those to Redis and to forward proxies.
    pub(crate) listeners: ByName,
    /// The edge's routes.
    pub(crate) routes: ByName,
    /// The edge's filter.
    pub(crate) filter: ByName,
}

/// Resources as [`ResourceType::response`] takes them: bytes of an `Any` if the file is binary, or
/// else JSON.
pub(crate) type ByName = BTreeMap<String, Vec<u8>>;

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";
const LISTENER: &str = "envoy.config.listener.v3.Listener";
const EXTENSION: &str = "envoy.config.core.v3.TypedExtensionConfig";
const ROUTES: &str = "envoy.config.route.v3.RouteConfiguration";

impl Resources {
    /// Of a configuration and its file after parsing.
    pub(crate) fn new(
        revision: Revision,
        config: &Config,
        parsed: &[u8],
        options: &Options,
    ) -> Result<Self, String> {
        let (attempts, file) = (revision.listener(), attempts::as_parsed(parsed));
        let filter = first_hop::filter(&attempts, config, &file, options);
        Ok(Self {
            revision,
            clusters: binary_by_name(clusters(&attempts, config, options))?,
            listeners: by_name(LISTENER, behind(&attempts, config, &file, options)),
            routes: by_name(ROUTES, vec![edge::routes(config, &attempts, options)]),
            filter: by_name(EXTENSION, vec![filter]),
        })
    }

    /// Those of one type.
    pub(crate) fn of(&self, of: ResourceType) -> &ByName {
        match of {
            ResourceType::Clusters => &self.clusters,
            ResourceType::Listeners => &self.listeners,
            ResourceType::Routes => &self.routes,
            ResourceType::Filter => &self.filter,
        }
    }

    /// Adds a route that answers 503 to load balancers that ask for readiness.
    pub(crate) fn refuse_readiness(&mut self) {
        const DISABLED: &str = "envoy.config.route.v3.FilterConfig";
        let refused = json!({
            "match": {"path": "/health/readiness"},
            "direct_response": {"status": 503, "body": {"inline_string": "The balancer is draining: it serves what is in flight, and then ends."}},
            // With one hop the filter would answer that the configuration is live.
            "typed_per_filter_config": {(names::FILTER): typed(DISABLED, json!({"disabled": true}))},
        });
        for json in self.routes.values_mut() {
            let mut routes: Value = serde_json::from_slice(json).unwrap_or_default();
            if let Some(Value::Array(routes)) = routes.pointer_mut("/virtual_hosts/0/routes") {
                routes.insert(0, refused.clone());
            }
            *json = routes.to_string().into_bytes();
        }
    }
}

/// The clusters of a bootstrap as `serve` writes them for Envoy.
pub fn binary_clusters(config: &Config, options: &Options) -> Result<Vec<u8>, String> {
    let clusters = binary_by_name(clusters(names::ATTEMPTS, config, options))?;
    let clusters: Vec<&[u8]> = clusters.values().map(Vec::as_slice).collect();
    Ok(ResourceType::Clusters.response(1, &clusters))
}

/// A listener whose filter removes this instance from Redis, and nothing else.
pub(crate) fn deregistration(
    revision: Revision,
    config: &Config,
    parsed: &[u8],
    options: &Options,
) -> Option<Vec<u8>> {
    const FILTER: &str = "/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config";
    let role = match options.runtime() {
        Runtime::Wasm => "/config/root_id",
        Runtime::Module => "/filter_name",
    };
    let mut listener =
        behind(&revision.listener(), config, &attempts::as_parsed(parsed), options).into_iter().next()?;
    *listener.pointer_mut(FILTER)?.pointer_mut(role)? = names::DEREGISTER.into();
    Some(typed(LISTENER, listener).to_string().into_bytes())
}

fn by_name(kind: &str, resources: Vec<Value>) -> ByName {
    let json = |resource| typed(kind, resource).to_string().into_bytes();
    resources.into_iter().map(|resource| (name(&resource), json(resource))).collect()
}

fn binary_by_name(clusters: Vec<Value>) -> Result<ByName, String> {
    clusters.into_iter().map(|cluster| Ok((name(&cluster), binary::any(CLUSTER, &cluster)?))).collect()
}

fn name(resource: &Value) -> String {
    resource.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The bootstrap, which names the files in this folder.
pub(crate) fn live_bootstrap(config: &Config, options: &Options, folder: &Path) -> Value {
    let source = |of: ResourceType| source(&of.file(folder));
    let routes = json!({"route_config_name": edge::EDGE, "config_source": source(ResourceType::Routes)});
    let filter = first_hop::discovered(names::FILTER, source(ResourceType::Filter), options.runtime());
    let edge = edge::listener(options, ("rds", routes), filter);
    let (mut listeners, mut clusters) = (vec![edge, gauges::listener(folder, options.runtime())], Vec::new());
    if options.runtime() == Runtime::Module {
        clusters.push(dynamic_module::workers(&options.redis_socket));
    }
    metrics_listener::add(options, &mut listeners, &mut clusters);
    let resources = json!({"listeners": listeners, "clusters": clusters});
    let process = process::process(config, options, Some(admin_paths::allowed()));
    let bootstrap = with(process, "static_resources", resources);
    let sources =
        json!({"cds_config": source(ResourceType::Clusters), "lds_config": source(ResourceType::Listeners)});
    with(bootstrap, "dynamic_resources", sources)
}

/// What Envoy re-reads when another file takes the place of this one.
pub(super) fn source(file: &Path) -> Value {
    json!({"path_config_source": {"path": file.display().to_string()}, "resource_api_version": "V3"})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::process::FilterSource;

    const TEXT: &str = "model_list:
- {model_name: g, litellm_params: {model: openai/m, api_key: k}}
router_settings: {redis_host: redis.example}
";

    /// The configuration, and its file after parsing.
    fn loaded() -> (Config, Vec<u8>) {
        let loaded = llm_balancer_config::load("config.yaml", &|_| Ok(TEXT.to_owned()), &|_| None);
        (loaded.reading.config.unwrap(), loaded.parsed)
    }

    fn options(runtime: Runtime) -> Options {
        let example = Options::example();
        let filter = match runtime {
            Runtime::Wasm => example.filter,
            Runtime::Module => FilterSource::Module,
        };
        Options { filter, ..example }
    }

    /// All that Envoy gets at the start, clusters left out.
    fn rendered(runtime: Runtime) -> String {
        let (config, parsed) = loaded();
        let options = options(runtime);
        let bootstrap = live_bootstrap(&config, &options, Path::new("/run")).to_string();
        let resources = Resources::new(Revision::FIRST, &config, &parsed, &options).unwrap();
        let files = [&resources.listeners, &resources.routes, &resources.filter];
        let files = files.into_iter().flat_map(BTreeMap::values);
        files.fold(bootstrap, |all, json| all + str::from_utf8(json).unwrap())
    }

    #[test]
    fn a_deregistration_is_the_filter_under_another_name() {
        for (runtime, field) in [(Runtime::Wasm, "root_id"), (Runtime::Module, "filter_name")] {
            let ((config, parsed), options) = (loaded(), options(runtime));
            let mut resources = Resources::new(Revision(7), &config, &parsed, &options).unwrap();
            let ours = resources.listeners.remove("attempts-7").unwrap();
            let deregistering = deregistration(Revision(7), &config, &parsed, &options).unwrap();
            let [ours_id, deregistering_id] =
                ["llm-balancer-7", names::DEREGISTER].map(|id| format!("\"{field}\":\"{id}\""));
            let [ours, deregistering] = [ours, deregistering].map(|json| String::from_utf8(json).unwrap());
            assert!(ours.contains(&ours_id));
            assert_eq!(deregistering, ours.replace(&ours_id, &deregistering_id));
        }
    }

    #[test]
    fn with_the_module_all_filters_are_the_library_and_nothing_is_webassembly() {
        let all = rendered(Runtime::Module);
        // Envoy's names for what the filter passes are the same.
        let rest = all.replace("%FILTER_STATE(wasm.", "");
        assert!(!rest.contains("wasm"), "{rest}");
        let library = r#""dynamic_module_config":{"name":"llm_balancer_filter","do_not_close":true}"#;
        for filter in ["llm-balancer/edge/attempts-1", "llm-balancer-1", names::HOLD] {
            let expected = format!("{library},\"filter_name\":\"{filter}\"");
            assert_eq!(all.matches(&expected).count(), 1, "{filter}: {all}");
        }
        assert!(all.contains(&format!(r#""type_urls":["type.googleapis.com/{}"]"#, dynamic_module::FILTER)));
        let file = format!(r#""filter_config":{}"#, attempts::as_parsed(&loaded().1));
        assert_eq!(all.matches(&file).count(), 2, "the edge's filter and the listener's: {all}");
    }

    #[test]
    fn with_the_module_the_bootstrap_has_its_cluster_and_its_metrics() {
        let (config, _) = loaded();
        let bootstrap = live_bootstrap(&config, &options(Runtime::Module), Path::new("/run"));
        let at = |pointer: &str| bootstrap.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(at("/static_resources/clusters/0/name"), names::MODULE_WORKERS);
        let module = "/static_resources/clusters/0/cluster_type/typed_config";
        assert_eq!(at(&format!("{module}/cluster_config/value")), "redis.sock");
        let buckets = at("/stats_config/histogram_bucket_settings/0/match/prefix");
        assert_eq!(buckets, "dynamicmodulescustom.llm_balancer_");
        let kept = at("/stats_config/stats_matcher/inclusion_list/patterns");
        assert!(kept.as_array().unwrap().contains(&json!({"prefix": "dynamicmodulescustom."})), "{kept}");
        assert!(at("/stats_config/stats_tags").is_null());
    }

    #[test]
    fn with_the_module_the_socket_to_redis_passes_bytes() {
        let (config, parsed) = loaded();
        let resources =
            |runtime| Resources::new(Revision::FIRST, &config, &parsed, &options(runtime)).unwrap();
        let (wasm, module) = (resources(Runtime::Wasm), resources(Runtime::Module));
        assert!(
            wasm.clusters.contains_key(names::REDIS_HOP) && !module.clusters.contains_key(names::REDIS_HOP)
        );
        assert!(module.clusters.contains_key(names::REDIS));
        let listener: Value =
            serde_json::from_slice(module.listeners.get(names::REDIS_HOP).unwrap()).unwrap();
        assert_eq!(listener["address"]["pipe"], json!({"path": "redis.sock", "mode": 0o600}));
        let filter = &listener["filter_chains"][0]["filters"][0];
        assert_eq!(filter["name"], "envoy.filters.network.tcp_proxy");
        assert_eq!(filter["typed_config"]["cluster"], names::REDIS);
    }

    #[test]
    fn whatever_the_runtime_is_the_clusters_of_a_proxy_with_a_login_are_written() {
        let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_base: 'http://gpu.example/v1', api_key: k}}\n";
        let login = |name: &str| (name == "HTTP_PROXY").then(|| "http://ada:word@10.0.0.1:3128".to_owned());
        let loaded = llm_balancer_config::load("config.yaml", &|_| Ok(text.to_owned()), &login);
        let (config, parsed) = (loaded.reading.config.unwrap(), loaded.parsed);
        assert!(config.proxies.of(&config.deployments[0].endpoint).is_some());
        for runtime in [Runtime::Wasm, Runtime::Module] {
            let written = Resources::new(Revision(1), &config, &parsed, &options(runtime));
            assert!(written.is_ok(), "{runtime:?}: {:?}", written.err());
        }
    }
}
