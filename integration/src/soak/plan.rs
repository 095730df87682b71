//! What is served: groups, their deployments, and the configurations that follow each other.

use std::time::Duration;

use super::weather::Climate;

/// Seconds that an attempt may take.
pub(super) const TIMEOUT: u64 = 3;
/// After this a request hangs: its attempts, in two groups, and the waits between them take less.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The same if its VM trapped: Envoy ends what is silent for 75 s.
pub(super) const PATIENCE_IN_TRAP: Duration = Duration::from_secs(110);
/// What clients of a group may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// A healthy deployment has room: every request is served.
    Served,
    /// Served, or refused with 429 where there is no room.
    Limited,
    /// All deployments may fail: an answer, whichever it is.
    Answered,
}

/// A group, and how much of the traffic it gets.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) promise: Promise,
    pub(super) weight: u32,
    pub(super) deployments: &'static [(&'static str, Climate)],
    /// Of each deployment.
    limit: Limit,
}

/// What a deployment may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    None,
    /// Requests of a minute, of all instances.
    Requests(u64),
    /// Tokens of a minute, of all instances.
    Tokens(u64),
    /// Attempts in flight, of each instance.
    Slots(u64),
}

/// Requests of a minute that are never sent.
const UNREACHABLE: u64 = 1_000_000;

use Climate::{Fair, Mild, Stormy};

/// Each with deployments of its own. `refuge` is what `shaken` falls back to.
pub(super) const GROUPS: [Group; 7] = [
    Group {
        name: "steady",
        promise: Promise::Served,
        weight: 40,
        deployments: &[("steady-a", Fair), ("steady-b", Stormy), ("steady-c", Stormy)],
        limit: Limit::Requests(UNREACHABLE),
    },
    Group {
        name: "shaken",
        promise: Promise::Served,
        weight: 15,
        deployments: &[("shaken-a", Stormy), ("shaken-b", Stormy)],
        limit: Limit::None,
    },
    Group {
        name: "refuge",
        promise: Promise::Served,
        weight: 5,
        deployments: &[("refuge-a", Fair)],
        limit: Limit::None,
    },
    Group {
        name: "wild",
        promise: Promise::Answered,
        weight: 15,
        deployments: &[("wild-a", Stormy), ("wild-b", Stormy), ("wild-c", Stormy)],
        limit: Limit::None,
    },
    Group {
        name: "limited",
        promise: Promise::Limited,
        weight: 10,
        deployments: &[("limited-a", Fair), ("limited-b", Mild)],
        limit: Limit::Requests(30),
    },
    Group {
        name: "tokens",
        promise: Promise::Limited,
        weight: 8,
        deployments: &[("tokens-a", Fair), ("tokens-b", Mild)],
        limit: Limit::Tokens(1_500),
    },
    Group {
        name: "slots",
        promise: Promise::Limited,
        weight: 7,
        deployments: &[("slots-a", Fair), ("slots-b", Mild)],
        limit: Limit::Slots(8),
    },
];

impl Limit {
    /// Whether it begins anew with every minute, and can be reached.
    pub(super) fn is_reached(self) -> bool {
        matches!(self, Self::Requests(limit) | Self::Tokens(limit) if limit < UNREACHABLE)
    }

    fn params(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Requests(limit) => format!(", rpm: {limit}"),
            Self::Tokens(limit) => format!(", tpm: {limit}"),
            Self::Slots(limit) => format!(", max_parallel_requests: {limit}"),
        }
    }
}

/// The group of a deployment, unless only some configurations have it.
fn group_of(deployment: &str) -> Option<&'static Group> {
    GROUPS.iter().find(|group| group.deployments.iter().any(|(name, _)| *name == deployment))
}

/// What a deployment may take.
pub(super) fn limit(deployment: &str) -> Limit {
    group_of(deployment).map_or(Limit::None, |group| group.limit)
}

/// The climate of a deployment; that of those which only some configurations have is stormy.
pub(super) fn climate(deployment: &str) -> Climate {
    let deployments = group_of(deployment).into_iter().flat_map(|group| group.deployments);
    deployments.into_iter().find(|(name, _)| *name == deployment).map_or(Stormy, |(_, climate)| *climate)
}

/// How many configurations there are.
pub(super) const CONFIGURATIONS: usize = 4;

/// One of the configurations, with `REDIS` in the place of Redis' port. They differ in the strategy
/// and in deployments that fail; names and limits are the same in all of them.
pub(super) fn configuration(number: usize, provider: &str, redis: u16) -> String {
    let strategy = ["simple-shuffle", "least-busy", "latency-based-routing", "usage-based-routing-v2"]
        [number % CONFIGURATIONS];
    let mut text = String::from("model_list:\n");
    for group in &GROUPS {
        for (name, _) in group.deployments {
            text.push_str(&crate::item(group.name, name, &group.limit.params()));
        }
    }
    if number % 2 == 1 {
        text.push_str(&crate::item("wild", "wild-d", ""));
    }
    text.push_str(&format!(
        "router_settings: {{routing_strategy: {strategy}, num_retries: 3, timeout: {TIMEOUT}, stream_timeout: {TIMEOUT}, cooldown_time: 1, fallbacks: [{{shaken: [refuge]}}], redis_host: 127.0.0.1, redis_port: {redis}}}\n"
    ));
    text.replace("PROVIDER", provider)
}

/// A configuration that is refused.
pub(super) fn bad_configuration(provider: &str, redis: u16) -> String {
    configuration(0, provider, redis).replace("simple-shuffle", "telepathy")
}

#[cfg(test)]
mod tests {
    use super::{CONFIGURATIONS, GROUPS, Limit, bad_configuration, climate, configuration, limit};
    use crate::soak::weather::Climate;

    #[test]
    fn all_configurations_have_the_limits_that_are_checked() {
        for number in 0..CONFIGURATIONS {
            let text = configuration(number, "http://127.0.0.1:1", 6379);
            for limit in [", rpm: 30}", ", tpm: 1500}", ", max_parallel_requests: 8}"] {
                assert_eq!(text.matches(limit).count(), 2, "{limit}");
            }
        }
        assert_eq!(limit("limited-b"), Limit::Requests(30));
        assert_eq!((limit("wild-d"), climate("wild-d")), (Limit::None, Climate::Stormy));
        assert_eq!(climate("steady-a"), Climate::Fair);
    }

    #[test]
    fn shares_of_the_traffic_are_percents() {
        assert_eq!(GROUPS.iter().map(|group| group.weight).sum::<u32>(), 100);
        assert_ne!(configuration(0, "", 1), bad_configuration("", 1));
    }
}
