//! What Envoy calls: the exports of the proxy-wasm ABI 0.2.1 that this filter has a use for, and no others.
//!
//! Envoy enters the VM for every callback that is exported. docs/decisions/two-hops.md has what a request costs, no-sdk.md why these
//! are written here. None of these panics, whatever the host passes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::exchange::Exchange;
use crate::host::{self, MapType};
use crate::{Worker, configure, large};

/// Whether Envoy goes on with a message or holds it, by the ABI's numbers.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Action {
    Continue = 0,
    Pause = 1,
}

thread_local! {
    /// By root context: one for each configuration that is being served, more than one during a reload.
    static WORKERS: RefCell<HashMap<u32, Rc<Worker>>> = RefCell::default();
    /// By stream context: one for each attempt.
    static EXCHANGES: RefCell<HashMap<u32, Exchange>> = RefCell::default();
    /// The stream context that made a call, by the call's token.
    static CALLS: RefCell<HashMap<u32, u32>> = RefCell::default();
}

/// Remembers whose answer will come under a token; Envoy answers every call, be it by saying that nobody did.
pub(crate) fn expect_answer(token: u32, context: u32) {
    CALLS.with_borrow_mut(|calls| calls.insert(token, context));
}

/// Lets an exchange answer a callback; one that Envoy has not announced lets everything pass.
fn with(context: u32, callback: impl FnOnce(&mut Exchange) -> Action) -> u32 {
    let action = EXCHANGES.with_borrow_mut(|exchanges| exchanges.get_mut(&context).map(callback));
    action.unwrap_or(Action::Continue) as u32
}

fn worker(root: u32) -> Option<Rc<Worker>> {
    WORKERS.with_borrow(|workers| workers.get(&root).cloned())
}

unsafe extern "C" {
    fn __wasm_call_ctors();
}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    // SAFETY: Envoy calls this once, before anything else.
    unsafe { __wasm_call_ctors() }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// Memory for what the host hands over; `host` takes it back.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    large::lend(size).unwrap_or_else(|| Box::into_raw(Box::<[u8]>::new_uninit_slice(size)).cast())
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, root: u32) {
    if root != 0 {
        let exchange = Exchange::new(context, worker(root));
        EXCHANGES.with_borrow_mut(|exchanges| exchanges.insert(context, exchange));
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(root: u32, _size: usize) -> bool {
    let configured = configure(root);
    let is_usable = configured.is_some();
    WORKERS.with_borrow_mut(|workers| match configured {
        Some(worker) => workers.insert(root, worker),
        None => workers.remove(&root),
    });
    is_usable
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(root: u32) {
    if let Some(worker) = worker(root) {
        // Where they have no numbers, by Envoy's, which counts upwards.
        let age = |worker: &Worker| (worker.generation, worker.root);
        let is_newest =
            WORKERS.with_borrow(|workers| workers.values().all(|other| age(other) <= age(&worker)));
        let released = worker.tick(is_newest);
        resume(&worker, released, true);
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _count: usize, complete: bool) -> u32 {
    with(context, |exchange| exchange.on_request_headers(complete))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, _size: usize, complete: bool) -> u32 {
    with(context, |exchange| exchange.on_request_body(complete))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(context: u32, _count: usize) -> u32 {
    with(context, Exchange::on_request_trailers)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _count: usize, complete: bool) -> u32 {
    with(context, |exchange| exchange.on_response_headers(complete))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(context: u32, size: usize, complete: bool) -> u32 {
    with(context, |exchange| exchange.on_response_body(size, complete))
}

/// Envoy names the root context here, whichever request made the call.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(root: u32, token: u32, _headers: u32, _body: u32, _trailers: u32) {
    if let Some(worker) = worker(root).filter(|worker| worker.redis.knows(token)) {
        let (waiting, granted) = worker.redis.answered(&worker, token);
        resume(&worker, waiting, granted);
        return;
    }
    let Some(context) = CALLS.with_borrow_mut(|calls| calls.remove(&token)) else { return };
    EXCHANGES.with_borrow_mut(|exchanges| {
        if let Some(exchange) = exchanges.get_mut(&context) {
            // The answer is to be read before the context changes: it belongs to the root context.
            let status = host::header(MapType::CallResponse, ":status");
            if host::set_effective_context(context).is_ok() {
                exchange.on_call_response(token, status.as_deref());
            }
        }
    });
}

/// Requests that have waited for a lease go on. Those that have to wait again ask together: at once where there was something,
/// and a little later where others may be about to give back.
fn resume(worker: &Rc<Worker>, waiting: Vec<u32>, granted: bool) {
    let mut again = Vec::new();
    for context in waiting {
        EXCHANGES.with_borrow_mut(|exchanges| {
            let Some(exchange) = exchanges.get_mut(&context) else { return };
            if host::set_effective_context(context).is_ok()
                && let Some(shortfall) = exchange.on_leased()
            {
                again.push((context, shortfall));
            }
        });
    }
    worker.current.set(0);
    if again.is_empty() {
        return;
    }
    if !granted {
        return worker.redis.park(worker, again);
    }
    let contexts = again.iter().map(|(context, _)| *context).collect();
    if !worker.redis.lease(worker, again) {
        // Redis has just gone: whatever is decided now does not need it.
        resume(worker, contexts, false);
    }
}

/// The end of a request, just before the access log is written.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    if let Some(mut exchange) = EXCHANGES.with_borrow_mut(|exchanges| exchanges.remove(&context)) {
        exchange.on_log();
    }
}

/// The end of a configuration, and of requests that were not logged.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    proxy_on_log(context);
    let worker = WORKERS.with_borrow_mut(|workers| workers.remove(&context));
    drop(worker);
}
