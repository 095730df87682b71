//! What the filter does for tests alone, in a build of its own.

use std::hash::{BuildHasher, RandomState};

use llm_balancer_router::testing::contract;

use crate::host::{self, LogLevel};
use crate::shared::SharedData;

/// A request with this header ends the VM.
const TRAP: &str = "x-llm-trap";

/// Checks Envoy's shared data by the same contract as every other store, and says what came of it.
pub(crate) fn check_the_store() {
    // Keys cannot be removed, so each check has its own.
    let prefix = format!("contract/{}", RandomState::new().hash_one("contract"));
    let kept = match contract::check(&SharedData, &prefix) {
        Ok(()) => "kept".to_owned(),
        Err(what) => format!("broken: {what}"),
    };
    // All workers and the main thread add to one number at the same time.
    let added = contract::add(&SharedData, "contract/sum", 1000);
    let sum = added.and_then(|()| contract::number(&SharedData, "contract/sum"));
    host::log(LogLevel::Warn, &format!("the contract of stores is {kept}; the sum is {sum:?}"));
}

/// Ends the VM, if the request says so.
pub(crate) fn trap_if_asked(headers: &llm_balancer_router::Headers) {
    if headers.get(TRAP).is_some() {
        core::arch::wasm32::unreachable()
    }
}
