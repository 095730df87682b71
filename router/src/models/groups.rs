//! From the model that a client names to the deployments that may serve it: id, alias, group,
//! wildcard, litellm model.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use llm_balancer_config::{Alias, Config, Deployment, Strategy, Wildcard, infer_provider, name_at};

use crate::failure::fallback::FailedGroup;
use crate::models::pool::{Pool, of_stored_responses, pools, routing_group, share_account};
use crate::models::wildcard::{Specificity, fill, specificity};
use crate::request::unresolved::Unresolved;

/// The deployments that a name leads to.
#[derive(Clone, Debug)]
pub struct Resolved<'n> {
    /// The deployments.
    pub pool: Arc<Pool>,
    /// What the stars of a wildcard caught; empty for any other name.
    pub captures: Vec<String>,
    /// The name, or its alias's target, which the captures are a part of.
    pub name: &'n str,
}

impl Resolved<'_> {
    /// Whether a deployment's model would have a star left in it.
    fn leaves_stars(&self) -> bool {
        let stays =
            |model: &String| self.captures.is_empty() || fill(model, &self.captures, self.name).contains('*');
        // A routing group of wildcards has no members.
        self.pool.members.is_empty() || self.pool.starred.iter().any(stays)
    }

    /// Whether a deployment's model may become a dot segment, which leads a URL out of its folder:
    /// Azure has the model in the path.
    fn leaves_folder(&self) -> bool {
        self.captures.iter().any(|caught| matches!(&**caught, "." | ".."))
    }
}

/// Every name of a configuration.
#[derive(Debug, Default)]
pub struct Groups {
    by_name: HashMap<Arc<str>, Arc<Pool>>,
    by_id: HashMap<Arc<str>, Arc<Pool>>,
    by_litellm_model: HashMap<Arc<str>, Arc<Pool>>,
    aliases: HashMap<Arc<str>, Alias>,
    wildcards: Vec<(Wildcard, Arc<Pool>)>,
    /// The same without deployments that serve one provider's models alone, for other models.
    unbound_wildcards: Vec<(Wildcard, Arc<Pool>)>,
    counts_tokens: bool,
    /// The deployments that may have stored a response; `None` if there are none.
    stored_responses: Option<Arc<Pool>>,
    /// Whether they have more than one account.
    have_accounts: bool,
    /// Names without a deployment that can be served, and why.
    skipped: HashMap<Arc<str>, String>,
    /// The same names, as far as they have stars.
    skipped_wildcards: Vec<(Wildcard, Arc<str>)>,
}

impl Groups {
    /// Prepares all look-ups.
    pub fn new(config: &Config) -> Self {
        let pools = |key: &dyn Fn(&Deployment) -> Option<Arc<str>>| pools(config, key);
        let finished = |(name, pool): (Arc<str>, Pool)| (name, pool.finished(config));
        // A model group goes before a routing group of the same name.
        let mut named: Vec<_> =
            config.router.routing_groups.iter().map(|group| routing_group(config, group)).collect();
        let (patterns, groups): (Vec<_>, Vec<_>) =
            pools(&|d| Some(Arc::clone(&d.group))).into_iter().partition(|(name, _)| name.contains('*'));
        named.extend(groups);
        let by_id = pools(&|d| Some(Arc::clone(&d.id)));
        let by_id: Vec<_> = by_id.into_iter().map(|(id, pool)| (id, Pool { by_id: true, ..pool })).collect();
        let by_litellm_model =
            pools(&|d| Some(d.litellm_model.as_str()).filter(|model| !model.contains('*')).map(Arc::from));
        let is_bound = |deployment: &Deployment| deployment.infers_provider;
        let has_bound = config.deployments.iter().any(is_bound);
        let mut unbound =
            pools(&|d| (has_bound && !is_bound(d) && d.group.contains('*')).then(|| Arc::clone(&d.group)));
        for (_, pool) in &mut unbound {
            pool.partition = pool.partition_of("");
        }
        let stored_responses = of_stored_responses(config);
        let skipped = || config.skipped.iter().map(|skipped| Arc::clone(&skipped.name));
        Self {
            counts_tokens: named.iter().chain(&by_id).any(|(_, pool)| pool.counts_tokens()),
            have_accounts: stored_responses.as_ref().is_some_and(|pool| have_accounts(config, pool)),
            stored_responses,
            by_name: named.into_iter().map(finished).collect(),
            by_id: by_id.into_iter().map(finished).collect(),
            by_litellm_model: by_litellm_model.into_iter().map(finished).collect(),
            aliases: config.aliases.iter().map(|alias| (Arc::clone(&alias.name), alias.clone())).collect(),
            wildcards: most_specific_first(patterns.into_iter().map(finished)),
            unbound_wildcards: most_specific_first(unbound.into_iter().map(finished)),
            skipped: skipped().zip(config.skipped.iter().map(|skipped| skipped.reason.clone())).collect(),
            skipped_wildcards: most_specific_first(skipped().map(|name| (Arc::clone(&name), name))),
        }
    }

