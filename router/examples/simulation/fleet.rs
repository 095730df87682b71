//! The deployments of a simulated fleet, and how each of them works off what it is sent.
//!
//! A deployment is an inference server with continuous batching: up to `batch` requests at once, each goes as fast as if
//! it were alone, and beyond that they share. Times are those of chat models of 8 to 70 billion parameters on one to
//! eight accelerators: 0.2 to 0.6 s to the first token, 12 to 35 ms for each further one.

use crate::traffic::{Micros, SECOND};

/// What a deployment is like.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// To the first token, alone. Seconds.
    pub first: f64,
    /// For each token, alone. Seconds.
    pub each: f64,
    /// Requests at once that do not slow each other down.
    pub batch: f64,
    /// The share of requests that it answers with 500.
    pub fails: f64,
    /// For the first so many seconds of every minute and a half it answers 429, with the rest of them as `retry-after`:
    /// somebody else uses up the limit of the account.
    pub limited: u64,
    /// In the middle fifth of the time it takes so many times as long.
    pub slows: f64,
}

const SOUND: Kind = Kind { first: 0.3, each: 0.018, batch: 16.0, fails: 0.0, limited: 0, slows: 1.0 };

/// Hardware of several generations, the slowest three times as slow as the fastest and with most room; one that fails, one
/// that is limited, and one that slows down. An even share is within what each of them can carry while it is well.
pub const UNEQUAL: [Kind; 8] = [
    Kind { first: 0.6, each: 0.035, batch: 32.0, ..SOUND },
    Kind { first: 0.35, each: 0.02, batch: 20.0, ..SOUND },
    Kind { first: 0.35, each: 0.022, batch: 20.0, ..SOUND },
    Kind { first: 0.25, each: 0.012, batch: 16.0, ..SOUND },
    Kind { first: 0.2, each: 0.013, batch: 16.0, ..SOUND },
    Kind { first: 0.3, each: 0.014, batch: 16.0, fails: 0.1, ..SOUND },
    Kind { first: 0.5, each: 0.016, batch: 24.0, limited: 15, ..SOUND },
    Kind { first: 0.3, each: 0.015, batch: 18.0, slows: 3.0, ..SOUND },
];

/// The same where each has more room than anybody asks for, as hosted models do: the fastest could serve everybody, and
/// whoever never looks at the load makes no mistake.
pub fn roomy() -> [Kind; 8] {
    UNEQUAL.map(|kind| Kind { batch: 1000.0, ..kind })
}

/// Two of the same, with room for everybody, of which one is much slower for a while.
pub const PAIR: [Kind; 2] = [Kind { batch: 1000.0, slows: 20.0, ..SOUND }, Kind { batch: 1000.0, ..SOUND }];

/// The control: six of the same, without trouble.
pub const EQUAL: [Kind; 6] = [SOUND; 6];

/// A request at work.
#[derive(Clone, Copy, Debug)]
struct Job {
    request: usize,
    /// Seconds of work until the first token, and until the end, alone.
    to_first: f64,
    left: f64,
    /// When the first token was there.
    first: Micros,
}

/// One that has ended: which, and when its first token was there.
pub type Done = (usize, Micros);

/// A deployment at work.
#[derive(Clone, Debug)]
pub struct Server {
    pub kind: Kind,
    jobs: Vec<Job>,
    now: Micros,
    /// Which plan counts: each change makes another.
    pub plan: u64,
    slowed: (Micros, Micros),
    counted: (Micros, Micros),
    /// Requests in flight times microseconds, within `counted`.
    pub load: f64,
}

impl Server {
    pub fn new(kind: Kind, slowed: (Micros, Micros), counted: (Micros, Micros)) -> Self {
        Self { kind, jobs: Vec::new(), now: 0, plan: 0, slowed, counted, load: 0.0 }
    }

    /// Seconds of work done in a second for each request.
    fn speed(&self) -> f64 {
        let is_slow = (self.slowed.0..self.slowed.1).contains(&self.now);
        let slow = if is_slow { self.kind.slows } else { 1.0 };
        (self.kind.batch / self.jobs.len().max(1) as f64).min(1.0) / slow
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

    /// Begins a request. `first` says how much longer than usual its first token takes.
    pub fn begin(&mut self, request: usize, first: f64, tokens: f64) {
        let to_first = first * self.kind.first;
        let left = to_first + tokens * self.kind.each;
        self.jobs.push(Job { request, to_first, left, first: 0 });
    }

    /// Drops a request for which nobody waits any more.
    pub fn drop(&mut self, request: usize) {
        self.jobs.retain(|job| job.request != request);
    }

    /// Takes out whatever is done.
    pub fn take_done(&mut self) -> Vec<Done> {
        let done = self.jobs.extract_if(.., |job| job.left < 1e-7);
        done.map(|job| (job.request, job.first)).collect()
    }

    /// When there is something to see again.
    pub fn next(&self) -> Option<Micros> {
        let due = |job: &Job| if job.to_first > 0.0 { job.to_first } else { job.left };
        let soonest = self.jobs.iter().map(due).min_by(f64::total_cmp)?;
        let soonest = (soonest / self.speed() * SECOND as f64).ceil() as Micros;
        Some(self.now + soonest.max(1))
    }

    /// Seconds until it takes requests again, where it takes none.
    pub fn limited(&self) -> Option<u64> {
        let second = self.now / SECOND % 90;
        (second < self.kind.limited).then(|| self.kind.limited - second)
    }

    /// What it can carry: requests in a second, each of so many tokens.
    pub fn capacity(kind: &Kind, tokens: f64) -> f64 {
        kind.batch / (kind.first + tokens * kind.each)
    }
}
