//! Configurations of targets.

use llm_balancer_config::{Config, read};

/// A configuration that is valid.
pub fn of(yaml: &str) -> Config {
    let reading = read("config.yaml", yaml, &|_| None);
    reading.config.unwrap_or_else(|| panic!("{:#?}", reading.findings))
}
