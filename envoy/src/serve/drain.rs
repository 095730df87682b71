//! The end: nobody is let in any more, and whoever is inside is served to the last byte, if that does not take too long.

use std::io;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::cli::Serve;

use super::admin::Admin;
use super::envoy_process;
use super::events::{Event, Events};

/// How often we look who is left.
const LOOK: Duration = Duration::from_millis(50);
/// Looks in a row that must find nobody.
const QUIET: u32 = 2;
/// What Envoy may take to end once it is told to.
const LAST: Duration = Duration::from_secs(3);

/// Waits until nothing is in flight, for the deadline, or for the next signal; says whether there is time for a goodbye.
pub fn drain(child: &mut Child, admin: &Admin, events: &Events, args: &Serve) -> io::Result<bool> {
    let began = now();
    // From here on every answer asks the client for another connection.
    admin.ask("/healthcheck/fail");
    let delay = Duration::from_secs(args.drain_delay.into());
    let limit = Duration::from_secs(args.drain_timeout.into());
    let mut closed = false;
    let (mut said, mut quiet) = (false, 0_u32);
    loop {
        let elapsed = now().saturating_duration_since(began);
        if !closed && elapsed >= delay {
            closed = true;
            admin.ask("/drain_listeners?inboundonly");
        }
        let left = in_flight(admin);
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        if elapsed >= limit {
            eprintln!("llm-balancer: ends after {} s with {} in flight", limit.as_secs(), requests(left));
            return Ok(true);
        }
        quiet = if closed && left == Some(0) { quiet.saturating_add(1) } else { 0 };
        if quiet >= QUIET {
            return Ok(true);
        }
        if !said && left != Some(0) {
            said = true;
            let seconds = limit.as_secs();
            eprintln!(
                "llm-balancer: waits for {}, {seconds} s at most; another signal ends it at once",
                requests(left)
            );
        }
        if matches!(events.next(LOOK), Some(Event::End | Event::EndAtOnce)) {
            return Ok(false);
        }
    }
}

/// Ends Envoy now.
pub fn end(child: &mut Child) -> io::Result<()> {
    let told = now();
    envoy_process::end(child);
    while child.try_wait()?.is_none() {
        if now().saturating_duration_since(told) > LAST {
            return child.kill();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Requests that have begun, and answers that are not on the wire yet.
fn in_flight(admin: &Admin) -> Option<u64> {
    let stats = admin.stats("^http\\.edge\\.downstream_(rq_active|cx_tx_bytes_buffered)$")?;
    let number = |name: &str| stats.get(name)?.parse::<u64>().ok();
    let (requests, bytes) =
        (number("http.edge.downstream_rq_active")?, number("http.edge.downstream_cx_tx_bytes_buffered")?);
    Some(requests.max(u64::from(bytes > 0)))
}

fn requests(left: Option<u64>) -> String {
    match left {
        None => "requests that Envoy does not count just now".to_owned(),
        Some(1) => "1 request".to_owned(),
        Some(count) => format!("{count} requests"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the program waits in real time")]
fn now() -> Instant {
    Instant::now()
}
