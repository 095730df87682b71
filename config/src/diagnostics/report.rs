//! Everything found while reading, collected with its place and path.

use std::collections::BTreeMap;
use std::fmt;

use crate::diagnostics::accept::{self, Accepted};
use crate::diagnostics::finding::{Finding, Severity};
use crate::diagnostics::suggest::Suggestions;
use crate::values::visible::on_one_line;
use crate::yaml::tree::Place;

/// Whether people read what is found. They do not in the filter: its file has passed `check`, so it tells what stops it, and
/// is smaller without the other words.
pub const ADVISES: bool = !cfg!(target_family = "wasm");

/// Findings of one severity that are collected, at most: more are more of the same.
const MOST_COLLECTED: usize = 50_000;
/// Findings of one severity that are shown, at most.
const MOST_SHOWN: usize = 1000;
/// Bytes of a path, a message or an advice that are shown, at most: they repeat names of the file.
const MAX_SHOWN: usize = 1500;

/// The way to a value, such as `model_list[0].litellm_params.model`. Written out only for a finding.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// The document itself, which is not written.
    Document,
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The document itself.
    pub const DOCUMENT: Path<'static> = Path { parent: None, step: Step::Document };

    /// A key of the document.
    pub const fn top(key: &'a str) -> Self {
        Self { parent: None, step: Step::Key(key) }
    }

    /// A key of the map that stands here.
    pub const fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Key(key) }
    }

    /// The key at the end of the path.
    pub fn last_key(&self) -> Option<&'a str> {
        match self.step {
            Step::Key(key) => Some(key),
            Step::Document | Step::Index(_) => None,
        }
    }

    /// An item of the list that stands here.
    pub const fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parent = self.parent.filter(|parent| !matches!(parent.step, Step::Document));
        if let Some(parent) = parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Document => Ok(()),
            Step::Key(key) if parent.is_some() => write!(f, ".{key}"),
            Step::Key(key) => f.write_str(key),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// The findings of one reading.
pub struct Report {
    files: Vec<String>,
    found: Vec<(Place, Finding)>,
    refusals: usize,
    accepted: Accepted,
    /// What misspellings may mean.
    pub suggestions: Suggestions,
}

impl Report {
    /// An empty report on these files, the operator's own first.
    pub fn new(files: Vec<String>) -> Self {
        Self {
            files,
            found: Vec::new(),
            refusals: 0,
            accepted: Accepted::default(),
            suggestions: Suggestions::default(),
        }
    }

    /// Names one more file and returns its index.
    pub fn add_file(&mut self, name: &str) -> u16 {
        self.files.push(name.to_owned());
        u16::try_from(self.files.len().saturating_sub(1)).unwrap_or(u16::MAX)
    }

    /// The name of a file.
    pub fn file(&self, index: u16) -> &str {
        self.files.get(usize::from(index)).map_or("", String::as_str)
    }

    /// Something that stops the configuration.
    #[inline(always)]
    pub fn refuse(&mut self, place: Place, path: &Path<'_>, message: &str, advice: &str) {
        self.add_refusal(place, path, message, if ADVISES { advice } else { "" });
    }

    fn add_refusal(&mut self, place: Place, path: &Path<'_>, message: &str, advice: &str) {
        self.refusals = self.refusals.saturating_add(1);
        self.add(Severity::Refused, place, path, message, advice);
    }

    /// What the operator accepts of what [`refuse_feature`](Self::refuse_feature) would refuse.
    pub fn accept(&mut self, accepted: Accepted) {
        self.accepted = accepted;
    }

    /// Something of LiteLLM's that is not served, and that must not be ignored unless the operator accepts it: then it
    /// is a warning.
    #[inline(always)]
    pub fn refuse_feature(&mut self, place: Place, path: &Path<'_>, message: &str, advice: &str) {
        if !self.is_accepted(place, path, message, advice) {
            self.refuse(place, path, message, advice);
        }
    }

