//! "Did you mean ..": the name that a misspelling is closest to.

use crate::diagnostics::report::ADVISES;
use crate::keys::support::Table;

/// Comparisons of letters that a file may cost, so that ten thousand names with ten thousand misspellings of them are
/// read in a moment, the last ones without suggestions.
const MOST_COMPARISONS: usize = 5_000_000;
/// Letters of one name that are compared with one letter of another, at most.
const BAND: usize = 7;
/// Bytes of a name, above which it is no misspelling.
const LONGEST: usize = 256;

/// Suggestions for one file.
pub struct Suggestions {
    comparisons_left: usize,
}

impl Default for Suggestions {
    fn default() -> Self {
        Self { comparisons_left: MOST_COMPARISONS }
    }
}

impl Suggestions {
    /// The key of the table that a misspelling is closest to: by letters, or else by words, of which one or two may
    /// be missing, as in `ContentPolicyViolationRetries`.
    pub fn key(&mut self, name: &str, table: &Table) -> Option<&'static str> {
        if !ADVISES {
            return None;
        }
        let names = || table.keys.iter().map(|key| key.name);
        self.name(name, names()).or_else(|| self.by_words(name, names()))
    }

    /// The name that a misspelling is closest to, by letters.
    pub fn name<'n>(&mut self, name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
        if !ADVISES {
            return None;
        }
        let mut near = None;
        for other in names {
            let Some(allowed) = allowed(name, other) else { continue };
            self.spend(name.len().saturating_mul(BAND))?;
            near = nearer(near, distance(name, other, allowed), other);
        }
        near.map(|(_, name)| name)
    }

    /// The only name that has the same words and one or two more, or one or two fewer.
    fn by_words<'n>(&mut self, name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
        let own = words(name).filter(|words| words.len() >= 2)?;
        let mut near: Option<(usize, &str)> = None;
        let mut several = false;
        for other in names {
            self.spend(name.len().saturating_add(other.len()))?;
            let Some(missing) = words(other).and_then(|others| missing(&own, &others)) else { continue };
            match near {
                Some((best, _)) if best < missing => {}
                Some((best, _)) if best == missing => several = true,
                _ => (near, several) = (Some((missing, other)), false),
            }
        }
        near.filter(|_| !several).map(|(_, name)| name)
    }

    /// `None` where the file has cost enough.
    fn spend(&mut self, comparisons: usize) -> Option<()> {
        self.comparisons_left = self.comparisons_left.checked_sub(comparisons)?;
        Some(())
    }
}

/// The name that a misspelling is closest to, whatever that costs: where something depends on it.
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut near = None;
    for other in names {
        let Some(allowed) = allowed(name, other) else { continue };
        near = nearer(near, distance(name, other, allowed), other);
    }
    near.map(|(_, name)| name)
}

/// How far two names may be apart, if their lengths let them be so near.
fn allowed(name: &str, other: &str) -> Option<usize> {
    let allowed = match name.len() {
        0..6 => 1,
        6..9 => 2,
        _ => 3,
    };
    (other.len().abs_diff(name.len()) <= allowed).then_some(allowed)
}

fn nearer<'n>(
    near: Option<(usize, &'n str)>,
    distance: Option<usize>,
    other: &'n str,
) -> Option<(usize, &'n str)> {
    near.into_iter().chain(distance.map(|distance| (distance, other))).min()
}

/// The words of `RateLimitErrorRetries` and `rate_limit_error_retries` in lower case; `None` where the text is too long.
fn words(name: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut begins = true;
    for char in Some(name).filter(|name| name.len() <= LONGEST)?.chars() {
        if !char.is_alphanumeric() {
            begins = true;
            continue;
        }
        if begins || char.is_uppercase() {
            words.push(String::new());
        }
        begins = false;
        if let Some(word) = words.last_mut() {
            word.extend(char.to_lowercase());
        }
    }
    Some(words)
}

/// How many words one has more than the other, if it has all of the other's in their order; at most two, and fewer than
/// they have in common.
fn missing(one: &[String], other: &[String]) -> Option<usize> {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let mut rest = long.iter();
    let all = short.iter().all(|word| rest.any(|other| other == word));
    let missing = long.len().saturating_sub(short.len());
    (all && (1..=2).contains(&missing) && missing < short.len()).then_some(missing)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other, if no more
/// than `allowed`. Only cells that near to the diagonal are looked at, and none after a row in which all are too far.
fn distance(from: &str, to: &str, allowed: usize) -> Option<usize> {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before = Row::far(to.len());
    let mut last = Row::far(to.len());
    (0..=allowed).for_each(|column| last.set(column, column));
    for (row, left) in from.iter().enumerate() {
        let mut line = Row::far(to.len());
        let next_row = row.saturating_add(1);
        line.set(0, next_row);
        let first = row.saturating_sub(allowed);
        let columns = to.iter().enumerate().skip(first).take(allowed.saturating_mul(2).saturating_add(1));
        let mut nearest = next_row;
        for (column, right) in columns {
            let next = column.saturating_add(1);
            let mut cost = last.at(column).saturating_add(usize::from(!same(*left, *right)));
            cost = cost.min(last.at(next).saturating_add(1)).min(line.at(column).saturating_add(1));
            let swapped = row.checked_sub(1).and_then(|previous| from.get(previous)) == Some(right)
                && column.checked_sub(1).and_then(|previous| to.get(previous)) == Some(left);
            if let (true, Some(column)) = (swapped, column.checked_sub(1)) {
                cost = cost.min(before.at(column).saturating_add(1));
            }
            line.set(next, cost);
            nearest = nearest.min(cost);
        }
        if nearest > allowed {
            return None;
        }
        before = std::mem::replace(&mut last, line);
    }
    Some(last.at(to.len())).filter(|distance| *distance <= allowed)
}

/// A row of distances, far where nothing is known.
struct Row(Vec<usize>);

impl Row {
    fn far(columns: usize) -> Self {
        Self(vec![usize::MAX; columns.saturating_add(1)])
    }

    fn at(&self, column: usize) -> usize {
        self.0.get(column).copied().unwrap_or(usize::MAX)
    }

    fn set(&mut self, column: usize, distance: usize) {
        if let Some(cell) = self.0.get_mut(column) {
            *cell = distance;
        }
    }
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
