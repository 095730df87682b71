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
/// whether Envoy can still deregister from Redis.
pub(super) fn drain(child: &mut Child, admin: &Admin, events: &Events, args: &ServeArgs) -> io::Result<bool> {
    let began = now();
    let delay = Duration::from_secs(args.drain_delay.into());
    let limit = Duration::from_secs(args.drain_timeout.into());
    let seconds = limit.as_secs();
    let elapsed = || now().saturating_duration_since(began);
    let (mut is_failing, mut is_closed, mut is_announced, mut idle) = (false, false, false, 0_u32);
    loop {
        // What Envoy has not answered is sent again. Its answers ask clients to close their
        // connections from here on.
        is_failing = is_failing || admin.post(admin_paths::FAIL_HEALTH_CHECK);
        is_closed = is_closed || is_failing && elapsed() >= delay && admin.post(admin_paths::CLOSE_PORT);
        let left = if is_failing { in_flight(admin) } else { None };
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        if elapsed() >= limit {
            message!("llm-balancer: closing {} after a drain of {seconds} s", requests(left));
            return Ok(left.is_some());
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
    use std::net::TcpListener;
    use std::process::Command;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use clap::Parser;

    use super::*;
    use crate::cli::Cli;
    use crate::render::Runtime;

    #[test]
    fn an_envoy_that_does_not_answer_hardly_extends_the_drain() {
        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = mute.local_addr().unwrap().port();
        let admin = Admin::new(port, Runtime::Wasm, Arc::new(AtomicBool::new(true)));
        let cli = Cli::try_parse_from(["llm-balancer", "--config", "x.yaml", "--drain-timeout", "1"]);
        let mut child = envoy_process::spawn(sleeping()).unwrap();
        let began = now();
        let can_deregister = drain(&mut child, &admin, &Events::none(), &cli.unwrap().serve.unwrap());
        assert!(!can_deregister.unwrap());
        // Generous: a question that waits for ten seconds takes longer.
        assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
        assert!(stop(&mut child).unwrap());
    }

    fn sleeping() -> Command {
        let mut command = Command::new("sleep");
        command.arg("60");
        command
    }

    #[test]
    fn an_envoy_that_ended_by_itself_while_it_drained_was_not_stopped() {
        let start = |command| envoy_process::spawn(command).unwrap();
        let (mut ended, mut running) = (start(Command::new("false")), start(sleeping()));
        ended.wait().unwrap();
        assert!(!stop(&mut ended).unwrap());
        assert!(stop(&mut running).unwrap());
    }
}
