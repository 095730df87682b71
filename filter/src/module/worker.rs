//! What a worker has: the filters of the configurations, the streams, and what is to be done when the
//! hook is over.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::names;
use llm_balancer_router::{Change, series};

use super::abi::{
    EnvoyPtr, envoy_dynamic_module_callback_http_filter_scheduler_commit,
    envoy_dynamic_module_callback_http_filter_scheduler_delete,
    envoy_dynamic_module_callback_http_filter_scheduler_new,
};
use super::clock::NextTick;
use super::config;
use super::deferred::{Deferred, perform};
use super::hold::HeldStream;
use super::queue::Queue;
use super::redis_call;
use super::root::Root;
use super::stream::{FilteredStream, ModuleStream};
use super::workers;
use crate::filter::Filter;
use crate::hostcalls::{self, Action};
use crate::metrics;

/// What host calls act on.
#[derive(Clone, Copy)]
struct Current {
    /// Null outside of a stream.
    envoy: EnvoyPtr,
    /// The stream's number, or 0.
    stream: u32,
    /// The configuration's number.
    root: u32,
}

const NOTHING: Current = Current { envoy: null_mut(), stream: 0, root: 0 };

/// A worker, which lives as long as the process: nothing of it is dropped in the order of a thread's
/// end.
struct Worker {
    current: Cell<Current>,
    /// Hooks that this thread is in.
    depth: Cell<u32>,
    roots: RefCell<Vec<Rc<Root>>>,
    /// Of the configurations that these are of.
    generation: Cell<u32>,
    streams: RefCell<HashMap<u32, ModuleStream>>,
    last_stream: Cell<u32>,
    deferred: Queue<(u32, Deferred)>,
    /// Configurations that want to be called.
    woken: RefCell<Vec<u32>>,
    next_tick: NextTick,
    inbox: Arc<redis_call::Inbox>,
}

thread_local! {
    static WORKER: &'static Worker = Box::leak(Box::new(Worker {
        current: Cell::new(NOTHING),
        depth: Cell::new(0),
        roots: RefCell::default(),
        generation: Cell::new(0),
        streams: RefCell::default(),
        last_stream: Cell::new(0),
        deferred: Queue::default(),
        woken: RefCell::default(),
        next_tick: NextTick::new(),
        inbox: Arc::default(),
    }));
}

fn worker() -> &'static Worker {
    WORKER.with(|worker| *worker)
}

/// The stream that host calls act on.
pub(crate) fn current() -> Option<EnvoyPtr> {
    let envoy = worker().current.get().envoy;
    (!envoy.is_null()).then_some(envoy)
}

/// Leaves something to the end of the hook, about the current stream.
pub(crate) fn defer(what: Deferred) {
    let stream = worker().current.get().stream;
    worker().deferred.push((stream, what));
}

/// Calls a configuration soon, and not from within the hook of a stream: Envoy has to know that the
/// stream waits, before it can go on.
pub(crate) fn defer_wake_up(root: u32) {
    worker().woken.borrow_mut().push(root);
}

/// Sets the interval of ticks for the current configuration; zero for never.
pub(crate) fn set_tick_period(period: Duration) {
    let Some(root) = find_root(worker().current.get().root) else { return };
    let due = hostcalls::uptime().saturating_add(period);
    root.set_period(period, due);
    if !period.is_zero() {
        worker().next_tick.not_later_than(due);
    }
}

/// The configuration that is current, and where replies for this worker go.
pub(super) fn mailbox() -> (u32, Arc<redis_call::Inbox>) {
    (worker().current.get().root, Arc::clone(&worker().inbox))
}

/// A stream that Envoy has not ended.
fn find(number: u32) -> Option<ModuleStream> {
    let found = worker().streams.borrow().get(&number).cloned();
    found.filter(|stream| !matches!(stream, ModuleStream::Filtered(filtered) if filtered.is_over.get()))
}

fn find_root(number: u32) -> Option<Rc<Root>> {
    worker().roots.borrow().iter().find(|root| root.config.number == number).cloned()
}

