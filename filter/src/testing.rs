//! A build for tests: it checks the store at start, and traps or times host calls when a request
//! asks for it.

use llm_balancer_config::names;
use llm_balancer_router::Headers;
use llm_balancer_router::testing::contract;

use crate::hostcalls::{self, MapType};
use crate::shared_data::SharedData;

/// A request with this header ends the VM, or with a module its own stream.
const TRAP: &str = "x-llm-trap";
/// The response to a request with this header makes the filter log the cost of host calls.
const TIME_HOST_CALLS: &str = "x-llm-time-host-calls";

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

/// Ends the VM, if the request says so: `1` for its own headers, `2` for those of the response.
#[cfg_attr(not(target_family = "wasm"), expect(clippy::panic, reason = "on demand"))]
pub(crate) fn trap_if_asked(request: &Headers, at: &str) {
    if request.get(TRAP) == Some(at) {
        #[cfg(target_family = "wasm")]
        core::arch::wasm32::unreachable();
        #[cfg(not(target_family = "wasm"))]
        panic!("panicked on demand");
    }
}

/// Logs the mean time of host calls in the callback of a response's headers, if the request says
/// so (docs/decisions/host-calls.md).
pub(crate) fn time_host_calls_if_asked(request: &Headers) {
    const TIMES: u32 = 20_000;
    const RESPONSE: MapType = MapType::HttpResponseHeaders;
    if request.get(TIME_HOST_CALLS).is_none() {
        return;
    }
    let response = hostcalls::headers(RESPONSE);
    let line = "x".repeat(500);
    let calls: [(&str, &dyn Fn()); 8] = [
        ("the time", &ignoring(hostcalls::now)),
        ("a header", &ignoring(|| hostcalls::header(RESPONSE, ":status"))),
        ("a header that is missing", &ignoring(|| hostcalls::header(RESPONSE, TIME_HOST_CALLS))),
        ("all headers", &ignoring(|| hostcalls::headers(RESPONSE))),
        ("set all headers", &ignoring(|| hostcalls::set_headers(RESPONSE, &response))),
        ("set a header", &ignoring(|| hostcalls::set_header(RESPONSE, names::RETRY, "0"))),
        ("shared data", &ignoring(|| hostcalls::shared_data("vms"))),
        ("set a property of 500 bytes", &|| hostcalls::set_property(names::ACCESS_LOG_ENTRY, &line)),
    ];
    for (what, call) in calls {
        let start = hostcalls::now();
        (0..TIMES).for_each(|_| call());
        let each = hostcalls::now().saturating_sub(start).checked_div(TIMES);
        log::warn!("{what}: {each:?} of {} headers", response.iter().count());
    }
    hostcalls::remove_header(RESPONSE, names::RETRY);
}

/// The call, without its result.
fn ignoring<T>(call: impl Fn() -> T) -> impl Fn() {
    move || {
        let _ = call();
    }
}
