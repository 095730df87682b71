//! Paths of `additional_drop_params`, as LiteLLM writes them: `tools[*].function.strict`,
//! `reasoning.summary`.

use crate::config::{DropPath, Segment};
use crate::values::{Reader, Section};

/// Segments of a path, at most.
const MAX_SEGMENTS: usize = 20;

/// Reads `additional_drop_params`. Every entry is the name of a member; one with a dot or a bracket
/// is also a path.
pub(super) fn read(reader: &mut Reader<'_>, params: &Section<'_>) -> (Vec<String>, Vec<DropPath>) {
    const KEY: &str = "additional_drop_params";
    let names = reader.strings(params, KEY).unwrap_or_default();
    let mut paths = Vec::new();
    for (index, name) in names.iter().enumerate().filter(|(_, name)| name.contains(['.', '['])) {
        match parse(name) {
            Ok(path) => paths.push(path),
            Err((message, advice)) => {
                let place = params.find(KEY).map_or(params.place, |entry| entry.place);
                let message = format!("invalid path \"{name}\": {message}");
                reader.report.error(place, &params.path.key(KEY).index(index), &message, advice);
            }
        }
    }
    (names, paths)
}

type Flaw = (&'static str, &'static str);

fn parse(text: &str) -> Result<DropPath, Flaw> {
    const SHAPE: Flaw = (
        "expected names, separated by dots, with items in brackets",
        "write a path such as tools[*].function.strict",
    );
    let mut segments = Vec::new();
    for part in text.split('.') {
        let (name, indices) = part.split_once('[').map_or((part, None), |(name, rest)| (name, Some(rest)));
        if name.is_empty() || name.contains([']', '*', '\\', '$']) {
            return Err(SHAPE);
        }
        segments.push(Segment::Member(name.to_owned()));
        for index in indices.into_iter().flat_map(|indices| indices.split('[')) {
            segments.push(match index.strip_suffix(']').ok_or(SHAPE)? {
                "*" => Segment::EveryItem,
                digits => Segment::Item(digits.parse().map_err(|_| SHAPE)?),
            });
        }
    }
    if segments.len() > MAX_SEGMENTS {
        return Err(("more than 20 parts", "shorten it"));
    }
    if !matches!(segments.last(), Some(Segment::Member(_))) {
        return Err(("only members can be removed, not items of lists", "end it in the name of a member"));
    }
    Ok(DropPath { segments })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_members_and_items() {
        let member = |name: &str| Segment::Member(name.to_owned());
        let rows = [
            ("reasoning.summary", vec![member("reasoning"), member("summary")]),
            ("tools[*].x", vec![member("tools"), Segment::EveryItem, member("x")]),
            (
                "a[0][*].b.c",
                vec![member("a"), Segment::Item(0), Segment::EveryItem, member("b"), member("c")],
            ),
        ];
        for (text, segments) in rows {
            assert_eq!(parse(text), Ok(DropPath { segments }), "{text}");
        }
    }

    #[test]
    fn an_invalid_path_is_refused() {
        for text in [
            "tools[*]", "a[0]", "a..b", ".a", "a.", "[*].a", "tools[].a", "tools[-1].a", "tools[0:2].a",
            "$.tools", "tools.*.a", "tools[*]a.b", "a[", "a].b", "a[0.b",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
