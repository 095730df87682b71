//! From the model that a client names to the deployments that could serve it: id, alias, group, wildcard, litellm model.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use llm_balancer_config::{Alias, Config, infer_provider};

use crate::strategy::simple_shuffle::{SimpleShuffle, Weights};
use crate::wildcard::Wildcard;

/// The deployments that one name stands for, by their indices in the configuration.
#[derive(Clone, Debug)]
pub struct Pool {
    /// In the order of the file.
    pub members: Vec<usize>,
    /// The prepared draw over all of them.
    pub shuffle: SimpleShuffle,
}

/// What a name was found to stand for.
#[derive(Clone, Debug)]
pub struct Resolved<'n> {
    /// Who may serve it.
    pub pool: Arc<Pool>,
    /// What the stars of a wildcard group caught; empty for any other name.
    pub captures: Vec<String>,
    /// The name after the alias, which the captures were taken from.
    pub name: &'n str,
}

/// Why a name stands for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// Nobody by that name, and no wildcard that could have matched.
    Unknown,
    /// There are wildcards, but none matches.
    NoMatch,
    /// The id of a wildcard's deployment: it has no model of its own to ask for.
    WildcardById,
}

/// Every name of a configuration.
#[derive(Debug, Default)]
pub struct Groups {
    by_name: HashMap<Arc<str>, Arc<Pool>>,
    by_id: HashMap<Arc<str>, Arc<Pool>>,
    by_litellm_model: HashMap<Arc<str>, Arc<Pool>>,
    aliases: HashMap<Arc<str>, Alias>,
    /// Most specific first.
    wildcards: Vec<(Wildcard, Arc<Pool>)>,
    wildcard_ids: HashSet<Arc<str>>,
}

impl Groups {
    /// Prepares all look-ups.
    pub fn new(config: &Config) -> Self {
        let weights: Vec<Weights> = config.deployments.iter().map(Weights::of).collect();
        let pools = |key: &dyn Fn(usize) -> Option<Arc<str>>| pools(&weights, key);
        let deployment = |index: usize| config.deployments.get(index);
        let group = |index| deployment(index).map(|d| Arc::clone(&d.group));

        let named = pools(&|index| group(index).filter(|name| !name.contains('*')));
        let mut wildcards: Vec<_> = pools(&|index| group(index).filter(|name| name.contains('*')))
            .into_iter()
            .filter_map(|(name, pool)| Some((Wildcard::new(&name)?, pool)))
            .collect();
        wildcards.sort_by_key(|(wildcard, _)| std::cmp::Reverse(wildcard.specificity()));
        let is_wildcard = |d: &&llm_balancer_config::Deployment| d.group.contains('*');
        Self {
            by_name: named.into_iter().collect(),
            by_id: pools(&|index| deployment(index).map(|d| Arc::clone(&d.id))).into_iter().collect(),
            by_litellm_model: pools(&|index| {
                let model = deployment(index).map(|d| d.litellm_model.as_str());
                model.filter(|model| !model.contains('*')).map(Arc::from)
            })
            .into_iter()
            .collect(),
            aliases: config.aliases.iter().map(|alias| (Arc::clone(&alias.name), alias.clone())).collect(),
            wildcards,
            wildcard_ids: config
                .deployments
                .iter()
                .filter(is_wildcard)
                .filter(|d| d.model.contains('*'))
                .map(|d| Arc::clone(&d.id))
                .collect(),
        }
    }

    /// Finds what a name stands for, in LiteLLM's order (BEHAVIOUR 2.1): a group's name goes before a deployment's
    /// id, an alias before the group that it shadows.
    ///
    /// # Errors
    /// [`Unresolved`] where no deployment answers to the name.
    pub fn resolve<'n>(&'n self, asked: &'n str) -> Result<Resolved<'n>, Unresolved> {
        let whole = |pool: &Arc<Pool>, name| Resolved { pool: Arc::clone(pool), captures: Vec::new(), name };
        if !self.by_name.contains_key(asked)
            && let Some(pool) = self.by_id.get(asked)
        {
            if self.wildcard_ids.contains(asked) {
                return Err(Unresolved::WildcardById);
            }
            return Ok(whole(pool, asked));
        }
        let name = self.aliases.get(asked).map_or(asked, |alias| &alias.target);
        if let Some(pool) = self.by_name.get(name) {
            return Ok(whole(pool, name));
        }
        if let Some(found) = self.wildcard(name) {
            return Ok(found);
        }
        if let Some(pool) = self.by_litellm_model.get(name) {
            return Ok(whole(pool, name));
        }
        Err(if self.wildcards.is_empty() { Unresolved::Unknown } else { Unresolved::NoMatch })
    }

    /// The most specific wildcard that matches; a bare name is tried again with the provider it belongs to.
    fn wildcard<'n>(&self, name: &'n str) -> Option<Resolved<'n>> {
        let matching = |asked: &str| {
            self.wildcards.iter().find_map(|(wildcard, pool)| {
                let captures = wildcard.captures(asked)?.into_iter().map(str::to_owned).collect();
                Some(Resolved { pool: Arc::clone(pool), captures, name })
            })
        };
        matching(name).or_else(|| matching(&format!("{}/{name}", infer_provider(name)?)))
    }
}

/// Deployments that share a key, as pools in the order of first appearance.
fn pools(weights: &[Weights], key: &dyn Fn(usize) -> Option<Arc<str>>) -> Vec<(Arc<str>, Arc<Pool>)> {
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    let mut members: Vec<(Arc<str>, Vec<usize>)> = Vec::new();
    for index in 0..weights.len() {
        let Some(name) = key(index) else { continue };
        let place = *places.entry(Arc::clone(&name)).or_insert(members.len());
        match members.get_mut(place) {
            Some((_, members)) => members.push(index),
            None => members.push((name, vec![index])),
        }
    }
    members.into_iter().map(|(name, members)| (name, Arc::new(Pool::new(members, weights)))).collect()
}

impl Pool {
    fn new(members: Vec<usize>, weights: &[Weights]) -> Self {
        let of_members: Vec<Weights> =
            members.iter().map(|index| weights.get(*index).copied().unwrap_or_default()).collect();
        Self { shuffle: SimpleShuffle::new(&of_members), members }
    }
}
