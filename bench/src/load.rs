//! The loads: what is sent, and what a round of it measures.

use std::error::Error;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::json;

use crate::provider::Provider;
use crate::streams::CHUNKS;
use crate::subject::Subject;
use crate::wrk::{self, Options};

/// The name that clients send.
pub const MODEL: &str = "gpt-3.5-turbo";

/// Of a stream's round: until the streams are out of step, and then the time that counts.
const STREAMS_START: Duration = Duration::from_millis(800);
const STREAMS_COUNT: Duration = Duration::from_secs(2);

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Load {
    /// Chats of 1 KB on 8 connections
    #[value(name = "1kb")]
    Small,
    /// Chats of 100 KB on 8 connections
    #[value(name = "100kb")]
    Large,
    /// Streams of 300 chunks, one every 2 ms, on 32 connections
    Sse,
}

/// One round of one process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Requests, or streams of 300 chunks.
    pub requests: f64,
    /// Microseconds per request.
    pub cpu: f64,
    /// Milliseconds; `None` if no response was complete.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    /// Requests per second.
    pub rate: f64,
    pub failed: u64,
    /// New connections to the provider.
    pub connections: u64,
}

impl Load {
    pub fn words(self) -> &'static str {
        match self {
            Self::Small => "1 KB",
            Self::Large => "100 KB",
            Self::Sse => "SSE",
        }
    }

    pub fn streams(self) -> bool {
        self == Self::Sse
    }

    /// Seconds of wrk.
    fn seconds(self) -> u64 {
        if self.streams() { 3 } else { 1 }
    }

    /// The request's body.
    pub fn body(self) -> String {
        let bytes = if self == Self::Large { 100 * 1024 } else { 1024 };
        let body = |prompt: &str| {
            let messages = json!([
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": prompt},
            ]);
            let mut body = json!({"model": MODEL, "messages": messages, "temperature": 0.2});
            if self.streams() {
                body["stream"] = json!(true);
            }
            body.to_string()
        };
        let words = "The quick brown fox jumps over the lazy dog. ".chars().cycle();
        let prompt: String = words.take(bytes - body("").len()).collect();
        body(&prompt)
    }

    /// Runs wrk and lets what it has started end.
    pub fn warm_up(
        self,
        subject: &Subject,
        provider: &Provider,
        threads: usize,
    ) -> Result<(), Box<dyn Error>> {
        let options = Options { seconds: self.seconds().max(2), ..self.options(threads) };
        wrk::finish(wrk::start(subject.port, &subject.script, options)?)?;
        provider.drain();
        Ok(())
    }

    /// One round.
    pub fn measure(
        self,
        subject: &Subject,
        provider: &Provider,
        threads: usize,
    ) -> Result<Sample, Box<dyn Error>> {
        let start = || wrk::start(subject.port, &subject.script, self.options(threads));
        if self.streams() { streams(start, subject, provider) } else { chats(start, subject, provider) }
    }

    fn options(self, threads: usize) -> Options {
        let streams = self.streams();
        // A step of the provider is not interrupted by what reads its first events.
        let (connections, gives_way) = if streams { (32, true) } else { (8, false) };
        Options { connections, threads, seconds: self.seconds(), gives_way }
    }
}

fn chats(
    start: impl Fn() -> Result<Child, Box<dyn Error>>,
    subject: &Subject,
    provider: &Provider,
) -> Result<Sample, Box<dyn Error>> {
    let (seen, cpu, started) = (provider.seen()?, subject.process.cpu(), Instant::now());
    let report = wrk::finish(start()?)?;
    let (cpu, time) = (subject.process.cpu().saturating_sub(cpu), started.elapsed());
    let connections = provider.seen()?.connections.saturating_sub(seen.connections);
    Ok(sample(report, report.requests as f64, cpu, time, connections))
}

/// Streams take longer than a round may, so what counts is the chunks that the provider sends while
/// every connection streams.
fn streams(
    start: impl Fn() -> Result<Child, Box<dyn Error>>,
    subject: &Subject,
    provider: &Provider,
) -> Result<Sample, Box<dyn Error>> {
    let wrk = start()?;
    thread::sleep(STREAMS_START);
    let (seen, cpu, started) = (provider.seen()?, subject.process.cpu(), Instant::now());
    thread::sleep(STREAMS_COUNT);
    let (cpu, time) = (subject.process.cpu().saturating_sub(cpu), started.elapsed());
    let now = provider.seen()?;
    let report = wrk::finish(wrk)?;
    provider.drain();
    let streams = now.chunks.saturating_sub(seen.chunks) as f64 / CHUNKS as f64;
    Ok(sample(report, streams, cpu, time, now.connections.saturating_sub(seen.connections)))
}

fn sample(report: wrk::Report, requests: f64, cpu: Duration, time: Duration, connections: u64) -> Sample {
    let complete = report.requests > 0;
    Sample {
        requests,
        cpu: cpu.as_secs_f64() * 1e6 / requests,
        p50: complete.then_some(report.p50),
        p99: complete.then_some(report.p99),
        rate: requests / time.as_secs_f64(),
        failed: report.failed,
        connections,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Load, Sample, sample};
    use crate::wrk::Report;

    #[test]
    fn bodies_have_the_size_that_the_table_names() {
        assert_eq!(Load::Small.body().len(), 1024);
        assert_eq!(Load::Large.body().len(), 102_400);
        assert_eq!(Load::Sse.body().len(), 1024);
    }

    #[test]
    fn cpu_is_per_request_and_the_rate_per_second() {
        let report = Report { requests: 4000, failed: 1, p50: 1.5, p99: 3.0 };
        let measured = sample(report, 4000.0, Duration::from_millis(400), Duration::from_secs(2), 8);
        let expected = Sample {
            requests: 4000.0,
            cpu: 100.0,
            p50: Some(1.5),
            p99: Some(3.0),
            rate: 2000.0,
            failed: 1,
            connections: 8,
        };
        assert_eq!(measured, expected);
    }

    #[test]
    fn without_a_complete_response_there_is_no_latency() {
        let report = Report { requests: 0, failed: 0, p50: 0.0, p99: 0.0 };
        let measured = sample(report, 10.0, Duration::from_millis(1), Duration::from_secs(1), 0);
        assert_eq!((measured.p50, measured.p99), (None, None));
    }
}
