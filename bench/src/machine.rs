//! The machine: its processors, how they are divided, and whether it is quiet.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Of all processors, how much may be busy before the bench starts.
const MOST_BUSY: f64 = 0.1;

/// The processors of the process that is measured, and those of everything else.
#[derive(Debug, PartialEq)]
pub struct Processors {
    pub subject: Vec<usize>,
    pub load: Vec<usize>,
}

impl Processors {
    /// Divides them: one for each worker, at most half of them. `None` if there is only one, as load
    /// and provider would take the subject's time.
    pub fn divide(all: &[usize], workers: usize) -> Option<Self> {
        let (subject, load) = all.split_at_checked(workers.min(all.len() / 2).max(1))?;
        (!load.is_empty()).then(|| Self { subject: subject.to_vec(), load: load.to_vec() })
    }
}

/// The processors that this process may use.
pub fn processors() -> Result<Vec<usize>, Box<dyn Error>> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|index| allowed.is_set(*index).unwrap_or(false)).collect())
}

/// Runs this thread, and what it starts, on these processors.
pub fn pin(processors: &[usize]) -> Result<(), Box<dyn Error>> {
    let mut set = CpuSet::new();
    processors.iter().try_for_each(|index| set.set(*index))?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// What the figures depend on, in one line.
pub fn describe(envoy: &Path) -> Result<String, Box<dyn Error>> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let version = Command::new(envoy).arg("--version").output()?.stdout;
    let version = String::from_utf8_lossy(&version);
    let model = model(&processors).unwrap_or("unknown processor");
    let count = thread::available_parallelism()?;
    let version = envoy_version(&version).unwrap_or("of unknown version");
    Ok(format!("{count} x {model}, Linux {}, Envoy {version}", kernel.trim()))
}

fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// Of `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn envoy_version(line: &str) -> Option<&str> {
    line.split("version:").nth(1)?.split('/').nth(1)
}

/// A warning if other processes use the machine, as seen over a second.
pub fn warning() -> Result<Option<String>, Box<dyn Error>> {
    let times = || -> Result<Times, Box<dyn Error>> {
        let stat = fs::read_to_string("/proc/stat")?;
        Ok(Times::read(&stat).ok_or("/proc/stat has no line `cpu`")?)
    };
    let before = times()?;
    thread::sleep(Duration::from_secs(1));
    let busy = times()?.busy_since(before);
    Ok((busy > MOST_BUSY).then(|| {
        format!("WARNING: other processes use {:.0} % of this machine; the figures will vary", busy * 100.0)
    }))
}

/// Ticks of all processors since the machine started.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Times {
    all: u64,
    idle: u64,
}

impl Times {
    /// The line `cpu` of /proc/stat, by proc(5): user, nice, system, idle, iowait, irq, softirq,
    /// steal; guests are part of user and nice.
    fn read(stat: &str) -> Option<Self> {
        let line = stat.lines().find(|line| line.starts_with("cpu "))?;
        let ticks: Vec<u64> =
            line.split_whitespace().skip(1).take(8).map_while(|tick| tick.parse().ok()).collect();
        Some(Self { all: ticks.iter().sum(), idle: ticks.get(3)? + ticks.get(4)? })
    }

    fn busy_since(self, before: Self) -> f64 {
        let all = self.all.saturating_sub(before.all).max(1);
        let idle = self.idle.saturating_sub(before.idle);
        1.0 - idle as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::{Processors, Times, envoy_version, model};

    #[test]
    fn a_machine_with_one_processor_is_refused() {
        assert_eq!(Processors::divide(&[0], 1), None);
        assert_eq!(Processors::divide(&[], 4), None);
    }

    #[test]
    fn each_worker_gets_a_processor_but_never_more_than_half_of_them() {
        let divided = |all: &[usize], workers| {
            let Processors { subject, load } = Processors::divide(all, workers).unwrap();
            (subject, load)
        };
        assert_eq!(divided(&[0, 1], 1), (vec![0], vec![1]));
        assert_eq!(divided(&[0, 1], 4), (vec![0], vec![1]));
        assert_eq!(divided(&[2, 3, 6, 7], 1), (vec![2], vec![3, 6, 7]));
        assert_eq!(divided(&[0, 1, 2, 3, 4, 5, 6, 7], 4), (vec![0, 1, 2, 3], vec![4, 5, 6, 7]));
    }

    #[test]
    fn waiting_for_a_disk_is_idle_time_and_a_stolen_tick_is_not() {
        let before = Times::read("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3 4\n").unwrap();
        let after = Times::read("cpu  110 0 105 860 20 0 0 5 10 0\n").unwrap();
        assert!((after.busy_since(before) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn the_header_names_processor_and_envoy() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\n"), Some("Some CPU @ 2.00GHz"));
        let line = "envoy  version: abc/1.40.0/Clean/RELEASE/BoringSSL";
        assert_eq!(envoy_version(line), Some("1.40.0"));
        assert_eq!(envoy_version("nothing"), None);
    }
}
