//! Envoy's shared data as the router's store: all workers share it, and it survives reloads.

use llm_balancer_router::{Store, Version};

use crate::hostcalls;

/// The shared data of this process, under the VM's id.
pub(crate) struct SharedData;

impl Store for SharedData {
    fn get(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        hostcalls::shared_data(key)
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<Version>) -> bool {
        // Envoy writes a missing key whatever the version, and a present one with its own version
        // or with 0. A key is created with a version that only the four billionth write has, so
        // that it is not replaced if it is there.
        hostcalls::set_shared_data(key, value, version.unwrap_or(Version::MAX)).is_ok()
    }
}
