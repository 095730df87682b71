//! A process that is started for the bench: its CPU time and memory, those of its children
//! included, from Linux's /proc.

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::machine::pin;

/// Lines of a log that explain why a process does not start.
const LAST_LINES: usize = 8;

/// A running process; it and its children are killed with the value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it on these processors, with its output in `log`.
    pub fn start(
        mut command: Command,
        log: &Path,
        on: &[usize],
        back_to: &[usize],
    ) -> Result<Self, Box<dyn Error>> {
        let output = File::create(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // SAFETY: between fork and exec only this system call is made, and nothing is allocated.
        unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
        // A child inherits the processors of the thread that starts it.
        pin(on)?;
        let child = command.spawn();
        pin(back_to)?;
        let program = command.get_program().display().to_string();
        let child = child.map_err(|error| format!("{program}: {error}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// The end of its output.
    pub fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// CPU time so far, of all threads that still run.
    pub fn cpu(&self) -> Duration {
        let threads = self.tree().into_iter().flat_map(|pid| {
            fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().map(|task| task.path())
        });
        let times = threads.filter_map(|task| on_cpu(&fs::read_to_string(task.join("schedstat")).ok()?));
        Duration::from_nanos(times.sum())
    }

    /// Resident memory, in bytes; pages that processes share count for each of them.
    pub fn memory(&self) -> u64 {
        let status = |pid| fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        self.tree().into_iter().filter_map(|pid| resident(&status(pid))).sum()
    }

    fn tree(&self) -> Vec<u32> {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let stat = fs::read_to_string(entry.path().join("stat")).ok();
            if let (Some(pid), Some(parent)) = (pid, stat.as_deref().and_then(parent)) {
                children.entry(parent).or_default().push(pid);
            }
        }
        let mut tree = vec![self.child.id()];
        let mut next = 0;
        while let Some(pid) = tree.get(next) {
            tree.extend(children.remove(pid).unwrap_or_default());
            next += 1;
        }
        tree
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for pid in self.tree() {
            if let Ok(pid) = i32::try_from(pid) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let _ = self.child.wait();
    }
}

/// Of /proc/PID/stat, by proc(5): the second field after the name in parentheses, which may hold
/// anything.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// Nanoseconds: the first field of /proc/PID/task/TID/schedstat, by the kernel's
/// Documentation/scheduler/sched-stats.rst.
fn on_cpu(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// VmRSS of /proc/PID/status, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::{on_cpu, parent, resident};

    #[test]
    fn cpu_time_is_the_first_field_of_schedstat() {
        assert_eq!(on_cpu("183452119 92113 4021\n"), Some(183_452_119));
        assert_eq!(on_cpu(""), None);
    }

    #[test]
    fn a_process_whose_name_has_parentheses_and_spaces_has_a_parent() {
        assert_eq!(parent("41 (wrk:worker) 0 (x) S 7 41 41 0 -1"), Some(7));
        assert_eq!(parent("41 (half"), None);
    }

    #[test]
    fn memory_is_the_resident_set() {
        assert_eq!(resident("Name:\tenvoy\nVmSize:\t  99 kB\nVmRSS:\t   61440 kB\n"), Some(62_914_560));
        assert_eq!(resident("Name:\tkthreadd\n"), None);
    }
}
