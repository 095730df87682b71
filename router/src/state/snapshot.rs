//! What is looked at for every member of a group and every request: small and side by side, because a thousand of them are
//! read at once, and most of what that costs is waiting for memory.

use std::cmp::Ordering;
use std::time::Duration;

use llm_balancer_config::Deployment;

use crate::request::token_estimate::{Lengths, TokenEstimate};
use crate::state::latency::Latency;
use crate::state::limits::DeploymentLimits;
use crate::state::record::{Record, RemoteInFlight, milliseconds, seconds};
use crate::state::window::{Window, minute};

/// Seconds for which the counts of other instances are believed; they come once a second.
const ELSEWHERE: u32 = 4;
/// US dollars for a token whose price nobody has told, as in LiteLLM: more than anybody asks.
const UNKNOWN: f64 = 5.0;

/// A deployment as this worker last saw it, in short.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    /// What it has admitted.
    pub window: Window,
    /// When its cooldown ends, in milliseconds since the Unix epoch.
    pub until: u64,
    /// Requests per minute at most; the greatest number where there is no limit, as for the tokens.
    rpm: u64,
    tpm: u64,
    /// Completion tokens that an answer is expected to take, by those of late.
    expected: u64,
    /// Limits of an answer's length where the client sets none.
    lengths: Lengths,
    /// How fast it answers.
    pub latency: Latency,
    /// US dollars for a prompt token and a completion token together.
    pub price: f64,
    /// Requests in flight from this instance.
    pub in_flight: u32,
    /// And from others.
    elsewhere: RemoteInFlight,
    /// Whether more than time and this minute decide about it.
    is_special: bool,
}

/// A time in the units that these are in, worked out once for all members of a group.
#[derive(Clone, Copy, Debug)]
pub struct Instant {
    /// Since the Unix epoch.
    pub now: Duration,
    milliseconds: u64,
    minute: u32,
}

impl Instant {
    /// From the time since the Unix epoch.
    pub fn new(now: Duration) -> Self {
        Self { now, milliseconds: milliseconds(now), minute: minute(now) }
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
    /// Of a deployment. A price of zero is a price.
    pub fn of(deployment: &Deployment) -> Self {
        let price = |price: Option<f64>| price.unwrap_or(UNKNOWN);
        Self {
            lengths: Lengths::of(deployment),
            price: price(deployment.input_cost_per_token) + price(deployment.output_cost_per_token),
        }
    }
}

impl Snapshot {
    /// A record in short. `shared` says that its limits are shared with other instances.
    pub fn of(record: &Record, terms: &DeploymentLimits, fixed: StaticAttributes, shared: bool) -> Self {
        Self {
            window: record.window,
            until: record.cooldown.until,
            rpm: terms.rpm.unwrap_or(u64::MAX),
            tpm: terms.tpm.unwrap_or(u64::MAX),
            expected: record.completions.expected(),
            lengths: fixed.lengths,
            latency: record.latency,
            price: fixed.price,
            in_flight: record.in_flight(),
            elsewhere: record.elsewhere,
            is_special: shared || terms.parallel.is_some(),
        }
    }

    /// Tokens that a request is expected to take here: its prompt, and for each answer what answers have taken lately or
    /// may take at most.
    fn need(&self, estimate: &TokenEstimate) -> u64 {
        estimate.prompt.saturating_add(self.completion(estimate))
    }

    fn completion(&self, estimate: &TokenEstimate) -> u64 {
        let most = estimate.lengths.or(&self.lengths).longest().unwrap_or(u64::MAX);
        self.expected.min(most).saturating_mul(estimate.answers)
    }

    /// Tokens that a request reserves here. What would not fit into any minute takes a whole one; unless a sibling is large
    /// enough: then it is more than the limit, and there is no room for it here.
    pub fn tokens(&self, estimate: &TokenEstimate, is_oversized: bool) -> u64 {
        let need = self.need(estimate);
        if !is_oversized && self.is_too_small(estimate) { need } else { need.min(self.tpm) }
    }

    /// Whether a request would not even fit into an empty minute. Its answer, which is a guess, counts for half of the limit
    /// at most: a few long answers would close a small deployment for good otherwise.
    pub fn is_too_small(&self, estimate: &TokenEstimate) -> bool {
        let completion = self.completion(estimate).min(self.tpm / 2);
        estimate.prompt.saturating_add(completion) > self.tpm
    }

    /// Requests in flight as far as is known, from all instances. Counts of others are worth nothing when they are old.
    pub fn load(&self, now: Duration) -> u32 {
        let is_fresh = self.elsewhere.count > 0 && seconds(now).abs_diff(self.elsewhere.at) < ELSEWHERE;
        self.in_flight.saturating_add(if is_fresh { self.elsewhere.count } else { 0 })
    }

    /// Whether it may serve, by what is usual: nothing cools down, and the minute has room. No where somebody has to look
    /// closer ([`excluded`](crate::state::eligibility::excluded)), and never yes where that would find something.
    pub fn is_surely_free(&self, estimate: &TokenEstimate, at: &Instant) -> bool {
        let (requests, tokens) = match self.window.minute.cmp(&at.minute) {
            Ordering::Less => (0, 0),
            Ordering::Equal => (self.window.requests, self.window.tokens),
            Ordering::Greater => return false,
        };
        self.until <= at.milliseconds
            && !self.is_special
            && u64::from(requests) < self.rpm
            && (self.tpm == u64::MAX || tokens.saturating_add(self.need(estimate)) <= self.tpm)
    }
}
