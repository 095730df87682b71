//! The precedence of wildcards, and how their captures fill a deployment's model.

use llm_balancer_config::Wildcard;

/// The length of LiteLLM's regular expression for a wildcard, then the number of its
/// metacharacters.
pub type Specificity = (usize, usize);

/// Of several wildcards that match, the one with the greatest value wins (BEHAVIOUR 2.3).
pub fn specificity(wildcard: &Wildcard) -> Specificity {
    let pieces = wildcard.pieces();
    let stars = pieces.len().saturating_sub(1);
    let escaped: usize = pieces.iter().map(|piece| escaped_length(piece)).sum();
    let literal: usize = pieces.iter().map(|piece| piece.chars().count()).sum();
    // A star becomes `(.*)`: four characters, three of them metacharacters.
    let length = escaped.saturating_add(stars.saturating_mul(4));
    (length, stars.saturating_mul(3).saturating_add(escaped.saturating_sub(literal)))
}

/// The model to request from a deployment: each star of the deployment's model is replaced by a
/// capture. A model without stars stays as it is; one with fewer stars than there are captures is
/// replaced by the requested name.
pub fn fill(model: &str, captures: &[String], requested: &str) -> String {
    let stars = model.matches('*').count();
    if stars == 0 {
        return model.to_owned();
    }
    if stars < captures.len() {
        return requested.to_owned();
    }
    let mut caught = captures.iter();
    let mut filled = String::with_capacity(model.len().saturating_add(requested.len()));
    for character in model.chars() {
        match (character, caught.as_slice().is_empty()) {
            ('*', false) => filled.push_str(caught.next().map_or("", String::as_str)),
            _ => filled.push(character),
        }
    }
    filled
}

/// The length of Python's `re.escape`, which puts a backslash before each special character.
fn escaped_length(text: &str) -> usize {
    const SPECIAL: &str = "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}";
    text.chars().map(|character| if SPECIAL.contains(character) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let of = |pattern| specificity(&Wildcard::new(pattern).unwrap());
        assert!(of("openai/gpt-*") > of("openai/*"));
        assert!(of("openai/*") > of("*"));
        assert_eq!(of("*"), (4, 3));
    }
}
