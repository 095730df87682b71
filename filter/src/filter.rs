//! One configuration on one worker: what its streams share.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use llm_balancer_config::{Config, Severity, names, read_bytes};
use llm_balancer_router::{Change, Membership, series};

use crate::decider::Decider;
use crate::http_stream::again;
use crate::redis::Redis;
use crate::role::Role;
use crate::shared_data::SharedData;
use crate::shared_router::{RouterKey, SharedRouter};
use crate::stream_handle::StreamHandle;
use crate::timers;
use crate::{hostcalls, metrics, retry_store};

/// What the streams of one configuration on one worker share.
pub(crate) struct Filter {
    pub(crate) role: Role,
    pub(crate) decider: Decider,
    pub(crate) redis: Redis,
    version: ConfigVersion,
    deregistration: Cell<Deregistration>,
}

/// How far this worker is with removing the instance from Redis.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deregistration {
    /// Nothing asks for it.
    NotRequested,
    /// It begins after so many ticks.
    In(u32),
    /// Its calls are pending.
    Begun,
    /// Redis has replied, or another worker does all of it.
    Done,
}

/// Orders the configurations of a VM: the revision where the renderer counts them, then Envoy's id
/// of the root context, which increases.
type ConfigVersion = (u32, u32);

thread_local! {
    /// Id of this VM in shared data. A VM that replaces it has another.
    static VM: Cell<Option<u32>> = const { Cell::new(None) };
    /// The configurations of this VM that Envoy has not dropped yet: several during a reload.
    static VERSIONS: RefCell<Vec<ConfigVersion>> = const { RefCell::new(Vec::new()) };
}

/// Ticks from the last exchange to deregistration: calls on their way arrive before.
const TICKS_TO_DEREGISTER: u32 = 3;

impl Filter {
    /// Reads a configuration. Without one, Envoy refuses to start, or keeps the configuration that it
    /// has. `root` numbers the configurations of this VM.
    pub(crate) fn configure(root: u32, root_id: &str, file: &[u8]) -> Option<Self> {
        // Every VM gets the same fingerprint: this hasher has no seed.
        let fingerprint = BuildHasherDefault::<DefaultHasher>::default().hash_one(file);
        let vm = vm_id()?;
        let (role, number) = Role::parse(root_id);
        let key = RouterKey { fingerprint, number, is_single_hop: matches!(role, Role::SingleHop) };
        // The first configuration only: its keys stay.
        #[cfg(feature = "testing")]
        if key.number.is_none_or(|number| number == 1) {
            crate::testing::check_the_store();
        }
        let router = SharedRouter::get(key, vm, || read_config(file))?;
        #[cfg(target_family = "wasm")]
        crate::allocator::expect_bodies(router.config().server.max_body_bytes);
        let revision = router.register();
        let filter = Self {
            role,
            redis: Redis::new(vm, root, router.config()),
            decider: Decider::new(router, random()?),
            version: (revision, root),
            deregistration: Cell::new(Deregistration::NotRequested),
        };
        VERSIONS.with_borrow_mut(|versions| versions.push(filter.version));
        filter.decider.timers.start();
        if matches!(filter.role, Role::Deregister) {
            filter.deregister_soon();
        }
        Some(filter)
    }

    /// Fires the timers; once a second, publishes what this worker has counted.
    pub(crate) fn on_tick(&self) {
        let uptime = hostcalls::uptime();
        self.redis.stay_awake();
        for (stream, due) in self.decider.timers.due(uptime) {
            stream.on_timer(due);
        }
        let is_heartbeat = self.decider.timers.is_heartbeat(uptime);
        if is_heartbeat {
            self.decider.router.on_heartbeat(uptime);
            retry_store::drop_old(uptime);
            again::drop_old(uptime);
            if self.role.is_edge() && self.is_replaced() {
                metrics::flush(&series(names::REPLACED_SECONDS, &[]), Change::Add(1));
            }
        }
        let released = match self.decider.router.config().redis {
            Some(_) => self.redis.on_tick(&self.decider, is_heartbeat && self.is_newest()),
            None => Vec::new(),
        };
        self.resume(released, true);
        self.go_on_to_deregister();
        self.decider.timers.reschedule();
    }

