//! Ports for processes that need one before they start, different for concurrent tests.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which kernels take the ports of outgoing connections (Linux: 32768 and up).
const FIRST: u16 = 11_000;
const COUNT: u16 = 21_000;

/// Two such ports, one after the other: returns the first.
pub(crate) fn free_pair() -> u16 {
    loop {
        let first = free_port();
        if free_port() == first + 1 {
            return first;
        }
    }
}

/// A port that is free now and that no other test of this process gets.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        // Processes start far apart; a clash that happens all the same is seen and retried by the
        // caller.
        let start = (std::process::id() % 53) as u16 * 389;
        let port = FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
