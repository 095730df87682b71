//! What the metrics say about reloads.
//!
//! Labels hold no text of the findings: these may quote the file, keys included, and the metrics are
//! open to more people than the log.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use llm_balancer_config::{Config, Finding, Severity, names};

use super::file_xds::replace;
use crate::render::{Options, gauges};

/// Why the newest version of the files is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReloadErrorReason {
    /// `check` refuses it too.
    Invalid,
    /// This process cannot serve it, another one could.
    NeedsRestart,
    /// Envoy refuses what is rendered of it.
    RejectedByEnvoy,
    /// A file cannot be read or written now, or Envoy does not answer: another try may succeed.
    Unavailable,
}

impl ReloadErrorReason {
    /// A label's value.
    fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NeedsRestart => "needs_restart",
            Self::RejectedByEnvoy => "rejected_by_envoy",
            Self::Unavailable => "unavailable",
        }
    }
}

/// How the last reload ended, for Envoy's statistics.
#[derive(Debug)]
pub(crate) struct ReloadStatus {
    file: PathBuf,
    /// Counts the changes.
    version: u64,
    /// When the files were last read and served, in seconds since the Unix epoch.
    succeeded_at: u64,
    /// The series of the error, if the last reload failed.
    error: Option<String>,
    /// The series of all errors: Envoy may have read each of them.
    errors: BTreeSet<String>,
    /// Whether the file says so.
    is_written: bool,
}

impl ReloadStatus {
    /// The files are served from now on. `file` is [that of the gauges](gauges::file).
    pub(crate) fn new(file: PathBuf) -> Self {
        let errors = BTreeSet::new();
        Self { file, version: 1, succeeded_at: now(), error: None, errors, is_written: false }
    }

    /// The newest version of the files is served.
    pub(super) fn succeeded(&mut self) {
        self.change(None);
        self.succeeded_at = now();
    }

    /// An older version is served. `findings` are those of the newest.
    pub(super) fn failed(&mut self, reason: ReloadErrorReason, findings: &[Finding]) {
        let first = findings.iter().find(|finding| finding.severity == Severity::Error);
        let location = first.map(|finding| format!(";location={}:{}", label(&finding.file), finding.line));
        let (name, reason) = (names::RELOAD_ERROR, reason.name());
        let location = location.unwrap_or_default();
        let series = format!("{}{name};reason={reason}{location}", names::METRIC_PREFIX);
        if self.error.as_ref() != Some(&series) {
            self.errors.insert(series.clone());
            self.change(Some(series));
        }
    }

    fn change(&mut self, error: Option<String>) {
        self.error = error;
        self.version = self.version.saturating_add(1);
        self.is_written = false;
    }

    /// Writes what has changed, and what could not be written before.
    pub(crate) fn write(&mut self, config: &Config, options: &Options) -> Result<(), String> {
        if !self.is_written {
            replace(&self.file, &gauges::response(self.version, &self.lines(), config, options))
                .map_err(|error| format!("cannot write {}: {error}", self.file.display()))?;
            self.is_written = true;
        }
        Ok(())
    }

    fn lines(&self) -> String {
        let prefix = names::METRIC_PREFIX;
        let of_errors = self.errors.iter().map(|series| {
            let is_current = self.error.as_ref() == Some(series);
            format!("{series} {}\n", u8::from(is_current))
        });
        format!(
            "{prefix}{} {}\n{prefix}{} {}\n{}",
            names::RELOAD_SUCCESSFUL,
            u8::from(self.error.is_none()),
            names::RELOAD_SUCCESS_TIME,
            self.succeeded_at,
            of_errors.collect::<String>()
        )
    }
}

/// A semicolon separates labels, and a line ends a series.
fn label(text: &str) -> String {
    text.chars().map(|c| if c == ';' || c.is_control() { '_' } else { c }).collect()
}

#[expect(clippy::disallowed_methods, reason = "the program shows real time")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> ReloadStatus {
        ReloadStatus { succeeded_at: 7, ..ReloadStatus::new(PathBuf::new()) }
    }

    fn finding(severity: Severity, file: &str, line: usize) -> Finding {
        let [path, message, advice] = [const { String::new() }; 3];
        Finding { severity, file: file.to_owned(), line, path, message, advice }
    }

    fn lines(successful: u8, errors: &str) -> String {
        format!(
            "llm_balancer_config_last_reload_successful {successful}
llm_balancer_config_last_reload_success_timestamp_seconds 7\n{errors}"
        )
    }

    #[test]
    fn an_error_is_named_by_its_place_until_another_version_is_served() {
        let mut status = status();
        assert_eq!(status.lines(), lines(1, ""));
        let findings = [finding(Severity::Warning, "a.yaml", 1), finding(Severity::Error, "b;c\n.yaml", 12)];
        status.failed(ReloadErrorReason::Invalid, &findings);
        let invalid = "llm_balancer_config_reload_error_info;reason=invalid;location=b_c_.yaml:12";
        assert_eq!(status.lines(), lines(0, &format!("{invalid} 1\n")));
        status.failed(ReloadErrorReason::NeedsRestart, &[]);
        let restart = "llm_balancer_config_reload_error_info;reason=needs_restart";
        assert_eq!(status.lines(), lines(0, &format!("{invalid} 0\n{restart} 1\n")));
        status.succeeded();
        status.succeeded_at = 7;
        assert_eq!(status.lines(), lines(1, &format!("{invalid} 0\n{restart} 0\n")));
    }

    #[test]
    fn the_same_error_again_is_no_change() {
        let mut status = status();
        status.failed(ReloadErrorReason::Unavailable, &[]);
        let version = status.version;
        status.is_written = true;
        status.failed(ReloadErrorReason::Unavailable, &[]);
        assert_eq!((status.version, status.is_written), (version, true));
    }
}