    /// Whether the operator accepts what is missing at a path, with the warning that says so.
    #[inline(always)]
    pub fn is_accepted(&mut self, place: Place, path: &Path<'_>, message: &str, advice: &str) -> bool {
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
    pub fn check_accepted(&mut self) {
        if !ADVISES {
            return;
        }
        let accepted = std::mem::take(&mut self.accepted);
        let refused = |entry: &str| {
            let mut found = self.found.iter().map(|(_, finding)| finding);
            found.any(|finding| finding.severity == Severity::Refused && accept::names(entry, &finding.path))
        };
        let unused: Vec<_> = accepted.unused().map(|unused| (refused(unused.entry), unused)).collect();
        for (refused, accept::Unused { entry, index, place, near }) in unused {
            let message = match refused {
                true => format!("{entry} is refused for a reason that cannot be accepted"),
                false => format!("{entry} accepts nothing: nothing is refused there"),
            };
            let advice = near.map_or("remove it".to_owned(), |near| format!("did you mean {near}?"));
            let section = Path::top("llm_balancer");
            self.warn(place, &section.key("accept").index(index), &message, &advice);
        }
    }

    /// Something worth knowing. Not in the filter, which prints refusals alone: without the words it is smaller.
    #[inline(always)]
    pub fn warn(&mut self, place: Place, path: &Path<'_>, message: &str, advice: &str) {
        if ADVISES {
            self.add(Severity::Warning, place, path, message, advice);
        }
    }

    fn add(&mut self, severity: Severity, place: Place, path: &Path<'_>, message: &str, advice: &str) {
        let known = match severity {
            Severity::Refused => self.refusals,
            Severity::Warning => self.found.len().saturating_sub(self.refusals),
        };
        if known > MOST_COLLECTED {
            return;
        }
        let finding = self.finding(severity, place, path, message, advice);
        self.found.push((place, finding));
    }

    fn finding(
        &self,
        severity: Severity,
        place: Place,
        path: &Path<'_>,
        message: &str,
        advice: &str,
    ) -> Finding {
        Finding {
            severity,
            file: self.file(place.file).to_owned(),
            line: usize::try_from(place.line).unwrap_or(usize::MAX),
            path: on_one_line(&path.to_string(), MAX_SHOWN),
            message: on_one_line(message, MAX_SHOWN),
            advice: on_one_line(advice, MAX_SHOWN),
        }
    }

    /// Where the report stands, for [`forget_since`](Self::forget_since).
    pub fn mark(&self) -> (usize, usize) {
        (self.found.len(), self.refusals)
    }

    /// Forgets what was found since the mark, where a value is read a second time.
    pub fn forget_since(&mut self, (found, refusals): (usize, usize)) {
        self.found.truncate(found);
        self.refusals = refusals;
    }

    /// How many of the findings stop the configuration.
    pub fn refusals(&self) -> usize {
        self.refusals
    }

    /// All findings: the operator's own file first, by line, in the order found. The same warning about many
    /// deployments is one finding that names the other lines.
    pub fn into_findings(mut self) -> Vec<Finding> {
        if !ADVISES {
            return self.found.into_iter().map(|(_, finding)| finding).take(MOST_SHOWN).collect();
        }
        self.found.sort_by_key(|(place, _)| (place.file, place.line));
        let mut findings: Vec<Finding> = Vec::new();
        let mut seen: BTreeMap<Sameness, (usize, Vec<usize>)> = BTreeMap::new();
        for (_, finding) in self.found {
            match Sameness::of(&finding) {
                None => findings.push(finding),
                Some(same) => match seen.get_mut(&same) {
                    Some((_, lines)) => lines.push(finding.line),
                    None => {
                        seen.insert(same, (findings.len(), Vec::new()));
                        findings.push(finding);
                    }
                },
            }
        }
        for (index, lines) in seen.into_values().filter(|(_, lines)| !lines.is_empty()) {
            if let Some(finding) = findings.get_mut(index) {
                finding.message.push_str(&elsewhere(&lines));
            }
        }
        for severity in [Severity::Refused, Severity::Warning] {
            limit(&mut findings, severity);
        }
        findings
    }
}

/// Removes what is too much to read of one severity, and says so in the place of the first.
fn limit(findings: &mut Vec<Finding>, severity: Severity) {
    let mut seen = 0_usize;
    findings.retain_mut(|finding| {
        if finding.severity != severity {
            return true;
        }
        seen = seen.saturating_add(1);
        if seen == MOST_SHOWN {
            finding.message.push_str(" (further findings of this kind are left out)");
        }
        seen <= MOST_SHOWN
    });
}

/// Lines named in one finding at most.
const LINES_NAMED: usize = 5;

/// ` (also on lines 9, 14 and 7 more)`
fn elsewhere(lines: &[usize]) -> String {
    let named: Vec<String> = lines.iter().take(LINES_NAMED).map(usize::to_string).collect();
    let word = if lines.len() == 1 { "line" } else { "lines" };
    match lines.len().saturating_sub(LINES_NAMED) {
        0 => format!(" (also on {word} {})", named.join(", ")),
        more => format!(" (also on {word} {} and {more} more)", named.join(", ")),
    }
}

/// What makes two warnings about deployments the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Sameness {
    file: String,
    /// The path behind `model_list[3]`.
    key: String,
    message: String,
    advice: String,
}

impl Sameness {
    fn of(finding: &Finding) -> Option<Self> {
        let rest = finding.path.strip_prefix("model_list[")?;
        if finding.severity != Severity::Warning {
            return None;
        }
        let (_, key) = rest.split_once(']')?;
        let Finding { file, message, advice, .. } = finding;
        Some(Self {
            file: file.clone(),
            key: key.to_owned(),
            message: message.clone(),
            advice: advice.clone(),
        })
    }
}
