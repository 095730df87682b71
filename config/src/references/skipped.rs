//! Removes aliases, routing groups and fallbacks whose deployments were all skipped. The fallbacks of
//! a skipped group serve in its place.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{Config, Fallback};

/// Removes what refers to skipped names. The report names each.
pub(crate) fn remove_skipped(config: &mut Config) {
    if config.skipped.is_empty() {
        return;
    }
    // Not collected, which would add a sort to the filter.
    let mut names = BTreeSet::new();
    names.extend(config.skipped.iter().map(|skipped| Arc::clone(&skipped.name)));
    let is_served = |name: &Arc<str>| !names.contains(name);
    config.aliases.retain(|alias| is_served(&alias.name));
    let router = &mut config.router;
    for group in &mut router.routing_groups {
        group.models.retain(is_served);
        group.priorities.retain(|(model, _)| is_served(model));
    }
    router.routing_groups.retain(|group| !group.models.is_empty() && is_served(&group.name));
    router.group_retry_policy.retain(|(group, _)| is_served(group));
    prune(&mut router.fallbacks, &is_served);
    prune(&mut router.context_window_fallbacks, &is_served);
    prune(&mut router.content_policy_fallbacks, &is_served);
}

fn prune(fallbacks: &mut Vec<Fallback>, is_served: &dyn Fn(&Arc<str>) -> bool) {
    fallbacks.retain_mut(|fallback| {
        // An empty list in the file disables the fallbacks of a group.
        let was_empty = fallback.targets.is_empty();
        fallback.targets.retain(|target| is_served(&target.model));
        was_empty || !fallback.targets.is_empty()
    });
}
