//! The way to the workers. Envoy gives a filter no thread of a worker but in the hooks of its streams.
//! A cluster of a module has that: its main thread can run something on all of them. So the bootstrap
//! has a cluster without hosts.

use std::ffi::c_void;
use std::path::PathBuf;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::{self, ThreadId};

use super::abi::{
    EnvoyBuffer, EnvoyPtr, envoy_dynamic_module_callback_cluster_pre_init_complete,
    envoy_dynamic_module_callback_cluster_run_on_all_workers,
    envoy_dynamic_module_callback_cluster_scheduler_commit,
    envoy_dynamic_module_callback_cluster_scheduler_delete,
    envoy_dynamic_module_callback_cluster_scheduler_new,
};
use super::{clock, locked, metrics, worker};

/// What Envoy keeps of ours has no content.
const OURS: *const c_void = std::ptr::dangling();

/// Envoy's cluster, and the object that reaches its main thread from any thread.
struct Cluster {
    cluster: EnvoyPtr,
    scheduler: EnvoyPtr,
}

// SAFETY: the cluster is used on the main thread only; Envoy allows the scheduler on every thread.
unsafe impl Send for Cluster {}

static CLUSTER: Mutex<Option<Cluster>> = Mutex::new(None);
/// Whether the main thread has been asked to wake the workers, and has not yet.
static IS_SIGNALLED: AtomicBool = AtomicBool::new(false);
static REDIS_SOCKET: OnceLock<PathBuf> = OnceLock::new();

/// The Unix socket to Redis, if Envoy has one.
pub(super) fn redis_socket() -> Option<&'static PathBuf> {
    REDIS_SOCKET.get()
}

/// Wakes all workers, from the main thread.
pub(super) fn wake_up() {
    if let Some(Cluster { cluster, .. }) = &*locked(&CLUSTER) {
        // SAFETY: the cluster is there, and this is the main thread. It only posts.
        unsafe { envoy_dynamic_module_callback_cluster_run_on_all_workers(*cluster, 0) };
    }
}

/// Has the main thread wake all workers, from any thread.
pub(super) fn signal() {
    if let Some(Cluster { scheduler, .. }) = &*locked(&CLUSTER)
        && !IS_SIGNALLED.swap(true, Ordering::AcqRel)
    {
        // SAFETY: the scheduler is there. It only posts.
        unsafe { envoy_dynamic_module_callback_cluster_scheduler_commit(*scheduler, 0) };
    }
}

/// Envoy reads the bootstrap on its main thread.
static MAIN_THREAD: OnceLock<ThreadId> = OnceLock::new();

fn is_main_thread() -> bool {
    MAIN_THREAD.get() == Some(&thread::current().id())
}

/// The cluster's configuration: the socket to Redis.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_cluster_config_new(
    config: EnvoyPtr,
    _name: EnvoyBuffer,
    socket: EnvoyBuffer,
) -> *const c_void {
    // SAFETY: Envoy's text is valid during the hook.
    if let Ok(socket) = std::str::from_utf8(unsafe { socket.bytes() }) {
        REDIS_SOCKET.get_or_init(|| socket.into());
    }
    MAIN_THREAD.get_or_init(|| thread::current().id());
    metrics::define_all(config);
    config
}

/// The cluster.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_cluster_new(
    _config: *const c_void,
    _cluster: EnvoyPtr,
) -> *const c_void {
    OURS
}

/// The cluster begins. It has no hosts to look for.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_cluster_init(cluster: EnvoyPtr, _ours: *const c_void) {
    // Not before: while Envoy makes the cluster, a scheduler would reach nothing.
    // SAFETY: Envoy passes its cluster.
    let scheduler = unsafe { envoy_dynamic_module_callback_cluster_scheduler_new(cluster) };
    *locked(&CLUSTER) = Some(Cluster { cluster, scheduler });
    // SAFETY: as above.
    unsafe { envoy_dynamic_module_callback_cluster_pre_init_complete(cluster) };
}

/// Envoy ends: its main thread takes no signals any more.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_cluster_shutdown(
    _cluster: EnvoyPtr,
    _ours: *const c_void,
    done: extern "C" fn(EnvoyPtr),
    context: EnvoyPtr,
) {
    end();
    done(context);
}

/// The cluster is gone.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_cluster_destroy(_ours: *const c_void) {
    end();
}

fn end() {
    if let Some(Cluster { scheduler, .. }) = locked(&CLUSTER).take() {
        // SAFETY: nothing else has it any more.
        unsafe { envoy_dynamic_module_callback_cluster_scheduler_delete(scheduler) };
    }
}

/// Envoy ends, and so do the metrics.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_cluster_config_destroy(config: *const c_void) {
    metrics::end(config);
}

/// On the main thread: a thread has signalled.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_cluster_scheduled(
    _cluster: EnvoyPtr,
    _ours: *const c_void,
    _event: u64,
) {
    IS_SIGNALLED.store(false, Ordering::Release);
    wake_up();
}

/// On each worker: it is woken.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_cluster_worker_event(
    _cluster: EnvoyPtr,
    _ours: *const c_void,
    _event: u64,
) {
    worker::on_wake_up();
}

/// On each thread, when it begins. A worker has its filters before its first request.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_cluster_lb_new(
    _cluster: *const c_void,
    _lb: EnvoyPtr,
) -> *const c_void {
    if !is_main_thread() {
        clock::start();
        worker::on_wake_up();
    }
    OURS
}

/// On each thread, when it ends.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_cluster_lb_destroy(_lb: *const c_void) {
    if !is_main_thread() {
        worker::end();
    }
}

/// Nothing is sent to this cluster.
///
/// # Safety
/// Both are places for results.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_cluster_lb_choose_host(
    _lb: *const c_void,
    _context: EnvoyPtr,
    host: *mut EnvoyPtr,
    handle: *mut *const c_void,
) {
    // SAFETY: Envoy passes places for both.
    unsafe {
        host.write(null_mut());
        handle.write(null());
    }
}
