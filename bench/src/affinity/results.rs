//! The figures of a policy in a scenario, and the file that keeps them.

use std::error::Error;
use std::fs;
use std::path::Path;

use fake_provider::vllm::Counters;
use serde_json::{Value, json};

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    pub scenario: String,
    pub policy: String,
    /// Seconds of the model to the first token.
    pub median: f64,
    pub high: f64,
    /// The share of the prompts' tokens that were cached.
    pub hits: f64,
    /// The largest number of requests in flight at a worker, on average, in the mean of all.
    pub in_flight: f64,
    /// The same for requests.
    pub requests: f64,
    pub failures: usize,
}

pub const HEADER: &str = "scenario   policy                        p50 s    p99 s  hits %  in flight  requests  failures\n\
                          (load: the largest of a worker in the mean of all)";

impl Figures {
    /// Of the times to first tokens in seconds, and of what each worker did. `None` without an
    /// answer.
    pub fn of(
        scenario: &str,
        policy: &str,
        mut times: Vec<f64>,
        workers: &[Counters],
        failures: usize,
    ) -> Option<Self> {
        times.sort_by(f64::total_cmp);
        let last = times.len().checked_sub(1)?;
        let at = |share: f64| times[(last as f64 * share).round() as usize];
        let sum = |count: fn(&Counters) -> u64| workers.iter().map(count).sum::<u64>() as f64;
        Some(Self {
            scenario: scenario.to_owned(),
            policy: policy.to_owned(),
            median: at(0.5),
            high: at(0.99),
            hits: sum(|worker| worker.cached_tokens) / sum(|worker| worker.prompt_tokens).max(1.0),
            in_flight: excess(workers.iter().map(|worker| worker.in_flight)),
            requests: excess(workers.iter().map(|worker| worker.requests)),
            failures,
        })
    }

    pub fn row(&self) -> String {
        let Self { scenario, policy, median, high, hits, in_flight, requests, failures } = self;
        let hits = hits * 100.0;
        format!(
            "{scenario:10} {policy:27} {median:7.3}  {high:7.3} {hits:7.1} {in_flight:10.2} {requests:9.2} {failures:9}"
        )
    }

    fn json(&self) -> Value {
        json!({
            "scenario": self.scenario, "policy": self.policy, "p50_seconds": self.median, "p99_seconds": self.high,
            "hit_rate": self.hits, "max_over_mean_in_flight": self.in_flight, "max_over_mean_requests": self.requests,
            "failures": self.failures,
        })
    }

    fn read(json: &Value) -> Option<Self> {
        Some(Self {
            scenario: json["scenario"].as_str()?.to_owned(),
            policy: json["policy"].as_str()?.to_owned(),
            median: json["p50_seconds"].as_f64()?,
            high: json["p99_seconds"].as_f64()?,
            hits: json["hit_rate"].as_f64()?,
            in_flight: json["max_over_mean_in_flight"].as_f64()?,
            requests: json["max_over_mean_requests"].as_f64()?,
            failures: usize::try_from(json["failures"].as_u64()?).ok()?,
        })
    }
}

/// The largest in the mean.
fn excess(loads: impl Iterator<Item = u64> + Clone) -> f64 {
    let most = loads.clone().max().unwrap_or(0) as f64;
    most * loads.clone().count() as f64 / loads.sum::<u64>().max(1) as f64
}

/// All figures of a file, one JSON object a line; none if there is no file.
pub fn read(file: &Path) -> Result<Vec<Figures>, Box<dyn Error>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(file)?;
    let line = |line| Figures::read(&serde_json::from_str(line).ok()?);
    text.lines().map(|text| line(text).ok_or_else(|| format!("not figures: {text}").into())).collect()
}

/// Replaces the figures of the same scenario and policy.
pub fn keep(file: &Path, new: &Figures) -> Result<(), Box<dyn Error>> {
    let mut all = read(file)?;
    match all.iter_mut().find(|one| one.scenario == new.scenario && one.policy == new.policy) {
        Some(old) => *old = new.clone(),
        None => all.push(new.clone()),
    }
    let lines: Vec<_> = all.iter().map(|one| one.json().to_string() + "\n").collect();
    Ok(fs::write(file, lines.concat())?)
}

#[cfg(test)]
mod tests {
    use fake_provider::vllm::Counters;

    use super::{Figures, keep, read};

    fn worker(requests: u64, in_flight: u64) -> Counters {
        Counters { requests, in_flight, prompt_tokens: 1_000, cached_tokens: 250, prefill: 0 }
    }

    fn figures(policy: &str) -> Figures {
        let times = (0..=100).rev().map(|n| f64::from(n) / 100.0).collect();
        Figures::of("chat", policy, times, &[worker(30, 400), worker(10, 400)], 2).unwrap()
    }

    #[test]
    fn figures_are_percentiles_shares_and_the_largest_load_in_the_mean() {
        let figures = figures("prefix");
        assert_eq!((figures.median, figures.high, figures.hits), (0.5, 0.99, 0.25));
        assert_eq!((figures.requests, figures.in_flight, figures.failures), (1.5, 1.0, 2));
        assert_eq!(Figures::of("chat", "prefix", Vec::new(), &[], 9), None);
    }

    #[test]
    fn a_file_keeps_the_newest_figures_of_each_policy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results");
        assert_eq!(read(&file).unwrap(), []);
        keep(&file, &figures("shuffle")).unwrap();
        keep(&file, &figures("prefix")).unwrap();
        let newer = Figures { failures: 0, ..figures("shuffle") };
        keep(&file, &newer).unwrap();
        assert_eq!(read(&file).unwrap(), [newer, figures("prefix")]);
    }
}
