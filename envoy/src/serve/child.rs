//! Envoy as our child: it gets our signals, its end is our end, and it does not outlive us.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::thread;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// How often we look whether Envoy listens: a start takes some tenths of a second.
const POLL: Duration = Duration::from_millis(10);

/// Those that end us, and the one that says that Envoy has ended. From here on they wait until somebody looks.
pub fn signals() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD])
}

/// Runs Envoy to its end, and says when it listens at `address`.
pub fn run(
    mut command: Command,
    mut signals: Signals,
    address: SocketAddr,
    ready: impl FnOnce(),
) -> io::Result<ExitCode> {
    allow_many_connections();
    dies_with_us(&mut command);
    let mut child = command.spawn()?;
    let mut asked = false;
    let status = match start(&mut child, &mut signals, address, &mut asked)? {
        Some(status) => status,
        None => {
            ready();
            attend(&mut child, &mut signals, &mut asked)?
        }
    };
    if !asked {
        eprintln!("llm-balancer: Envoy ended by itself, with {status}; --log-level info tells more");
    }
    Ok(exit_code(status, asked))
}

/// Until Envoy listens. If it ends before that, how it ended.
fn start(
    child: &mut Child,
    signals: &mut Signals,
    address: SocketAddr,
    asked: &mut bool,
) -> io::Result<Option<ExitStatus>> {
    while TcpStream::connect_timeout(&address, POLL).is_err() {
        for signal in signals.pending() {
            *asked |= pass_on(child, signal);
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(POLL);
    }
    Ok(None)
}

/// Until Envoy ends.
fn attend(child: &mut Child, signals: &mut Signals, asked: &mut bool) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        for signal in signals.wait() {
            *asked |= pass_on(child, signal);
        }
    }
}

/// Envoy ends at SIGTERM and SIGINT; to the other ways of asking it has other answers. Says whether it was asked to end.
fn pass_on(child: &Child, signal: i32) -> bool {
    let signal = match signal {
        SIGCHLD => return false,
        SIGINT => Signal::SIGINT,
        _ => Signal::SIGTERM,
    };
    if let Ok(pid) = i32::try_from(child.id()) {
        // Fails only if it has ended, which is seen elsewhere.
        let _ = kill(Pid::from_raw(pid), signal);
    }
    true
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
    // Of its own group, so that Ctrl-C reaches it once: through us.
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
/// never a success.
fn exit_code(status: ExitStatus, asked: bool) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    ExitCode::from(if asked { code } else { code.max(1) })
}