    /// Whether anything depends on the tokens that requests take.
    pub fn count_tokens(&self) -> bool {
        self.counts_tokens
    }

    /// The deployments that may have stored a response.
    pub fn stored_responses(&self) -> Option<&Arc<Pool>> {
        self.stored_responses.as_ref()
    }

    /// Whether a response is known to some of them alone.
    pub fn have_accounts(&self) -> bool {
        self.have_accounts
    }

    /// Of each deployment, the share of its group's requests that its weight gives it, from 0 to 1;
    /// `None` where another strategy or `order` decides.
    pub fn weights(&self, config: &Config) -> Vec<Option<f64>> {
        let mut weights = vec![None; config.deployments.len()];
        let pools = self.by_name.values().chain(self.wildcards.iter().map(|(_, pool)| pool));
        let is_weighted =
            |pool: &&Arc<Pool>| pool.strategy == Strategy::SimpleShuffle && pool.priorities.is_none();
        for pool in pools.filter(is_weighted) {
            for (place, index) in pool.members.iter().enumerate() {
                // A routing group has deployments of other groups.
                let is_own = config.deployments.get(*index).is_some_and(|own| own.group == pool.label);
                if let Some(weight) = weights.get_mut(*index).filter(|_| is_own) {
                    *weight = pool.shuffle.share(place);
                }
            }
        }
        weights
    }

    /// Finds the deployments that a name leads to, in LiteLLM's order (BEHAVIOUR 2.1): a group's
    /// name goes before a deployment's id, and an alias before the group that it shadows.
    ///
    /// # Errors
    /// [`Unresolved`] if the name leads to no deployment, or to one whose model keeps a star.
    pub fn resolve<'n>(&'n self, requested: &'n str) -> Result<Resolved<'n>, Unresolved> {
        let resolved = self.look_up(requested)?;
        if resolved.leaves_folder() {
            return Err(Unresolved::NoMatch);
        }
        if resolved.leaves_stars() { Err(Unresolved::Pattern) } else { Ok(resolved) }
    }

    /// The deployments that a name leads to, also one with stars; none for an unknown name.
    pub fn members(&self, name: &str) -> Vec<usize> {
        self.look_up(name).map_or_else(|_| Vec::new(), |resolved| resolved.pool.members.clone())
    }

    fn look_up<'n>(&'n self, requested: &'n str) -> Result<Resolved<'n>, Unresolved> {
        let whole = |pool: &Arc<Pool>, name| Resolved { pool: Arc::clone(pool), captures: Vec::new(), name };
        if !self.by_name.contains_key(requested)
            && let Some(pool) = self.by_id.get(requested)
        {
            return Ok(whole(pool, requested));
        }
        let name = self.target(requested);
        // No wildcard serves in place of a skipped group.
        if self.skipped.contains_key(name) {
            return Err(Unresolved::Skipped);
        }
        if let Some(pool) = self.by_name.get(name) {
            return Ok(whole(pool, name));
        }
        let mut found = matching(&self.wildcards, name);
        let is_foreign = found.as_ref().is_some_and(|(_, captures, pool)| is_foreign(pool, captures, name));
        if is_foreign {
            found = matching(&self.unbound_wildcards, name);
        }
        match (found, matching(&self.skipped_wildcards, name)) {
            // The most specific wildcard decides. A wider one does not serve in place of a skipped
            // one.
            (Some((own, captures, pool)), skipped) if skipped.as_ref().is_none_or(|(it, ..)| own >= *it) => {
                return Ok(Resolved { pool: Arc::clone(pool), captures, name });
            }
            (_, Some(_)) => return Err(Unresolved::Skipped),
            _ => {}
        }
        if let Some(pool) = self.by_litellm_model.get(name) {
            return Ok(whole(pool, name));
        }
        Err(if self.wildcards.is_empty() && !self.aliases.contains_key(requested) {
            Unresolved::Unknown
        } else if is_foreign {
            Unresolved::OtherProvider
        } else {
            Unresolved::NoMatch
        })
    }

