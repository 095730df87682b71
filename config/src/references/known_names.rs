//! The names to which requests can be sent, and the names of skipped groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::{Alias, RoutingGroup, Skipped};
use crate::deployments::ModelList;
use crate::diagnostics::{ADVISES, Suggestions, did_you_mean};
use crate::providers::{are_related, infer_provider};
use crate::wildcard::Wildcard;

/// All names that a reference may have.
pub(crate) struct KnownNames<'a> {
    list: &'a ModelList,
    groups: &'a BTreeSet<Arc<str>>,
    aliases: BTreeSet<&'a str>,
    routing_groups: BTreeSet<&'a str>,
    others: BTreeSet<&'a str>,
    /// Patterns among the groups.
    wildcards: Vec<Wildcard>,
    /// Groups with a deployment whose model has a `*`, which the requested name replaces.
    starred: BTreeSet<&'a str>,
    /// Names whose deployments were all skipped, and why.
    skipped: BTreeMap<Arc<str>, String>,
}

impl<'a> KnownNames<'a> {
    /// Groups, aliases, routing groups, and ids and litellm models of deployments.
    pub(crate) fn new(list: &'a ModelList, aliases: &'a [Alias], routing_groups: &'a [RoutingGroup]) -> Self {
        let mut names = Self {
            list,
            groups: &list.groups,
            aliases: BTreeSet::new(),
            routing_groups: BTreeSet::new(),
            others: BTreeSet::new(),
            wildcards: list.groups.iter().filter_map(|group| Wildcard::new(group)).collect(),
            starred: BTreeSet::new(),
            skipped: BTreeMap::new(),
        };
        // Not collected, which would add a sort to the filter.
        for alias in aliases {
            names.aliases.insert(&alias.name);
        }
        for group in routing_groups {
            names.routing_groups.insert(&group.name);
        }
        for deployment in &list.deployments {
            names.others.insert(&deployment.id);
            if deployment.model.contains('*') {
                names.starred.insert(&deployment.group);
            }
            names.others.insert(&deployment.litellm_model);
        }
        for name in list.unserved.keys() {
            names.others.insert(name);
        }
        names.skip(list, aliases, routing_groups);
        names
    }

    /// Records names that refer to skipped deployments only.
    fn skip(&mut self, list: &ModelList, aliases: &[Alias], routing_groups: &[RoutingGroup]) {
        for (name, reason) in &list.skipped {
            if !self.groups.contains(name) && !self.others.contains(&**name) {
                self.skipped.insert(Arc::clone(name), reason.clone());
            }
        }
        // A litellm model is looked up last.
        for (model, reason) in &list.skipped_models {
            if !model.contains('*') && !self.is_served(model) && !self.skipped.contains_key(model) {
                self.skipped.insert(Arc::clone(model), reason.clone());
            }
        }
        for group in routing_groups.iter().filter(|group| !self.groups.contains(&group.name)) {
            let reasons = group.models.iter().map(|model| self.why_skipped(model));
            if let Some(Some(reason)) = reasons.reduce(|all, one| all.and(one)) {
                self.skipped.insert(Arc::clone(&group.name), reason);
            }
        }
        for alias in aliases {
            if let Some(reason) = self.why_skipped(&alias.target) {
                self.skipped.insert(Arc::clone(&alias.name), reason);
            }
        }
    }

    /// Why all deployments of a name were skipped; `None` if some are served.
    pub(crate) fn why_skipped(&self, name: &str) -> Option<String> {
        let exactly = self.skipped.get(name);
        let covers = |pattern: &str| Wildcard::new(pattern).is_some_and(|wildcard| wildcard.matches(name));
        let pattern = || self.skipped.iter().find(|(pattern, _)| covers(pattern)).map(|(_, why)| why);
        let why = if self.is_known(name) { exactly } else { exactly.or_else(pattern) };
        why.cloned()
    }

    /// The names whose deployments were all skipped, sorted.
    pub(crate) fn into_skipped(self) -> Vec<Skipped> {
        self.skipped.into_iter().map(|(name, reason)| Skipped { name, reason }).collect()
    }

    /// Records a name that refers to a skipped one.
    pub(crate) fn add_skipped(&mut self, name: &str, reason: String) {
        self.skipped.insert(Arc::from(name), reason);
    }

    /// Whether `model_list` has a group of exactly this name.
    pub(crate) fn is_listed(&self, name: &str) -> bool {
        self.groups.contains(name)
    }

    /// Whether it is a pattern and no provider has a model of that name, so no request can be sent
    /// to it.
    pub(crate) fn is_pattern(&self, name: &str) -> bool {
        name.contains('*') && (!self.groups.contains(name) || self.starred.contains(name))
    }

    /// Whether it is an alias.
    pub(crate) fn is_alias(&self, name: &str) -> bool {
        self.aliases.contains(name)
    }

    /// Whether an alias of this name hides a group.
    pub(crate) fn is_hidden_by(&self, name: &str) -> bool {
        self.groups.contains(name) || self.routing_groups.contains(name)
    }

    /// A wildcard may match a name by the provider that it has not, as requests are matched.
    fn is_group(&self, name: &str) -> bool {
        let is_matched = |name: &str| self.wildcards.iter().any(|wildcard| wildcard.matches(name));
        let is_inferred = |provider: &str| is_matched(&format!("{provider}/{name}"));
        self.groups.contains(name) || is_matched(name) || infer_provider(name).is_some_and(is_inferred)
    }

    /// Whether an alias may name it: anything but another alias.
    pub(crate) fn is_served(&self, name: &str) -> bool {
        self.is_group(name) || self.routing_groups.contains(name) || self.others.contains(name)
    }

    /// Whether fallbacks under this name are those of a group: its own name, or the same with or
    /// without a provider.
    pub(crate) fn has_fallbacks_under(&self, name: &str) -> bool {
        self.is_known(name) || self.groups.iter().any(|group| are_related(group, name))
    }

    /// The group whose requests do not use what is set under this name: it is known as the model of
    /// one of its deployments alone, and settings are looked up by the requested name.
    pub(crate) fn group_of_model(&self, name: &str) -> Option<&str> {
        let is_other = |name: &str| {
            self.is_group(name) || self.routing_groups.contains(name) || self.aliases.contains(name)
        };
        if is_other(name) || self.groups.iter().any(|group| are_related(group, name)) {
            return None;
        }
        let mut deployments = self.list.deployments.iter();
        if deployments.clone().any(|deployment| *deployment.id == *name) {
            return None;
        }
        let served = deployments.find(|deployment| deployment.litellm_model == name);
        let unserved = || self.list.unserved.get(name).map(String::as_str);
        served.map(|deployment| &*deployment.group).or_else(unserved).filter(|group| !group.is_empty())
    }

    /// Whether an item of `model_list` has `max_input_tokens`.
    pub(crate) fn has_contexts(&self) -> bool {
        self.list.has_contexts
    }

    /// Whether requests can be sent to it.
    pub(crate) fn is_known(&self, name: &str) -> bool {
        name == "*" || self.is_served(name) || self.aliases.contains(name)
    }

    /// Advice for an unknown name.
    pub(crate) fn advice(&self, suggestions: &mut Suggestions, name: &str) -> String {
        if !ADVISES {
            return String::new();
        }
        let groups = self.groups.iter().map(|group| &**group);
        let near = suggestions.name(name, groups.chain(self.routing_groups.iter().copied()));
        did_you_mean(near, "write a group of model_list")
    }
}
