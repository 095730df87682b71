//! What wakes the supervisor: signals, and the end of Envoy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{io, thread};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use super::drain;

/// A signal, by what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGHUP: re-read the configuration.
    Reload,
    /// SIGTERM, SIGINT: drain, then stop.
    Stop,
    /// SIGQUIT: stop at once.
    StopNow,
    /// SIGCHLD: Envoy may have exited.
    Child,
}

/// Whether signals ask this process to stop, known at once, whatever it waits for. All clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopRequest(Arc<StopSignals>);

#[derive(Debug, Default)]
struct StopSignals {
    first: OnceLock<Instant>,
    is_at_once: AtomicBool,
}

impl StopRequest {
    /// Records a signal to stop. The second one asks to stop at once.
    pub(super) fn record(&self, signal: Signal) {
        let is_second = self.0.first.set(drain::now()).is_err();
        if is_second || signal == Signal::StopNow {
            self.0.is_at_once.store(true, Ordering::Relaxed);
        }
    }

    /// Whether this process ends.
    pub(super) fn is_requested(&self) -> bool {
        self.0.first.get().is_some()
    }

    /// Whether it does not wait for requests in flight.
    pub(super) fn is_at_once(&self) -> bool {
        self.0.is_at_once.load(Ordering::Relaxed)
    }

    /// When the first signal came; now if there was none.
    pub(super) fn since(&self) -> Instant {
        self.0.first.get().copied().unwrap_or_else(drain::now)
    }
}

/// The signals of this process, in order.
#[derive(Debug)]
pub(crate) struct SignalQueue {
    receiver: Receiver<Signal>,
    /// Ends every wait for Envoy.
    pub(crate) stop: StopRequest,
}

impl SignalQueue {
    /// Queues all signals from here on.
    pub(crate) fn new() -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD])?;
        let (sender, receiver) = mpsc::channel();
        let stop = StopRequest::default();
        let recorded = stop.clone();
        thread::spawn(move || {
            for number in signals.forever() {
                let signal = match number {
                    SIGHUP => Signal::Reload,
                    SIGQUIT => Signal::StopNow,
                    SIGCHLD => Signal::Child,
                    _ => Signal::Stop,
                };
                if matches!(signal, Signal::Stop | Signal::StopNow) {
                    recorded.record(signal);
                }
                if sender.send(signal).is_err() {
                    return;
                }
            }
        });
        Ok(Self { receiver, stop })
    }

    /// No signals ever.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { receiver: mpsc::channel().1, stop: StopRequest::default() }
    }

    /// The next signal, if one arrives in time.
    pub(super) fn next(&self, within: Duration) -> Option<Signal> {
        self.receiver.recv_timeout(within).ok()
    }
}
