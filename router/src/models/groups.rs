//! From the model that a client names to the deployments that could serve it: id, alias, group, wildcard, litellm model.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use llm_balancer_config::{
    Alias, Config, Deployment, Layout, RoutingGroup, Strategy, StrategyArgs, Wildcard, infer_provider,
};

use crate::http::route::MODEL_ROUTES;
use crate::models::wildcard::{fill, specificity};
use crate::request::refusal::Unresolved;
use crate::state::rotation::Rotation;
use crate::strategy::simple_shuffle::{SimpleShuffle, Weights};
use crate::upstream::paths;

/// The deployments that one name stands for, by their indices in the configuration.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The group in the words of the file: of a wildcard its pattern, of an id the group that it belongs to.
    pub label: Arc<str>,
    /// In the order of the file.
    pub members: Vec<usize>,
    /// The prepared draw over all of them.
    pub shuffle: SimpleShuffle,
    /// How one of them is picked.
    pub strategy: Strategy,
    /// Its arguments.
    pub args: StrategyArgs,
    /// The `order` of each, where any has one; those without come last (BEHAVIOUR 3.10).
    pub priorities: Option<Vec<i64>>,
    /// Whether the tags of a request decide who of them may serve.
    pub tag_filtering: bool,
    /// For each route that the provider of some member shortfall: the others, as a pool of their own, if there are any.
    pub partial: Vec<(&'static str, Option<Arc<Pool>>)>,
    /// The smallest tpm of any of them; `None` where no limit of tokens holds.
    pub smallest_tpm: Option<u64>,
    /// The models of members with stars in them, each once.
    pub starred: Vec<String>,
    /// The client named a deployment by its id: cooldown, order and tags do not matter (BEHAVIOUR 2.1).
    pub by_id: bool,
    /// The members, whose copies are renewed in turn.
    pub looks: Rotation,
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

impl Resolved<'_> {
    /// Whether a provider would be asked for a model with a star in its name.
    fn leaves_stars(&self) -> bool {
        let stays =
            |model: &String| self.captures.is_empty() || fill(model, &self.captures, self.name).contains('*');
        // A routing group of wildcards has no members at all.
        self.pool.members.is_empty() || self.pool.starred.iter().any(stays)
    }
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
    counts_tokens: bool,
    /// Names of which nothing is left, and why.
    skipped: HashMap<Arc<str>, String>,
    /// Those with stars, most specific first.
    skipped_wildcards: Vec<(Wildcard, Arc<str>)>,
}

impl Groups {
    /// Prepares all look-ups.
    pub fn new(config: &Config) -> Self {
        let pools = |key: &dyn Fn(&Deployment) -> Option<Arc<str>>| pools(config, key);
        // A model group goes before a routing group of its name.
        let mut named: Vec<_> =
            config.router.routing_groups.iter().map(|group| routing_group(config, group)).collect();
        named.extend(pools(&|d| Some(Arc::clone(&d.group)).filter(|name| !name.contains('*'))));
        let mut wildcards: Vec<_> = pools(&|d| Some(Arc::clone(&d.group)).filter(|name| name.contains('*')))
            .into_iter()
            .filter_map(|(name, pool)| Some((Wildcard::new(&name)?, pool.finished(config))))
            .collect();
        wildcards.sort_by_key(|(wildcard, _)| std::cmp::Reverse(specificity(wildcard)));
        let mut skipped_wildcards: Vec<_> = config
            .skipped
            .iter()
            .filter_map(|skipped| Some((Wildcard::new(&skipped.name)?, Arc::clone(&skipped.name))))
            .collect();
        skipped_wildcards.sort_by_key(|(wildcard, _)| std::cmp::Reverse(specificity(wildcard)));
        let shared = |pools: Vec<(Arc<str>, Pool)>| -> HashMap<Arc<str>, Arc<Pool>> {
            pools.into_iter().map(|(name, pool)| (name, pool.finished(config))).collect()
        };
        let by_id = pools(&|d| Some(Arc::clone(&d.id)));
        let by_id: Vec<_> = by_id.into_iter().map(|(id, pool)| (id, Pool { by_id: true, ..pool })).collect();
        let counts_tokens = named.iter().chain(&by_id).any(|(_, pool)| pool.counts_tokens());
        Self {
            counts_tokens,
            by_name: shared(named),
            by_id: shared(by_id),
            by_litellm_model: shared(pools(&|d| {
                Some(d.litellm_model.as_str()).filter(|model| !model.contains('*')).map(Arc::from)
            })),
            aliases: config.aliases.iter().map(|alias| (Arc::clone(&alias.name), alias.clone())).collect(),
            wildcards,
            skipped: config
                .skipped
                .iter()
                .map(|skipped| (Arc::clone(&skipped.name), skipped.reason.clone()))
                .collect(),
            skipped_wildcards,
        }
    }

