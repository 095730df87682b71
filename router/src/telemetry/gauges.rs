//! The gauges: what stands in the records of the deployments, shown to those who watch by one worker for all.
//!
//! One VM leads, as long as it says so every second; another takes over when it falls silent. During a reload two configurations
//! live in every VM: the one with the lower generation shows zeros in the place of all that it has shown, and a second later it
//! leaves the rest to the other.

use std::time::Duration;

use llm_balancer_config::Config;

use crate::state::deployment_states::DeploymentStates;
use crate::state::lease::QuotaMode;
use crate::state::membership::Membership;
use crate::state::record::{Decoder, Encoder, milliseconds};
use crate::state::store::{self, Store};
use crate::telemetry::metrics::{Metrics, series};

/// Where the shared part is kept.
const KEY: &str = "watch";
/// A leader that was silent for so long has gone.
const SILENCE: u64 = 3_000;
/// Deployments that are looked at in one second, at a microsecond each.
const MOST: usize = 1_000;

/// What is shown of a deployment: whether it sits out, and limit and remainder of requests and tokens in this minute.
const SHOWN: [&str; 5] =
    ["cooling_down", "limit_requests", "remaining_requests", "limit_tokens", "remaining_tokens"];

/// One worker's part.
#[derive(Debug, Default)]
pub struct GaugePublisher {
    /// Which configuration this is, counted from 1; 0 before it is known.
    generation: u32,
    /// Tells this worker from all others.
    own: u64,
    leads: bool,
    /// What was last shown of each deployment; empty for a worker that does not lead.
    shown: Vec<[Option<u64>; SHOWN.len()]>,
    next: usize,
}

/// What all workers share.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    generation: u32,
    /// Of the configuration that is served.
    fingerprint: u64,
    leader: u64,
    /// When it last said so, in milliseconds since the Unix epoch.
    at: u64,
}

/// What a worker has to do with the gauges now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Leads,
    Follows,
    /// It has led, and another configuration is served now.
    Resigns,
}

impl GaugePublisher {
    /// Takes part, as this worker, with the configuration of this number; where configurations have no numbers, any with another
    /// fingerprint than the last begins a new generation. Returns which one it is.
    pub fn open(&mut self, number: Option<u32>, fingerprint: u64, own: u64, store: &dyn Store) -> u32 {
        let generation = store::change(store, KEY, |bytes| {
            let mut shared = bytes.and_then(Shared::decode).unwrap_or_default();
            let is_new = shared.fingerprint != fingerprint || shared.generation == 0;
            let own = number.unwrap_or_else(|| shared.generation.saturating_add(u32::from(is_new)));
            if own >= shared.generation {
                (shared.generation, shared.fingerprint) = (own, fingerprint);
            }
            Some((shared.encode(), own))
        });
        (self.generation, self.own) = (generation.unwrap_or(1), own);
        self.generation
    }

    /// Shows what there is to show; to be called once a second.
    pub fn show(
        &mut self,
        config: &Config,
        states: &mut DeploymentStates,
        metrics: &mut Metrics,
        now: Duration,
        store: &dyn Store,
    ) {
        match self.role(now, store) {
            Role::Leads => {}
            // The zeros are handed in before somebody else shows what is true.
            Role::Resigns if self.leads => return self.clear(config, metrics),
            Role::Resigns => return self.resign(store),
            Role::Follows => return self.leads = false,
        }
        if !std::mem::replace(&mut self.leads, true) {
            self.begin(config, metrics);
        }
        if config.redis.is_some() {
            show_the_fleet(states.read_membership(now, store), now, metrics);
        }
        for _ in 0..config.deployments.len().min(MOST) {
            let index = self.next;
            self.next = index.wrapping_add(1).checked_rem(config.deployments.len()).unwrap_or_default();
            states.read(index, store);
            self.show_one(index, config, states, metrics, now);
        }
    }

    /// The gauges that stay as they are.
    fn begin(&mut self, config: &Config, metrics: &mut Metrics) {
        // Decoder large configurations only what happens is shown, for nobody reads ten thousand zeros.
        let unknown = if config.deployments.len() > MOST { Some(0) } else { None };
        self.shown = vec![[unknown; SHOWN.len()]; config.deployments.len()];
        metrics.gauge(series("config_revision", &[]), u64::from(self.generation));
        info(config, metrics, 1);
    }

    fn show_one(
        &mut self,
        index: usize,
        config: &Config,
        states: &DeploymentStates,
        metrics: &mut Metrics,
        now: Duration,
    ) {
        let (Some((record, terms)), Some(deployment), Some(shown)) =
            (states.seen(index), config.deployments.get(index), self.shown.get_mut(index))
        else {
            return;
        };
        let window = record.window.at(now);
        let left = |limit: Option<u64>, used: u64| limit.map(|limit| limit.saturating_sub(used));
        let values = [
            Some(u64::from(record.cooldown.at(now).is_some())),
            terms.rpm,
            left(terms.rpm, u64::from(window.requests)),
            terms.tpm,
            left(terms.tpm, window.tokens),
        ];
        for ((what, value), shown) in SHOWN.into_iter().zip(values).zip(shown) {
            if value.is_some() && *shown != value {
                *shown = value;
                let labels = [("group", &*deployment.group), ("deployment", &*deployment.id)];
                metrics.gauge(series(what, &labels), value.unwrap_or_default());
            }
        }
    }

