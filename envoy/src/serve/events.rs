//! What wakes the supervisor: signals, and the end of Envoy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{io, thread};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// One signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// SIGHUP: re-read the configuration.
    Reload,
    /// SIGTERM, SIGINT: drain, then stop.
    Stop,
    /// SIGQUIT: stop at once.
    StopNow,
    /// SIGCHLD: Envoy may have exited.
    Child,
}

/// The signals of this process, in order.
#[derive(Debug)]
pub(crate) struct Events {
    receiver: Receiver<Event>,
    /// Set by the first stop signal, and ends every wait for Envoy.
    pub(crate) stopping: Arc<AtomicBool>,
}

impl Events {
    /// Queues all signals from here on.
    pub(crate) fn new() -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD])?;
        let (sender, receiver) = mpsc::channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&stopping);
        thread::spawn(move || {
            for signal in signals.forever() {
                let event = match signal {
                    SIGHUP => Event::Reload,
                    SIGQUIT => Event::StopNow,
                    SIGCHLD => Event::Child,
                    _ => Event::Stop,
                };
                if matches!(event, Event::Stop | Event::StopNow) {
                    set.store(true, Ordering::Relaxed);
                }
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self { receiver, stopping })
    }

    /// No signals ever.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { receiver: mpsc::channel().1, stopping: Arc::default() }
    }

    /// The next event, if one arrives in time.
    pub(super) fn next(&self, within: Duration) -> Option<Event> {
        self.receiver.recv_timeout(within).ok()
    }
}
