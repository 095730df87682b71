//! What `serve` prints when Envoy listens: addresses, model groups, warnings.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use llm_balancer_config::{Config, bracketed};

use crate::render::Options;
use crate::support::colors::{BOLD, GREEN, YELLOW};
use crate::support::environment_notes;
use crate::support::listen;
use crate::support::listing::{counted, id_list};
use crate::support::messages::message;
use crate::support::version::VERSION;

/// Groups listed; `GET /v1/model/info` lists all.
const MAX_GROUPS: usize = 20;
/// Deployments named per group.
const MAX_NAMED: usize = 4;

/// Prints to standard error: standard output is the access log.
pub(super) fn print(config: &Config, options: &Options, file: &Path, warnings: usize) {
    message!("{}", banner(config, options, file, warnings).trim_end());
}

fn banner(config: &Config, options: &Options, file: &Path, warnings: usize) -> String {
    let Options { listen, admin_port, .. } = options;
    let access = match config.server.master_key {
        Some(_) => String::new(),
        None if listen.ip().is_loopback() => {
            " for this machine only: general_settings.master_key is not set".to_owned()
        }
        None => {
            format!(" {YELLOW}for everyone{YELLOW:#}: general_settings.master_key is not set")
        }
    };
    let mut text =
        format!("{GREEN}llm-balancer{GREEN:#} {VERSION} listens on {BOLD}http://{listen}{BOLD:#}{access}\n");
    let groups = groups(config);
    for (group, ids) in groups.iter().take(MAX_GROUPS) {
        let _ = writeln!(text, "  {BOLD}{group}{BOLD:#}: {}", members(config, group, ids));
    }
    if let Some(more) = groups.len().checked_sub(MAX_GROUPS).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more groups");
    }
    for line in environment_notes::proxies(config) {
        let _ = writeln!(text, "{line}");
    }
    if let Some(redis) = &config.redis {
        let host = bracketed(&redis.host);
        let _ = writeln!(text, "limits are shared through Redis at {host}:{}", redis.port);
    }
    if warnings > 0 {
        let _ = writeln!(text, "{YELLOW}{}{YELLOW:#}, see above", counted(warnings, "warning"));
    }
    if let Some(metrics) = options.metrics {
        let _ = writeln!(text, "status page: {BOLD}http://{}{BOLD:#}", listen::from_here(metrics));
    }
    let _ = writeln!(text, "metrics: http://127.0.0.1:{admin_port}/stats/prometheus");
    if let Some(metrics) = options.metrics.filter(|metrics| !metrics.ip().is_loopback()) {
        let _ = writeln!(text, "metrics and status page for other machines: http://{metrics}/metrics");
    }
    let _ = writeln!(text, "watching {}: changes apply without a restart", file.display());
    text
}

/// `3 deployments by least-busy: paris, tokyo, oslo`
fn members(config: &Config, group: &str, ids: &[&str]) -> String {
    let strategy = if ids.len() == 1 { String::new() } else { format!(" by {}", strategy(config, group)) };
    format!("{}{strategy}: {}", counted(ids.len(), "deployment"), id_list(ids, MAX_NAMED))
}

/// The strategy's LiteLLM name.
fn strategy(config: &Config, group: &str) -> &'static str {
    let mut own = config.router.routing_groups.iter();
    let own = own.find(|own| own.priorities.is_empty() && own.models.iter().any(|model| **model == *group));
    own.map_or(config.router.strategy, |own| own.strategy).name()
}

/// Groups in the order of the file, with the ids of their deployments.
fn groups(config: &Config) -> Vec<(&str, Vec<&str>)> {
    let mut places = HashMap::new();
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for deployment in &config.deployments {
        let place = *places.entry(&*deployment.group).or_insert_with(|| {
            groups.push((&*deployment.group, Vec::new()));
            groups.len().saturating_sub(1)
        });
        if let Some((_, ids)) = groups.get_mut(place) {
            ids.push(&*deployment.id);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use llm_balancer_config::read;

    use super::*;

    fn banner(text: &str, warnings: usize) -> String {
        let reading = read("config.yaml", text, &|_| None);
        let config = reading.config.unwrap_or_else(|| panic!("{:?}", reading.findings));
        let metrics = Some("127.0.0.1:9902".parse().unwrap());
        let options = Options { metrics, ..Options::example() };
        let text = super::banner(&config, &options, Path::new("config.yaml"), warnings);
        anstream::adapter::strip_str(&text).to_string()
    }

    fn item(group: &str, id: &str) -> String {
        format!(
            "- {{model_name: {group}, litellm_params: {{model: openai/m, api_key: k}}, model_info: {{id: {id}}}}}\n"
        )
    }

    #[test]
    fn it_says_where_with_whom_and_how() {
        let items = item("gpt", "paris") + &item("other", "oslo") + &item("gpt", "tokyo");
        let text =
            banner(&format!("model_list:\n{items}router_settings: {{routing_strategy: least-busy}}\n"), 2);
        let expected = "llm-balancer VERSION listens on http://127.0.0.1:4000 for this machine only: general_settings.master_key is not set
  gpt: 2 deployments by least-busy: paris, tokyo
  other: 1 deployment: oslo
2 warnings, see above
status page: http://127.0.0.1:9902
metrics: http://127.0.0.1:9901/stats/prometheus
watching config.yaml: changes apply without a restart
";
        assert_eq!(text, expected.replace("VERSION", VERSION));
    }

    #[test]
    fn a_large_file_has_a_short_banner() {
        let items: String =
            (0..3000).map(|number| item(&format!("g{}", number % 30), &format!("d{number}"))).collect();
        let text = banner(&format!("model_list:\n{items}"), 0);
        assert!(
            text.contains("  g0: 100 deployments by simple-shuffle: d0, d30, d60, d90 and 96 more\n"),
            "{text}"
        );
        assert!(text.contains("  and 10 more groups\n"), "{text}");
        assert!(text.lines().count() < 26, "{text}");
    }
}
