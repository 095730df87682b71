//! What is remembered about one deployment, and shared by all workers: one small value.
//!
//! The minute stands in the value and never in the key, so the number of keys is the number of deployments. The form is
//! our own, in little-endian bytes behind a version: a value that another version wrote reads as if nothing was known.

use std::time::Duration;

use crate::outcome::LiteLlmErrorType;
use crate::state::completions::Completions;
use crate::state::latency::{Estimate, Latency, Metric};
use crate::state::lease::Lease;
use crate::state::outlier::Outlier;
use crate::state::window::Window;

/// Changes with every change of the form.
const FORMAT_VERSION: u8 = 3;

/// Everything about one deployment that outlives a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// What rpm and tpm have left.
    pub window: Window,
    /// Whether it sits out.
    pub cooldown: Cooldown,
    /// How its attempts ended lately.
    pub outcomes: Outcomes,
    /// Failures under `allowed_fails`.
    pub fails: Vec<FailureCount>,
    /// How fast it answers.
    pub latency: Latency,
    /// How long its answers have been lately.
    pub completions: Completions,
    /// What other instances have in flight there.
    pub elsewhere: RemoteInFlight,
    /// What this instance may admit of a minute that it shares.
    pub lease: Lease,
    /// Requests that it is serving.
    pub in_flight: Vec<InFlight>,
}

/// Requests in flight from other instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteInFlight {
    /// How many.
    pub count: u32,
    /// When they were counted, in seconds since the Unix epoch.
    pub at: u32,
}

/// A time to sit out, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cooldown {
    /// When it was set.
    pub from: u64,
    /// When it ends.
    pub until: u64,
}

/// What a failure changed about a cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cooled {
    /// It begins.
    Begins,
    /// It ends at least a second later than it would have.
    Longer,
    /// Nothing to speak of: it was cooling down.
    Already,
}

/// By how many milliseconds the end of a cooldown has to move until other instances learn of it at once. The exchange of
/// every second brings them the rest.
const NOTABLE: u64 = 1000;

/// The attempts of a time that begins with the first of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Decoder seconds since the Unix epoch.
    pub since: u32,
    /// Attempts that were answered.
    pub successes: u32,
    /// Attempts that failed.
    pub failures: u32,
}

/// Failures that are counted against a number of allowed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureCount {
    /// Of this kind, or of any that has no number of its own.
    pub kind: Option<LiteLlmErrorType>,
    /// When the count began, in seconds since the Unix epoch.
    pub since: u32,
    /// How many.
    pub count: u32,
}

/// Requests in flight from one VM. Each VM has its own count, so that one that died takes nothing with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// The VM's number.
    pub vm: u32,
    /// How many.
    pub count: u32,
}

/// Milliseconds since the Unix epoch.
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since the Unix epoch, until the year 2106.
pub fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

impl Cooldown {
    /// The end of the cooldown at this time, if it has not passed.
    pub fn at(&self, now: Duration) -> Option<Duration> {
        /// A clock that stepped back further than this has set the cooldown in a future that does not count.
        const STEP_BACK: u64 = 120_000;
        let now = milliseconds(now);
        let stands = now < self.until && self.from <= now.saturating_add(STEP_BACK);
        stands.then(|| Duration::from_millis(self.until))
    }

    /// Cools down for so long from now on, or for longer if it does so already. Says what that changed.
    pub fn extend(&mut self, time: Duration, now: Duration) -> Cooled {
        let until = milliseconds(now.saturating_add(time));
        let standing = self.at(now).map(milliseconds);
        if standing.is_none_or(|standing| standing < until) {
            *self = Self { from: milliseconds(now), until };
        }
        match standing {
            None => Cooled::Begins,
            Some(standing) if until.saturating_sub(standing) >= NOTABLE => Cooled::Longer,
            Some(_) => Cooled::Already,
        }
    }
}