fn as_current(filtered: &FilteredStream, number: u32) -> Current {
    Current { envoy: filtered.envoy, stream: number, root: filtered.root.config.number }
}

/// Runs a part of a hook. Returns `None` if it panics, which must not reach Envoy.
fn run<T>(current: Current, part: impl FnOnce() -> T) -> Option<T> {
    let worker = worker();
    let before = worker.current.replace(current);
    worker.depth.set(worker.depth.get().saturating_add(1));
    // What a panic leaves behind is one stream's, which is not entered again, or a tick's.
    let result = catch_unwind(AssertUnwindSafe(part)).ok();
    if result.is_none() {
        let count = || metrics::flush(&series(names::PANICS, &[]), Change::Add(1));
        // What panics twice is counted once.
        let _ = catch_unwind(AssertUnwindSafe(count));
    }
    worker.depth.set(worker.depth.get().saturating_sub(1));
    worker.current.set(before);
    result
}

/// Runs a hook of a stream, and what it defers. A stream that it has ended goes no further, nor does one
/// that is unknown, or whose hook has panicked.
pub(super) fn enter(number: u32, hook: impl FnOnce(&ModuleStream) -> Action) -> Action {
    let Some(stream) = find(number) else { return Action::Pause };
    let deferred = worker().deferred.end();
    let action = match &stream {
        // It only delays.
        ModuleStream::Held(held) => {
            run(Current { envoy: held.envoy, stream: number, root: 0 }, || hook(&stream))
                .unwrap_or(Action::Continue)
        }
        ModuleStream::Filtered(filtered) => {
            in_filtered(number, filtered, || hook(&stream)).unwrap_or(Action::Pause)
        }
    };
    perform_deferred(deferred);
    let is_there = find(number).is_some();
    post_wake_ups(Some(&stream).filter(|_| is_there));
    if is_there { action } else { Action::Pause }
}

/// Runs something of a stream from outside of its hooks, if it is there.
pub(crate) fn in_stream(number: u32, part: impl FnOnce()) {
    if let Some(ModuleStream::Filtered(filtered)) = find(number) {
        in_filtered(number, &filtered, part);
    }
}

/// A panic ends this stream, and no other.
fn in_filtered<T>(number: u32, filtered: &FilteredStream, part: impl FnOnce() -> T) -> Option<T> {
    if filtered.is_broken.get() {
        return None;
    }
    let result = run(as_current(filtered, number), part);
    if result.is_none() {
        filtered.is_broken.set(true);
        worker().deferred.push((number, Deferred::Reply(Box::new(filtered.fault()))));
    }
    result
}

/// The end of a stream, which Envoy is about to destroy: nothing is sent any more.
pub(super) fn complete(number: u32) {
    if let Some(ModuleStream::Filtered(filtered)) = find(number) {
        let deferred = worker().deferred.end();
        run(as_current(&filtered, number), || filtered.end());
        filtered.is_over.set(true);
        perform_deferred(deferred);
        post_wake_ups(None);
    }
}

/// Has Envoy call [`on_posted`] on this thread, when the hook of this stream is over. Where there is none
/// any more, or it ends before, the main thread's call is the one that counts.
fn post_wake_ups(stream: Option<&ModuleStream>) {
    if worker().depth.get() > 0 || worker().woken.borrow().is_empty() {
        return;
    }
    if let Some(ModuleStream::Filtered(filtered)) = stream {
        // SAFETY: Envoy has not destroyed the stream.
        unsafe {
            let scheduler = envoy_dynamic_module_callback_http_filter_scheduler_new(filtered.envoy);
            envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler, 0);
            envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler);
        }
    }
    workers::signal();
}

/// Calls the configurations that want it.
pub(super) fn on_posted() {
    for root in worker().woken.take() {
        if let Some(filter) = find_root(root).and_then(|root| root.filter()) {
            in_root(root, || filter.on_queue_ready());
        }
    }
}

/// Calls a configuration, and performs what it defers.
fn in_root(root: u32, part: impl FnOnce()) {
    let deferred = worker().deferred.end();
    run(Current { root, ..NOTHING }, part);
    perform_deferred(deferred);
}

