//! Files that Envoy reads anew when another takes their place, and what it says to each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::render::Files;
use crate::support::files;

use super::admin::Admin;

/// How often Envoy is asked.
const POLL: Duration = Duration::from_millis(10);
/// After so many polls it has not taken a file and will not: ten thousand clusters take it some seconds.
const MOST_POLLS: u32 = 6_000;
/// After so many questions in a row without an answer it is not there.
const MOST_UNANSWERED: u32 = 200;

/// One of the files.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Clusters.
    Clusters,
    /// Listeners.
    Listeners,
    /// Routes.
    Routes,
}

/// The way to hand files to Envoy.
#[derive(Debug)]
pub struct Handing {
    /// Whom they are handed to.
    pub admin: Admin,
    files: Files,
    /// Each file has another, as Envoy only tells the version that it took last.
    version: u64,
    /// Set when there is no more use in waiting.
    over: Arc<AtomicBool>,
}

impl Handing {
    /// To this Envoy; `over` is set when there is no more use in waiting for it.
    pub fn new(admin: Admin, files: Files, over: Arc<AtomicBool>) -> Self {
        Self { admin, files, version: 0, over }
    }

    /// Writes a file without waiting for Envoy, which is not there yet.
    pub fn write<'a>(
        &mut self,
        kind: Kind,
        resources: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), String> {
        self.version = self.version.saturating_add(1);
        let all: Vec<&str> = resources.into_iter().collect();
        let text = format!("{{\"version_info\":\"{}\",\"resources\":[{}]}}", self.version, all.join(","));
        replace(self.file(kind), &text).map_err(|error| format!("{}: {error}", self.file(kind).display()))
    }

    /// Writes a file, and waits until Envoy has taken it or says why it does not.
    pub fn hand<'a>(
        &mut self,
        kind: Kind,
        resources: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), String> {
        let before = self.refusals(kind);
        self.write(kind, resources)?;
        let taken = self.version.to_string();
        let name = format!("{}.version_text", kind.prefix());
        let mut unanswered = 0_u32;
        for _ in 0..MOST_POLLS {
            if self.is_over() {
                return Err("it is told to end".to_owned());
            }
            match self.stats(kind) {
                Some(stats) if stats.get(&name) == Some(&taken) => return Ok(()),
                Some(stats) if refusals(&stats) > before => return Err(self.reason(kind)),
                Some(_) => unanswered = 0,
                None if unanswered >= MOST_UNANSWERED => break,
                None => unanswered = unanswered.saturating_add(1),
            }
            thread::sleep(POLL);
        }
        Err(format!("it does not take the {}", kind.name()))
    }

    /// What Envoy has refused of the files that it began with; `None` as long as it has not taken all of them.
    pub fn first_word(&self) -> Option<Result<(), String>> {
        let mut all = true;
        for kind in [Kind::Clusters, Kind::Listeners, Kind::Routes] {
            let stats = self.stats(kind)?;
            if refusals(&stats) > 0 {
                return Some(Err(self.reason(kind)));
            }
            all &= stats.get(&format!("{}.version_text", kind.prefix())).is_some_and(|text| !text.is_empty());
        }
        all.then_some(Ok(()))
    }

    /// Waits until this gauge is zero, for so many polls at most.
    pub fn settled(&self, gauge: &str, polls: u32) {
        for _ in 0..polls {
            if self.is_over() || self.admin.number(gauge).is_none_or(|number| number == 0) {
                return;
            }
            thread::sleep(POLL);
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn stats(&self, kind: Kind) -> Option<BTreeMap<String, String>> {
        let prefix = kind.prefix().replace('.', "\\.");
        self.admin.stats(&format!("^{prefix}\\.(version_text|update_rejected|update_failure)$"))
    }

    fn refusals(&self, kind: Kind) -> u64 {
        self.stats(kind).as_ref().map_or(0, refusals)
    }

    fn reason(&self, kind: Kind) -> String {
        let said = match kind {
            Kind::Listeners => self.admin.refused_listener(),
            Kind::Clusters | Kind::Routes => None,
        };
        said.unwrap_or_else(|| format!("it refuses the {}, for the reason in its log", kind.name()))
    }

    fn file(&self, kind: Kind) -> &Path {
        match kind {
            Kind::Clusters => &self.files.clusters,
            Kind::Listeners => &self.files.listeners,
            Kind::Routes => &self.files.routes,
        }
    }
}

impl Kind {
    /// What the statistics about it begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Clusters => "cluster_manager.cds",
            Self::Listeners => "listener_manager.lds",
            Self::Routes => "http.edge.rds.edge",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Listeners => "listeners",
            Self::Routes => "routes",
        }
    }
}

fn refusals(stats: &BTreeMap<String, String>) -> u64 {
    let counts = stats.iter().filter(|(name, _)| !name.ends_with("version_text"));
    counts.filter_map(|(_, count)| count.parse::<u64>().ok()).fold(0, u64::saturating_add)
}

/// Envoy sees a file that takes another's place, and never half of one.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    files::write_private(&beside, text.as_bytes())?;
    fs::rename(beside, file)
}