impl Record {
    /// Requests in flight from this instance, from all of its VMs.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.iter().fold(0, |sum, cell| sum.saturating_add(cell.count))
    }

    /// A request of this VM sets out.
    pub fn inc_in_flight(&mut self, vm: u32) {
        match self.in_flight.iter_mut().find(|cell| cell.vm == vm) {
            Some(cell) => cell.count = cell.count.saturating_add(1),
            None => self.in_flight.push(InFlight { vm, count: 1 }),
        }
    }

    /// A request of this VM is back.
    pub fn dec_in_flight(&mut self, vm: u32) {
        if let Some(place) = self.in_flight.iter().position(|cell| cell.vm == vm)
            && let Some(cell) = self.in_flight.get_mut(place)
        {
            cell.count = cell.count.saturating_sub(1);
            if cell.count == 0 {
                self.in_flight.swap_remove(place);
            }
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder(Vec::with_capacity(320));
        out.u8(FORMAT_VERSION);
        out.window(&self.window);
        out.u64(self.cooldown.from);
        out.u64(self.cooldown.until);
        out.u32(self.outcomes.since);
        out.u32(self.outcomes.successes);
        out.u32(self.outcomes.failures);
        for estimate in Metric::ALL.map(|metric| self.latency.of(metric)) {
            out.f32(estimate.ms);
            out.u32(estimate.at);
            out.f32(estimate.load);
            out.f32(estimate.best);
            out.u8(estimate.outlier.byte());
        }
        out.u64(self.latency.probed_until);
        out.completions(&self.completions);
        out.u8(u8::try_from(self.fails.len()).unwrap_or(u8::MAX));
        for fails in self.fails.iter().take(usize::from(u8::MAX)) {
            out.u8(fails.kind.map_or(0, LiteLlmErrorType::number));
            out.u32(fails.since);
            out.u32(fails.count);
        }
        out.u32(self.elsewhere.count);
        out.u32(self.elsewhere.at);
        out.lease(&self.lease);
        for cell in &self.in_flight {
            out.u32(cell.vm);
            out.u32(cell.count);
        }
        out.0
    }

    /// From bytes; `None` where they are not of this form.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Decoder(bytes);
        if bytes.u8()? != FORMAT_VERSION {
            return None;
        }
        let window = bytes.window()?;
        let cooldown = Cooldown { from: bytes.u64()?, until: bytes.u64()? };
        let outcomes = Outcomes { since: bytes.u32()?, successes: bytes.u32()?, failures: bytes.u32()? };
        let latency = Latency {
            first: bytes.estimate()?,
            each: bytes.estimate()?,
            whole: bytes.estimate()?,
            probed_until: bytes.u64()?,
        };
        let completions = bytes.completions()?;
        let mut fails = Vec::new();
        for _ in 0..bytes.u8()? {
            let kind = LiteLlmErrorType::from_number(bytes.u8()?);
            fails.push(FailureCount { kind, since: bytes.u32()?, count: bytes.u32()? });
        }
        let elsewhere = RemoteInFlight { count: bytes.u32()?, at: bytes.u32()? };
        let lease = bytes.lease()?;
        let mut in_flight = Vec::new();
        while !bytes.0.is_empty() {
            in_flight.push(InFlight { vm: bytes.u32()?, count: bytes.u32()? });
        }
        Some(Self { window, cooldown, outcomes, fails, latency, completions, elsewhere, lease, in_flight })
    }
}

impl Window {
    /// Of its bytes.
    pub const LENGTH: usize = 17;

    /// As bytes, for a group's record.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder(Vec::with_capacity(Self::LENGTH.saturating_add(crate::state::freed::LENGTH)));
        out.u8(FORMAT_VERSION);
        out.window(self);
        out.0
    }

    /// From bytes; `None` where they are not of this form.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Decoder(bytes);
        (bytes.u8()? == FORMAT_VERSION).then(|| bytes.window()).flatten()
    }
}

/// Bytes being written.
pub(crate) struct Encoder(pub(crate) Vec<u8>);

impl Encoder {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn f32(&mut self, value: f32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn completions(&mut self, completions: &Completions) {
        let answers = completions.answers();
        self.u32(completions.percentile());
        self.u8(u8::try_from(answers.len()).unwrap_or(u8::MAX));
        answers.iter().for_each(|tokens| self.u32(*tokens));
    }

    fn lease(&mut self, lease: &Lease) {
        self.u32(lease.minute);
        for number in
            [lease.requests, lease.tokens, lease.left_requests, lease.left_tokens, lease.told, lease.used]
        {
            self.u64(number);
        }
        self.f32(lease.gap);
        self.u8(u8::from(lease.unused_elsewhere));
    }

    fn window(&mut self, window: &Window) {
        self.u32(window.minute);
        self.u32(window.requests);
        self.u64(window.tokens);
    }
}

/// Bytes being read.
pub(crate) struct Decoder<'a>(pub(crate) &'a [u8]);

