//! Envoy's shared data as the router's store: one for all workers, kept across reloads of the configuration.

use llm_balancer_router::{Store, Version};

use crate::host;

/// Of this process, under the VM's id.
pub struct SharedData;

impl Store for SharedData {
    fn get(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        host::shared_data(key)
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<Version>) -> bool {
        // Envoy writes a missing key whatever the version, and a present one with its own version or with 0. So a key
        // is created, and never replaced, with a version that only the four billionth write has.
        host::set_shared_data(key, value, version.unwrap_or(Version::MAX)).is_ok()
    }
}
