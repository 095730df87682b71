//! What differs between two configurations, as one line.

use std::collections::BTreeMap;

use llm_balancer_config::{Config, Deployment};

use crate::support::listing::{counted, id_list};

/// Deployments named per kind of change.
const MAX_NAMED: usize = 5;

/// `1 deployment added (paris); 2 changed (tokyo, virginia); settings changed`; empty if nothing
/// differs.
pub(super) fn summary(old: &Config, new: &Config) -> String {
    let (before, after) = (by_id(old), by_id(new));
    let added = after.keys().filter(|id| !before.contains_key(*id)).copied().collect();
    let removed = before.keys().filter(|id| !after.contains_key(*id)).copied().collect();
    let differs = |id: &&&str| before.get(**id).is_some_and(|old| after.get(**id) != Some(old));
    let changed = after.keys().filter(differs).copied().collect();
    let settings = (settings(old) != settings(new)).then(|| "settings changed".to_owned());
    [listed(added, "added"), listed(removed, "removed"), listed(changed, "changed"), settings]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

fn by_id(config: &Config) -> BTreeMap<&str, &Deployment> {
    config.deployments.iter().map(|deployment| (&*deployment.id, deployment)).collect()
}

/// Everything but the deployments.
fn settings(config: &Config) -> impl PartialEq + '_ {
    let Config {
        deployments: _,
        skipped_deployments: _,
        env_names: _,
        aliases,
        router,
        server,
        redis,
        skipped,
        proxies,
        ca_bundle,
    } = config;
    (aliases, router, server, redis, skipped, proxies, ca_bundle)
}

fn listed(ids: Vec<&str>, what: &str) -> Option<String> {
    let deployments = counted(ids.len(), "deployment");
    (!ids.is_empty()).then(|| format!("{deployments} {what} ({})", id_list(&ids, MAX_NAMED)))
}

#[cfg(test)]
mod tests {
    use llm_balancer_config::read;

    use super::*;

    fn config(ids: &[&str], more: &str) -> Config {
        let item = |id: &&str| {
            let (id, params) = id.split_once(' ').unwrap_or((id, ""));
            format!(
                "- {{model_name: g, litellm_params: {{model: openai/m, api_key: k{params}}}, model_info: {{id: {id}}}}}\n"
            )
        };
        let items: String = ids.iter().map(item).collect();
        let reading = read("config.yaml", &format!("model_list:\n{items}{more}"), &|_| None);
        reading.config.unwrap_or_else(|| panic!("{:?}", reading.findings))
    }

    #[test]
    fn what_was_added_removed_and_changed_is_named() {
        let old = config(&["paris", "tokyo", "virginia"], "");
        let new = config(&["paris", "tokyo , rpm: 5", "oslo"], "router_settings: {num_retries: 7}\n");
        let text = "1 deployment added (oslo); 1 deployment removed (virginia); 1 deployment changed (tokyo); settings changed";
        assert_eq!(summary(&old, &new), text);
        assert_eq!(summary(&old, &old), "");
    }

    #[test]
    fn another_key_is_a_change_though_it_is_never_shown() {
        let old = config(&["paris"], "");
        let new = config(&["paris 2"], "");
        assert_eq!(summary(&old, &new), "1 deployment changed (paris)");
        let guarded =
            |key: &str| config(&["paris"], &format!("general_settings: {{master_key: sk-{key}}}\n"));
        assert_eq!(summary(&guarded("1"), &guarded("2")), "settings changed");
    }

    #[test]
    fn of_many_only_a_few_are_named() {
        let names: Vec<String> = (0..200).map(|number| format!("d{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = summary(&config(&["paris"], ""), &config(&names, ""));
        assert!(
            text.starts_with("200 deployments added (d0, d1, d10, d100, d101 and 195 more); 1 "),
            "{text}"
        );
    }
}
