//! xDS through files: Envoy re-reads a file when another takes its place, and its statistics say
//! whether it accepted it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use super::admin::Admin;
use crate::render::{Hops, ResourceType};
use crate::support::files;

/// Between two looks at the statistics.
const POLL: Duration = Duration::from_millis(10);
/// Polls before a push has failed, one minute: Envoy takes some seconds to accept ten thousand
/// clusters.
const MAX_POLLS: u32 = 6_000;
/// Unanswered polls in a row before a push has failed.
const MAX_UNANSWERED: u32 = 200;

/// Pushes resources to one Envoy.
#[derive(Debug)]
pub(crate) struct FileXds {
    pub(super) admin: Admin,
    folder: PathBuf,
    /// Whether the edge has a filter.
    pub(super) hops: Hops,
    /// Of the file written last; never repeated, since Envoy reports only the version that it
    /// accepted last.
    version: u64,
    /// Ends every wait.
    stopping: Arc<AtomicBool>,
}

impl FileXds {
    /// Pushes to the Envoy behind `admin`, which reads the files of `folder`. `stopping` ends every wait.
    pub(crate) fn new(admin: Admin, folder: &Path, hops: Hops, stopping: Arc<AtomicBool>) -> Self {
        Self { admin, folder: folder.to_owned(), hops, version: 0, stopping }
    }

    /// Writes a file and does not wait for Envoy.
    pub(super) fn write(&mut self, of: ResourceType, resources: &[&str]) -> Result<(), String> {
        self.version = self.version.saturating_add(1);
        let text =
            format!("{{\"version_info\":\"{}\",\"resources\":[{}]}}", self.version, resources.join(","));
        let file = of.file(&self.folder);
        replace(&file, &text).map_err(|error| format!("cannot write {}: {error}", file.display()))
    }

    /// Writes a file and waits for the ACK. The error is Envoy's reason for a NACK, or why none
    /// came.
    pub(super) fn push(&mut self, of: ResourceType, resources: &[&str]) -> Result<(), String> {
        let nacks_before = self.stats(of).as_ref().map_or(0, nacks);
        self.write(of, resources)?;
        let version = self.version.to_string();
        let name = format!("{}.version_text", stats_prefix(of));
        let mut unanswered = 0_u32;
        for _ in 0..MAX_POLLS {
            if self.is_stopping() {
                return Err("llm-balancer is shutting down".to_owned());
            }
            match self.stats(of) {
                Some(stats) if stats.get(&name) == Some(&version) => return Ok(()),
                Some(stats) if nacks(&stats) > nacks_before => {
                    return Err(format!("Envoy rejected it: {}", self.nack_reason(of)));
                }
                Some(_) => unanswered = 0,
                None if unanswered >= MAX_UNANSWERED => break,
                None => unanswered = unanswered.saturating_add(1),
            }
            thread::sleep(POLL);
        }
        Err(format!("timed out waiting for Envoy to accept the {}", of.name()))
    }

    /// The answer to the files that Envoy was started with; `None` until it has accepted all of
    /// them.
    pub(super) fn initial_ack(&self) -> Option<Result<(), String>> {
        let mut all = true;
        for of in ResourceType::all(self.hops).iter().copied() {
            let stats = self.stats(of)?;
            if nacks(&stats) > 0 {
                return Some(Err(self.nack_reason(of)));
            }
            let version = stats.get(&format!("{}.version_text", stats_prefix(of)));
            all &= version.is_some_and(|text| !text.is_empty());
        }
        all.then_some(Ok(()))
    }

    /// Waits until this gauge is zero, for so many polls at most.
    pub(super) fn wait_for_zero(&self, gauge: &str, polls: u32) {
        for _ in 0..polls {
            if self.is_stopping() || self.admin.number(gauge).is_none_or(|number| number == 0) {
                return;
            }
            thread::sleep(POLL);
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn stats(&self, of: ResourceType) -> Option<BTreeMap<String, String>> {
        let prefix = stats_prefix(of).replace('.', "\\.");
        self.admin.stats(&format!("^{prefix}\\.(version_text|update_rejected|update_failure)$"))
    }

    fn nack_reason(&self, of: ResourceType) -> String {
        let reason = match of {
            ResourceType::Listeners => self.admin.rejected_listener(),
            ResourceType::Clusters | ResourceType::Routes | ResourceType::Filter => None,
        };
        reason.unwrap_or_else(|| format!("invalid {}, Envoy's log says why", of.name()))
    }
}

fn stats_prefix(of: ResourceType) -> &'static str {
    match of {
        ResourceType::Clusters => "cluster_manager.cds",
        ResourceType::Listeners => "listener_manager.lds",
        ResourceType::Routes => "http.edge.rds.edge",
        ResourceType::Filter => "extension_config_discovery.http_filter.http.edge.llm-balancer",
    }
}

fn nacks(stats: &BTreeMap<String, String>) -> u64 {
    let counts = stats.iter().filter(|(name, _)| !name.ends_with("version_text"));
    counts.filter_map(|(_, count)| count.parse::<u64>().ok()).fold(0, u64::saturating_add)
}

/// Renames a complete file into place, so that Envoy never reads half of one.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    files::write_private(&beside, text.as_bytes())?;
    fs::rename(beside, file)
}
