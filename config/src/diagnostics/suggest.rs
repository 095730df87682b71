//! "Did you mean ..?": the name that a misspelling is closest to.

use super::finding::ADVISES;

/// Pairs of letters that are compared for one file, at most: a file with ten thousand names and as
/// many misspellings is read in seconds, the last ones without suggestions.
const MAX_COMPARISONS: usize = 20_000_000;
/// Bytes of a name, above which it is no misspelling.
const MAX_LENGTH: usize = 256;

/// Suggestions for one file.
pub(crate) struct Suggestions {
    comparisons_left: usize,
}

impl Default for Suggestions {
    fn default() -> Self {
        Self { comparisons_left: MAX_COMPARISONS }
    }
}

/// Advice to write the name that a misspelling is near to, or else another one.
pub(crate) fn did_you_mean(near: Option<&str>, otherwise: &str) -> String {
    near.map_or_else(|| otherwise.to_owned(), |near| format!("did you mean {near}?"))
}

impl Suggestions {
    /// The key that a misspelling is closest to: by letters, or else by words, of which one or two
    /// may be missing, as in `ContentPolicyViolationRetries`.
    pub(crate) fn key<'n>(
        &mut self,
        key: &str,
        keys: impl Iterator<Item = &'n str> + Clone,
    ) -> Option<&'n str> {
        self.name(key, keys.clone()).or_else(|| self.by_words(key, keys))
    }

    /// The name that a misspelling is closest to, by letters.
    pub(crate) fn name<'n>(&mut self, name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
        if !ADVISES {
            return None;
        }
        let mut near = Nearest::to(name);
        // `rpm_limit` is `rpm`, and nearer to nothing.
        let limited = name.strip_suffix("_limit");
        for other in names {
            if limited == Some(other) {
                return limited.map(|_| other);
            }
            if near.may_be_near(other) {
                self.spend(name.len().saturating_mul(other.len()))?;
                near.compare(other);
            }
        }
        near.best()
    }

    /// The only name that has the same words and one or two more, or one or two fewer.
    fn by_words<'n>(&mut self, name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
        if !ADVISES {
            return None;
        }
        let own = words(name).filter(|words| words.len() >= 2)?;
        let mut near: Option<(usize, &str)> = None;
        let mut ambiguous = false;
        for other in names {
            self.spend(name.len().saturating_add(other.len()))?;
            let Some(missing) = words(other).and_then(|others| missing(&own, &others)) else { continue };
            match near {
                Some((best, _)) if best < missing => {}
                Some((best, _)) if best == missing => ambiguous = true,
                _ => (near, ambiguous) = (Some((missing, other)), false),
            }
        }
        near.filter(|_| !ambiguous).map(|(_, name)| name)
    }

    /// `None` where the file has used up its comparisons.
    fn spend(&mut self, comparisons: usize) -> Option<()> {
        self.comparisons_left = self.comparisons_left.checked_sub(comparisons)?;
        Some(())
    }
}

/// The nearest of the names that were compared.
struct Nearest<'n> {
    name: String,
    /// A bit for each of its bytes.
    bytes: u128,
    max_distance: usize,
    best: Option<(usize, &'n str)>,
}

impl<'n> Nearest<'n> {
    fn to(name: &str) -> Self {
        let max_distance = match name.len() {
            0..2 => 0,
            2..6 => 1,
            6..9 => 2,
            _ => 3,
        };
        let bytes = name.bytes().fold(0, |bytes, byte| bytes | bit(byte));
        Self { name: normalized(name), bytes, max_distance, best: None }
    }

    /// Quick: compares lengths, and counts bytes that the name does not have, each of which costs
    /// an edit.
    fn may_be_near(&self, other: &str) -> bool {
        let other_bytes = || other.bytes().filter(|byte| self.bytes & bit(*byte) == 0).count();
        other.len().abs_diff(self.name.len()) <= self.max_distance && other_bytes() <= self.max_distance
    }

    /// Counts insertions, deletions, replacements and swaps of neighbours.
    fn compare(&mut self, other: &'n str) {
        if self.may_be_near(other) {
            let distance = strsim::osa_distance(&self.name, &normalized(other));
            let near = (distance <= self.max_distance).then_some((distance, other));
            self.best = self.best.into_iter().chain(near).min();
        }
    }

    fn best(self) -> Option<&'n str> {
        self.best.map(|(_, name)| name)
    }
}

/// `least_busy` and `Least-Busy` are the same name.
fn normalized(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// The bit of a normalized byte.
fn bit(byte: u8) -> u128 {
    let byte = if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    1_u128.wrapping_shl(byte.into())
}

/// The words of `RateLimitErrorRetries` and `rate_limit_error_retries` in lower case; `None` where
/// the text is too long.
fn words(name: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut begins = true;
    for char in Some(name).filter(|name| name.len() <= MAX_LENGTH)?.chars() {
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

/// How many words one list has more than the other, if it has all of the other's in their order; at
/// most two, and fewer than they have in common.
fn missing(one: &[String], other: &[String]) -> Option<usize> {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let mut rest = long.iter();
    let all = short.iter().all(|word| rest.any(|other| other == word));
    let missing = long.len().saturating_sub(short.len());
    (all && (1..=2).contains(&missing) && missing < short.len()).then_some(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_recognised_and_strangers_are_not() {
        let near = |name: &str, other: &'static str| {
            let mut near = Nearest::to(name);
            near.compare(other);
            near.best().is_some()
        };
        assert!(near("enable_pre_call_check", "enable_pre_call_checks"));
        assert!(near("fallback", "fallbacks"));
        assert!(near("tiemout", "timeout"));
        assert!(near("least_busy", "Least-Busy"));
        assert!(near("rpm", "tpm"));
        assert!(!near("colour", "timeout"));
        assert!(!near("rpm", "tag"));
    }
}
