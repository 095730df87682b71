//! Gauges of deployments, by their records. One worker publishes them for all.
//!
//! The leader renews its claim every second; another worker takes over when that stops. During a
//! reload, two configurations live in every VM: the one of the lower generation first sets all of
//! its gauges to zero, and a second later leaves the lead to the other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use llm_balancer_config::{Config, Deployment, names};

use crate::http::retry_after::whole_seconds;
use crate::models::groups::Groups;
use crate::state::deployment_states::DeploymentStates;
use crate::state::format;
use crate::state::membership::Membership;
use crate::state::quota::QuotaMode;
use crate::state::store::{self, Store};
use crate::state::time::UnixMillis;
use crate::telemetry::metrics::{Metrics, series};

/// Key of [`Leadership`] in the store.
const KEY: &str = "gauges";
/// A claim of this age has ended.
const CLAIM: Duration = Duration::from_secs(3);
/// Deployments that are published in one second, at a microsecond for each gauge.
const BATCH: usize = 1_000;
/// Of those, deployments that Envoy does not know, at 80 microseconds for each gauge: Envoy searches
/// a new name for every label, and nothing else happens on its thread meanwhile.
const NEW: usize = 200;

/// The gauges of a deployment: limits and what remains of them are of this minute.
const GAUGES: [&str; 6] = [
    "cooling_down", "cooldown_end_timestamp_seconds", "limit_requests", "remaining_requests", "limit_tokens",
    "remaining_tokens",
];

type Values = [Option<u64>; GAUGES.len()];

/// What was last published of a deployment.
#[derive(Clone, Debug)]
struct Published {
    values: Values,
    /// Whether `deployment_info` has it.
    has_info: bool,
}

/// One worker's part in the publication.
#[derive(Debug, Default)]
pub struct GaugePublisher {
    /// The number of this configuration, from 1; 0 before it is known.
    generation: u32,
    /// Identifies this worker.
    own: u64,
    leads: bool,
    /// Of each deployment, its share of the group's requests by its weight; as [`Groups::weights`].
    /// Empty for a worker that does not lead.
    weights: Vec<Option<f64>>,
    /// What was last published of each deployment; empty for a worker that does not lead.
    published: Vec<Published>,
    /// Index of the deployment that is next.
    next: usize,
}

/// Which worker publishes; shared by all of them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Leadership {
    /// The newest configuration's.
    generation: u32,
    /// The newest configuration's.
    fingerprint: u64,
    /// 0 for none.
    leader: u64,
    /// When the leader last renewed its claim.
    renewed_at: UnixMillis,
}

/// What an election means for a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Election {
    Leads,
    Follows,
    /// It has led, and there is a newer configuration.
    Resigns,
}

impl GaugePublisher {
    /// Registers this worker and its configuration. Without a number, a configuration with another
    /// fingerprint than the last begins a new generation. Returns the generation.
    pub fn open(&mut self, number: Option<u32>, fingerprint: u64, own: u64, store: &dyn Store) -> u32 {
        let generation = store::change(store, KEY, |bytes| {
            let mut shared = bytes.and_then(format::decode::<Leadership>).unwrap_or_default();
            let is_new = shared.fingerprint != fingerprint || shared.generation == 0;
            let own = number.unwrap_or_else(|| shared.generation.saturating_add(u32::from(is_new)));
            if own >= shared.generation {
                (shared.generation, shared.fingerprint) = (own, fingerprint);
            }
            Some((format::encode(&shared), own))
        });
        (self.generation, self.own) = (generation.unwrap_or(1), own);
        self.generation
    }

    /// Publishes the gauges that have changed, if this worker leads; to be called once a second.
    pub fn publish(
        &mut self,
        config: &Config,
        groups: &Groups,
        states: &mut DeploymentStates,
        metrics: &mut Metrics,
        now: Duration,
        store: &dyn Store,
    ) {
        match self.elect(now, store) {
            Election::Leads => {}
            // Another worker publishes only after these zeros were flushed.
            Election::Resigns if self.leads => return self.clear(config, metrics),
            Election::Resigns => return self.resign(store),
            Election::Follows => return self.leads = false,
        }
        let begins = !std::mem::replace(&mut self.leads, true);
        if begins {
            self.begin(config, groups, metrics);
        }
        let has_redis = config.redis.is_some();
        if has_redis || begins {
            publish_fleet(states.read_membership(now, store), has_redis, now, metrics);
        }
        let mut new = 0_usize;
        for _ in 0..config.deployments.len().min(BATCH) {
            let index = self.next;
            new = new.saturating_add(usize::from(!self.published.get(index).is_some_and(|it| it.has_info)));
            if new > NEW {
                break;
            }
            self.next = index.wrapping_add(1).checked_rem(config.deployments.len()).unwrap_or_default();
            states.read(index, store);
            self.publish_deployment(index, config, states, metrics, now);
        }
    }