/// Performs what has been deferred from this place on, unless it is within another hook, whose end
/// does.
fn perform_deferred(place: usize) {
    let is_outermost = || worker().depth.get() == 0;
    worker().deferred.perform_from(place, is_outermost, |(number, what)| match (find(number), what) {
        (Some(ModuleStream::Filtered(filtered)), Deferred::ProbeReply { token, status }) => {
            in_filtered(number, &filtered, || filtered.stream.on_probe_reply(token, status));
        }
        (Some(ModuleStream::Filtered(filtered)), what) => perform(filtered.envoy, what),
        _ => {}
    });
}

/// A stream of the filter begins. Returns its number.
pub(super) fn add_filtered(envoy: EnvoyPtr, config: u32) -> Option<u32> {
    if find_root(config).is_none() {
        update_roots();
    }
    let root = find_root(config)?;
    Some(add(|number| ModuleStream::Filtered(Rc::new(FilteredStream::new(envoy, root, number)))))
}

/// A stream of the holding filter begins. Returns its number.
pub(super) fn add_held(envoy: EnvoyPtr) -> u32 {
    add(|_| ModuleStream::Held(Rc::new(HeldStream::new(envoy))))
}

fn add(new: impl FnOnce(u32) -> ModuleStream) -> u32 {
    let worker = worker();
    let number = worker.last_stream.get().checked_add(1).unwrap_or(1);
    worker.last_stream.set(number);
    worker.streams.borrow_mut().insert(number, new(number));
    number
}

/// Envoy destroys a stream. If it has not said that the stream is complete, this is its end.
pub(super) fn remove(number: u32) {
    let removed = worker().streams.borrow_mut().remove(&number);
    let root = match &removed {
        Some(ModuleStream::Filtered(filtered)) => filtered.root.config.number,
        _ => 0,
    };
    in_root(root, move || {
        if let Some(ModuleStream::Filtered(filtered)) = &removed {
            filtered.end();
        }
    });
}

/// A reply to a health probe, which may come before the call for it has returned.
pub(super) fn on_probe_reply(number: u32, token: u32, status: Option<u16>) {
    let place = worker().deferred.end();
    worker().deferred.push((number, Deferred::ProbeReply { token, status }));
    perform_deferred(place);
}

/// The main thread has woken the workers: there are other configurations, replies, or it is time to
/// tick.
pub(super) fn on_wake_up() {
    update_roots();
    on_posted();
    for ended in worker().inbox.take() {
        if let Some(filter) = find_root(ended.root).and_then(|root| root.filter()) {
            redis_call::set_replies(ended.bytes);
            in_root(ended.root, || filter.on_redis_reply(ended.token));
        }
    }
    let roots = worker().roots.borrow().clone();
    for root in &roots {
        if let (true, Some(filter)) = (root.takes_tick(hostcalls::uptime()), root.filter()) {
            in_root(root.config.number, || filter.on_tick());
        }
    }
    worker().next_tick.set(roots.iter().filter_map(|root| root.due()).min());
    run(NOTHING, move || drop(roots));
}

/// Makes filters of new configurations, and drops those of configurations that are gone.
fn update_roots() {
    let generation = config::generation();
    if worker().generation.replace(generation) == generation {
        return;
    }
    let configs = config::list();
    let is_gone = |root: &Rc<Root>| !configs.iter().any(|config| config.number == root.config.number);
    let gone: Vec<_> = worker().roots.borrow_mut().extract_if(.., |root| is_gone(root)).collect();
    run(NOTHING, || drop(gone));
    for config in configs {
        if find_root(config.number).is_some() {
            continue;
        }
        let root = Rc::new(Root::new(Arc::clone(&config)));
        worker().roots.borrow_mut().push(Rc::clone(&root));
        let configure = || Filter::configure(config.number, &config.root_id, &config.file);
        let filter = run(Current { root: config.number, ..NOTHING }, configure).flatten();
        root.set_filter(filter);
    }
}

/// The worker ends.
pub(super) fn end() {
    let roots = worker().roots.take();
    run(NOTHING, || drop(roots));
}
