//! Retry states of requests between two attempts.
//!
//! All attempts of a request run on one worker, and so in one VM. A failed attempt stores the
//! request's state here, and the next attempt takes it: after a back-off of a millisecond, or after
//! a wait. During an attempt its stream owns the state. Where there is no room for one, its request
//! is not sent again, or starts anew, with the retries that it has left, if Envoy sends it by itself.
//!
//! If the client leaves between two attempts, the first stream of the request that learns of it
//! takes the state: the edge's, or the one that waits. If it leaves during an attempt, the edge's
//! stream may learn of it first. It leaves a mark, in case the attempt fails before its own stream
//! learns of it. With two hops there may be neither, and the state remains.

use std::cell::RefCell;
use std::time::Duration;

use llm_balancer_router::RetryState;

use crate::by_stream::ByStream;

/// What is kept of a request.
enum Kept {
    State(Box<RetryState>),
    /// The edge has written the line of the request, for the stream that comes too late.
    Logged,
    /// The client left during an attempt, for the stream of the attempt, which has the state.
    Left,
}

thread_local! {
    // Not in the root context: it survives a reload of the configuration.
    static STORE: RefCell<ByStream<Kept>> = RefCell::default();
}

/// Whether the state of one more request may be kept. Without room a failed request is not sent again.
pub(crate) fn has_room() -> bool {
    STORE.with_borrow(ByStream::has_room)
}

/// Drops the states that no request comes back for.
pub(crate) fn drop_old(uptime: Duration) {
    STORE.with_borrow_mut(|store| store.drop_old(uptime));
}

/// Stores the state of a request until its next attempt. `stream` is the edge's stream id. Returns
/// it if there will be none, because the client has left; its line is then written.
pub(crate) fn put(stream: &str, state: RetryState) -> Option<RetryState> {
    STORE.with_borrow_mut(|store| {
        if matches!(store.get(stream), Some(Kept::Left)) {
            store.put(stream, Kept::Logged, 0);
            return Some(state);
        }
        let bytes = state.bytes();
        store.put(stream, Kept::State(Box::new(state)), bytes);
        None
    })
}

/// Takes the state of a request out of the store.
pub(crate) fn take(stream: &str) -> Option<RetryState> {
    match STORE.with_borrow_mut(|store| store.take(stream))? {
        Kept::State(state) => Some(*state),
        Kept::Logged | Kept::Left => None,
    }
}

/// Whether the client of a request is gone, and the edge has written its line: the edge's stream
/// ended when the next attempt was on its way here.
pub(crate) fn is_logged(stream: &str) -> bool {
    STORE.with_borrow(|store| matches!(store.get(stream), Some(Kept::Logged)))
}

/// Takes the state of a request whose client is gone, for its line; `None` if another stream has
/// written that, or will.
pub(crate) fn end(stream: &str, is_on_edge: bool) -> Option<RetryState> {
    STORE.with_borrow_mut(|store| match store.take(stream) {
        // The stream of an attempt has the state.
        None | Some(Kept::Left) if is_on_edge => {
            store.put(stream, Kept::Left, 0);
            None
        }
        None | Some(Kept::Left) => Some(RetryState::default()),
        Some(Kept::Logged) => None,
        Some(Kept::State(state)) => {
            if is_on_edge {
                store.put(stream, Kept::Logged, 0);
            }
            Some(*state)
        }
    })
}
