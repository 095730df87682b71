//! The deployments behind one name, prepared for selection.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use llm_balancer_config::{Affinity, Config, Deployment, Layout, RoutingGroup, Strategy, StrategyArgs, Wire};

use crate::http::route::{RESPONSES, model_routes, wire};
use crate::state::rotation::Rotation;
use crate::strategy::simple_shuffle::{SimpleShuffle, Weights};
use crate::upstream::paths;

/// The deployments behind one name, by their indices in the configuration.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The group, as the file names it: of a wildcard its pattern, of an id the group of that
    /// deployment.
    pub label: Arc<str>,
    /// The name of its [partition](crate::affinity): the label, and where it has only the members that
    /// serve a route, that.
    pub partition: Arc<str>,
    /// The deployments, in the order of the file.
    pub members: Vec<usize>,
    /// simple-shuffle's prepared draw from all members.
    pub shuffle: SimpleShuffle,
    /// The strategy that picks one of them.
    pub strategy: Strategy,
    /// The arguments of the strategy.
    pub args: StrategyArgs,
    /// The priority level (`order`) of each member, if any has one; members without one come last
    /// (BEHAVIOUR 3.10).
    pub priorities: Option<Vec<i64>>,
    /// Which requests should go to the same member again. None if there is only one member.
    pub affinity: Affinity,
    /// Whether members are filtered by the tags of a request.
    pub tag_filtering: bool,
    /// The routes that some member's provider lacks, each with a pool of the other members, if
    /// there are any. Empty where every member has all of OpenAI's routes and none of Anthropic's.
    pub partial: Vec<(&'static str, Option<Arc<Pool>>)>,
    /// The smallest tpm of any member; `None` if no member has a hard limit of tokens.
    pub smallest_tpm: Option<u64>,
    /// The smallest `max_input_tokens` of any member, if prompts are compared with it.
    pub smallest_context: Option<u64>,
    /// Whether it has members that serve OpenAI's models alone (`infers_provider`).
    pub infers_provider: bool,
    /// The models of members with stars in them, each once.
    pub starred: Vec<String>,
    /// Whether the client named a deployment by its id, which ignores cooldown, order and tags
    /// (BEHAVIOUR 2.1).
    pub by_id: bool,
    /// Whether requests are served whatever the limits of rpm, tpm and parallel requests, and change
    /// nothing of them: they are about stored responses, and take no tokens.
    pub is_uncounted: bool,
    /// Whether it was made for single requests, so that no shortcut is prepared for it.
    pub is_view: bool,
    /// The member whose record is re-read next.
    pub refresh_cursor: Rotation,
}

/// A pool for each key, with the deployments that share it, in the order of first appearance.
pub(super) fn pools(config: &Config, key: &dyn Fn(&Deployment) -> Option<Arc<str>>) -> Vec<(Arc<str>, Pool)> {
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

/// Whether a deployment is one of a routing group: of all groups that this names, except those with
/// stars in their models, which the routing group's name does not fill.
pub(super) fn is_member(group: &RoutingGroup, deployment: &Deployment) -> bool {
    group.models.contains(&deployment.group) && !deployment.model.contains('*')
}

pub(super) fn routing_group(config: &Config, group: &RoutingGroup) -> (Arc<str>, Pool) {
    let of_group = |(index, deployment): (usize, &Deployment)| is_member(group, deployment).then_some(index);
    let members: Vec<usize> = config.deployments.iter().enumerate().filter_map(of_group).collect();
    let priority = |index: &usize| {
        let of_group = &config.deployments.get(*index)?.group;
        group.priorities.iter().find(|(model, _)| model == of_group).map(|(_, priority)| *priority)
    };
    let priorities: Option<Vec<i64>> = members.iter().map(priority).collect();
    let pool = Pool::new(config, members);
    let priorities = priorities.filter(|l| !l.is_empty()).or(pool.priorities.clone());
    let label = Arc::clone(&group.name);
    (Arc::clone(&label), Pool { partition: Arc::clone(&label), label, priorities, ..pool })
}

/// The deployments that have the route of responses, for requests about stored ones; `None` if
/// there are none.
pub(super) fn of_stored_responses(config: &Config) -> Option<Arc<Pool>> {
    let all = 0..config.deployments.len();
    let serves = |index: &usize| layout(config, *index).is_some_and(|own| paths::serves(own, RESPONSES));
    let pool = Pool::new(config, all.filter(serves).collect());
    let pool = Pool { is_view: true, by_id: true, is_uncounted: true, priorities: None, ..pool };
    let pool = Pool { strategy: Strategy::SimpleShuffle, label: Arc::from(""), ..pool };
    (!pool.members.is_empty()).then(|| Arc::new(pool))
}

/// Whether two deployments have the same account at the same provider, so that each knows the
/// responses that the other has made.
pub fn share_account(one: &Deployment, other: &Deployment) -> bool {
    let responses = |deployment: &Deployment| paths::path(&deployment.endpoint, RESPONSES, "");
    one.endpoint.authority == other.endpoint.authority
        && one.credential == other.credential
        && one.headers == other.headers
        && responses(one) == responses(other)
}

/// The strategy of a group: that of its routing group, else the router's.
pub fn strategy<'c>(config: &'c Config, group: &str) -> (Strategy, &'c StrategyArgs) {
    let is_own =
        |own: &&RoutingGroup| own.priorities.is_empty() && own.models.iter().any(|model| **model == *group);
    let own = config.router.routing_groups.iter().find(is_own);
    own.map_or((config.router.strategy, &config.router.strategy_args), |own| {
        (own.strategy, &own.strategy_args)
    })
}

