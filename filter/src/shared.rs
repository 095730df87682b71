//! Envoy's shared data as the router's store: one for all workers, kept across reloads of the configuration.

use llm_balancer_router::store::{Store, Version};

use crate::host;

/// Of this process, under the VM's id.
pub struct SharedData;

impl Store for SharedData {
    fn get(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        host::shared_data(key)
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<Version>) -> bool {
        // Version 0 is none that Envoy gives: with it, it writes whatever is there.
        host::set_shared_data(key, value, version.unwrap_or_default()).is_ok()
    }
}
