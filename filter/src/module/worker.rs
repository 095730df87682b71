//! What a worker has: the filters of the configurations, the streams, and what is to be done when the
//! hook is over.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Wire, names};
use llm_balancer_router::{Change, Refusal, Reply, series};

use super::abi::{
    EnvoyPtr, LOCAL_RESET, ModuleBuffer, ModuleHeader,
    envoy_dynamic_module_callback_http_filter_continue_decoding,
    envoy_dynamic_module_callback_http_filter_continue_encoding,
    envoy_dynamic_module_callback_http_filter_recreate_stream,
    envoy_dynamic_module_callback_http_filter_reset_stream, envoy_dynamic_module_callback_http_send_response,
};
use super::config::{self, FilterConfig};
use super::hold::HeldStream;
use super::redis_call;
use super::workers::{self, Alarm};
use crate::filter::Filter;
use crate::hostcalls;
use crate::http_stream::HttpStream;
use crate::metrics;

/// One configuration on this worker.
pub(super) struct Root {
    config: Arc<FilterConfig>,
    /// `None` until it is configured, and if that fails.
    filter: RefCell<Option<Rc<Filter>>>,
    /// How often it ticks; zero for never.
    period: Cell<Duration>,
    /// When it ticks next, by the uptime.
    due: Cell<Duration>,
}

impl Root {
    fn filter(&self) -> Option<Rc<Filter>> {
        self.filter.borrow().clone()
    }
}

/// A stream of the filter.
pub(super) struct FilteredStream {
    envoy: EnvoyPtr,
    root: Rc<Root>,
    stream: HttpStream,
    /// Whether a hook of it has panicked. Nothing of it goes on.
    is_broken: Cell<bool>,
}

/// A stream of one of the module's filters.
#[derive(Clone)]
pub(super) enum Stream {
    Filtered(Rc<FilteredStream>),
    Held(Rc<HeldStream>),
}

/// What waits for the end of the hook.
pub(crate) enum Deferred {
    ResumeRequest,
    ResumeResponse,
    Reset,
    /// Runs the request through the edge once more.
    SendAgain,
    Reply(Box<LocalReply>),
    ProbeReply {
        token: u32,
        status: Option<u16>,
    },
}

/// An answer in place of a provider's.
pub(crate) struct LocalReply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) details: String,
}

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
    streams: RefCell<HashMap<u32, Stream>>,
    last_stream: Cell<u32>,
    deferred: RefCell<VecDeque<(u32, Deferred)>>,
    /// Configurations that want to be called.
    woken: RefCell<Vec<u32>>,
    alarm: Arc<Alarm>,
    inbox: Arc<redis_call::Inbox>,
}

