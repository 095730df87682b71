//! CPU time of a process, from Linux's /proc.

use std::fs;
use std::time::{Duration, Instant};

use crate::load::Load;

/// Ticks of utime and stime per second: USER_HZ, which is 100 on every Linux that we know.
const TICKS: u32 = 100;

/// A process that is measured.
pub struct Process(u32);

/// What a load cost.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Per request, user and system.
    pub cpu: Duration,
    /// Requests per second.
    pub rate: f64,
}

impl Process {
    /// This process.
    pub fn new(pid: u32) -> Self {
        Self(pid)
    }

    /// The child of this process whose name contains `name`.
    pub fn below(parent: u32, name: &str) -> Self {
        let children =
            fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        let named = |pid: &&str| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.contains(name))
        };
        let child = children.split_whitespace().find(named).expect("a child of that name");
        Self(child.parse().expect("a process id"))
    }

    /// Runs a load against this process.
    pub async fn cost(&self, load: Load) -> Cost {
        let (cpu, time) = (self.cpu(), Instant::now());
        load.run().await;
        let requests = u32::try_from(load.requests).expect("a moderate number");
        Cost { cpu: (self.cpu() - cpu) / requests, rate: f64::from(requests) / time.elapsed().as_secs_f64() }
    }

    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).expect("the process lives");
        // The name in parentheses may hold anything; fields 14 and 15 are utime and stime
        // (proc(5)).
        let after_name = stat.rsplit(')').next().expect("a name");
        let ticks: u32 =
            after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u32>().expect("a number")).sum();
        Duration::from_secs(1) * ticks / TICKS
    }
}
