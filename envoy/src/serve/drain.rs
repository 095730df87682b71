//! The graceful end: no new connections, and time for the requests in flight.

use std::io;
use std::process::Child;
use std::time::{Duration, Instant};

use super::admin::{Admin, StatKind};
use super::envoy_process::{self, Exit};
use super::signals::{Signal, SignalQueue};
use crate::cli::ServeArgs;
use crate::render::admin_paths;
use crate::support::listing::counted;
use crate::support::messages::message;

/// Between two polls of the requests in flight.
const POLL: Duration = Duration::from_millis(50);
/// Polls in a row that must see no request in flight.
const IDLE_POLLS: u32 = 2;
/// How long Envoy may take to exit after SIGINT, before SIGKILL.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// How far a drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begun,
    /// Envoy's answers ask clients to close their connections. The port stays open for the delay.
    Closing,
    /// The port is closed. Polls in a row that saw no request in flight.
    Closed {
        idle: u32,
    },
}

impl Stage {
    /// The next stage. `post` sends a command to Envoy, and returns whether Envoy has answered; the
    /// next poll sends it again if not.
    fn next(self, is_delay_over: bool, post: impl Fn(&str) -> bool) -> Self {
        let is_closing = self != Self::Begun || post(admin_paths::FAIL_HEALTH_CHECK);
        match self {
            Self::Closed { .. } => self,
            _ if is_closing && is_delay_over && post(admin_paths::CLOSE_PORT) => Self::Closed { idle: 0 },
            _ if is_closing => Self::Closing,
            _ => Self::Begun,
        }
    }

    /// The same stage after a poll of the requests in flight.
    fn polled(self, in_flight: Option<usize>) -> Self {
        match self {
            Self::Closed { idle } if in_flight == Some(0) => Self::Closed { idle: idle.saturating_add(1) },
            Self::Closed { .. } => Self::Closed { idle: 0 },
            _ => self,
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::Closed { idle } if idle >= IDLE_POLLS)
    }
}

/// Waits until no request is in flight, until the drain timeout, or until the next signal. The time
/// counts from the first signal, which may have waited for the end of a reload. Returns whether Envoy
/// can still deregister from Redis.
pub(super) fn drain(
    child: &mut Child,
    admin: &Admin,
    signals: &SignalQueue,
    args: &ServeArgs,
) -> io::Result<bool> {
    let began = signals.stop.since();
    let delay = Duration::from_secs(args.drain_delay.into());
    let limit = Duration::from_secs(args.drain_timeout.into());
    let seconds = limit.as_secs();
    let elapsed = || now().saturating_duration_since(began);
    let (mut stage, mut is_announced) = (Stage::Begun, false);
    loop {
        stage = stage.next(elapsed() >= delay, |path| admin.post(path));
        let left = if stage == Stage::Begun { None } else { in_flight(admin) };
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        if elapsed() >= limit {
            if left != Some(0) {
                message!("llm-balancer: closing {} after a drain of {seconds} s", requests(left));
            }
            return Ok(left.is_some());
        }
        stage = stage.polled(left);
        if stage.is_over() {
            return Ok(true);
        }
        if !is_announced && left != Some(0) {
            is_announced = true;
            let requests = requests(left);
            message!("llm-balancer: draining {requests} (up to {seconds} s); another signal stops at once");
        }
        if matches!(signals.next(POLL), Some(Signal::Stop | Signal::StopNow)) {
            return Ok(false);
        }
    }
}

