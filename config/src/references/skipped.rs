//! What goes with a deployment that is skipped: the group that it was the last one of, the aliases, routing groups and
//! fallbacks that lead there. The report names each; here they are taken out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{Config, Fallback};

/// The configuration without what leads to a skipped name.
pub fn without(mut config: Config) -> Config {
    if config.skipped.is_empty() {
        return config;
    }
    let names: BTreeSet<Arc<str>> = config.skipped.iter().map(|skipped| Arc::clone(&skipped.name)).collect();
    let is_left = |name: &Arc<str>| !names.contains(name);
    config.aliases.retain(|alias| is_left(&alias.name));
    let router = &mut config.router;
    for group in &mut router.routing_groups {
        group.models.retain(is_left);
        group.priorities.retain(|(model, _)| is_left(model));
    }
    router.routing_groups.retain(|group| !group.models.is_empty() && is_left(&group.name));
    router.group_retry_policy.retain(|(group, _)| is_left(group));
    prune(&mut router.fallbacks, &is_left);
    prune(&mut router.context_window_fallbacks, &is_left);
    prune(&mut router.content_policy_fallbacks, &is_left);
    config
}

fn prune(fallbacks: &mut Vec<Fallback>, is_left: &dyn Fn(&Arc<str>) -> bool) {
    fallbacks.retain_mut(|fallback| {
        // An empty list of the file's own means that there is nowhere else to go.
        let was_empty = fallback.targets.is_empty();
        fallback.targets.retain(|target| is_left(&target.model));
        is_left(&fallback.group) && (was_empty || !fallback.targets.is_empty())
    });
}
