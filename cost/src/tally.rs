//! What was counted.

use std::collections::BTreeMap;

/// The costs of one request.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By the function's name, without the prefix `proxy_`.
    pub host_calls: BTreeMap<String, HostCalls>,
    /// By the callback's name, without the prefix `proxy_on_`. Memory that the host asks for is the
    /// callback [`ALLOCATE`].
    pub entries: BTreeMap<String, Entries>,
    /// Instructions by function, without those of functions that it called.
    pub functions: BTreeMap<String, u64>,
}

/// Calls of one function of the host.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostCalls {
    /// How often it was called.
    pub calls: u64,
    /// Bytes that the host copied out of the VM: names and values of arguments.
    pub bytes_out: u64,
    /// Bytes that the host copied into memory which it asked the VM for. Numbers that are written
    /// in place do not count.
    pub bytes_in: u64,
}

/// Entries into the VM by one callback.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entries {
    /// How often it was entered.
    pub entries: u64,
    /// Instructions, without those of entries that happened in between.
    pub instructions: u64,
}

/// The callback by which the host gets memory for what it returns.
pub const ALLOCATE: &str = "memory_allocate";

impl Tally {
    /// Calls of all functions.
    pub fn calls(&self) -> u64 {
        self.host_calls.values().map(|of| of.calls).sum()
    }

    /// Bytes copied out of the VM.
    pub fn bytes_out(&self) -> u64 {
        self.host_calls.values().map(|of| of.bytes_out).sum()
    }

    /// Bytes copied into the VM.
    pub fn bytes_in(&self) -> u64 {
        self.host_calls.values().map(|of| of.bytes_in).sum()
    }

    /// Entries by callbacks of the request.
    pub fn callbacks(&self) -> u64 {
        self.entries.iter().filter(|(name, _)| *name != ALLOCATE).map(|(_, of)| of.entries).sum()
    }

    /// Entries for memory.
    pub fn allocations(&self) -> u64 {
        self.entries.get(ALLOCATE).map_or(0, |of| of.entries)
    }

    /// Instructions of all entries.
    pub fn instructions(&self) -> u64 {
        self.entries.values().map(|of| of.instructions).sum()
    }

    pub(crate) fn host_call(&mut self, name: &str) -> &mut HostCalls {
        self.host_calls.entry(name.strip_prefix("proxy_").unwrap_or(name).to_owned()).or_default()
    }

    pub(crate) fn entry(&mut self, name: &str) -> &mut Entries {
        self.entries.entry(name.strip_prefix("proxy_on_").unwrap_or(name).to_owned()).or_default()
    }
}