    /// Whether anything depends on the tokens that requests take.
    pub fn count_tokens(&self) -> bool {
        self.counts_tokens
    }

    /// Finds what a name stands for, in LiteLLM's order (BEHAVIOUR 2.1): a group's name goes before a deployment's
    /// id, an alias before the group that it shadows.
    ///
    /// # Errors
    /// [`Unresolved`] where no deployment answers to the name, or none whose model has no star left in it.
    pub fn resolve<'n>(&'n self, asked: &'n str) -> Result<Resolved<'n>, Unresolved> {
        let resolved = self.look_up(asked)?;
        if resolved.leaves_stars() { Err(Unresolved::Pattern) } else { Ok(resolved) }
    }

    fn look_up<'n>(&'n self, asked: &'n str) -> Result<Resolved<'n>, Unresolved> {
        let whole = |pool: &Arc<Pool>, name| Resolved { pool: Arc::clone(pool), captures: Vec::new(), name };
        if !self.by_name.contains_key(asked)
            && let Some(pool) = self.by_id.get(asked)
        {
            return Ok(whole(pool, asked));
        }
        let name = self.aliases.get(asked).map_or(asked, |alias| &alias.target);
        // Nothing else serves in its place, not even a wildcard.
        if self.skipped.contains_key(name) {
            return Err(Unresolved::Skipped);
        }
        if let Some(pool) = self.by_name.get(name) {
            return Ok(whole(pool, name));
        }
        match (self.wildcard(name), self.skipped_wildcard(name)) {
            // The most specific one decides, and what it stands for is not served by a wider one instead.
            (Some((own, found)), skipped) if skipped.is_none_or(|(skipped, _)| own >= skipped) => {
                return Ok(found);
            }
            (_, Some(_)) => return Err(Unresolved::Skipped),
            _ => {}
        }
        if let Some(pool) = self.by_litellm_model.get(name) {
            return Ok(whole(pool, name));
        }
        Err(if self.wildcards.is_empty() { Unresolved::Unknown } else { Unresolved::NoMatch })
    }

    /// Why nothing is left of what a name stands for.
    pub fn why_skipped(&self, asked: &str) -> Option<&str> {
        let name = self.aliases.get(asked).map_or(asked, |alias| &alias.target);
        let exactly = self.skipped.get(name);
        exactly.or_else(|| self.skipped.get(self.skipped_wildcard(name)?.1)).map(String::as_str)
    }

