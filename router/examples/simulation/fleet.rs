//! The deployments of a simulated fleet, and the speed at which they serve.
//!
//! A deployment is an inference server with continuous batching: up to `batch` requests at once do
//! not slow each other down, and more share its speed. Times are those of chat models of 8 to 70
//! billion parameters on one to eight accelerators: 0.2 to 0.6 s to the first token, 12 to 35 ms
//! for each further one.

use crate::traffic::{Micros, SECOND};

/// The properties of a deployment.
#[derive(Clone, Copy, Debug)]
pub struct ServerProfile {
    /// Seconds to the first token, alone.
    pub first: f64,
    /// Seconds for each token, alone.
    pub each: f64,
    /// Requests at once that do not slow each other down.
    pub batch: f64,
    /// The share of requests that fail with 500.
    pub fails: f64,
    /// Seconds at the start of every 90 in which it answers 429, with the rest of them as
    /// `retry-after`: another user takes the account's limit.
    pub limited: u64,
    /// In the middle fifth of the time it takes this many times as long.
    pub slows: f64,
}

const SOUND: ServerProfile =
    ServerProfile { first: 0.3, each: 0.018, batch: 16.0, fails: 0.0, limited: 0, slows: 1.0 };

/// Hardware of several generations, the slowest three times as slow as the fastest and with the
/// largest batch; one that fails, one that is limited, and one that slows down. Each of them can
/// serve an even share outside of its trouble.
pub const UNEQUAL: [ServerProfile; 8] = [
    ServerProfile { first: 0.6, each: 0.035, batch: 32.0, ..SOUND },
    ServerProfile { first: 0.35, each: 0.02, batch: 20.0, ..SOUND },
    ServerProfile { first: 0.35, each: 0.022, batch: 20.0, ..SOUND },
    ServerProfile { first: 0.25, each: 0.012, batch: 16.0, ..SOUND },
    ServerProfile { first: 0.2, each: 0.013, batch: 16.0, ..SOUND },
    ServerProfile { first: 0.3, each: 0.014, batch: 16.0, fails: 0.1, ..SOUND },
    ServerProfile { first: 0.5, each: 0.016, batch: 24.0, limited: 15, ..SOUND },
    ServerProfile { first: 0.3, each: 0.015, batch: 18.0, slows: 3.0, ..SOUND },
];

/// The same with more room than the requests need, as hosted models have: the fastest could serve
/// all of them, and a strategy that ignores the load makes no mistake.
pub fn roomy() -> [ServerProfile; 8] {
    UNEQUAL.map(|profile| ServerProfile { batch: 1000.0, ..profile })
}

/// Two equal ones with room for all requests, of which one is much slower for a while.
pub const PAIR: [ServerProfile; 2] =
    [ServerProfile { batch: 1000.0, slows: 20.0, ..SOUND }, ServerProfile { batch: 1000.0, ..SOUND }];

/// The control: six equal ones without trouble.
pub const EQUAL: [ServerProfile; 6] = [SOUND; 6];

/// A request in progress.
#[derive(Clone, Copy, Debug)]
struct Job {
    request: usize,
    /// Seconds of work until the first token, and until the end, alone.
    to_first: f64,
    left: f64,
    /// When the first token arrived.
    first: Micros,
}

/// A request that has ended, and when its first token arrived.
pub type Done = (usize, Micros);

/// A deployment at work.
#[derive(Clone, Debug)]
pub struct Server {
    pub profile: ServerProfile,
    jobs: Vec<Job>,
    now: Micros,
    /// The number of the valid plan: each change makes a new one.
    pub plan: u64,
    slowed: (Micros, Micros),
    counted: (Micros, Micros),
    /// Requests in flight times microseconds, within `counted`.
    pub load: f64,
}

impl Server {
    pub fn new(profile: ServerProfile, slowed: (Micros, Micros), counted: (Micros, Micros)) -> Self {
        Self { profile, jobs: Vec::new(), now: 0, plan: 0, slowed, counted, load: 0.0 }
    }

    /// Seconds of work done in a second for each request.
    fn speed(&self) -> f64 {
        let is_slow = (self.slowed.0..self.slowed.1).contains(&self.now);
        let slow = if is_slow { self.profile.slows } else { 1.0 };
        (self.profile.batch / self.jobs.len().max(1) as f64).min(1.0) / slow
    }

    /// Works until this time, during which nothing changes.
    pub fn work(&mut self, now: Micros) {
        let done = self.speed() * (now - self.now) as f64 / SECOND as f64;
        for job in &mut self.jobs {
            job.left -= done;
            if job.to_first > 0.0 {
                job.to_first -= done;
                if job.to_first < 1e-7 {
                    (job.to_first, job.first) = (0.0, now);
                }
            }
        }
        let within = now.min(self.counted.1).saturating_sub(self.now.max(self.counted.0));
        self.load += (within * self.jobs.len() as u64) as f64;
        self.now = now;
        self.plan += 1;
    }

    /// Begins a request whose first token takes `first` times as long as usual.
    pub fn begin(&mut self, request: usize, first: f64, tokens: f64) {
        let to_first = first * self.profile.first;
        let left = to_first + tokens * self.profile.each;
        self.jobs.push(Job { request, to_first, left, first: 0 });
    }

    /// Drops a request that has timed out.
    pub fn drop(&mut self, request: usize) {
        self.jobs.retain(|job| job.request != request);
    }

    /// Takes the requests that are done.
    pub fn take_done(&mut self) -> Vec<Done> {
        let done = self.jobs.extract_if(.., |job| job.left < 1e-7);
        done.map(|job| (job.request, job.first)).collect()
    }

    /// The time of the next first token or end.
    pub fn next(&self) -> Option<Micros> {
        let due = |job: &Job| if job.to_first > 0.0 { job.to_first } else { job.left };
        let soonest = self.jobs.iter().map(due).min_by(f64::total_cmp)?;
        let soonest = (soonest / self.speed() * SECOND as f64).ceil() as Micros;
        Some(self.now + soonest.max(1))
    }

    /// Seconds until it accepts requests again, where it accepts none.
    pub fn limited(&self) -> Option<u64> {
        let second = self.now / SECOND % 90;
        (second < self.profile.limited).then(|| self.profile.limited - second)
    }

    /// The requests per second that it can serve, each of this many tokens.
    pub fn capacity(profile: &ServerProfile, tokens: f64) -> f64 {
        profile.batch / (profile.first + tokens * profile.each)
    }
}
