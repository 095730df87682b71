//! Child processes that end with the test.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

/// Sends the child this signal when the thread that starts it ends, so that a test that is killed
/// leaves nothing behind.
pub(crate) fn dies_with_this_thread(command: &mut Command, signal: Signal) {
    // SAFETY: between fork and exec only this system call is made, and nothing is allocated.
    unsafe { command.pre_exec(move || Ok(set_pdeathsig(signal)?)) };
}
