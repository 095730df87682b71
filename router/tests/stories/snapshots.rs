//! Stories of what a worker knows of the others: it learns that their requests have ended, whatever
//! the size of the group.

use std::time::Duration;

use crate::common::{World, group};
use llm_balancer_router::{Attempt, Random, SplitMix};

const STRATEGIES: [&str; 3] = ["least-busy", "usage-based-routing", "latency-based-routing"];

/// The time of each response.
const ANSWER: Duration = Duration::from_millis(100);

/// Workers of one store that know of each other.
struct Workers {
    worlds: Vec<World>,
    random: SplitMix,
    now: Duration,
}

impl Workers {
    fn of(strategy: &str, size: usize, count: u32) -> Self {
        let ids: Vec<String> = (0..size).map(|nth| format!("d{nth}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let settings = format!("router_settings: {{num_retries: 0, routing_strategy: {strategy}}}\n");
        let worlds = World::workers(&(group(&ids, "") + &settings), count);
        let now = worlds[0].now;
        let mut workers = Self { worlds, random: SplitMix::new(7 + size as u64), now };
        // Every worker serves, and every deployment is measured.
        for nth in 0..size.max(count as usize) {
            let begun = workers.begin(nth % count as usize, &format!("d{}", nth % size));
            workers.end_all(vec![begun]);
        }
        workers.beat();
        workers
    }

    fn beat(&mut self) {
        self.now += Duration::from_secs(1);
        for world in &mut self.worlds {
            world.now = self.now - Duration::from_secs(1);
            world.wait(1.0);
        }
    }

    fn begin(&mut self, worker: usize, model: &str) -> (usize, Attempt) {
        self.worlds[worker].now = self.now;
        (worker, self.worlds[worker].begin(model, "").unwrap())
    }

    /// Requests of one worker, one after the other; the deployments that serve them.
    fn requests_of(&mut self, worker: usize, requests: usize) -> Vec<usize> {
        let mut served = Vec::with_capacity(requests);
        for _ in 0..requests {
            let begun = self.begin(worker, "g");
            served.push(begun.1.deployment);
            self.end_all(vec![begun]);
        }
        served
    }

    /// Slow requests of the second worker, one at each deployment.
    fn occupy(&mut self, size: usize) -> Vec<(usize, Attempt)> {
        (0..size).map(|nth| self.begin(1, &format!("d{nth}"))).collect()
    }

    fn end_all(&mut self, attempts: Vec<(usize, Attempt)>) {
        self.now += ANSWER;
        for (worker, attempt) in attempts {
            self.worlds[worker].now = self.now;
            self.worlds[worker].end(attempt, Some(1));
        }
    }

    /// Requests at once, each at any worker, which then end together.
    fn burst(&mut self, requests: usize) {
        let begun = (0..requests)
            .map(|_| {
                let worker = self.random.below(self.worlds.len());
                self.begin(worker, "g")
            })
            .collect();
        self.end_all(begun);
    }

    /// The requests that each deployment serves, of so many, one after the other at random workers.
    fn one_by_one(&mut self, requests: usize, size: usize) -> Vec<u32> {
        let mut counts = vec![0; size];
        for _ in 0..requests {
            let worker = self.random.below(self.worlds.len());
            let begun = self.begin(worker, "g");
            counts[begun.1.deployment] += 1;
            self.end_all(vec![begun]);
        }
        counts
    }
}

/// Whether shares differ from equal ones by more than chance does once in 10,000 times (Wilson and
/// Hilferty's approximation of the chi-square distribution).
fn is_uneven(counts: &[u32]) -> bool {
    let mean = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
    let statistic: f64 = counts.iter().map(|count| (f64::from(*count) - mean).powi(2) / mean).sum();
    let freedom = counts.len() as f64 - 1.0;
    let part = 2.0 / (9.0 * freedom);
    statistic > freedom * (1.0 - part + 3.72 * part.sqrt()).powi(3)
}

#[test]
fn after_a_burst_has_ended_requests_are_spread_evenly_whatever_the_size_of_the_group() {
    let sizes = (2..=9).chain([100]);
    let cases = sizes.flat_map(|size| (1..=8).map(move |workers| (size, workers)));
    let mut uneven = Vec::new();
    for (size, workers) in cases.filter(|(size, workers)| *size < 100 || [4, 7].contains(workers)) {
        for strategy in STRATEGIES {
            let mut all = Workers::of(strategy, size, workers);
            all.burst(size * 4);
            // Each worker refreshes two snapshots with every selection.
            let settling = if size < 100 { size.div_ceil(2) * workers as usize * 2 } else { 0 };
            all.one_by_one(settling, size);
            if size == 100 {
                all.beat();
            }
            let counts = all.one_by_one(size * if size < 100 { 60 } else { 8 }, size);
            if is_uneven(&counts) {
                uneven.push(format!("{strategy}, {workers} workers: {counts:?}"));
            }
        }
    }
    assert!(uneven.is_empty(), "{uneven:#?}");
}

#[test]
fn a_worker_refreshes_every_snapshot_within_half_as_many_selections_as_there_are_deployments() {
    for size in [2, 3, 4, 5, 6, 9, 32, 64, 65, 100, 300] {
        let mut all = Workers::of("least-busy", size, 2);
        let begun = all.occupy(size);
        all.requests_of(0, size);
        all.end_all(begun);
        all.requests_of(0, size.div_ceil(2));
        // No deployment is busy in its snapshots any more.
        let mut counts = vec![0; size];
        all.requests_of(0, size * 20).into_iter().for_each(|served| counts[served] += 1);
        assert!(!is_uneven(&counts), "{size}: {counts:?}");
    }
}

#[test]
fn a_worker_refreshes_every_snapshot_within_seconds_without_any_selection() {
    for (size, beats) in [(100, 2), (300, 3)] {
        let mut all = Workers::of("least-busy", size, 2);
        let begun = all.occupy(size / 2);
        all.requests_of(0, size);
        all.end_all(begun);
        (0..beats).for_each(|_| all.beat());
        let served = all.requests_of(0, 60);
        let were_busy = served.iter().filter(|served| **served < size / 2).count();
        assert!((18..=42).contains(&were_busy), "{were_busy} of 60 go to the half that was busy");
    }
}
