//! What becomes of each key that a section may hold, and what to say about it.

use crate::reader::{Reader, Section};
use crate::report::Path;
use crate::tables;
use crate::tree::{Entry, Value};

/// A key that is known, and what becomes of it.
pub struct Key {
    /// As LiteLLM spells it.
    pub name: &'static str,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// What becomes of a key.
#[derive(Clone, Copy)]
pub enum Verdict {
    /// It does what the text says.
    Applied(&'static str),
    /// It has no effect: why, and what to do instead.
    Ignored(&'static str, &'static str),
    /// Ignoring it would change security, money or correctness: why, and what to do instead.
    Refused(&'static str, &'static str),
}

/// Words for the documentation and for warnings, which the filter does not print: no weight for it to carry.
const fn words(text: &'static str) -> &'static str {
    if cfg!(target_family = "wasm") { "" } else { text }
}

/// A key that is applied.
pub const fn applied(name: &'static str, what: &'static str) -> Key {
    Key { name, verdict: Verdict::Applied(words(what)) }
}

/// A key that has no effect.
pub const fn ignored(name: &'static str, why: &'static str, advice: &'static str) -> Key {
    Key { name, verdict: Verdict::Ignored(words(why), words(advice)) }
}

/// A key that cannot be ignored and is not served.
pub const fn refused(name: &'static str, why: &'static str, advice: &'static str) -> Key {
    Key { name, verdict: Verdict::Refused(why, advice) }
}

/// The keys of one section.
pub struct Table {
    /// The section, as people know it.
    pub name: &'static str,
    /// Sorted by name.
    pub keys: &'static [Key],
    /// Keys that are none of ours may stand there: what is said about them, if anything.
    pub open: bool,
}

impl Table {
    /// The verdict on a key, if it is known here.
    pub fn find(&self, name: &str) -> Option<Verdict> {
        let found = self.keys.binary_search_by(|key| key.name.cmp(name)).ok()?;
        self.keys.get(found).map(|key| key.verdict)
    }
}

/// Says about every key of a section what there is to say.
pub fn judge(reader: &mut Reader<'_>, section: &Section<'_>, table: &Table) {
    for entry in section.entries {
        if entry.node.value == Value::Null {
            continue;
        }
        let path = section.path.key(&entry.key);
        match table.find(&entry.key) {
            Some(Verdict::Applied(_)) => {}
            Some(Verdict::Ignored(why, advice)) => {
                if !entry.node.asks_nothing() {
                    reader.report.warn(entry.place, &path, why, advice);
                }
            }
            Some(Verdict::Refused(why, advice)) => {
                if !entry.node.asks_nothing() {
                    reader.report.refuse_feature(entry.place, &path, why, advice);
                }
            }
            // `x-` keys hold anchors for the rest of the file.
            None if table.open || entry.key.starts_with("x-") => almost(reader, table, entry, &path),
            None => unknown(reader, table, entry, &path),
        }
    }
}

/// A key of one's own that is nearly one of ours. Those of litellm_params are looked at where they are sent.
fn almost(reader: &mut Reader<'_>, table: &Table, entry: &Entry, path: &Path<'_>) {
    if table.name != "model_info" {
        return;
    }
    if let Some(near) = nearest(&entry.key, table) {
        let advice = format!("did you mean {near}?");
        reader.report.warn(entry.place, path, "is shown by the listings, and does nothing else", &advice);
    }
}

/// A key that this section does not know: misspelt, misplaced, or neither.
pub fn unknown(reader: &mut Reader<'_>, table: &Table, entry: &Entry, path: &Path<'_>) {
    let (message, advice) = if let Some(near) = nearest(&entry.key, table) {
        ("is not known here and has no effect".to_owned(), format!("did you mean {near}?"))
    } else if let Some(home) = tables::home_of(&entry.key, table.name) {
        ("has no effect here".to_owned(), format!("it belongs in {home}"))
    } else {
        (
            "is not known here and has no effect".to_owned(),
            "remove it, or see docs/configuration.md".to_owned(),
        )
    };
    reader.report.warn(entry.place, path, &message, &advice);
}

/// The key of the table that a misspelling is closest to.
pub fn nearest(name: &str, table: &Table) -> Option<&'static str> {
    nearest_of(name, table.keys.iter().map(|key| key.name))
}

/// The name that a misspelling is closest to.
pub fn nearest_of<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let allowed = match name.len() {
        0..6 => 1,
        6..9 => 2,
        _ => 3,
    };
    let near = names.filter_map(|other| Some((distance(name, other, allowed)?, other)));
    near.min().map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other, if no more
/// than `allowed`.
fn distance(from: &str, to: &str, allowed: usize) -> Option<usize> {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    if from.len().abs_diff(to.len()) > allowed {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, left) in from.iter().enumerate() {
        let mut line = vec![row.saturating_add(1)];
        for (column, right) in to.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX);
            let next = column.saturating_add(1);
            let mut cost = at(&last, column).saturating_add(usize::from(!same(*left, *right)));
            cost = cost.min(at(&last, next).saturating_add(1)).min(at(&line, column).saturating_add(1));
            let swapped = row.checked_sub(1).and_then(|previous| from.get(previous)) == Some(right)
                && column.checked_sub(1).and_then(|previous| to.get(previous)) == Some(left);
            if let (true, Some(column)) = (swapped, column.checked_sub(1)) {
                cost = cost.min(at(&before, column).saturating_add(1));
            }
            line.push(cost);
        }
        before = std::mem::replace(&mut last, line);
    }
    last.last().copied().filter(|distance| *distance <= allowed)
}

/// `least_busy` and `Least-Busy` are the same word.
fn same(left: u8, right: u8) -> bool {
    left.eq_ignore_ascii_case(&right) || matches!((left, right), (b'_', b'-') | (b'-', b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_recognised_and_strangers_are_not() {
        assert_eq!(distance("enable_pre_call_check", "enable_pre_call_checks", 2), Some(1));
        assert_eq!(distance("fallback", "fallbacks", 2), Some(1));
        assert_eq!(distance("tiemout", "timeout", 2), Some(1));
        assert_eq!(distance("least_busy", "least-busy", 2), Some(0));
        assert_eq!(distance("rpm", "tpm", 1), Some(1));
        assert_eq!(distance("colour", "timeout", 2), None);
    }
}
