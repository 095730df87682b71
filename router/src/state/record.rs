//! The record of one deployment, which all workers share: one small value.
//!
//! The minute is part of the value and not of the key, so there is one key per deployment.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::outcome::LiteLlmErrorType;
use crate::state::completion_lengths::CompletionLengths;
use crate::state::cooldown::Cooldown;
use crate::state::latency::Latency;
use crate::state::lease::Lease;
use crate::state::time::UnixSeconds;
use crate::state::window::Window;

/// The window of [`Outcomes`].
const OUTCOMES: Duration = Duration::from_secs(60);

/// All that outlives a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What this minute has admitted.
    pub window: Window,
    /// The last cooldown.
    pub cooldown: Cooldown,
    /// How many attempts succeeded and failed of late.
    pub outcomes: Outcomes,
    /// Failures that count against `allowed_fails`.
    pub fails: Vec<FailureCount>,
    /// How fast it answers.
    pub latency: Latency,
    /// How long its answers are.
    pub completions: CompletionLengths,
    /// Requests in flight from other instances.
    pub remote_in_flight: RemoteInFlight,
    /// What this instance may admit of a minute that it shares.
    pub lease: Lease,
    /// Requests in flight from this instance, by VM.
    pub in_flight: Vec<InFlight>,
}

/// Requests in flight from other instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteInFlight {
    /// How many.
    pub count: u32,
    /// When Redis last reported it.
    pub at: UnixSeconds,
}

/// The attempts of a window that begins with the first of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// When the window began.
    pub since: UnixSeconds,
    /// Attempts that succeeded.
    pub successes: u32,
    /// Attempts that failed.
    pub failures: u32,
}

/// Failures that count against a number of allowed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureCount {
    /// Of this kind; `None` counts those of every kind that has no number of its own.
    pub kind: Option<LiteLlmErrorType>,
    /// When the count began.
    pub since: UnixSeconds,
    /// How many.
    pub count: u32,
}

/// Requests in flight from one VM. Each has its own count, which is dropped if the VM dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// The VM's number.
    pub vm: u32,
    /// How many.
    pub count: u32,
}

impl Outcomes {
    /// The outcomes that count at this time: these, or none if their window is over.
    pub fn at(self, now: Duration) -> Self {
        if self.since.distance(now) < OUTCOMES {
            return self;
        }
        Self { since: UnixSeconds::of(now), ..Self::default() }
    }
}

impl Record {
    /// Requests in flight from this instance.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.iter().fold(0, |sum, of_vm| sum.saturating_add(of_vm.count))
    }

    /// Counts a request of this VM.
    pub fn inc_in_flight(&mut self, vm: u32) {
        match self.in_flight.iter_mut().find(|of_vm| of_vm.vm == vm) {
            Some(of_vm) => of_vm.count = of_vm.count.saturating_add(1),
            None => self.in_flight.push(InFlight { vm, count: 1 }),
        }
    }

    /// Counts a request of this VM no longer, if one is counted.
    pub fn dec_in_flight(&mut self, vm: u32) {
        if let Some(of_vm) = self.in_flight.iter_mut().find(|of_vm| of_vm.vm == vm) {
            of_vm.count = of_vm.count.saturating_sub(1);
            self.in_flight.retain(|of_vm| of_vm.count > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::amount::Amount;
    use crate::state::format::{decode, encode};
    use crate::state::latency::LatencyEstimate;
    use crate::state::outlier::Outlier;
    use crate::state::time::{Minute, UnixMillis};

    #[test]
    fn a_request_is_in_flight_until_it_ends_and_ends_once() {
        let mut record = Record::default();
        record.inc_in_flight(1);
        record.inc_in_flight(1);
        record.inc_in_flight(2);
        assert_eq!(record.in_flight(), 3);
        record.dec_in_flight(1);
        record.dec_in_flight(2);
        record.dec_in_flight(2);
        assert_eq!(record.in_flight, [InFlight { vm: 1, count: 1 }]);
    }

    fn eventful() -> Record {
        let mut completions = CompletionLengths::default();
        (1..=30).for_each(|tokens| completions.record(tokens));
        Record {
            window: Window { minute: Minute(29_000_000), requests: 3, tokens: 1 << 40, reserved: 1 << 39 },
            cooldown: Cooldown { from: UnixMillis(1), until: UnixMillis(u64::MAX) },
            outcomes: Outcomes { since: UnixSeconds(4), successes: 5, failures: 6 },
            fails: vec![
                FailureCount { kind: None, since: UnixSeconds(7), count: 8 },
                FailureCount { kind: Some(LiteLlmErrorType::RateLimit), since: UnixSeconds(9), count: 10 },
            ],
            latency: Latency {
                first: LatencyEstimate {
                    ms: 1.5,
                    at: UnixSeconds(2),
                    load: 3.5,
                    best: 1.25,
                    outlier: Outlier::Worse(3),
                },
                probed_until: UnixMillis(11),
                ..Latency::default()
            },
            completions,
            remote_in_flight: RemoteInFlight { count: 16, at: UnixSeconds(17) },
            lease: Lease {
                minute: Minute(18),
                held: Amount { requests: 19, tokens: 0 },
                remaining: Amount { requests: 0, tokens: u64::MAX },
                last_admitted_at: UnixMillis(20),
                ..Lease::default()
            },
            in_flight: vec![InFlight { vm: 12, count: 13 }, InFlight { vm: 14, count: 15 }],
        }
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        for record in [Record::default(), eventful()] {
            assert_eq!(decode(&encode(&record)), Some(record));
        }
        let window = Window { minute: Minute(1), requests: 2, tokens: 3, reserved: 1 };
        assert_eq!(decode(&encode(&window)), Some(window));
    }

    #[test]
    fn a_record_with_a_number_that_is_not_finite_is_no_record() {
        for number in [f32::NAN, f32::INFINITY] {
            let mut record = eventful();
            record.latency.first.ms = number;
            assert_eq!(decode::<Record>(&encode(&record)), None);
            record = eventful();
            record.lease.request_gap = number;
            assert_eq!(decode::<Record>(&encode(&record)), None);
        }
    }

    #[test]
    fn bytes_that_are_truncated_or_of_another_format_are_no_record() {
        let bytes = encode(&eventful());
        for end in 0..bytes.len() {
            assert_eq!(decode::<Record>(&bytes[..end]), None, "{end}");
        }
        let mut other = bytes.clone();
        other[0] = 9;
        assert_eq!(decode::<Record>(&other), None);
    }
}