    fn role(&self, now: Duration, store: &dyn Store) -> Role {
        let now = milliseconds(now);
        let role = store::change(store, KEY, |bytes| {
            let mut shared = bytes.and_then(Shared::decode)?;
            let is_own = shared.leader == self.own;
            let role = match shared.generation == self.generation {
                true if is_own || shared.leader == 0 || now.abs_diff(shared.at) >= SILENCE => Role::Leads,
                false if is_own => Role::Resigns,
                _ => return None,
            };
            (shared.leader, shared.at) = (self.own, now);
            Some((shared.encode(), role))
        });
        role.unwrap_or(Role::Follows)
    }

    /// The end of this configuration on this worker. Says whether it has led until now, so that there is something to hand in
    /// before it [resigns](Self::resign).
    pub fn close(&mut self, config: &Config, metrics: &mut Metrics) -> bool {
        let led = self.leads;
        if led {
            self.clear(config, metrics);
        }
        led
    }

    /// Leaves it to somebody else.
    pub fn resign(&self, store: &dyn Store) {
        store::change(store, KEY, |bytes| {
            let mut shared = bytes.and_then(Shared::decode).filter(|shared| shared.leader == self.own)?;
            shared.leader = 0;
            Some((shared.encode(), ()))
        });
    }

    /// Zeros in the place of all that it has shown.
    fn clear(&mut self, config: &Config, metrics: &mut Metrics) {
        self.leads = false;
        for (shown, deployment) in std::mem::take(&mut self.shown).into_iter().zip(&config.deployments) {
            for (what, _) in SHOWN.into_iter().zip(shown).filter(|(_, value)| value.is_some_and(|v| v > 0)) {
                let labels = [("group", &*deployment.group), ("deployment", &*deployment.id)];
                metrics.gauge(series(what, &labels), 0);
            }
        }
        info(config, metrics, 0);
    }
}

/// What a deployment's id stands for.
fn info(config: &Config, metrics: &mut Metrics, value: u64) {
    for deployment in &config.deployments {
        let labels = [
            ("group", &*deployment.group),
            ("deployment", &*deployment.id),
            ("model", &*deployment.litellm_model),
            ("api_base", &*deployment.endpoint.display_url),
        ];
        metrics.gauge(series("deployment_info", &labels), value);
    }
}

fn show_the_fleet(membership: Membership, now: Duration, metrics: &mut Metrics) {
    if let QuotaMode::Shared { instances, .. } = membership.quota_mode(now) {
        metrics.gauge(series("instances", &[]), u64::from(instances));
    }
    for (mode, is_on) in [("shared", !membership.is_redis_down), ("local", membership.is_redis_down)] {
        metrics.gauge(series("redis_mode", &[("mode", mode)]), u64::from(is_on));
    }
}

impl Shared {
    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder(Vec::with_capacity(28));
        out.u32(self.generation);
        out.u64(self.fingerprint);
        out.u64(self.leader);
        out.u64(self.at);
        out.0
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Decoder(bytes);
        Some(Self {
            generation: bytes.u32()?,
            fingerprint: bytes.u64()?,
            leader: bytes.u64()?,
            at: bytes.u64()?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;
    use crate::state::store::Memory;

    const NOON: Duration = Duration::from_secs(1_740_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn watch(fingerprint: u64, own: u64, store: &Memory) -> GaugePublisher {
        let mut watch = GaugePublisher::default();
        watch.open(None, fingerprint, own, store);
        watch
    }

    /// Who leads on among two, each asked once.
    fn roles(one: &GaugePublisher, two: &GaugePublisher, now: Duration, store: &Memory) -> [Role; 2] {
        [one.role(now, store), two.role(now, store)]
    }

    #[test]
    fn one_worker_leads_and_another_takes_over_when_it_falls_silent() {
        let store = Memory::default();
        let (one, two) = (watch(7, 1, &store), watch(7, 2, &store));
        assert_eq!((one.generation, two.generation), (1, 1));
        assert_eq!([one.role(NOON, &store), two.role(NOON, &store)], [Role::Leads, Role::Follows]);
        let later = NOON + 2 * SECOND;
        assert_eq!([two.role(later, &store), one.role(later, &store)], [Role::Follows, Role::Leads]);
        let later = later + 3 * SECOND;
        assert_eq!([two.role(later, &store), one.role(later, &store)], [Role::Leads, Role::Follows]);
    }

    #[test]
    fn the_next_generation_leads_when_the_last_one_has_cleared_up() {
        let store = Memory::default();
        let old = watch(7, 1, &store);
        assert_eq!(old.role(NOON, &store), Role::Leads);
        let new = watch(8, 2, &store);
        assert_eq!(new.generation, 2);
        assert_eq!(roles(&new, &old, NOON, &store), [Role::Follows, Role::Resigns]);
        assert_eq!(roles(&new, &old, NOON, &store), [Role::Follows, Role::Resigns], "not yet");
        old.resign(&store);
        assert_eq!(roles(&new, &old, NOON, &store), [Role::Leads, Role::Follows]);
    }

    #[test]
    fn a_configuration_that_comes_back_is_a_new_one_where_they_are_numbered() {
        let store = Memory::default();
        let numbered = |number, fingerprint, own| {
            let mut watch = GaugePublisher::default();
            (watch.open(Some(number), fingerprint, own, &store), watch)
        };
        let (first, second, third) = (numbered(1, 7, 1), numbered(2, 8, 2), numbered(3, 7, 3));
        assert_eq!([first.0, second.0, third.0], [1, 2, 3]);
        // A worker that begins anew with an old one takes nothing back.
        assert_eq!(numbered(1, 7, 4).0, 1);
        assert_eq!(roles(&third.1, &first.1, NOON, &store), [Role::Leads, Role::Follows]);
    }
}