thread_local! {
    static WORKER: &'static Worker = Box::leak(Box::new(Worker {
        current: Cell::new(NOTHING),
        depth: Cell::new(0),
        roots: RefCell::default(),
        streams: RefCell::default(),
        last_stream: Cell::new(0),
        deferred: RefCell::default(),
        woken: RefCell::default(),
        alarm: workers::new_alarm(),
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

/// Makes host calls act on a stream, if it is there.
pub(crate) fn enter_stream(number: u32) -> bool {
    let Some(Stream::Filtered(stream)) = find(number) else { return false };
    worker().current.set(stream.as_current(number));
    true
}

/// Leaves something to the end of the hook, about the current stream.
pub(crate) fn defer(what: Deferred) {
    let stream = worker().current.get().stream;
    worker().deferred.borrow_mut().push_back((stream, what));
}

/// Calls a configuration when the hook is over.
pub(crate) fn defer_wake_up(root: u32) {
    worker().woken.borrow_mut().push(root);
}

/// Sets the interval of ticks for the current configuration; zero for never.
pub(crate) fn set_tick_period(period: Duration) {
    let Some(root) = find_root(worker().current.get().root) else { return };
    let due = hostcalls::uptime().saturating_add(period);
    root.period.set(period);
    root.due.set(due);
    if !period.is_zero() {
        worker().alarm.not_later_than(due);
    }
}

/// The configuration that is current, and where replies for this worker go.
pub(super) fn mailbox() -> (u32, Arc<redis_call::Inbox>) {
    (worker().current.get().root, Arc::clone(&worker().inbox))
}

fn find(number: u32) -> Option<Stream> {
    worker().streams.borrow().get(&number).cloned()
}

fn find_root(number: u32) -> Option<Rc<Root>> {
    worker().roots.borrow().iter().find(|root| root.config.number == number).cloned()
}

impl FilteredStream {
    fn as_current(&self, number: u32) -> Current {
        Current { envoy: self.envoy, stream: number, root: self.root.config.number }
    }
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

/// Runs a hook of a stream, and what it defers. Returns `None` if there is no such stream, and `ended`
/// if it has ended or panicked.
pub(super) fn enter<T>(number: u32, ended: T, hook: impl FnOnce(&Stream) -> T) -> Option<T> {
    let stream = find(number)?;
    let result = match &stream {
        Stream::Held(held) => run(Current { envoy: held.envoy, stream: number, root: 0 }, || hook(&stream)),
        Stream::Filtered(filtered) if filtered.is_broken.get() => None,
        Stream::Filtered(filtered) => {
            let result = run(filtered.as_current(number), || hook(&stream));
            if result.is_none() {
                filtered.is_broken.set(true);
                let reply = Deferred::Reply(Box::new(LocalReply::internal_error()));
                worker().deferred.borrow_mut().push_back((number, reply));
            }
            result
        }
    };
    perform_deferred();
    let is_there = worker().streams.borrow().contains_key(&number);
    Some(result.filter(|_| is_there).unwrap_or(ended))
}

impl LocalReply {
    fn internal_error() -> Self {
        let Reply { status, body, .. } = Refusal::NoConnection.reply(Wire::OpenAi);
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body, details: names::FILTER.to_owned() }
    }
}

/// The end of the outermost hook.
fn perform_deferred() {
    let worker = worker();
    while worker.depth.get() == 0 {
        let next = worker.deferred.borrow_mut().pop_front();
        if let Some((number, what)) = next {
            if let Some(stream) = find(number) {
                perform(number, &stream, what);
            }
            continue;
        }
        let Some(root) = worker.woken.borrow_mut().pop() else { return };
        if let Some(filter) = find_root(root).and_then(|root| root.filter()) {
            run(Current { root, ..NOTHING }, || filter.on_queue_ready());
        }
    }
}

fn perform(number: u32, stream: &Stream, what: Deferred) {
    let Stream::Filtered(filtered) = stream else { return };
    let envoy = filtered.envoy;
    // SAFETY: Envoy has not destroyed the stream. It may enter the module again.
    match what {
        Deferred::ResumeRequest => unsafe {
            envoy_dynamic_module_callback_http_filter_continue_decoding(envoy);
        },
        Deferred::ResumeResponse => unsafe {
            envoy_dynamic_module_callback_http_filter_continue_encoding(envoy);
        },
        Deferred::Reset => unsafe {
            envoy_dynamic_module_callback_http_filter_reset_stream(envoy, LOCAL_RESET, ModuleBuffer::NONE);
        },
        // SAFETY: as above; null for no headers of a response.
        Deferred::SendAgain => {
            if !unsafe { envoy_dynamic_module_callback_http_filter_recreate_stream(envoy, null(), 0) } {
                send(envoy, &LocalReply::internal_error());
            }
        }
        Deferred::Reply(reply) => send(envoy, &reply),
        Deferred::ProbeReply { token, status } => {
            run(filtered.as_current(number), || filtered.stream.on_probe_reply(token, status));
        }
    }
}

fn send(envoy: EnvoyPtr, reply: &LocalReply) {
    let buffer = |text: &str| ModuleBuffer::new(text.as_bytes());
    let header = |(name, value): &(String, String)| ModuleHeader { name: buffer(name), value: buffer(value) };
    let headers: Vec<_> = reply.headers.iter().map(header).collect();
    // SAFETY: Envoy has not destroyed the stream; the texts live longer than the call.
    unsafe {
        envoy_dynamic_module_callback_http_send_response(
            envoy,
            u32::from(reply.status),
            headers.as_ptr(),
            headers.len(),
            buffer(&reply.body),
            buffer(&reply.details),
        );
    }
}

/// A stream of the filter begins. Returns its number.
pub(super) fn add_filtered(envoy: EnvoyPtr, config: u32) -> Option<u32> {
    if find_root(config).is_none() {
        update_roots();
    }
    let root = find_root(config)?;
    add(|number| {
        let stream = HttpStream::new(number, root.filter());
        Stream::Filtered(Rc::new(FilteredStream { envoy, root, stream, is_broken: Cell::new(false) }))
    })
}

/// A stream of the holding filter begins. Returns its number.
pub(super) fn add_held(envoy: EnvoyPtr) -> Option<u32> {
    add(|_| Stream::Held(Rc::new(HeldStream::new(envoy))))
}

fn add(new: impl FnOnce(u32) -> Stream) -> Option<u32> {
    let worker = worker();
    let number = worker.last_stream.get().checked_add(1).unwrap_or(1);
    worker.last_stream.set(number);
    worker.streams.borrow_mut().insert(number, new(number));
    Some(number)
}

/// Envoy destroys a stream. If it has not said that the stream is complete, this is its end.
pub(super) fn remove(number: u32) {
    let removed = worker().streams.borrow_mut().remove(&number);
    if let Some(Stream::Filtered(filtered)) = removed {
        let root = filtered.root.config.number;
        run(Current { root, ..NOTHING }, || filtered.stream.end());
    }
}

/// A reply to a health probe, which may come before the call for it has returned.
pub(super) fn on_probe_reply(number: u32, token: u32, status: Option<u16>) {
    worker().deferred.borrow_mut().push_back((number, Deferred::ProbeReply { token, status }));
    perform_deferred();
}

/// The main thread has woken the workers: there are other configurations, replies, or it is time to
/// tick.
pub(super) fn on_wake_up() {
    update_roots();
    for reply in worker().inbox.take() {
        if let Some(filter) = find_root(reply.root).and_then(|root| root.filter()) {
            redis_call::set_replies(reply.bytes);
            run(Current { root: reply.root, ..NOTHING }, || filter.on_redis_reply(reply.token));
            perform_deferred();
        }
    }
    let roots = worker().roots.borrow().clone();
    for root in &roots {
        root.tick();
    }
    let next = roots.iter().filter(|root| !root.period.get().is_zero()).map(|root| root.due.get()).min();
    worker().alarm.set(next);
}

impl Root {
    fn tick(&self) {
        let (period, uptime) = (self.period.get(), hostcalls::uptime());
        if period.is_zero() || self.due.get() > uptime {
            return;
        }
        self.due.set(uptime.saturating_add(period));
        if let Some(filter) = self.filter() {
            run(Current { root: self.config.number, ..NOTHING }, || filter.on_tick());
            perform_deferred();
        }
    }
}

/// Makes filters of new configurations, and drops those of configurations that are gone.
fn update_roots() {
    let configs = config::list();
    let is_gone = |root: &Rc<Root>| !configs.iter().any(|config| config.number == root.config.number);
    let gone: Vec<_> = worker().roots.borrow_mut().extract_if(.., |root| is_gone(root)).collect();
    run(NOTHING, || drop(gone));
    for config in configs {
        if find_root(config.number).is_some() {
            continue;
        }
        let root = Rc::new(Root {
            config: Arc::clone(&config),
            filter: RefCell::default(),
            period: Cell::default(),
            due: Cell::default(),
        });
        worker().roots.borrow_mut().push(Rc::clone(&root));
        let configure = || Filter::configure(config.number, &config.root_id, &config.file);
        let filter = run(Current { root: config.number, ..NOTHING }, configure).flatten();
        *root.filter.borrow_mut() = filter.map(Rc::new);
    }
}

/// The worker ends.
pub(super) fn end() {
    let roots = worker().roots.take();
    run(NOTHING, || drop(roots));
}

impl FilteredStream {
    pub(super) fn stream(&self) -> &HttpStream {
        &self.stream
    }
}

impl Stream {
    /// The filter's, unless this is one of the holding filter.
    pub(super) fn filtered(&self) -> Option<&HttpStream> {
        match self {
            Self::Filtered(filtered) => Some(&filtered.stream),
            Self::Held(_) => None,
        }
    }
}
