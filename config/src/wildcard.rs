//! Model names with `*`: which names they match, and what each star matches.

use crate::names::MAX_MODEL_NAME;

/// A `model_name` with at least one `*`.
///
/// Unlike LiteLLM's, a pattern is anchored at both ends: `a-*-b` does not match `a-1-b/c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard {
    pieces: Vec<String>,
}

impl Wildcard {
    /// `None` for a name without a star.
    pub fn new(pattern: &str) -> Option<Self> {
        pattern.contains('*').then(|| Self { pieces: pattern.split('*').map(str::to_owned).collect() })
    }

    /// The texts between the stars: one more than there are stars.
    pub fn pieces(&self) -> &[String] {
        &self.pieces
    }

    /// Whether a name fits, from its start to its end.
    pub fn matches(&self, name: &str) -> bool {
        self.captures(name).is_some()
    }

    /// What each star matches, or `None` if the name does not match.
    ///
    /// As the groups of a regular expression in which every star is `(.*)`: an earlier star matches
    /// as much as possible. So the pieces are searched from the right, in linear time.
    pub fn captures<'n>(&self, name: &'n str) -> Option<Vec<&'n str>> {
        let (first, rest) = self.pieces.split_first().filter(|_| name.len() <= MAX_MODEL_NAME)?;
        let (last, middle) = rest.split_last()?;
        let mut left = name.strip_prefix(first.as_str())?.strip_suffix(last.as_str())?;
        let mut captures = Vec::with_capacity(rest.len());
        for piece in middle.iter().rev() {
            let (before, caught) = left.rsplit_once(piece.as_str())?;
            captures.push(caught);
            left = before;
        }
        captures.push(left);
        captures.reverse();
        Some(captures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
        Wildcard::new(pattern).unwrap().captures(name)
    }

    /// Every text of these characters up to a length.
    fn texts(alphabet: &str, length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut longest = all.clone();
        for _ in 0..length {
            let longer = |text: &String| alphabet.chars().map(move |last| format!("{text}{last}")).collect();
            longest = longest.iter().flat_map(|text| -> Vec<String> { longer(text) }).collect();
            all.extend(longest.iter().cloned());
        }
        all
    }

    #[test]
    fn captures_are_those_of_a_regular_expression() {
        let names = texts("a-", 6);
        for pattern in texts("a-*", 6).iter().filter(|pattern| pattern.contains('*')) {
            let pieces: Vec<String> = pattern.split('*').map(regex::escape).collect();
            let regex = regex::Regex::new(&format!("^{}$", pieces.join("(.*)"))).unwrap();
            let wildcard = Wildcard::new(pattern).unwrap();
            for name in &names {
                let groups = |found: regex::Captures<'_>| -> Vec<String> {
                    found.iter().skip(1).flatten().map(|group| group.as_str().to_owned()).collect()
                };
                let caught = wildcard.captures(name);
                let caught = caught.map(|caught| caught.into_iter().map(str::to_owned).collect());
                assert_eq!(caught, regex.captures(name).map(groups), "{pattern} on {name}");
            }
        }
    }

    #[test]
    fn a_star_takes_anything_slashes_and_nothing_included() {
        assert_eq!(captures("*", "a/b"), Some(vec!["a/b"]));
        assert_eq!(captures("openai/*", "openai/gpt-4"), Some(vec!["gpt-4"]));
        assert_eq!(captures("openai/*", "openai/"), Some(vec![""]));
        assert_eq!(captures("openai/*", "azure/gpt-4"), None);
        assert_eq!(captures("a*b*c", "aXbYbZc"), Some(vec!["XbY", "Z"]));
        assert_eq!(captures("*--*", "---"), Some(vec!["-", ""]));
        assert_eq!(captures("é*é", "éüé"), Some(vec!["ü"]));
    }

    #[test]
    fn a_pattern_ends_where_it_ends() {
        assert_eq!(captures("a-*-b", "a-1-b"), Some(vec!["1"]));
        assert_eq!(captures("a-*-b", "a-1-b/c"), None);
        assert_eq!(captures("aa*aa", "aaa"), None, "the ends do not overlap");
    }

    #[test]
    fn many_stars_take_no_longer_than_one() {
        let name = "a".repeat(MAX_MODEL_NAME);
        // Tried place by place, this would take longer than the universe is old.
        let hostile = format!("{}b", "*a".repeat(200));
        assert_eq!(captures(&hostile, &name), None);
        assert_eq!(captures("**********b", &name), None);
        assert_eq!(captures(&"*".repeat(100), &name).map(|caught| caught.len()), Some(100));
    }

    #[test]
    fn a_name_that_is_too_long_for_a_header_matches_nothing() {
        assert!(Wildcard::new("*").unwrap().matches(&"a".repeat(MAX_MODEL_NAME)));
        assert!(!Wildcard::new("*").unwrap().matches(&"a".repeat(MAX_MODEL_NAME + 1)));
    }
}