/// Ends Envoy now, unless it has ended by itself before.
pub(super) fn stop(child: &mut Child) -> io::Result<Exit> {
    if child.try_wait()?.is_some() {
        return Ok(Exit::Unexpected);
    }
    let began = now();
    envoy_process::terminate(child);
    while child.try_wait()?.is_none() {
        if now().saturating_duration_since(began) > EXIT_TIMEOUT {
            child.kill()?;
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(Exit::Stopped)
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

    use clap::Parser;

    use super::*;
    use crate::cli::Cli;
    use crate::render::Runtime;

    #[test]
    fn the_port_closes_after_the_delay_and_once_envoy_has_answered() {
        use Stage::{Begun, Closed, Closing};
        const FAIL: &str = admin_paths::FAIL_HEALTH_CHECK;
        const CLOSE: &str = admin_paths::CLOSE_PORT;
        let closed = Closed { idle: 0 };
        // A stage, whether the delay is over, what Envoy answers, and the next stage.
        let table: [(Stage, bool, &[&str], Stage); 8] = [
            (Begun, false, &[], Begun),
            (Begun, true, &[CLOSE], Begun),
            (Begun, false, &[FAIL, CLOSE], Closing),
            (Begun, true, &[FAIL, CLOSE], closed),
            (Begun, true, &[FAIL], Closing),
            (Closing, false, &[CLOSE], Closing),
            (Closing, true, &[], Closing),
            (Closing, true, &[CLOSE], closed),
        ];
        for (stage, is_delay_over, answered, expected) in table {
            let next = stage.next(is_delay_over, |path| answered.contains(&path));
            assert_eq!(next, expected, "{stage:?} {is_delay_over} {answered:?}");
        }
        let again = |path: &str| panic!("{path} is sent again");
        assert_eq!(Closed { idle: 1 }.next(true, again), Closed { idle: 1 });
    }

    #[test]
    fn a_drain_is_over_when_two_polls_in_a_row_see_no_request_and_the_port_is_closed() {
        let idle = |stage: Stage| stage.polled(Some(0));
        let closed = Stage::Closed { idle: 0 };
        assert!(!idle(closed).is_over() && idle(idle(closed)).is_over());
        for seen in [Some(1), None] {
            assert!(!idle(idle(closed).polled(seen)).is_over(), "{seen:?}");
        }
        for open in [Stage::Begun, Stage::Closing] {
            assert!(!idle(idle(open)).is_over(), "{open:?}");
        }
    }

    #[test]
    fn an_envoy_that_does_not_answer_hardly_extends_the_drain() {
        let (admin, signals, _mute) = mute();
        signals.stop.record(Signal::Stop);
        let took = drained(&admin, &signals, "1");
        // Generous: a question that waits for ten seconds takes longer.
        assert!(took < Duration::from_secs(9), "{took:?}");
    }

    #[test]
    fn a_drain_counts_from_the_signal_though_something_else_went_on_until_now() {
        let (admin, signals, _mute) = mute();
        signals.stop.record(Signal::Stop);
        std::thread::sleep(Duration::from_millis(1500));
        let took = drained(&admin, &signals, "1");
        assert!(took < Duration::from_secs(1), "the time was over before: {took:?}");
    }

    #[test]
    fn after_a_second_signal_no_question_is_asked() {
        let (admin, signals, _mute) = mute();
        signals.stop.record(Signal::Stop);
        signals.stop.record(Signal::Stop);
        let began = now();
        for _ in 0..20 {
            assert_eq!(in_flight(&admin), None);
        }
        assert!(began.elapsed() < STOPPING, "{:?}", began.elapsed());
    }

    /// Twenty questions that are asked take longer.
    const STOPPING: Duration = Duration::from_secs(5);

    /// An Envoy that does not answer, and the signals of this process.
    fn mute() -> (Admin, SignalQueue, TcpListener) {
        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        let signals = SignalQueue::none();
        let port = mute.local_addr().unwrap().port();
        (Admin::new(port, Runtime::Wasm, signals.stop.clone()), signals, mute)
    }

    /// How long a drain took with this timeout in seconds. It ends though Envoy does not answer.
    fn drained(admin: &Admin, signals: &SignalQueue, timeout: &str) -> Duration {
        let cli = Cli::try_parse_from(["llm-balancer", "--config", "x.yaml", "--drain-timeout", timeout]);
        let mut child = envoy_process::spawn(sleeping()).unwrap();
        let began = now();
        assert!(!drain(&mut child, admin, signals, &cli.unwrap().serve.unwrap()).unwrap());
        let took = began.elapsed();
        assert_eq!(stop(&mut child).unwrap(), Exit::Stopped);
        took
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
        assert_eq!(stop(&mut ended).unwrap(), Exit::Unexpected);
        assert_eq!(stop(&mut running).unwrap(), Exit::Stopped);
    }
}
