//! A random configuration of one group.

use llm_balancer_config::{Config, read};

use crate::common::items;

pub(super) const STRATEGIES: [&str; 5] =
    ["simple-shuffle", "least-busy", "usage-based-routing-v2", "latency-based-routing", "cost-based-routing"];

/// The limits of one deployment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) rpm: Option<u64>,
    pub(super) tpm: Option<u64>,
    pub(super) parallel: Option<u32>,
}

#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) limits: Vec<Limits>,
    pub(super) strategy: &'static str,
    pub(super) cooldown: u32,
}

impl Setting {
    pub(super) fn yaml(&self) -> String {
        let number =
            |name: &str, value: Option<u64>| value.map_or(String::new(), |n| format!(", {name}: {n}"));
        let item = |(nth, limits): (usize, &Limits)| {
            let limits = number("rpm", limits.rpm)
                + &number("tpm", limits.tpm)
                + &number("max_parallel_requests", limits.parallel.map(u64::from));
            items(&[&format!("d{nth}")], &limits)
        };
        let list: String = self.limits.iter().enumerate().map(item).collect();
        format!(
            "model_list:\n{list}router_settings: {{routing_strategy: {}, cooldown_time: {}}}\n",
            self.strategy, self.cooldown
        )
    }

    pub(super) fn config(&self) -> Config {
        let reading = read("config.yaml", &self.yaml(), &|_| None);
        reading.config.unwrap_or_else(|| panic!("{:#?}", reading.findings))
    }

    /// Whether a limit or the strategy depends on tokens.
    pub(super) fn counts_tokens(&self) -> bool {
        self.strategy == "usage-based-routing-v2" || self.limits.iter().any(|limits| limits.tpm.is_some())
    }

    /// Whether the record of a deployment counts its requests.
    pub(super) fn is_counted(&self, place: usize) -> bool {
        let Limits { rpm, tpm, parallel } = self.limits[place];
        let by_strategy = !matches!(self.strategy, "simple-shuffle" | "cost-based-routing");
        by_strategy || rpm.is_some() || tpm.is_some() || parallel.is_some()
    }
}