    /// Nothing is published of any deployment yet.
    fn begin(&mut self, config: &Config, groups: &Groups, metrics: &mut Metrics) {
        // In large configurations, zeros are published only after other values.
        let unknown = if config.deployments.len() > BATCH { Some(0) } else { None };
        let nothing = Published { values: [unknown; GAUGES.len()], has_info: false };
        self.published = vec![nothing; config.deployments.len()];
        self.weights = groups.weights(config);
        metrics.gauge(series("config_revision", &[]), u64::from(self.generation));
        metrics.gauge(series(names::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))]), 1);
    }

    fn publish_deployment(
        &mut self,
        index: usize,
        config: &Config,
        states: &DeploymentStates,
        metrics: &mut Metrics,
        now: Duration,
    ) {
        let weight = self.weight(index);
        let (Some(deployment), Some(published)) =
            (config.deployments.get(index), self.published.get_mut(index))
        else {
            return;
        };
        if !std::mem::replace(&mut published.has_info, true) {
            metrics.gauge(info(deployment, weight), 1);
        }
        let Some((record, limits)) = states.record(index) else { return };
        let window = record.window.at(now);
        let remaining = |limit: Option<u64>, used: u64| limit.map(|limit| limit.saturating_sub(used));
        let cooldown = record.cooldown.active_until(now);
        let values = [
            Some(u64::from(cooldown.is_some())),
            cooldown.map(whole_seconds),
            limits.rpm,
            remaining(limits.rpm, u64::from(window.requests)),
            limits.tpm,
            remaining(limits.tpm, window.tokens),
        ];
        for ((gauge, value), published) in GAUGES.into_iter().zip(values).zip(&mut published.values) {
            if let Some(new) = value.filter(|_| *published != value) {
                *published = value;
                metrics.gauge(series(gauge, &labels(deployment)), new);
            }
        }
    }

    /// Claims the lead, or renews the claim, where this worker may have it.
    fn elect(&self, now: Duration, store: &dyn Store) -> Election {
        let election = store::change(store, KEY, |bytes| {
            let mut shared = bytes.and_then(format::decode::<Leadership>)?;
            let is_own = shared.leader == self.own;
            let is_vacant = shared.leader == 0 || shared.renewed_at.distance(now) >= CLAIM;
            let is_newest = shared.generation == self.generation;
            let election = if is_newest && (is_own || is_vacant) {
                Election::Leads
            } else if !is_newest && is_own {
                Election::Resigns
            } else {
                return None;
            };
            (shared.leader, shared.renewed_at) = (self.own, UnixMillis::of(now));
            Some((format::encode(&shared), election))
        });
        election.unwrap_or(Election::Follows)
    }

    /// The end of this configuration on this worker. Returns whether it has led until now: then the
    /// metrics are to be flushed before it [resigns](Self::resign).
    pub fn close(&mut self, config: &Config, metrics: &mut Metrics) -> bool {
        let led = self.leads;
        if led {
            self.clear(config, metrics);
        }
        led
    }

    /// Leaves the lead to another worker.
    pub fn resign(&self, store: &dyn Store) {
        store::change(store, KEY, |bytes| {
            let mut shared =
                bytes.and_then(format::decode::<Leadership>).filter(|shared| shared.leader == self.own)?;
            shared.leader = 0;
            Some((format::encode(&shared), ()))
        });
    }

    /// Sets all gauges to zero that it has published.
    fn clear(&mut self, config: &Config, metrics: &mut Metrics) {
        self.leads = false;
        let published = std::mem::take(&mut self.published);
        for (index, (published, deployment)) in published.into_iter().zip(&config.deployments).enumerate() {
            let values = GAUGES.into_iter().zip(published.values);
            for (gauge, _) in values.filter(|(_, value)| value.is_some_and(|value| value > 0)) {
                metrics.gauge(series(gauge, &labels(deployment)), 0);
            }
            if published.has_info {
                metrics.gauge(info(deployment, self.weight(index)), 0);
            }
        }
        self.weights = Vec::new();
    }

    fn weight(&self, index: usize) -> Option<f64> {
        self.weights.get(index).copied().flatten()
    }
}

