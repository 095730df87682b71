//! Model names with `*` in them: which names they match, what each star caught, and which pattern goes first.

/// Longer names match no pattern: trying every place of several stars takes time that grows with a power of the
/// length, and no provider has such a model.
const LONGEST_NAME: usize = 512;
/// The same for patterns of more than three stars.
const LONGEST_NAME_OF_MANY: usize = 64;

/// A `model_name` with at least one `*`.
///
/// Unlike LiteLLM's, a pattern is anchored at both ends: `a-*-b` does not match `a-1-b/c` (BEHAVIOUR 2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard {
    pieces: Vec<String>,
}

impl Wildcard {
    /// `None` for a name without a star.
    pub fn new(pattern: &str) -> Option<Self> {
        pattern.contains('*').then(|| Self { pieces: pattern.split('*').map(str::to_owned).collect() })
    }

    /// What each star stands for in a name, or `None` if the name does not match.
    /// An earlier star takes as much as it can, as in a regular expression.
    pub fn captures<'n>(&self, name: &'n str) -> Option<Vec<&'n str>> {
        let longest = if self.pieces.len() > 4 { LONGEST_NAME_OF_MANY } else { LONGEST_NAME };
        let (first, rest) = self.pieces.split_first().filter(|_| name.len() <= longest)?;
        let mut captures = Vec::with_capacity(rest.len());
        matches(rest, name.strip_prefix(first.as_str())?, &mut captures).then_some(captures)
    }

    /// Orders patterns from the most to the least specific: by the length of LiteLLM's regular expression, then by
    /// the number of its metacharacters (BEHAVIOUR 2.3).
    pub fn specificity(&self) -> (usize, usize) {
        let stars = self.pieces.len().saturating_sub(1);
        let escaped: usize = self.pieces.iter().map(|piece| escaped_length(piece)).sum();
        let literal: usize = self.pieces.iter().map(|piece| piece.chars().count()).sum();
        // A star becomes `(.*)`: four characters, three of them metacharacters.
        let length = escaped.saturating_add(stars.saturating_mul(4));
        (length, stars.saturating_mul(3).saturating_add(escaped.saturating_sub(literal)))
    }
}

/// The model that a deployment is asked for: each star of its own model replaced by what the pattern's caught. A model
/// without stars is used as it is; one with fewer stars than were caught gives way to the name as asked for.
pub fn fill(model: &str, captures: &[String], asked: &str) -> String {
    let stars = model.matches('*').count();
    if stars == 0 {
        return model.to_owned();
    }
    if stars < captures.len() {
        return asked.to_owned();
    }
    let mut caught = captures.iter();
    let mut filled = String::with_capacity(model.len().saturating_add(asked.len()));
    for character in model.chars() {
        match (character, caught.as_slice().is_empty()) {
            ('*', false) => filled.push_str(caught.next().map_or("", String::as_str)),
            _ => filled.push(character),
        }
    }
    filled
}

fn matches<'n>(pieces: &[String], name: &'n str, captures: &mut Vec<&'n str>) -> bool {
    let Some((piece, rest)) = pieces.split_first() else {
        return name.is_empty();
    };
    if rest.is_empty() {
        return name.strip_suffix(piece.as_str()).is_some_and(|caught| {
            captures.push(caught);
            true
        });
    }
    let places: Vec<usize> = if piece.is_empty() {
        name.char_indices().map(|(place, _)| place).chain([name.len()]).collect()
    } else {
        name.match_indices(piece.as_str()).map(|(place, _)| place).collect()
    };
    places.into_iter().rev().any(|place| {
        let Some((caught, tail)) = name.split_at_checked(place) else { return false };
        captures.push(caught);
        let fits = tail.strip_prefix(piece.as_str()).is_some_and(|tail| matches(rest, tail, captures));
        if !fits {
            captures.pop();
        }
        fits
    })
}

/// The length of Python's `re.escape`: a backslash before each character that means something.
fn escaped_length(text: &str) -> usize {
    const SPECIAL: &str = "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}";
    text.chars().map(|character| if SPECIAL.contains(character) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
        Wildcard::new(pattern).unwrap().captures(name)
    }

    #[test]
    fn a_star_takes_anything_slashes_and_nothing_included() {
        assert_eq!(captures("*", "a/b"), Some(vec!["a/b"]));
        assert_eq!(captures("openai/*", "openai/gpt-4"), Some(vec!["gpt-4"]));
        assert_eq!(captures("openai/*", "openai/"), Some(vec![""]));
        assert_eq!(captures("openai/*", "azure/gpt-4"), None);
        assert_eq!(captures("a*b*c", "aXbYbZc"), Some(vec!["XbY", "Z"]));
        assert_eq!(captures("a**", "abc"), Some(vec!["bc", ""]));
    }

    #[test]
    fn a_pattern_ends_where_it_ends() {
        assert_eq!(captures("a-*-b", "a-1-b"), Some(vec!["1"]));
        assert_eq!(captures("a-*-b", "a-1-b/c"), None);
    }

    #[test]
    fn the_deployments_stars_are_filled_from_left_to_right() {
        let x = ["x".to_owned()];
        assert_eq!(fill("*", &x, "wild/x"), "x");
        assert_eq!(fill("gpt-4", &x, "wild/x"), "gpt-4");
        assert_eq!(fill("a-*-*", &x, "wild/x"), "a-x-*");
        assert_eq!(fill("*", &["x".to_owned(), "y".to_owned()], "x/y"), "x/y");
    }

    #[test]
    fn a_longer_pattern_is_more_specific() {
        let of = |pattern| Wildcard::new(pattern).unwrap().specificity();
        assert!(of("openai/gpt-*") > of("openai/*"));
        assert!(of("openai/*") > of("*"));
        assert_eq!(of("*"), (4, 3));
    }

    #[test]
    fn a_hostile_name_is_refused_in_reasonable_time() {
        let name = "a".repeat(400);
        assert_eq!(captures("a*a*a*b", &name), None);
    }
}
