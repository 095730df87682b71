//! What the operator sees when Envoy listens: where, which groups, and where the metrics are.

use std::fmt::Write;

use llm_balancer_config::Config;

use crate::render::Options;

/// Lines of groups at most; `GET /v1/model/info` has them all.
const MOST_GROUPS: usize = 20;

/// To standard error: standard output is the requests' log.
pub fn print(config: &Config, options: &Options) {
    eprint!("{}", text(config, options));
}

fn text(config: &Config, options: &Options) -> String {
    let Options { listen, admin_port, .. } = options;
    let access = match config.server.master_key {
        Some(_) => "",
        None if listen.ip().is_loopback() => {
            " for this machine only: the file sets no general_settings.master_key"
        }
        None => " for everybody: the file sets no general_settings.master_key",
    };
    let mut text = format!("llm-balancer listens on http://{listen}{access}\n");
    let groups = groups(config);
    for (group, deployments) in groups.iter().take(MOST_GROUPS) {
        let plural = if *deployments == 1 { "" } else { "s" };
        let _ = writeln!(text, "  {group}: {deployments} deployment{plural}");
    }
    if let Some(more) = groups.len().checked_sub(MOST_GROUPS).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more groups");
    }
    if let Some(redis) = &config.redis {
        let host = if redis.host.contains(':') { format!("[{}]", redis.host) } else { redis.host.clone() };
        let _ = writeln!(text, "limits are shared through Redis at {host}:{}", redis.port);
    }
    let _ = writeln!(text, "metrics: http://127.0.0.1:{admin_port}/stats/prometheus");
    if let Some(metrics) = options.metrics {
        let _ = writeln!(text, "metrics for other machines: http://{metrics}/metrics");
    }
    text
}

/// Groups in the order of the file, with the number of their deployments.
fn groups(config: &Config) -> Vec<(&str, usize)> {
    let mut places = std::collections::HashMap::new();
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for deployment in &config.deployments {
        let place = *places.entry(&*deployment.group).or_insert_with(|| {
            groups.push((&*deployment.group, 0));
            groups.len().saturating_sub(1)
        });
        if let Some((_, count)) = groups.get_mut(place) {
            *count = count.saturating_add(1);
        }
    }
    groups
}
