//! Envoy as a child process that does not outlive its parent.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, killpg, signal};
use nix::unistd::{Pid, getppid};

/// Starts Envoy.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    allow_many_connections();
    tie_to_this_process(&mut command);
    command.spawn()
}

/// Sends SIGINT, after which Envoy exits at once: it ends by SIGINT as by SIGTERM, which is blocked.
/// A script that runs Envoy gets it too.
pub(super) fn terminate(child: &Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        // Fails only if Envoy has exited, which the caller sees.
        let _ = killpg(Pid::from_raw(group), Signal::SIGINT);
    }
}

/// Raises the soft limit of file descriptors, often 1024, to the hard limit: every request holds a
/// few.
fn allow_many_connections() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Some sandboxes refuse it; the old limit serves fewer clients.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Kills Envoy if this process is killed, and keeps the terminal's Ctrl-C from it, and the SIGTERM
/// that systemd sends to all processes of a service: both must drain first.
fn tie_to_this_process(command: &mut Command) {
    // Ctrl-C goes to a process group.
    command.process_group(0);
    let parent = Pid::this();
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGTERM);
    let set_signals = move || {
        // Inherited by all threads of Envoy, whose handler of SIGTERM then never runs.
        blocked.thread_block()?;
        // Ignored in what a shell has started in the background.
        // SAFETY: no handler of this process is replaced: it is the child's.
        unsafe { signal(Signal::SIGINT, SigHandler::SigDfl) }?;
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have exited before the call.
        if getppid() == parent { Ok(()) } else { Err(io::Error::from(io::ErrorKind::NotConnected)) }
    };
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(set_signals) };
}

/// Why Envoy exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// This program has stopped it.
    Stopped,
    Unexpected,
}

/// Envoy's exit code, 128 plus the signal's number if a signal ended it. An unexpected exit is never
/// a success. One of a stopped Envoy is a success after any signal: a starting Envoy does not handle
/// SIGINT, and a slow one is killed.
pub(super) fn exit_code(status: ExitStatus, exit: Exit) -> u8 {
    if exit == Exit::Stopped && status.signal().is_some() {
        return 0;
    }
    let code = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    match exit {
        Exit::Stopped => code,
        Exit::Unexpected => code.max(1),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::sys::signal::kill;

    use super::*;

    #[test]
    fn a_sigterm_that_systemd_sends_to_envoy_does_not_end_it_and_this_program_does() {
        // As a shell starts what is to run in the background.
        // SAFETY: there is no handler that this replaces.
        unsafe { nix::sys::signal::signal(Signal::SIGINT, SigHandler::SigIgn) }.unwrap();
        let mut command = Command::new("sleep");
        command.arg("60");
        let mut child = spawn(command).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
        assert_ne!(blocked & 1 << (Signal::SIGTERM as u32 - 1), 0, "SIGTERM is blocked: {status}");
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        terminate(&child);
        assert_eq!(child.wait().unwrap().signal(), Some(2));
    }

    /// In the format of `wait`: the signal in the low bits, the code above them.
    fn signal(number: i32) -> ExitStatus {
        ExitStatus::from_raw(number)
    }

    fn code(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn an_end_that_was_asked_for_is_a_success_by_whichever_signal() {
        for number in [2, 9, 3] {
            assert_eq!(exit_code(signal(number), Exit::Stopped), 0);
        }
        assert_eq!(exit_code(code(0), Exit::Stopped), 0);
        assert_eq!(exit_code(code(7), Exit::Stopped), 7);
    }

    #[test]
    fn an_end_that_nobody_asked_for_never_is() {
        assert_eq!(exit_code(signal(9), Exit::Unexpected), 137);
        assert_eq!(exit_code(signal(15), Exit::Unexpected), 143);
        assert_eq!(exit_code(code(0), Exit::Unexpected), 1);
        assert_eq!(exit_code(code(7), Exit::Unexpected), 7);
    }
}
