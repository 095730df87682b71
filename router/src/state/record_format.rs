//! The bytes of a record, behind the number of their format: bytes of another format read as an empty record.

use crate::outcome::LiteLlmErrorType;
use crate::state::bytes::{Decoder, Encoder};
use crate::state::completion_lengths::CompletionLengths;
use crate::state::cooldown::Cooldown;
use crate::state::latency::{Latency, LatencyEstimate, Metric};
use crate::state::lease::Lease;
use crate::state::outlier::Outlier;
use crate::state::record::{FailureCount, InFlight, Outcomes, Record, RemoteInFlight};
use crate::state::releases;
use crate::state::window::Window;

/// To be changed with every change of the format.
const FORMAT_VERSION: u8 = 3;

impl Record {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(320);
        out.u8(FORMAT_VERSION);
        out.window(&self.window);
        out.millis(self.cooldown.from);
        out.millis(self.cooldown.until);
        out.seconds(self.outcomes.since);
        out.u32(self.outcomes.successes);
        out.u32(self.outcomes.failures);
        Metric::ALL.into_iter().for_each(|metric| out.estimate(self.latency.of(metric)));
        out.millis(self.latency.probed_until);
        out.completions(&self.completions);
        out.u8(u8::try_from(self.fails.len()).unwrap_or(u8::MAX));
        for fails in self.fails.iter().take(usize::from(u8::MAX)) {
            out.u8(fails.kind.map_or(0, LiteLlmErrorType::number));
            out.seconds(fails.since);
            out.u32(fails.count);
        }
        out.u32(self.remote_in_flight.count);
        out.seconds(self.remote_in_flight.at);
        out.lease(&self.lease);
        for of_vm in &self.in_flight {
            out.u32(of_vm.vm);
            out.u32(of_vm.count);
        }
        out.0
    }

    /// From bytes; `None` where they are of another format, or truncated.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Decoder(bytes);
        if bytes.u8()? != FORMAT_VERSION {
            return None;
        }
        let window = bytes.window()?;
        let cooldown = Cooldown { from: bytes.millis()?, until: bytes.millis()? };
        let outcomes = Outcomes { since: bytes.seconds()?, successes: bytes.u32()?, failures: bytes.u32()? };
        let latency = Latency {
            first: bytes.estimate()?,
            each: bytes.estimate()?,
            whole: bytes.estimate()?,
            probed_until: bytes.millis()?,
        };
        let completions = bytes.completions()?;
        let mut fails = Vec::new();
        for _ in 0..bytes.u8()? {
            let kind = LiteLlmErrorType::from_number(bytes.u8()?);
            fails.push(FailureCount { kind, since: bytes.seconds()?, count: bytes.u32()? });
        }
        let remote_in_flight = RemoteInFlight { count: bytes.u32()?, at: bytes.seconds()? };
        let lease = bytes.lease()?;
        let mut in_flight = Vec::new();
        while !bytes.0.is_empty() {
            in_flight.push(InFlight { vm: bytes.u32()?, count: bytes.u32()? });
        }
        Some(Self {
            window,
            cooldown,
            outcomes,
            fails,
            latency,
            completions,
            remote_in_flight,
            lease,
            in_flight,
        })
    }
}

impl Window {
    /// Bytes of a window, its format's number included.
    pub const LENGTH: usize = 17;

    /// As bytes, for a group's record.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(Self::LENGTH.saturating_add(releases::LENGTH));
        out.u8(FORMAT_VERSION);
        out.window(self);
        out.0
    }

    /// From bytes; `None` where they are of another format, or truncated.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Decoder(bytes);
        (bytes.u8()? == FORMAT_VERSION).then(|| bytes.window()).flatten()
    }
}

impl Encoder {
    fn window(&mut self, window: &Window) {
        self.minute(window.minute);
        self.u32(window.requests);
        self.u64(window.tokens);
    }

    fn estimate(&mut self, estimate: &LatencyEstimate) {
        self.f32(estimate.ms);
        self.seconds(estimate.at);
        self.f32(estimate.load);
        self.f32(estimate.best);
        self.u8(estimate.outlier.byte());
    }

    fn completions(&mut self, completions: &CompletionLengths) {
        let answers = completions.answers();
        self.u32(completions.percentile());
        self.u8(u8::try_from(answers.len()).unwrap_or(u8::MAX));
        answers.iter().for_each(|tokens| self.u32(*tokens));
    }

    fn lease(&mut self, lease: &Lease) {
        self.minute(lease.minute);
        self.u64(lease.requests);
        self.u64(lease.tokens);
        self.u64(lease.remaining_requests);
        self.u64(lease.remaining_tokens);
        self.millis(lease.answered_at);
        self.millis(lease.last_admitted_at);
        self.f32(lease.request_gap);
        self.u8(u8::from(lease.unused_elsewhere));
    }
}

impl Decoder<'_> {
    fn window(&mut self) -> Option<Window> {
        Some(Window { minute: self.minute()?, requests: self.u32()?, tokens: self.u64()? })
    }

    fn estimate(&mut self) -> Option<LatencyEstimate> {
        Some(LatencyEstimate {
            ms: self.f32()?,
            at: self.seconds()?,
            load: self.f32()?,
            best: self.f32()?,
            outlier: Outlier::from_byte(self.u8()?),
        })
    }

    fn completions(&mut self) -> Option<CompletionLengths> {
        let (percentile, count) = (self.u32()?, self.u8()?);
        let answers: Option<Vec<u32>> = (0..count).map(|_| self.u32()).collect();
        Some(CompletionLengths::restored(percentile, answers?))
    }

    fn lease(&mut self) -> Option<Lease> {
        Some(Lease {
            minute: self.minute()?,
            requests: self.u64()?,
            tokens: self.u64()?,
            remaining_requests: self.u64()?,
            remaining_tokens: self.u64()?,
            answered_at: self.millis()?,
            last_admitted_at: self.millis()?,
            request_gap: self.f32()?,
            unused_elsewhere: self.u8()? != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::time::{Minute, UnixMillis, UnixSeconds};

    fn eventful() -> Record {
        let mut completions = CompletionLengths::default();
        (1..=30).for_each(|tokens| completions.record(tokens));
        Record {
            window: Window { minute: Minute(29_000_000), requests: 3, tokens: 1 << 40 },
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
                requests: 19,
                remaining_tokens: u64::MAX,
                last_admitted_at: UnixMillis(20),
                ..Lease::default()
            },
            in_flight: vec![InFlight { vm: 12, count: 13 }, InFlight { vm: 14, count: 15 }],
        }
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        for record in [Record::default(), eventful()] {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
        let window = Window { minute: Minute(1), requests: 2, tokens: 3 };
        assert_eq!(Window::decode(&window.encode()), Some(window));
    }

    #[test]
    fn bytes_that_are_truncated_or_of_another_format_are_no_record() {
        let bytes = eventful().encode();
        for end in 0..bytes.len() {
            let read = Record::decode(&bytes[..end]);
            // The record has no count of its last list, so whole items may be missing.
            assert!(read.is_none() || read.is_some_and(|read| read.in_flight.len() < 2), "{end}");
        }
        let mut other = bytes.clone();
        other[0] = 9;
        assert_eq!(Record::decode(&other), None);
    }
}