    /// The names under which a model that could not be served has fallbacks: its own, and that of the
    /// group behind it, except of an id and a litellm model. Of a routing group, also that of the group that failed: after an attempt the
    /// one of its deployment, else each of them.
    pub fn failed_group<'n>(
        &'n self,
        config: &Config,
        requested: &'n str,
        attempted: Option<&Deployment>,
    ) -> FailedGroup<'n> {
        // A name that leads nowhere has no target either.
        let Ok(Resolved { pool, name, captures }) = self.resolve(requested) else {
            return FailedGroup { requested, target: requested, label: None, groups: Vec::new() };
        };
        let label = Some(Arc::clone(&pool.label));
        // As in LiteLLM: clients use these names to pin a deployment.
        if captures.is_empty() && *pool.label != *name {
            return FailedGroup { requested, target: name, label, groups: Vec::new() };
        }
        let mut groups = vec![Arc::clone(&pool.label)];
        let group = |index: &usize| config.deployments.get(*index).map(|deployment| &deployment.group);
        if pool.members.first().and_then(group) != Some(&pool.label) {
            let all = pool.members.iter().filter_map(group).filter(|_| attempted.is_none());
            let failed = attempted.map(|deployment| &deployment.group).into_iter().chain(all);
            for group in failed {
                if groups.last() != Some(group) {
                    groups.push(Arc::clone(group));
                }
            }
        }
        FailedGroup { requested, target: name, label, groups }
    }

    /// Why no deployment behind a name can be served.
    pub fn why_skipped(&self, requested: &str) -> Option<&str> {
        let name = self.target(requested);
        let reason = self.skipped.get(name);
        let of_wildcard = || self.skipped.get(matching(&self.skipped_wildcards, name)?.2);
        reason.or_else(of_wildcard).map(String::as_str)
    }

    fn target<'n>(&'n self, requested: &'n str) -> &'n str {
        self.aliases.get(requested).map_or(requested, |alias| &alias.target)
    }
}

/// Whether a model belongs to another provider than the one whose models alone a pool serves.
fn is_foreign(pool: &Pool, captures: &[String], name: &str) -> bool {
    pool.infers_provider && name_at("openai", &fill("*", captures, name)).is_none()
}

fn have_accounts(config: &Config, pool: &Pool) -> bool {
    let mut members = pool.members.iter().filter_map(|index| config.deployments.get(*index));
    members.next().is_some_and(|first| members.any(|other| !share_account(first, other)))
}

/// Those of the names that have stars, as wildcards.
fn most_specific_first<T>(named: impl Iterator<Item = (Arc<str>, T)>) -> Vec<(Wildcard, T)> {
    let wildcards = named.filter_map(|(name, value)| Some((Wildcard::new(&name)?, value)));
    let mut wildcards: Vec<_> = wildcards.map(Some).collect();
    let specificities = wildcards.iter().flatten().map(|(wildcard, _)| specificity(wildcard));
    let mut order: BinaryHeap<_> =
        specificities.enumerate().map(|(place, specificity)| (specificity, Reverse(place))).collect();
    let next = || order.pop().map(|(_, Reverse(place))| place);
    std::iter::from_fn(next).filter_map(|place| wildcards.get_mut(place)?.take()).collect()
}

/// The most specific wildcard that matches a name, and what its stars caught. A bare name is tried
/// again with the provider that it belongs to.
fn matching<'w, T>(wildcards: &'w [(Wildcard, T)], name: &str) -> Option<(Specificity, Vec<String>, &'w T)> {
    let find = |name: &str| {
        wildcards.iter().find_map(|(wildcard, value)| {
            let captures = wildcard.captures(name)?.into_iter().map(str::to_owned).collect();
            Some((specificity(wildcard), captures, value))
        })
    };
    find(name).or_else(|| find(&format!("{}/{name}", infer_provider(name)?)))
}
