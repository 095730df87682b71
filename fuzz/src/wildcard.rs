//! Model names with stars, against the regular expression that they stand for.

use llm_balancer_config::Wildcard;
use llm_balancer_config::names::MAX_MODEL_NAME;
use regex::Regex;

/// The first line is the pattern, the rest the name.
pub fn wildcard(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (pattern, name) = text.split_once('\n').unwrap_or((&text, ""));
    let Some(wildcard) = Wildcard::new(pattern) else {
        assert!(!pattern.contains('*'));
        return;
    };
    let stars = pattern.matches('*').count();
    let captures = wildcard.captures(name);
    assert_eq!(wildcard.matches(name), captures.is_some());
    if name.len() > MAX_MODEL_NAME {
        assert_eq!(captures, None);
        return;
    }
    if let Some(captures) = &captures {
        assert_eq!(captures.len(), stars);
        let pieces = pattern.split('*');
        let filled: String =
            pieces.zip(captures.iter().chain([&""])).flat_map(|(piece, caught)| [piece, caught]).collect();
        assert_eq!(filled, name, "{pattern:?}");
    }
    // A regular expression of thousands of stars is too large to be compiled.
    let literals: Vec<String> = pattern.split('*').map(regex::escape).collect();
    let Ok(regex) = Regex::new(&format!(r"\A(?s){}\z", literals.join("(.*)"))) else { return };
    let expected = regex.captures(name).map(|found| {
        found.iter().skip(1).map(|group| group.map_or("", |group| group.as_str())).collect::<Vec<_>>()
    });
    assert_eq!(captures, expected, "{pattern:?} {name:?}");
}