fn labels(deployment: &Deployment) -> [(&'static str, &str); 2] {
    [("group", &deployment.group), ("deployment", &deployment.id)]
}

/// The series that is 1 for every deployment of the file.
fn info(deployment: &Deployment, weight: Option<f64>) -> String {
    let [group, id] = labels(deployment);
    let model = ("model", &*deployment.litellm_model);
    let api_base = ("api_base", &*deployment.endpoint.display_url);
    let weight = weight.map(four_digits).unwrap_or_default();
    series("deployment_info", &[group, id, model, api_base, ("weight", &weight)])
}

/// A share from 0 to 1: `0.0041`
fn four_digits(share: f64) -> String {
    let parts = (share * 10_000.0).round() as u32;
    format!("{}.{:04}", parts / 10_000, parts % 10_000)
}

/// Without Redis zeros, if a configuration before this one had it.
fn publish_fleet(membership: Membership, has_redis: bool, now: Duration, metrics: &mut Metrics) {
    if !has_redis {
        if membership.instance == 0 {
            return;
        }
        metrics.gauge(series("redis_up", &[]), 0);
    }
    if let QuotaMode::Shared { instances, .. } = membership.quota_mode(now) {
        metrics.gauge(series("instances", &[]), if has_redis { u64::from(instances) } else { 0 });
    }
    for (mode, is_on) in [("shared", !membership.is_redis_down), ("local", membership.is_redis_down)] {
        metrics.gauge(series("redis_mode", &[("mode", mode)]), u64::from(is_on && has_redis));
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;
    use crate::state::store::Memory;

    const NOON: Duration = Duration::from_secs(1_740_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn publisher(fingerprint: u64, own: u64, store: &Memory) -> GaugePublisher {
        let mut publisher = GaugePublisher::default();
        publisher.open(None, fingerprint, own, store);
        publisher
    }

    fn elections(one: &GaugePublisher, two: &GaugePublisher, now: Duration, store: &Memory) -> [Election; 2] {
        [one.elect(now, store), two.elect(now, store)]
    }

    #[test]
    fn one_worker_leads_and_another_takes_over_when_it_stops() {
        let store = Memory::default();
        let (one, two) = (publisher(7, 1, &store), publisher(7, 2, &store));
        assert_eq!((one.generation, two.generation), (1, 1));
        assert_eq!([one.elect(NOON, &store), two.elect(NOON, &store)], [Election::Leads, Election::Follows]);
        let later = NOON + 2 * SECOND;
        assert_eq!(
            [two.elect(later, &store), one.elect(later, &store)],
            [Election::Follows, Election::Leads]
        );
        let later = later + 3 * SECOND;
        assert_eq!(
            [two.elect(later, &store), one.elect(later, &store)],
            [Election::Leads, Election::Follows]
        );
    }

    #[test]
    fn the_next_generation_leads_when_the_last_one_has_resigned() {
        let store = Memory::default();
        let old = publisher(7, 1, &store);
        assert_eq!(old.elect(NOON, &store), Election::Leads);
        let new = publisher(8, 2, &store);
        assert_eq!(new.generation, 2);
        assert_eq!(elections(&new, &old, NOON, &store), [Election::Follows, Election::Resigns]);
        assert_eq!(elections(&new, &old, NOON, &store), [Election::Follows, Election::Resigns], "not yet");
        old.resign(&store);
        assert_eq!(elections(&new, &old, NOON, &store), [Election::Leads, Election::Follows]);
    }

    #[test]
    fn a_configuration_that_comes_back_is_a_new_one_where_they_are_numbered() {
        let store = Memory::default();
        let numbered = |number, fingerprint, own| {
            let mut publisher = GaugePublisher::default();
            (publisher.open(Some(number), fingerprint, own, &store), publisher)
        };
        let (first, second, third) = (numbered(1, 7, 1), numbered(2, 8, 2), numbered(3, 7, 3));
        assert_eq!([first.0, second.0, third.0], [1, 2, 3]);
        // A worker that starts with an old configuration does not lead.
        assert_eq!(numbered(1, 7, 4).0, 1);
        assert_eq!(elections(&third.1, &first.1, NOON, &store), [Election::Leads, Election::Follows]);
    }
}
