//! The graceful end: no new connections, and time for the requests in flight.

use std::io;
use std::process::Child;
use std::time::{Duration, Instant};

use super::admin::{Admin, StatKind};
use super::envoy_process;
use super::events::{Event, Events};
use crate::cli::ServeArgs;
use crate::render::admin_paths;
use crate::support::listing::counted;
use crate::support::messages::message;

/// Between two looks at the requests in flight.
const POLL: Duration = Duration::from_millis(50);
/// Polls in a row that must see no request in flight.
const IDLE_POLLS: u32 = 2;
/// How long Envoy may take to exit after SIGINT, before SIGKILL.
const EXIT_TIMEOUT: Duration = Duration::from_secs(3);

/// Waits until no request is in flight, until the drain timeout, or until the next signal. Returns
/// whether there is time left to deregister from Redis.
pub(super) fn drain(child: &mut Child, admin: &Admin, events: &Events, args: &ServeArgs) -> io::Result<bool> {
    let began = now();
    // Answers ask clients to close their connections from here on.
    admin.post(admin_paths::FAIL_HEALTH_CHECK);
    let delay = Duration::from_secs(args.drain_delay.into());
    let limit = Duration::from_secs(args.drain_timeout.into());
    let seconds = limit.as_secs();
    let (mut is_closed, mut is_announced, mut idle) = (false, false, 0_u32);
    loop {
        let elapsed = now().saturating_duration_since(began);
        if !is_closed && elapsed >= delay {
            is_closed = true;
            admin.post(admin_paths::CLOSE_PORT);
        }
        let left = in_flight(admin);
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        if elapsed >= limit {
            message!("llm-balancer: closing {} after a drain of {seconds} s", requests(left));
            return Ok(true);
        }
        idle = if is_closed && left == Some(0) { idle.saturating_add(1) } else { 0 };
        if idle >= IDLE_POLLS {
            return Ok(true);
        }
        if !is_announced && left != Some(0) {
            is_announced = true;
            let requests = requests(left);
            message!("llm-balancer: draining {requests} (up to {seconds} s); another signal stops at once");
        }
        if matches!(events.next(POLL), Some(Event::Stop | Event::StopNow)) {
            return Ok(false);
        }
    }
}

/// Ends Envoy now. Returns false if it has ended by itself before.
pub(super) fn stop(child: &mut Child) -> io::Result<bool> {
    if child.try_wait()?.is_some() {
        return Ok(false);
    }
    let asked = now();
    envoy_process::terminate(child);
    while child.try_wait()?.is_none() {
        if now().saturating_duration_since(asked) > EXIT_TIMEOUT {
            child.kill()?;
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(true)
}

/// Requests in flight, those included whose answers are not on the wire yet.
fn in_flight(admin: &Admin) -> Option<usize> {
    let stats =
        admin.stats(StatKind::Gauge, "^http\\.edge\\.downstream_(rq_active|cx_tx_bytes_buffered)$")?;
    let number = |name: &str| stats.get(name)?.parse::<usize>().ok();
    let (requests, bytes) =
        (number("http.edge.downstream_rq_active")?, number("http.edge.downstream_cx_tx_bytes_buffered")?);
    Some(requests.max(usize::from(bytes > 0)))
}

fn requests(in_flight: Option<usize>) -> String {
    in_flight.map_or_else(|| "an unknown number of requests".to_owned(), |count| counted(count, "request"))
}

#[expect(clippy::disallowed_methods, reason = "the program waits in real time")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn an_envoy_that_ended_by_itself_while_it_drained_was_not_stopped() {
        let start = |program: &str| {
            let mut command = Command::new(program);
            command.arg("60");
            envoy_process::spawn(command).unwrap()
        };
        let (mut ended, mut running) = (start("false"), start("sleep"));
        ended.wait().unwrap();
        assert!(!stop(&mut ended).unwrap());
        assert!(stop(&mut running).unwrap());
    }
}
