//! One bootstrap with everything, and the lists that `dynamic` shares: clusters, and the listeners
//! behind the edge.

use llm_balancer_config::{Config, Deployment, names};
use serde_json::{Value, json};

use super::message::with;
use super::process::Options;
use super::{
    attempts, edge, first_hop, forward_proxy, metrics_listener, process, redis_hop, upstream_cluster,
};

/// The bootstrap for a configuration and its text, which the filter parses again.
pub fn bootstrap(config: &Config, text: &str, options: &Options) -> Value {
    let file = attempts::as_text(text);
    let routes = edge::routes(config, names::ATTEMPTS, options);
    let filter = first_hop::filter(names::ATTEMPTS, config, &file, options);
    let mut listeners = vec![edge::listener(options, ("route_config", routes), filter)];
    listeners.extend(behind(names::ATTEMPTS, config, &file, options));
    let mut clusters = clusters(names::ATTEMPTS, config, options);
    metrics_listener::add(options, &mut listeners, &mut clusters);
    let resources = json!({"listeners": listeners, "clusters": clusters});
    with(process::process(config, options, None), "static_resources", resources)
}

/// All clusters. `attempts` names the one to the filter.
pub(super) fn clusters(attempts: &str, config: &Config, options: &Options) -> Vec<Value> {
    let mut clusters = vec![attempts::cluster(attempts, options.hops)];
    // One for each deployment (docs/decisions/one-cluster-per-deployment.md).
    clusters.extend(config.deployments.iter().map(|deployment| {
        let Deployment { cluster, endpoint, .. } = deployment;
        match config.proxies.of(endpoint) {
            Some(proxy) => forward_proxy::deployment(cluster, endpoint, proxy, options),
            None => upstream_cluster::direct(cluster, endpoint, &options.system_cas),
        }
    }));
    clusters.extend(forward_proxy::cluster(config, options));
    if let Some(redis) = &config.redis {
        clusters.extend(redis_hop::clusters(redis, options));
    }
    clusters
}

/// The listeners behind the edge. `attempts` names the one with the filter.
pub(super) fn behind(attempts: &str, config: &Config, file: &Value, options: &Options) -> Vec<Value> {
    let attempts = attempts::listener(attempts, config, file, options);
    let redis = config.redis.as_ref().map(|_| redis_hop::listener(options));
    [attempts].into_iter().chain(redis).chain(forward_proxy::listener(config, options)).collect()
}
