//! Every name that requests can be sent to, and those of which nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::{Alias, RoutingGroup, Skipped};
use crate::deployments::model_list::ModelList;
use crate::diagnostics::report::ADVISES;
use crate::diagnostics::suggest::Suggestions;
use crate::wildcard::Wildcard;

/// Everything that a name may refer to.
pub struct KnownNames<'a> {
    groups: &'a BTreeSet<Arc<str>>,
    aliases: BTreeSet<&'a str>,
    routing_groups: BTreeSet<&'a str>,
    others: BTreeSet<&'a str>,
    /// Patterns among the groups.
    wildcards: Vec<Wildcard>,
    /// Groups with a deployment whose model has a star, which only a name that the pattern matches can replace.
    starred: BTreeSet<&'a str>,
    /// Names of which nothing is left, and why.
    skipped: BTreeMap<Arc<str>, String>,
}

impl<'a> KnownNames<'a> {
    /// Groups, aliases, routing groups, and ids and litellm models of deployments.
    pub fn new(list: &'a ModelList, aliases: &'a [Alias], routing_groups: &'a [RoutingGroup]) -> Self {
        let mut names = Self {
            groups: &list.groups,
            aliases: BTreeSet::new(),
            routing_groups: BTreeSet::new(),
            others: BTreeSet::new(),
            wildcards: list.groups.iter().filter_map(|group| Wildcard::new(group)).collect(),
            starred: BTreeSet::new(),
            skipped: BTreeMap::new(),
        };
        // Not collected: that would bring a sort of its own into the filter.
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
        names.skip(list, aliases, routing_groups);
        names
    }

    /// What is skipped takes with it what leads there and nowhere else.
    fn skip(&mut self, list: &ModelList, aliases: &[Alias], routing_groups: &[RoutingGroup]) {
        for (name, reason) in &list.skipped {
            if !self.groups.contains(name) && !self.others.contains(&**name) {
                self.skipped.insert(Arc::clone(name), reason.clone());
            }
        }
        // A litellm model is looked up last, so whatever else serves it goes first.
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

    /// Why a name leads to nothing that is left.
    pub fn why_skipped(&self, name: &str) -> Option<String> {
        let exactly = self.skipped.get(name);
        let covers = |pattern: &str| Wildcard::new(pattern).is_some_and(|wildcard| wildcard.matches(name));
        let pattern = || self.skipped.iter().find(|(pattern, _)| covers(pattern)).map(|(_, why)| why);
        let why = if self.is_known(name) { exactly } else { exactly.or_else(pattern) };
        why.cloned()
    }

    /// The names of which nothing is left, with those that were found to lead to one.
    pub fn into_skipped(self) -> Vec<Skipped> {
        self.skipped.into_iter().map(|(name, reason)| Skipped { name, reason }).collect()
    }

    /// Remembers a name that leads to what is skipped.
    pub fn skip_name(&mut self, name: &str, reason: String) {
        self.skipped.insert(Arc::from(name), reason);
    }

    /// Whether `model_list` has a group of exactly this name.
    pub fn is_listed(&self, name: &str) -> bool {
        self.groups.contains(name)
    }

    /// Whether it is a pattern, and no request can be sent to it: no provider has a model of that name.
    pub fn is_pattern(&self, name: &str) -> bool {
        name.contains('*') && (!self.groups.contains(name) || self.starred.contains(name))
    }

    /// Whether it is an alias.
    pub fn is_alias(&self, name: &str) -> bool {
        self.aliases.contains(name)
    }

    /// Whether an alias of this name hides a group.
    pub fn is_hidden_by(&self, name: &str) -> bool {
        self.groups.contains(name) || self.routing_groups.contains(name)
    }

    fn is_group(&self, name: &str) -> bool {
        self.groups.contains(name) || self.wildcards.iter().any(|wildcard| wildcard.matches(name))
    }

    /// Whether requests can be sent to it: an alias cannot stand for another one.
    pub fn is_served(&self, name: &str) -> bool {
        self.is_group(name) || self.routing_groups.contains(name) || self.others.contains(name)
    }

    /// Whether it is any name that may stand where requests are sent to.
    pub fn is_known(&self, name: &str) -> bool {
        name == "*" || self.is_served(name) || self.aliases.contains(name)
    }

    /// What a name that is not known may mean.
    pub fn advice(&self, suggestions: &mut Suggestions, name: &str) -> String {
        if !ADVISES {
            return String::new();
        }
        let groups = self.groups.iter().map(|group| &**group);
        match suggestions.name(name, groups.chain(self.routing_groups.iter().copied())) {
            Some(near) => format!("did you mean {near}?"),
            None => "name a group of model_list".to_owned(),
        }
    }
}
