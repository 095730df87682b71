//! What is looked at for every member of a group and every request: small and side by side, because a thousand of them are
//! read at once, and most of what that costs is waiting for memory.

use std::cmp::Ordering;
use std::time::Duration;

use llm_balancer_config::Deployment;

use crate::estimate::Estimate;
use crate::latency::Latency;
use crate::record::{Elsewhere, Record, milliseconds, seconds};
use crate::terms::Terms;
use crate::window::{Window, minute};

/// Completion tokens that an answer is taken to have before any was seen ..
const COMPLETION: u64 = 256;
/// .. but no more than this part of a minute's tokens, so that a small limit is not spent on a guess.
const PART: u64 = 8;
/// Seconds for which the counts of other instances are believed; they come once a second.
const ELSEWHERE: u32 = 4;
/// US dollars for a token whose price nobody has told, as in LiteLLM: more than anybody asks.
const UNKNOWN: f64 = 5.0;

/// A deployment as this worker last saw it, in short.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// What it has admitted.
    pub window: Window,
    /// When its cooldown ends, in milliseconds since the Unix epoch.
    pub until: u64,
    /// Requests per minute at most; the greatest number where there is no limit, as for the tokens.
    rpm: u64,
    tpm: u64,
    /// Completion tokens of an answer for which the client sets no length: the deployment's own, or the average.
    length: u64,
    /// How fast it answers.
    pub latency: Latency,
    /// US dollars for a prompt token and a completion token together.
    pub price: f64,
    /// Requests in flight from this instance.
    pub in_flight: u32,
    /// And from others.
    elsewhere: Elsewhere,
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
pub struct Fixed {
    /// Completion tokens of its own default.
    pub length: Option<u64>,
    /// US dollars, see [`Seen::price`].
    pub price: f64,
}

impl Fixed {
    /// Of a deployment. A price of zero is a price.
    pub fn of(deployment: &Deployment) -> Self {
        let price = |price: Option<f64>| price.unwrap_or(UNKNOWN);
        Self {
            length: Estimate::default_length(deployment),
            price: price(deployment.input_cost_per_token) + price(deployment.output_cost_per_token),
        }
    }
}

impl Seen {
    /// A record in short. `shared` says that its limits are shared with other instances.
    pub fn of(record: &Record, terms: &Terms, fixed: Fixed, shared: bool) -> Self {
        let tpm = terms.tpm.unwrap_or(u64::MAX);
        let guess = match record.completion as u64 {
            0 => COMPLETION.min(tpm / PART),
            average => average,
        };
        Self {
            window: record.window,
            until: record.cooldown.until,
            rpm: terms.rpm.unwrap_or(u64::MAX),
            tpm,
            length: fixed.length.unwrap_or(guess),
            latency: record.latency,
            price: fixed.price,
            in_flight: record.in_flight(),
            elsewhere: record.elsewhere,
            is_special: shared || terms.parallel.is_some(),
        }
    }

    /// Tokens that a request is expected to take here. What would not fit into any minute takes a whole one.
    pub fn tokens(&self, estimate: &Estimate) -> u64 {
        estimate.prompt.saturating_add(estimate.completion.unwrap_or(self.length)).min(self.tpm)
    }

    /// Requests in flight as far as is known, from all instances. Counts of others are worth nothing when they are old.
    pub fn load(&self, now: Duration) -> u32 {
        let is_fresh = self.elsewhere.count > 0 && seconds(now).abs_diff(self.elsewhere.at) < ELSEWHERE;
        self.in_flight.saturating_add(if is_fresh { self.elsewhere.count } else { 0 })
    }

    /// Whether it may serve, by what is usual: nothing cools down, and the minute has room. No where somebody has to look
    /// closer ([`excluded`](crate::eligible::excluded)), and never yes where that would find something.
    pub fn is_surely_free(&self, estimate: &Estimate, at: &Instant) -> bool {
        let (requests, tokens) = match self.window.minute.cmp(&at.minute) {
            Ordering::Less => (0, 0),
            Ordering::Equal => (self.window.requests, self.window.tokens),
            Ordering::Greater => return false,
        };
        self.until <= at.milliseconds
            && !self.is_special
            && u64::from(requests) < self.rpm
            && (self.tpm == u64::MAX || tokens.saturating_add(self.tokens(estimate)) <= self.tpm)
    }
}
