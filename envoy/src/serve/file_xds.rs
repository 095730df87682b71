//! xDS through files: Envoy re-reads a file when another takes its place, and its statistics say
//! whether it accepted it.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use super::admin::{Admin, StatKind};
use super::drain;
use crate::render::{Hops, ResourceType};
use crate::support::files;
use crate::support::messages::message;

/// Between two polls of the statistics.
const POLL: Duration = Duration::from_millis(10);
/// When a push has failed: Envoy takes some seconds to accept ten thousand clusters.
const MAX_TIME: Duration = Duration::from_secs(60);
/// When a push has failed whose polls get no answer.
const MAX_SILENCE: Duration = Duration::from_secs(30);
/// From when on a push is slow enough for a message.
const SLOW: Duration = Duration::from_secs(5);

/// What an answer of Envoy says about what is waited for.
enum Poll<T> {
    Done(T),
    Pending,
    Failed(PushError),
}

/// Why a push has failed.
#[derive(Debug)]
pub(super) enum PushError {
    /// Envoy rejects the content, as it would at every other try.
    Rejected(String),
    /// A file cannot be written or read now, or Envoy does not answer: another try may succeed.
    Unavailable(String),
}

/// How many files Envoy has not accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Nacks {
    rejected: u64,
    /// It could not read them: it has no file descriptor left, for one.
    unread: u64,
}

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
}

impl FileXds {
    /// Pushes to the Envoy behind `admin`, which reads the files of `folder`. A stop signal ends every
    /// wait.
    pub(crate) fn new(admin: Admin, folder: &Path, hops: Hops) -> Self {
        Self { admin, folder: folder.to_owned(), hops, version: 0 }
    }

    /// Writes a file and does not wait for Envoy.
    pub(super) fn write(&mut self, of: ResourceType, resources: &[&[u8]]) -> Result<(), String> {
        self.version = self.version.saturating_add(1);
        let file = of.file(&self.folder);
        replace(&file, &of.response(self.version, resources))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))
    }

    /// Writes a file and waits for the ACK. The error is Envoy's reason for a NACK, or why none
    /// came.
    pub(super) fn push(&mut self, of: ResourceType, resources: &[&[u8]]) -> Result<(), PushError> {
        let before = self.poll(of, || self.nacks(of).map(Poll::Done))?;
        self.write(of, resources).map_err(PushError::Unavailable)?;
        let version = self.version.to_string();
        self.poll(of, || match self.accepted_version(of)? {
            accepted if accepted == version => Some(Poll::Done(())),
            _ => Some(self.error_of(of, before, self.nacks(of)?).map_or(Poll::Pending, Poll::Failed)),
        })
    }

    /// What Envoy's counts say about a file that it did not accept.
    fn error_of(&self, of: ResourceType, before: Nacks, now: Nacks) -> Option<PushError> {
        if now.rejected > before.rejected {
            return Some(PushError::Rejected(format!("Envoy rejected it: {}", self.nack_reason(of))));
        }
        (now.unread > before.unread).then(|| PushError::Unavailable(unread(of)))
    }

    /// Asks Envoy until it has answered what is waited for. `ask` returns `None` without an answer.
    fn poll<T>(&self, of: ResourceType, ask: impl Fn() -> Option<Poll<T>>) -> Result<T, PushError> {
        let unavailable = |why: &str| Err(PushError::Unavailable(why.to_owned()));
        let (began, mut is_announced) = (drain::now(), false);
        let mut answered = began;
        loop {
            if self.admin.stop.is_requested() {
                return unavailable("llm-balancer is shutting down");
            }
            let answer = ask();
            let now = drain::now();
            match answer {
                Some(Poll::Done(answer)) => return Ok(answer),
                Some(Poll::Failed(error)) => return Err(error),
                Some(Poll::Pending) => answered = now,
                None if self.admin.is_gone() => return unavailable("Envoy has ended"),
                None => {}
            }
            let took = now.saturating_duration_since(began);
            if took >= MAX_TIME || now.saturating_duration_since(answered) >= MAX_SILENCE {
                return unavailable(&format!("timed out waiting for Envoy to accept the {}", of.name()));
            }
            if took >= SLOW && !is_announced {
                is_announced = true;
                message!("llm-balancer: still waiting for Envoy to accept the {}", of.name());
            }
            thread::sleep(POLL);
        }
    }

    /// The answer to the files that Envoy was started with; `None` until it has accepted all of
    /// them.
    pub(super) fn initial_ack(&self) -> Option<Result<(), String>> {
        let mut all = true;
        for of in ResourceType::all(self.hops).iter().copied() {
            let nacks = self.nacks(of)?;
            if nacks.rejected > 0 {
                return Some(Err(self.nack_reason(of)));
            }
            if nacks.unread > 0 {
                return Some(Err(unread(of)));
            }
            all &= !self.accepted_version(of)?.is_empty();
        }
        all.then_some(Ok(()))
    }

    /// Waits until the gauges that match this regular expression are zero, for so long at most.
    pub(super) fn wait_for_zero(&self, gauges: &str, at_most: Duration) {
        let began = drain::now();
        while drain::now().saturating_duration_since(began) < at_most && !self.admin.stop.is_requested() {
            let gauges = self.admin.stats(StatKind::Gauge, gauges);
            if gauges.is_some_and(|gauges| gauges.values().all(|value| value == "0")) {
                return;
            }
            thread::sleep(POLL);
        }
    }

    /// The version of the file that Envoy accepted last; empty before the first.
    fn accepted_version(&self, of: ResourceType) -> Option<String> {
        let texts = self.admin.stats(StatKind::Text, &pattern(of, "version_text"))?;
        Some(texts.into_values().next().unwrap_or_default())
    }

    fn nacks(&self, of: ResourceType) -> Option<Nacks> {
        let counts = self.admin.stats(StatKind::Counter, &pattern(of, "(update_rejected|update_failure)"))?;
        let count = |name: &str| counts.iter().find(|(stat, _)| stat.ends_with(name))?.1.parse().ok();
        Some(Nacks {
            rejected: count("update_rejected").unwrap_or_default(),
            unread: count("update_failure").unwrap_or_default(),
        })
    }

    fn nack_reason(&self, of: ResourceType) -> String {
        let reason = match of {
            ResourceType::Listeners => self.admin.rejected_listener(),
            ResourceType::Clusters | ResourceType::Routes | ResourceType::Filter => None,
        };
        reason
            .unwrap_or_else(|| format!("invalid {}, Envoy's log says why at --log-level warning", of.name()))
    }
}

fn unread(of: ResourceType) -> String {
    format!("Envoy could not read the {}, its log says why at --log-level warning", of.name())
}

fn stats_prefix(of: ResourceType) -> &'static str {
    match of {
        ResourceType::Clusters => "cluster_manager.cds",
        ResourceType::Listeners => "listener_manager.lds",
        ResourceType::Routes => "http.edge.rds.edge",
        ResourceType::Filter => "extension_config_discovery.http_filter.llm-balancer",
    }
}

fn pattern(of: ResourceType, names: &str) -> String {
    format!("^{}\\.{names}$", stats_prefix(of).replace('.', "\\."))
}

/// Renames a complete file into place, so that Envoy never reads half of one.
pub(super) fn replace(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    files::write_private(&beside, content)?;
    fs::rename(beside, file)
}
