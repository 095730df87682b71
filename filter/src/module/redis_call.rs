//! Calls to Redis: a thread each, for as long as it takes. Envoy has calls for streams, which end with
//! them, and for its main thread. The thread speaks to a listener of Envoy's on a Unix socket, which
//! has the connections to Redis, and TLS.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use super::{config, locked, worker, workers};
use crate::hostcalls;

/// Bytes; a call needs little.
const STACK: usize = 128 * 1024;

/// Bytes of all replies to one call, above which they are not Redis'. Ten thousand deployments need two
/// million.
const MOST: usize = 8 * 1024 * 1024;

/// Calls at the same time, above which a further one fails. A worker has a few.
const MOST_RUNNING: u32 = 1024;
static RUNNING: AtomicU32 = AtomicU32::new(0);

/// One of them, until it is dropped.
struct Running;

impl Running {
    /// `None` if there are too many.
    fn begin() -> Option<Self> {
        let running = Self;
        (RUNNING.fetch_add(1, Ordering::AcqRel) < MOST_RUNNING).then_some(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Calls of one worker that have ended.
#[derive(Default)]
pub(crate) struct Inbox(Mutex<Vec<CallEnd>>);

/// The end of a call.
pub(super) struct CallEnd {
    /// The number of the configuration that has called.
    pub(super) root: u32,
    pub(super) token: u32,
    /// `None` without a connection, or in time.
    pub(super) bytes: Option<Vec<u8>>,
}

impl Inbox {
    /// Takes out all that has come.
    pub(super) fn take(&self) -> Vec<CallEnd> {
        std::mem::take(&mut *locked(&self.0))
    }

    fn put(&self, end: CallEnd) {
        locked(&self.0).push(end);
    }
}

thread_local! {
    /// For the callback of a reply.
    static REPLIES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Sets what [`take_replies`] returns.
pub(super) fn set_replies(bytes: Option<Vec<u8>>) {
    REPLIES.set(bytes);
}

/// The replies of the call whose callback runs.
pub(crate) fn take_replies() -> Option<Vec<u8>> {
    REPLIES.take()
}

/// Begins a call for the current configuration. Returns its token.
pub(crate) fn start(pipeline: &[u8], timeout: Duration) -> Option<u32> {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let socket = workers::redis_socket()?;
    let running = Running::begin()?;
    let token = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    let (root, inbox) = worker::mailbox();
    let pipeline = pipeline.to_vec();
    let call = move || {
        let is_wanted = || config::is_there(root);
        let replies = catch_unwind(|| exchange(socket, &pipeline, timeout, is_wanted).ok()).ok().flatten();
        let bytes = replies.filter(|bytes| !bytes.is_empty());
        inbox.put(CallEnd { root, token, bytes });
        drop(running);
        workers::signal();
    };
    thread::Builder::new().name("redis-call".to_owned()).stack_size(STACK).spawn(call).ok()?;
    Some(token)
}

/// How often a call that waits polls whether its configuration is still there. One that is gone would
/// take what Redis has for the next.
const POLL: Duration = Duration::from_millis(100);

/// Sends a pipeline, after which Redis ends the connection, and returns all replies. Ends early when
/// `is_wanted` returns false.
fn exchange(
    socket: &Path,
    pipeline: &[u8],
    timeout: Duration,
    is_wanted: impl Fn() -> bool,
) -> io::Result<Vec<u8>> {
    let end = hostcalls::uptime().saturating_add(timeout);
    let left = || Some(end.saturating_sub(hostcalls::uptime())).filter(|left| !left.is_zero());
    let late = || io::Error::from(ErrorKind::TimedOut);
    let mut connection = UnixStream::connect(socket)?;
    connection.set_write_timeout(Some(left().ok_or_else(late)?))?;
    connection.write_all(pipeline)?;
    let mut replies = Vec::new();
    let mut part = [0; 4096];
    loop {
        connection.set_read_timeout(Some(left().filter(|_| is_wanted()).ok_or_else(late)?.min(POLL)))?;
        let size = match connection.read(&mut part) {
            // As a socket says that its timeout is over.
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => continue,
            size => size?,
        };
        match size {
            0 => return Ok(replies),
            _ if replies.len() > MOST => return Err(ErrorKind::InvalidData.into()),
            size => replies.extend_from_slice(part.get(..size).unwrap_or_default()),
        }
    }
}
