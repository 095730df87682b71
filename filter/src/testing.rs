//! A build for tests: it checks the store at start, and traps when a request asks for it.

use llm_balancer_router::Headers;
use llm_balancer_router::testing::contract;

use crate::shared_data::SharedData;

/// A request with this header ends the VM.
const TRAP: &str = "x-llm-trap";

/// Checks Envoy's shared data by the contract of stores, and logs the result.
pub(crate) fn check_the_store() {
    // Keys cannot be removed, so each check has its own.
    let prefix = format!("contract/{}", getrandom::u64().unwrap_or_default());
    let kept = match contract::check(&SharedData, &prefix) {
        Ok(()) => "kept".to_owned(),
        Err(what) => format!("broken: {what}"),
    };
    // All workers and the main thread add to one number at the same time.
    let added = contract::add(&SharedData, "contract/sum", 1000);
    let sum = added.and_then(|()| contract::number(&SharedData, "contract/sum"));
    log::warn!("the contract of stores is {kept}; the sum is {sum:?}");
}

/// Ends the VM, if the request says so.
pub(crate) fn trap_if_asked(headers: &Headers) {
    if headers.get(TRAP).is_some() {
        core::arch::wasm32::unreachable()
    }
}
