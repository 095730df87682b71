//! Memory of Envoy.

use std::fs;

use crate::{Balancer, Client};

/// Kilobytes that the balancer's Envoy uses: what is resident, without what its allocator keeps free.
pub async fn used_by_envoy(balancer: &Balancer) -> u64 {
    let envoy = balancer.processes().into_iter().filter(|pid| *pid != balancer.pid());
    used(balancer, envoy.map(resident).sum()).await
}

/// The same of all of its processes.
pub async fn used_by_all(balancer: &Balancer) -> u64 {
    used(balancer, resident_of_all(balancer)).await
}

async fn used(balancer: &Balancer, resident: u64) -> u64 {
    let memory = Client::new(balancer.admin_port).get("/memory").await.json();
    let kilobytes = |name: &str| {
        let bytes = memory[name].as_str().and_then(|bytes| bytes.parse::<u64>().ok());
        bytes.expect("Envoy says what is free") / 1024
    };
    // Whole pages, which it returns in time, and pieces, of which it keeps more with time.
    resident.saturating_sub(kilobytes("pageheap_free") + kilobytes("total_thread_cache"))
}

/// Resident kilobytes of all processes of a balancer.
pub fn resident_of_all(balancer: &Balancer) -> u64 {
    balancer.processes().into_iter().map(resident).sum()
}

/// Resident kilobytes of a process, 0 if there is none.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}