impl Decoder<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn f32(&mut self) -> Option<f32> {
        self.take().map(f32::from_le_bytes).filter(|value| value.is_finite())
    }

    fn window(&mut self) -> Option<Window> {
        Some(Window { minute: self.u32()?, requests: self.u32()?, tokens: self.u64()? })
    }

    fn completions(&mut self) -> Option<Completions> {
        let (percentile, count) = (self.u32()?, self.u8()?);
        let answers: Option<Vec<u32>> = (0..count).map(|_| self.u32()).collect();
        Some(Completions::restored(percentile, answers?))
    }

    fn lease(&mut self) -> Option<Lease> {
        Some(Lease {
            minute: self.u32()?,
            requests: self.u64()?,
            tokens: self.u64()?,
            left_requests: self.u64()?,
            left_tokens: self.u64()?,
            told: self.u64()?,
            used: self.u64()?,
            gap: self.f32()?,
            unused_elsewhere: self.u8()? != 0,
        })
    }

    fn estimate(&mut self) -> Option<Estimate> {
        Some(Estimate {
            ms: self.f32()?,
            at: self.u32()?,
            load: self.f32()?,
            best: self.f32()?,
            outlier: Outlier::from_byte(self.u8()?),
        })
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;

    const NOON: Duration = Duration::from_secs(1_740_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn eventful() -> Record {
        let mut completions = Completions::default();
        (1..=30).for_each(|tokens| completions.record(tokens));
        Record {
            window: Window { minute: 29_000_000, requests: 3, tokens: 1 << 40 },
            cooldown: Cooldown { from: 1, until: u64::MAX },
            outcomes: Outcomes { since: 4, successes: 5, failures: 6 },
            fails: vec![
                FailureCount { kind: None, since: 7, count: 8 },
                FailureCount { kind: Some(LiteLlmErrorType::RateLimit), since: 9, count: 10 },
            ],
            latency: Latency {
                first: Estimate { ms: 1.5, at: 2, load: 3.5, best: 1.25, outlier: Outlier::Worse(3) },
                probed_until: 11,
                ..Latency::default()
            },
            completions,
            elsewhere: RemoteInFlight { count: 16, at: 17 },
            lease: Lease { minute: 18, requests: 19, left_tokens: u64::MAX, used: 20, ..Lease::default() },
            in_flight: vec![InFlight { vm: 12, count: 13 }, InFlight { vm: 14, count: 15 }],
        }
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        for record in [Record::default(), eventful()] {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
        let window = Window { minute: 1, requests: 2, tokens: 3 };
        assert_eq!(Window::decode(&window.encode()), Some(window));
    }

    #[test]
    fn a_value_that_was_cut_off_or_has_another_form_is_no_record() {
        let bytes = eventful().encode();
        for end in 0..bytes.len() {
            let read = Record::decode(&bytes[..end]);
            // Whole cells may be missing without anybody noticing.
            assert!(read.is_none() || read.is_some_and(|read| read.in_flight.len() < 2), "{end}");
        }
        let mut other = bytes.clone();
        other[0] = 9;
        assert_eq!(Record::decode(&other), None);
    }

    #[test]
    fn the_later_end_of_a_cooldown_stands() {
        let mut cooldown = Cooldown::default();
        assert_eq!(cooldown.at(NOON), None);
        cooldown.extend(20 * SECOND, NOON);
        cooldown.extend(5 * SECOND, NOON + SECOND);
        assert_eq!(cooldown.at(NOON + SECOND), Some(NOON + 20 * SECOND));
        cooldown.extend(30 * SECOND, NOON + SECOND);
        assert_eq!(cooldown.at(NOON + SECOND), Some(NOON + 31 * SECOND));
        assert_eq!(cooldown.at(NOON + 31 * SECOND), None);
    }

    #[test]
    fn a_cooldown_set_by_a_clock_that_was_an_hour_ahead_does_not_last_an_hour() {
        let mut cooldown = Cooldown::default();
        cooldown.extend(5 * SECOND, NOON + 3600 * SECOND);
        assert_eq!(cooldown.at(NOON), None);
    }

    #[test]
    fn what_sets_out_comes_back_and_never_twice() {
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
}
