//! Envoy as our child: it does not outlive us, and it ends when we say so.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};

/// Starts it.
pub fn spawn(mut command: Command) -> io::Result<Child> {
    allow_many_connections();
    dies_with_us(&mut command);
    command.spawn()
}

/// Asks it to end, which it does at once.
pub fn end(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // Fails only if it has ended, which is seen elsewhere.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

/// Every request holds a few descriptors, and the soft limit often is 1024.
fn allow_many_connections() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Refused in some sandboxes; the old limit serves fewer clients, but it serves.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Even if we are killed without a chance to pass that on.
fn dies_with_us(command: &mut Command) {
    // Of its own group, so that Ctrl-C reaches it through us, when its requests have ended.
    command.process_group(0);
    let us = Pid::this();
    let ask = move || {
        // Nobody is left who would wait for a graceful end.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // We may have gone already.
        if getppid() == us { Ok(()) } else { Err(io::Error::from(io::ErrorKind::NotConnected)) }
    };
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(ask) };
}

/// As shells have it: 128 and the signal's number for a process that a signal ended. An end that nobody asked for is
/// never a success; one that was asked for is, by whichever signal: Envoy does not handle SIGTERM from the first moment,
/// and is killed where it takes too long.
pub fn exit_code(status: ExitStatus, asked: bool) -> u8 {
    if asked && status.signal().is_some() {
        return 0;
    }
    let code = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    if asked { code } else { code.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `wait` tells it: the signal in the low bits, the code above them.
    fn signal(number: i32) -> ExitStatus {
        ExitStatus::from_raw(number)
    }

    fn code(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn an_end_that_was_asked_for_is_a_success_by_whichever_signal() {
        for number in [15, 9, 3] {
            assert_eq!(exit_code(signal(number), true), 0);
        }
        assert_eq!(exit_code(code(0), true), 0);
        assert_eq!(exit_code(code(7), true), 7);
    }

    #[test]
    fn an_end_that_nobody_asked_for_never_is() {
        assert_eq!(exit_code(signal(9), false), 137);
        assert_eq!(exit_code(signal(15), false), 143);
        assert_eq!(exit_code(code(0), false), 1);
        assert_eq!(exit_code(code(7), false), 7);
    }
}
