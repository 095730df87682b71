//! What happens to a running balancer from outside, in order: signals, and the end of Envoy.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// SIGHUP: read the configuration anew.
    Reload,
    /// SIGTERM, SIGINT: end when what has begun has ended.
    End,
    /// SIGQUIT: end.
    EndAtOnce,
    /// Envoy may have ended.
    Child,
}

/// Where they come out.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
    /// Set when it is told to end: there is no use in waiting for anything then.
    pub over: Arc<AtomicBool>,
}

impl Events {
    /// From here on signals wait until somebody looks.
    pub fn new() -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD])?;
        let (sender, receiver) = mpsc::channel();
        let over = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&over);
        thread::spawn(move || {
            for signal in signals.forever() {
                let event = match signal {
                    SIGHUP => Event::Reload,
                    SIGQUIT => Event::EndAtOnce,
                    SIGCHLD => Event::Child,
                    _ => Event::End,
                };
                if matches!(event, Event::End | Event::EndAtOnce) {
                    set.store(true, Ordering::Relaxed);
                }
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self { receiver, over })
    }

    /// The next one, if it comes in time.
    pub fn next(&self, within: Duration) -> Option<Event> {
        self.receiver.recv_timeout(within).ok()
    }
}