    /// The most specific wildcard that matches, with how specific it is; a bare name is tried again with the provider
    /// it belongs to.
    fn wildcard<'n>(&self, name: &'n str) -> Option<(Specificity, Resolved<'n>)> {
        let matching = |asked: &str| {
            self.wildcards.iter().find_map(|(wildcard, pool)| {
                let captures = wildcard.captures(asked)?.into_iter().map(str::to_owned).collect();
                Some((specificity(wildcard), Resolved { pool: Arc::clone(pool), captures, name }))
            })
        };
        matching(name).or_else(|| matching(&format!("{}/{name}", infer_provider(name)?)))
    }

    /// The same among those of which nothing is left.
    fn skipped_wildcard(&self, name: &str) -> Option<(Specificity, &Arc<str>)> {
        let matching = |asked: &str| {
            let mut wildcards = self.skipped_wildcards.iter();
            let (wildcard, pattern) = wildcards.find(|(wildcard, _)| wildcard.captures(asked).is_some())?;
            Some((specificity(wildcard), pattern))
        };
        matching(name).or_else(|| matching(&format!("{}/{name}", infer_provider(name)?)))
    }
}

/// As [`specificity`] has it.
type Specificity = (usize, usize);

/// Deployments that share a key, as pools in the order of first appearance.
fn pools(config: &Config, key: &dyn Fn(&Deployment) -> Option<Arc<str>>) -> Vec<(Arc<str>, Pool)> {
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    let mut members: Vec<(Arc<str>, Vec<usize>)> = Vec::new();
    for (index, deployment) in config.deployments.iter().enumerate() {
        let Some(name) = key(deployment) else { continue };
        let place = *places.entry(Arc::clone(&name)).or_insert(members.len());
        match members.get_mut(place) {
            Some((_, members)) => members.push(index),
            None => members.push((name, vec![index])),
        }
    }
    members.into_iter().map(|(name, members)| (name, Pool::new(config, members))).collect()
}

/// The deployments of all groups that a routing group names, but for those of wildcards: the routing group's name says
/// nothing about the model to ask them for.
fn routing_group(config: &Config, group: &RoutingGroup) -> (Arc<str>, Pool) {
    let of_group = |(index, deployment): (usize, &Deployment)| {
        (group.models.contains(&deployment.group) && !deployment.model.contains('*')).then_some(index)
    };
    let members: Vec<usize> = config.deployments.iter().enumerate().filter_map(of_group).collect();
    let priority = |index: &usize| {
        let of_group = &config.deployments.get(*index)?.group;
        group.priorities.iter().find(|(model, _)| model == of_group).map(|(_, priority)| *priority)
    };
    let priorities: Option<Vec<i64>> = members.iter().map(priority).collect();
    let pool = Pool::new(config, members);
    let priorities = priorities.filter(|l| !l.is_empty()).or(pool.priorities.clone());
    (Arc::clone(&group.name), Pool { label: Arc::clone(&group.name), priorities, ..pool })
}

/// How a deployment of this group is picked: as its routing group says, or as all are.
pub fn strategy<'c>(config: &'c Config, group: &str) -> (Strategy, &'c StrategyArgs) {
    let is_own =
        |own: &&RoutingGroup| own.priorities.is_empty() && own.models.iter().any(|model| **model == *group);
    let own = config.router.routing_groups.iter().find(is_own);
    own.map_or((config.router.strategy, &config.router.strategy_args), |own| {
        (own.strategy, &own.strategy_args)
    })
}

/// Whether tags are filtered by: as a deployment of the group says, and if two say otherwise, they are; else as the
/// file does.
fn tag_filtering<'a>(config: &Config, deployments: impl Iterator<Item = &'a Deployment>) -> bool {
    deployments.filter_map(|deployment| deployment.tag_filtering).max().unwrap_or(config.router.tag_filtering)
}

impl Pool {
    fn new(config: &Config, members: Vec<usize>) -> Self {
        let deployments = || members.iter().filter_map(|index| config.deployments.get(*index));
        let weights: Vec<Weights> = deployments().map(Weights::of).collect();
        let label = deployments().next().map_or_else(|| Arc::from(""), |first| Arc::clone(&first.group));
        let (strategy, args) = strategy(config, &label);
        Self {
            label,
            shuffle: SimpleShuffle::new(&weights),
            strategy,
            args: args.clone(),
            priorities: deployments()
                .any(|deployment| deployment.order.is_some())
                .then(|| deployments().map(|deployment| deployment.order.unwrap_or(i64::MAX)).collect()),
            tag_filtering: tag_filtering(config, deployments()),
            partial: Vec::new(),
            smallest_tpm: smallest_tpm(config, deployments()),
            starred: Vec::new(),
            by_id: false,
            looks: Rotation::default(),
            members,
        }
    }

