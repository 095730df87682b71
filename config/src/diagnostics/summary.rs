//! Many findings made short enough to read.

use std::collections::BTreeMap;

use super::finding::{ADVISES, Finding, Place, Severity};

/// Findings of one severity that are printed, at most.
const MAX_PRINTED: usize = 1000;
/// Lines named in one finding, at most.
const MAX_LINES: usize = 5;

/// Sorts findings by file and line. The same warning about several deployments becomes one finding
/// that names the other lines.
pub(super) fn summarized(mut found: Vec<(Place, Finding)>) -> Vec<Finding> {
    if !ADVISES {
        return found.into_iter().map(|(_, finding)| finding).take(MAX_PRINTED).collect();
    }
    found.sort_by_key(|(place, _)| (place.file, place.line));
    let mut findings: Vec<Finding> = Vec::new();
    let mut seen: BTreeMap<Key, (usize, Vec<usize>)> = BTreeMap::new();
    for (_, finding) in found {
        let key = Key::of(&finding);
        match key.as_ref().and_then(|key| seen.get_mut(key)) {
            Some((_, lines)) => lines.push(finding.line),
            None => {
                seen.extend(key.map(|key| (key, (findings.len(), Vec::new()))));
                findings.push(finding);
            }
        }
    }
    for (index, lines) in seen.into_values().filter(|(_, lines)| !lines.is_empty()) {
        if let Some(finding) = findings.get_mut(index) {
            finding.message.push_str(&also_on(&lines));
        }
    }
    for severity in [Severity::Error, Severity::Warning] {
        limit(&mut findings, severity);
    }
    findings
}

/// Removes all but the first findings of one severity. The last one that is left says so.
fn limit(findings: &mut Vec<Finding>, severity: Severity) {
    let mut seen = 0_usize;
    findings.retain_mut(|finding| {
        if finding.severity != severity {
            return true;
        }
        seen = seen.saturating_add(1);
        if seen == MAX_PRINTED {
            finding.message.push_str(" (further findings of this severity are not printed)");
        }
        seen <= MAX_PRINTED
    });
}

/// ` (also on lines 9, 14 and 7 more)`
fn also_on(lines: &[usize]) -> String {
    let named: Vec<String> = lines.iter().take(MAX_LINES).map(usize::to_string).collect();
    let word = if lines.len() == 1 { "line" } else { "lines" };
    match lines.len().saturating_sub(MAX_LINES) {
        0 => format!(" (also on {word} {})", named.join(", ")),
        more => format!(" (also on {word} {} and {more} more)", named.join(", ")),
    }
}

/// What two warnings about deployments have in common if they are the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    file: String,
    /// The path behind `model_list[3]`.
    path: String,
    message: String,
    advice: String,
}

impl Key {
    fn of(finding: &Finding) -> Option<Self> {
        let rest = finding.path.strip_prefix("model_list[")?;
        if finding.severity != Severity::Warning {
            return None;
        }
        let (_, path) = rest.split_once(']')?;
        let Finding { file, message, advice, .. } = finding.clone();
        Some(Self { file, path: path.to_owned(), message, advice })
    }
}
