//! `optional_pre_call_checks` and `model_group_affinity_config`: which requests go to the same
//! deployment again (BEHAVIOUR 14).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{Affinity, Deployment};
use crate::diagnostics::{ADVISES, Place};
use crate::values::{Reader, Section};
use crate::yaml::Value;

/// What LiteLLM lets a group set for itself.
const OF_GROUPS: &[&str] = &[
    "deployment_affinity", "encrypted_content_affinity", "responses_api_deployment_check", "session_affinity",
];
/// What applies to all groups.
const ALL: &[&str] = &[
    "deployment_affinity", "encrypted_content_affinity", "enforce_model_rate_limits", "prompt_caching",
    "responses_api_deployment_check", "session_affinity",
];

/// The affinity of all groups.
#[derive(Default)]
pub(crate) struct AffinitySettings {
    all: Affinity,
    /// In place of the checks in [`OF_GROUPS`].
    groups: Vec<(String, Affinity)>,
}

/// Reads both keys.
pub(crate) fn read_affinity(reader: &mut Reader<'_>, router: Option<&Section<'_>>) -> AffinitySettings {
    let Some(router) = router else { return AffinitySettings::default() };
    let all = checks(reader, router, "optional_pre_call_checks", true);
    let mut settings = AffinitySettings { all, groups: Vec::new() };
    if let Some(groups) = reader.section(router, "model_group_affinity_config") {
        for entry in groups.entries.iter().filter(|entry| entry.node.value != Value::Null) {
            let affinity = checks(reader, &groups, &entry.key, false);
            settings.groups.push((entry.key.clone(), affinity));
        }
    }
    settings
}

impl AffinitySettings {
    /// Sets the affinity of deployments, so far that of their own section alone. One deployment
    /// with `affinity: prefix` is enough for its group.
    pub(crate) fn apply(&self, deployments: &mut [Deployment]) {
        let mut prefixes: BTreeSet<Arc<str>> = BTreeSet::new();
        for deployment in deployments.iter().filter(|deployment| deployment.affinity.prefixes) {
            prefixes.insert(Arc::clone(&deployment.group));
        }
        for deployment in deployments {
            let of_group = self.groups.iter().find(|(group, _)| **group == *deployment.group);
            deployment.affinity = Affinity {
                prompt_caching: self.all.prompt_caching,
                prefixes: prefixes.contains(&deployment.group),
                ..of_group.map_or(self.all, |(_, affinity)| *affinity)
            };
        }
    }
}

/// A list of checks; `is_global` says whether it is the one for all groups.
fn checks(reader: &mut Reader<'_>, section: &Section<'_>, key: &str, is_global: bool) -> Affinity {
    let mut affinity = Affinity::default();
    let Some(place) = section.find(key).map(|entry| entry.place) else { return affinity };
    for (index, name) in reader.strings(section, key).unwrap_or_default().iter().enumerate() {
        match name.as_str() {
            "deployment_affinity" => affinity.callers = true,
            "encrypted_content_affinity" => affinity.encrypted_items = true,
            "responses_api_deployment_check" => affinity.responses = true,
            "session_affinity" => affinity.sessions = true,
            "prompt_caching" if is_global => affinity.prompt_caching = true,
            _ => report(reader, place, (section, key, index), name, is_global),
        }
    }
    affinity
}

/// Reports a check that is no affinity of this list.
fn report(
    reader: &mut Reader<'_>,
    place: Place,
    (section, key, index): (&Section<'_>, &str, usize),
    name: &str,
    is_global: bool,
) {
    let list = section.path.key(key);
    let path = list.index(index);
    let no_effect = format!("\"{name}\" has no effect");
    match name {
        // Limits are always enforced.
        "enforce_model_rate_limits" => {}
        "router_budget_limiting" => {
            let advice = "set the budget at the provider, and remove it";
            reader.report.unsupported(place, &path, "budgets are not supported", advice);
        }
        "forward_client_headers_by_model_group" => {
            let advice = "use general_settings.forward_client_headers_to_llm_api, or remove it";
            reader.report.warn(place, &path, &no_effect, advice);
        }
        "prompt_caching" => {
            let advice = "list it in optional_pre_call_checks, for all groups";
            reader.report.warn(place, &path, &no_effect, advice);
        }
        _ => {
            let names = if is_global { ALL } else { OF_GROUPS };
            let near = reader.report.suggestions.key(name, names.iter().copied());
            let advice = match near {
                Some(near) => format!("did you mean {near}?"),
                None if ADVISES => format!("known are {}", names.join(", ")),
                None => String::new(),
            };
            let message = format!("unknown check \"{name}\", ignored");
            reader.report.warn(place, &path, &message, &advice);
        }
    }
}