    /// The priority level of the member at this place; lower ones are used first, and members without one last.
    pub fn priority_at(&self, place: usize) -> i64 {
        self.priorities.as_ref().and_then(|priorities| priorities.get(place).copied()).unwrap_or(i64::MAX)
    }

    /// The priority level of a deployment of the pool.
    pub fn priority_of(&self, index: usize) -> i64 {
        let place = self.members.iter().position(|member| *member == index);
        place.map_or(i64::MAX, |place| self.priority_at(place))
    }

    fn counts_tokens(&self) -> bool {
        self.smallest_tpm.is_some() || self.strategy == Strategy::UsageBased
    }

    /// The same with what it has to know about routes that some members lack, and about stars in their models.
    fn finished(mut self, config: &Config) -> Arc<Self> {
        let models = self.members.iter().filter_map(|index| Some(&config.deployments.get(*index)?.model));
        let starred: BTreeSet<&String> = models.filter(|model| model.contains('*')).collect();
        self.starred = starred.into_iter().cloned().collect();
        let layouts: Vec<Layout> = self.members.iter().filter_map(|index| layout(config, *index)).collect();
        if layouts.iter().any(|layout| *layout != Layout::OpenAi) {
            self.partial =
                MODEL_ROUTES.iter().filter_map(|route| self.lacking(config, route.suffix)).collect();
        }
        Arc::new(self)
    }

    /// A route, if some members lack it, with those that have it.
    fn lacking(&self, config: &Config, route: &'static str) -> Option<(&'static str, Option<Arc<Self>>)> {
        let has = |place: &usize| {
            let index = self.members.get(*place).copied();
            index.and_then(|index| layout(config, index)).is_some_and(|layout| paths::serves(layout, route))
        };
        let places: Vec<usize> = (0..self.members.len()).filter(has).collect();
        match places.len() {
            0 => Some((route, None)),
            all if all == self.members.len() => None,
            _ => Some((route, Some(Arc::new(self.only(config, &places))))),
        }
    }

    /// The same pool with the members at these places alone.
    fn only(&self, config: &Config, places: &[usize]) -> Self {
        let members: Vec<usize> =
            places.iter().filter_map(|place| self.members.get(*place).copied()).collect();
        let deployments = || members.iter().filter_map(|index| config.deployments.get(*index));
        let weights: Vec<Weights> = deployments().map(Weights::of).collect();
        let priorities = self.priorities.as_ref();
        Self {
            smallest_tpm: smallest_tpm(config, deployments()),
            shuffle: SimpleShuffle::new(&weights),
            priorities: priorities
                .map(|all| places.iter().filter_map(|place| all.get(*place).copied()).collect()),
            members,
            ..self.clone()
        }
    }

    /// The members that serve a route; `None` if none does.
    pub fn serving(self: &Arc<Self>, route: &str) -> Option<Arc<Self>> {
        match self.partial.iter().find(|(partial, _)| *partial == route) {
            Some((_, some)) => some.clone(),
            None => Some(Arc::clone(self)),
        }
    }
}

fn smallest_tpm<'c>(config: &Config, deployments: impl Iterator<Item = &'c Deployment>) -> Option<u64> {
    let limits = deployments.filter_map(|deployment| deployment.tpm);
    limits.filter(|tpm| *tpm > 0 && !config.router.soft_limits).min()
}

fn layout(config: &Config, index: usize) -> Option<Layout> {
    config.deployments.get(index).map(|deployment| deployment.endpoint.layout)
}
