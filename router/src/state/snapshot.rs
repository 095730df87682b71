//! The numbers of a record that selection reads for every member of a group, small and side by
//! side: for a thousand members, most of the cost is waiting for memory.

use std::cmp::Ordering;
use std::time::Duration;

use llm_balancer_config::Deployment;

use crate::request::token_estimate::{Lengths, TokenEstimate};
use crate::state::latency::Latency;
use crate::state::limits::DeploymentLimits;
use crate::state::record::{Record, RemoteInFlight};
use crate::state::time::{Minute, UnixMillis};
use crate::state::window::Window;

/// How long a count of other instances is valid. They exchange once a second.
const REMOTE_VALID: Duration = Duration::from_secs(4);
/// US dollars per token of unknown price, as in LiteLLM: more than any real price.
const UNKNOWN_PRICE: f64 = 5.0;

/// A deployment by a worker's copy of its record.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    /// What its minute has admitted.
    pub window: Window,
    /// When its last cooldown ends.
    pub cooldown_until: UnixMillis,
    /// Requests per minute; `u64::MAX` without a limit.
    rpm: u64,
    /// Tokens per minute, likewise.
    tpm: u64,
    /// Completion tokens that an answer is expected to take, by recent ones.
    expected: u64,
    /// Limits of an answer's length where the client sets none.
    lengths: Lengths,
    /// How fast it answers.
    pub latency: Latency,
    /// US dollars for a prompt token and a completion token together.
    pub price: f64,
    /// Requests in flight from this instance.
    pub in_flight: u32,
    /// Requests in flight from other instances.
    remote_in_flight: RemoteInFlight,
    /// Whether it may serve depends on more than the cooldown and the minute.
    needs_record: bool,
}

/// The current time in the units of a snapshot, computed once for all members of a group.
#[derive(Clone, Copy, Debug)]
pub struct CurrentTime {
    /// Since the Unix epoch.
    pub now: Duration,
    millis: UnixMillis,
    minute: Minute,
}

impl CurrentTime {
    /// From the time since the Unix epoch.
    pub fn new(now: Duration) -> Self {
        Self { now, millis: UnixMillis::of(now), minute: Minute::of(now) }
    }
}

/// What never changes about a deployment.
#[derive(Clone, Copy, Debug)]
pub struct StaticAttributes {
    /// Its own limits of an answer's length.
    pub lengths: Lengths,
    /// US dollars, see [`Snapshot::price`].
    pub price: f64,
}

impl StaticAttributes {
    /// Those of a deployment. A price of zero is a known price.
    pub fn of(deployment: &Deployment) -> Self {
        let price = |price: Option<f64>| price.unwrap_or(UNKNOWN_PRICE);
        Self {
            lengths: Lengths::of(deployment),
            price: price(deployment.input_cost_per_token) + price(deployment.output_cost_per_token),
        }
    }
}

impl Snapshot {
    /// The snapshot of a record. `is_shared` says that limits are shared with other instances.
    pub fn of(
        record: &Record,
        limits: &DeploymentLimits,
        attributes: StaticAttributes,
        is_shared: bool,
    ) -> Self {
        Self {
            window: record.window,
            cooldown_until: record.cooldown.until,
            rpm: limits.rpm.unwrap_or(u64::MAX),
            tpm: limits.tpm.unwrap_or(u64::MAX),
            expected: record.completions.expected(),
            lengths: attributes.lengths,
            latency: record.latency,
            price: attributes.price,
            in_flight: record.in_flight(),
            remote_in_flight: record.remote_in_flight,
            needs_record: is_shared || limits.max_parallel_requests.is_some(),
        }
    }

    /// Tokens that a request is expected to use: its prompt, and for each answer the expected
    /// length or the longest allowed. The answers count for half of the tpm at most: otherwise one
    /// long answer would close a small deployment to the short ones that would make it expect less.
    fn expected_tokens(&self, estimate: &TokenEstimate) -> u64 {
        let longest = estimate.lengths.or(&self.lengths).longest().unwrap_or(u64::MAX);
        let completion = self.expected.min(longest).saturating_mul(estimate.answers);
        estimate.prompt.saturating_add(completion.min(self.tpm / 2))
    }

    /// Tokens that a request reserves here. One that needs more than the tpm of every deployment
    /// (`is_oversized`) takes the whole minute; one that fits into another deployment's reserves
    /// more than this one's tpm, so that it is not admitted here.
    pub fn tokens(&self, estimate: &TokenEstimate, is_oversized: bool) -> u64 {
        let tokens = self.expected_tokens(estimate);
        if is_oversized { tokens.min(self.tpm) } else { tokens }
    }

    /// Whether a request would not fit into an empty minute.
    pub fn is_too_small(&self, estimate: &TokenEstimate) -> bool {
        self.expected_tokens(estimate) > self.tpm
    }

    /// Requests in flight from all instances.
    pub fn total_in_flight(&self, now: Duration) -> u32 {
        let RemoteInFlight { count, at } = self.remote_in_flight;
        let is_valid = count > 0 && at.distance(now) < REMOTE_VALID;
        self.in_flight.saturating_add(if is_valid { count } else { 0 })
    }

    /// Whether it may serve by its cooldown and its minute alone. If not,
    /// [`excluded`](crate::state::eligibility::excluded) decides by the record; it never excludes a
    /// deployment that is surely available.
    pub fn is_surely_available(&self, estimate: &TokenEstimate, time: &CurrentTime) -> bool {
        let (requests, tokens) = match self.window.minute.cmp(&time.minute) {
            Ordering::Less => (0, 0),
            Ordering::Equal => (self.window.requests, self.window.tokens),
            Ordering::Greater => return false,
        };
        self.cooldown_until <= time.millis
            && !self.needs_record
            && u64::from(requests) < self.rpm
            && (self.tpm == u64::MAX || tokens.saturating_add(self.expected_tokens(estimate)) <= self.tpm)
    }
}