/// Whether deployments are filtered by tags: if any of them sets it; if none sets it either way, as
/// the router does.
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
            partition: Arc::clone(&label),
            label,
            shuffle: SimpleShuffle::new(&weights),
            strategy,
            args: args.clone(),
            priorities: deployments()
                .any(|deployment| deployment.order.is_some())
                .then(|| deployments().map(|deployment| deployment.order.unwrap_or(i64::MAX)).collect()),
            affinity: affinity(deployments()),
            tag_filtering: tag_filtering(config, deployments()),
            partial: Vec::new(),
            smallest_tpm: smallest_tpm(config, deployments()),
            smallest_context: smallest_context(config, deployments()),
            infers_provider: deployments().any(|deployment| deployment.infers_provider),
            starred: Vec::new(),
            by_id: false,
            is_uncounted: false,
            is_view: false,
            refresh_cursor: Rotation::default(),
            members,
        }
    }

    /// The priority level of the member at this place; lower ones are used first, and members
    /// without one last.
    pub fn priority_at(&self, place: usize) -> i64 {
        self.priorities.as_ref().and_then(|priorities| priorities.get(place).copied()).unwrap_or(i64::MAX)
    }

    /// The first of several priority levels.
    pub fn first_of_levels(&self) -> Option<i64> {
        let levels = self.priorities.as_deref()?;
        let first = *levels.iter().min()?;
        levels.iter().any(|level| *level != first).then_some(first)
    }

    /// The members of the first priority level.
    pub fn first_level(&self) -> impl Iterator<Item = usize> + Clone {
        let first = self.priorities.as_ref().and_then(|levels| levels.iter().min().copied());
        let is_first = move |place: &usize| first.is_none_or(|first| self.priority_at(*place) == first);
        self.members
            .iter()
            .copied()
            .enumerate()
            .filter_map(move |(place, index)| is_first(&place).then_some(index))
    }

    /// The priority level of a deployment of the pool.
    pub fn priority_of(&self, index: usize) -> i64 {
        // Members are in the order of the file.
        self.members.binary_search(&index).map_or(i64::MAX, |place| self.priority_at(place))
    }

    /// Whether a selection from the pool depends on the tokens that requests take.
    pub(super) fn counts_tokens(&self) -> bool {
        self.smallest_tpm.is_some()
            || self.smallest_context.is_some()
            || self.strategy == Strategy::UsageBased
    }

    /// The same, with the routes that some members lack and the stars in their models.
    pub(super) fn finished(mut self, config: &Config) -> Arc<Self> {
        let models = self.members.iter().filter_map(|index| Some(&config.deployments.get(*index)?.model));
        // Not collected, which would add a sort to the filter.
        let mut starred = BTreeSet::new();
        starred.extend(models.filter(|model| model.contains('*')));
        self.starred = starred.into_iter().cloned().collect();
        let layouts: Vec<Layout> = self.members.iter().filter_map(|index| layout(config, *index)).collect();
        if layouts.iter().any(|layout| *layout != Layout::OpenAi) {
            self.partial = model_routes().filter_map(|route| self.lacking(config, route.suffix)).collect();
        }
        Arc::new(self)
    }

    /// A route, if some members lack it, with a pool of those that have it.
    fn lacking(&self, config: &Config, route: &'static str) -> Option<(&'static str, Option<Arc<Self>>)> {
        let has = |place: &usize| {
            let index = self.members.get(*place).copied();
            index.and_then(|index| layout(config, index)).is_some_and(|layout| paths::serves(layout, route))
        };
        let places: Vec<usize> = (0..self.members.len()).filter(has).collect();
        match places.len() {
            0 => Some((route, None)),
            all if all == self.members.len() => None,
            _ => {
                let partition = self.partition_of(route);
                Some((route, Some(Arc::new(Self { partition, ..self.only(config, &places) }))))
            }
        }
    }

    /// The partition of some of the members, named by what they have in common.
    pub(super) fn partition_of(&self, some: &str) -> Arc<str> {
        // No name has a line break in it.
        format!("{}\n{some}", self.partition).into()
    }

    /// The same pool with the members at these places alone.
    fn only(&self, config: &Config, places: &[usize]) -> Self {
        let members: Vec<usize> =
            places.iter().filter_map(|place| self.members.get(*place).copied()).collect();
        let deployments = || members.iter().filter_map(|index| config.deployments.get(*index));
        let weights: Vec<Weights> = deployments().map(Weights::of).collect();
        let priorities = self.priorities.as_ref();
        Self {
            affinity: affinity(deployments()),
            smallest_tpm: smallest_tpm(config, deployments()),
            smallest_context: smallest_context(config, deployments()),
            shuffle: SimpleShuffle::new(&weights),
            priorities: priorities
                .map(|all| places.iter().filter_map(|place| all.get(*place).copied()).collect()),
            members,
            ..self.clone()
        }
    }

    /// The members at these places, for one request; `None` if there are none.
    pub fn view(&self, config: &Config, places: &[usize]) -> Option<Self> {
        (!places.is_empty()).then(|| Self { is_view: true, ..self.only(config, places) })
    }

    /// The same for a request that only some deployments can answer, and perhaps none of those that
    /// do not cool down: cooldown and order do not exclude any.
    pub fn view_of_origins(&self, config: &Config, places: &[usize]) -> Option<Arc<Self>> {
        let view = self.view(config, places)?;
        Some(Arc::new(Self { by_id: true, priorities: None, ..view }))
    }

    /// The pool of members that serve a route; `None` if none does.
    pub fn serving(self: &Arc<Self>, route: &str) -> Option<Arc<Self>> {
        match self.partial.iter().find(|(partial, _)| *partial == route) {
            Some((_, some)) => some.clone(),
            None if self.partial.is_empty() && wire(route) == Wire::Anthropic => None,
            None => Some(Arc::clone(self)),
        }
    }
}

/// That of the first deployment: it is the same in the whole group.
fn affinity<'c>(mut deployments: impl Iterator<Item = &'c Deployment>) -> Affinity {
    let first = deployments.next().map(|deployment| deployment.affinity);
    first.filter(|_| deployments.next().is_some()).unwrap_or_default()
}

fn smallest_tpm<'c>(config: &Config, deployments: impl Iterator<Item = &'c Deployment>) -> Option<u64> {
    let limits = deployments.filter_map(|deployment| deployment.tpm);
    limits.filter(|tpm| *tpm > 0 && !config.router.soft_limits).min()
}

fn smallest_context<'c>(
    config: &Config,
    mut deployments: impl Iterator<Item = &'c Deployment>,
) -> Option<u64> {
    let all = || deployments.by_ref().filter_map(|deployment| deployment.max_input_tokens).min();
    config.router.pre_call_checks.then(all).flatten()
}

fn layout(config: &Config, index: usize) -> Option<Layout> {
    config.deployments.get(index).map(|deployment| deployment.endpoint.layout)
}
