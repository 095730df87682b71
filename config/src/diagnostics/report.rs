//! The findings of one reading, collected with place and path.

use super::accept::{self, Accepted};
use super::finding::{ADVISES, Finding, Place, Severity};
use super::one_line::on_one_line;
use super::path::Path;
use super::suggest::Suggestions;
use super::summary;

/// Findings of one severity that are collected, at most.
const MAX_COLLECTED: usize = 50_000;
/// Bytes of a path, a message or an advice that are printed, at most: they repeat names of the
/// file.
const MAX_PRINTED: usize = 1500;

/// The findings of one reading.
pub(crate) struct Report {
    files: Vec<String>,
    found: Vec<(Place, Finding)>,
    errors: usize,
    accepted: Accepted,
    /// What misspellings may mean.
    pub(crate) suggestions: Suggestions,
}

/// A state of the report, for [`Report::forget_since`].
pub(crate) struct Mark {
    found: usize,
    errors: usize,
}

impl Report {
    /// An empty report about this file.
    pub(crate) fn new(file: &str) -> Self {
        Self {
            files: vec![file.to_owned()],
            found: Vec::new(),
            errors: 0,
            accepted: Accepted::default(),
            suggestions: Suggestions::default(),
        }
    }

    /// Adds the name of one more file and returns its index.
    pub(crate) fn add_file(&mut self, name: &str) -> u16 {
        self.files.push(name.to_owned());
        u16::try_from(self.files.len().saturating_sub(1)).unwrap_or(u16::MAX)
    }

    /// The name of a file.
    pub(crate) fn file(&self, index: u16) -> &str {
        self.files.get(usize::from(index)).map_or("", String::as_str)
    }

    /// Adds an error, which stops the configuration.
    #[inline(always)]
    pub(crate) fn error(&mut self, place: Place, path: &Path<'_>, message: &str, advice: &str) {
        self.add_error(place, path, message, if ADVISES { advice } else { "" });
    }

    fn add_error(&mut self, place: Place, path: &Path<'_>, message: &str, advice: &str) {
        self.errors = self.errors.saturating_add(1);
        self.add(Severity::Error, place, path, message, advice);
    }

    /// Sets what the operator accepts of what [`unsupported`](Self::unsupported) reports.
    pub(crate) fn accept(&mut self, accepted: Accepted) {
        self.accepted = accepted;
    }

    /// Adds an error about a feature of LiteLLM that is not supported and must not be ignored; a
    /// warning if the operator accepts it.
    #[inline(always)]
    pub(crate) fn unsupported(&mut self, place: Place, path: &Path<'_>, message: &str, advice: &str) {
        if !self.is_accepted(place, path, message, advice) {
            self.error(place, path, message, advice);
        }
    }

    /// Whether the operator accepts what is missing at a path. Adds a warning if so.
    #[inline(always)]
    pub(crate) fn is_accepted(&mut self, place: Place, path: &Path<'_>, message: &str, advice: &str) -> bool {
        let accepted = self.covers(path);
        if accepted && ADVISES {
            let message = format!("{message} (accepted by llm_balancer.accept)");
            self.warn(place, path, &message, advice);
        }
        accepted
    }

    fn covers(&mut self, path: &Path<'_>) -> bool {
        self.accepted.covers(path)
    }

    /// Warns of entries of `llm_balancer.accept` that accept nothing.
    pub(crate) fn check_accepted(&mut self) {
        if !ADVISES {
            return;
        }
        let accepted = std::mem::take(&mut self.accepted);
        let is_error = |entry: &str| {
            let mut found = self.found.iter().map(|(_, finding)| finding);
            found.any(|finding| finding.severity == Severity::Error && accept::names(entry, &finding.path))
        };
        let unused: Vec<_> = accepted.unused().map(|unused| (is_error(unused.entry), unused)).collect();
        for (is_error, accept::Unused { entry, index, place, near }) in unused {
            let message = if is_error {
                format!("\"{entry}\" cannot be accepted: it is a mistake, not an unsupported feature")
            } else {
                format!("\"{entry}\" matches no error")
            };
            let advice = near.map_or("remove it".to_owned(), |near| format!("did you mean {near}?"));
            let section = Path::top("llm_balancer");
            self.warn(place, &section.key("accept").index(index), &message, &advice);
        }
    }

    /// Adds a warning. Does nothing in the filter.
    #[inline(always)]
    pub(crate) fn warn(&mut self, place: Place, path: &Path<'_>, message: &str, advice: &str) {
        if ADVISES {
            self.add(Severity::Warning, place, path, message, advice);
        }
    }

    fn add(&mut self, severity: Severity, place: Place, path: &Path<'_>, message: &str, advice: &str) {
        let known = match severity {
            Severity::Error => self.errors,
            Severity::Warning => self.found.len().saturating_sub(self.errors),
        };
        if known > MAX_COLLECTED {
            return;
        }
        let finding = Finding {
            severity,
            file: self.file(place.file).to_owned(),
            line: usize::try_from(place.line).unwrap_or(usize::MAX),
            path: on_one_line(&path.to_string(), MAX_PRINTED),
            message: on_one_line(message, MAX_PRINTED),
            advice: on_one_line(advice, MAX_PRINTED),
        };
        self.found.push((place, finding));
    }

    /// The present state of the report.
    pub(crate) fn mark(&self) -> Mark {
        Mark { found: self.found.len(), errors: self.errors }
    }

    /// Removes what was added since the mark.
    pub(crate) fn forget_since(&mut self, mark: Mark) {
        self.found.truncate(mark.found);
        self.errors = mark.errors;
    }

    /// How many errors were added.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// All findings: the operator's own file first, by line, in the order found.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        summary::summarized(self.found)
    }
}