    /// A stream has queued something for Redis.
    pub(crate) fn on_queue_ready(&self) {
        self.resume(Vec::new(), true);
    }

    /// Redis has answered a call, or Envoy has given up on it.
    pub(crate) fn on_redis_reply(&self, token: u32) {
        let (waiting, at_once) = self.redis.on_reply(&self.decider, token);
        self.resume(waiting, at_once);
        self.end_deregistration();
    }

    /// Lets streams go on that waited for Redis. Streams that need to wait again acquire leases
    /// together: `at_once`, or with the next tick, when other requests may have returned theirs.
    fn resume(&self, waiting: Vec<StreamHandle>, at_once: bool) {
        self.redis.stay_awake();
        let (mut ready, mut at_once) = (waiting, at_once);
        loop {
            for stream in &ready {
                stream.on_redis_ready();
            }
            ready = if at_once { self.redis.flush(&self.decider) } else { self.redis.park(&self.decider) };
            if ready.is_empty() {
                return self.redis.sleep();
            }
            at_once = false;
        }
    }

    /// Only the newest configuration of a worker talks to the other instances.
    fn is_newest(&self) -> bool {
        VERSIONS.with_borrow(|versions| versions.iter().all(|other| *other <= self.version))
    }

    /// Whether Envoy keeps this configuration only for the requests that began with it.
    fn is_replaced(&self) -> bool {
        VERSIONS.with_borrow(|versions| versions.iter().any(|other| other.0 > self.version.0))
    }

    /// The last configuration of an instance has to leave the fleet.
    fn deregister_soon(&self) {
        if self.decider.router.config().redis.is_some() {
            Membership::deregister(&SharedData);
            self.deregistration.set(Deregistration::In(TICKS_TO_DEREGISTER));
            self.decider.timers.request_tick(Some(timers::PERIOD));
        }
    }

    /// The first worker that comes to it deregisters this instance.
    fn go_on_to_deregister(&self) {
        match self.deregistration.get() {
            Deregistration::NotRequested | Deregistration::Done => {}
            Deregistration::Begun => self.end_deregistration(),
            Deregistration::In(0 | 1) if !Membership::begin_to_leave(&SharedData) => {
                self.deregistration.set(Deregistration::Done);
            }
            Deregistration::In(0 | 1) => {
                self.redis.deregister(&self.decider);
                self.deregistration.set(Deregistration::Begun);
                self.end_deregistration();
            }
            Deregistration::In(ticks) => {
                self.deregistration.set(Deregistration::In(ticks.saturating_sub(1)));
                self.decider.timers.request_tick(Some(timers::PERIOD));
            }
        }
    }

    /// Counts the instance as deregistered. `serve` waits for this before it stops Envoy.
    fn end_deregistration(&self) {
        if self.deregistration.get() == Deregistration::Begun && !self.redis.has_calls() {
            self.deregistration.set(Deregistration::Done);
            metrics::flush(&series(names::DEREGISTERED, &[]), Change::Add(1));
        }
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        VERSIONS.with_borrow_mut(|versions| {
            // One of them: Envoy may have configured this root context again.
            if let Some(place) = versions.iter().position(|version| *version == self.version) {
                versions.swap_remove(place);
            }
        });
    }
}

/// The configuration of a file, or its mistakes in the log.
pub(crate) fn read_config(bytes: &[u8]) -> Option<Config> {
    let reading = read_bytes("config.yaml", bytes, &|name| std::env::var(name).ok());
    for finding in reading.findings.iter().filter(|finding| finding.severity == Severity::Error) {
        log::error!("{}: {finding}", names::FILTER);
    }
    reading.config
}

fn vm_id() -> Option<u32> {
    let id = VM.get().or_else(|| getrandom::u32().ok());
    VM.set(id);
    id
}

pub(crate) fn random() -> Option<u64> {
    getrandom::u64().ok()
}
