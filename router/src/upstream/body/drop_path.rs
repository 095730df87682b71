//! Removes members inside of a body's values (`additional_drop_params: [tools[*].strict]`). Only
//! objects on the path are rebuilt; everything else keeps its bytes.

use std::borrow::Cow;

use llm_balancer_config::{DropPath, Segment};

use crate::http::json::{self, ObjectText, fold_case};
use crate::http::rewritten_body::range_in;

/// A value without what these paths remove from it, which is the member `key` of the body; `None`
/// where they remove nothing.
pub fn pruned(key: &str, value: &str, paths: &[DropPath]) -> Option<String> {
    let mut pruned: Option<String> = None;
    for path in paths {
        // A path of one segment is a name, which is removed whole.
        let Some((Segment::Member(first), rest @ [_, ..])) = path.segments.split_first() else { continue };
        if is_called(key, first) {
            let shorter = without(pruned.as_deref().unwrap_or(value), rest);
            pruned = shorter.or(pruned);
        }
    }
    pruned
}

/// The value without what the rest of a path leads to; `None` if it leads to nothing. Recurses as
/// deep as the path is long.
fn without(value: &str, path: &[Segment]) -> Option<String> {
    let (segment, rest) = path.split_first()?;
    match segment {
        Segment::Member(name) => without_member(value, name, rest),
        Segment::EveryItem => changed_list(value, |_, item| without(item, rest)),
        Segment::Item(index) => {
            changed_list(value, |at, item| if at == *index { without(item, rest) } else { None })
        }
    }
}

fn without_member(value: &str, name: &str, rest: &[Segment]) -> Option<String> {
    if !value.starts_with('{') {
        return None;
    }
    let mut changed = false;
    let mut out = ObjectText::with_capacity(value.len());
    json::for_each_member(value, |member| {
        let mut kept = Some(Cow::Borrowed(member.value));
        if is_called(&member.key, name) {
            kept = if rest.is_empty() { None } else { without(member.value, rest).map(Cow::Owned).or(kept) };
            changed |= !matches!(kept, Some(Cow::Borrowed(_)));
        }
        if let Some(value) = kept {
            out.member(member.written, &value);
        }
    })?;
    changed.then(|| out.finish())
}

/// The list with the items that `change` replaces, by their number; `None` if it replaces none.
/// Everything else is copied as it is, once: a list of a large body may have millions of items.
fn changed_list(value: &str, change: impl Fn(usize, &str) -> Option<String>) -> Option<String> {
    let (mut out, mut copied) = (String::new(), 0);
    let mut number: usize = 0;
    json::for_each_item(value, |item| {
        let changed = change(number, item);
        if let Some((changed, place)) = changed.zip(range_in(value.as_bytes(), item.as_bytes())) {
            out.push_str(value.get(copied..place.start).unwrap_or_default());
            out.push_str(&changed);
            copied = place.end;
        }
        number = number.saturating_add(1);
    })?;
    out.push_str(value.get(copied..).filter(|_| copied > 0)?);
    Some(out)
}

/// Whether two names are equal to a reader that ignores case, as Go's does.
fn is_called(key: &str, name: &str) -> bool {
    key == name || fold_case(key) == fold_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(segments: &[Segment]) -> DropPath {
        DropPath { segments: segments.to_vec() }
    }

    fn member(name: &str) -> Segment {
        Segment::Member(name.to_owned())
    }

    #[test]
    fn a_member_deep_inside_is_removed_and_everything_else_keeps_its_bytes() {
        let strict = path(&[member("tools"), Segment::EveryItem, member("function"), member("strict")]);
        let tools = r#"[ {"type":"function","function":{"name":"a\u0062","strict":true,"n":1.50}}, 3, {"function":{}} ]"#;
        assert_eq!(
            pruned("tools", tools, std::slice::from_ref(&strict)).as_deref(),
            Some(r#"[ {"type":"function","function":{"name":"a\u0062","n":1.50}}, 3, {"function":{}} ]"#)
        );
        assert_eq!(pruned("other", tools, &[strict]), None);
    }

    #[test]
    fn several_paths_and_repeated_members_are_all_removed() {
        let paths = [path(&[member("r"), member("summary")]), path(&[member("r"), member("x"), member("y")])];
        let value = r#"{"summary":1,"effort":"low","summary":2,"x":{"y":[],"z":0}}"#;
        assert_eq!(pruned("r", value, &paths).as_deref(), Some(r#"{"effort":"low","x":{"z":0}}"#));
        assert_eq!(pruned("r", r#"{"sum\u006dary":1,"Summary":2}"#, &paths).as_deref(), Some("{}"));
    }

    #[test]
    fn one_item_is_meant_by_its_index() {
        let second = path(&[member("a"), Segment::Item(1), member("b")]);
        let value = r#"[{"b":0},{"b":1},{"b":2}]"#;
        assert_eq!(
            pruned("a", value, std::slice::from_ref(&second)).as_deref(),
            Some(r#"[{"b":0},{},{"b":2}]"#)
        );
        assert_eq!(pruned("a", r#"[{"b":0}]"#, &[second]), None);
    }

    #[test]
    fn what_has_another_shape_is_left_alone() {
        let paths =
            [path(&[member("a"), Segment::EveryItem, member("b")]), path(&[member("a"), member("b")])];
        for value in ["null", "3", r#""b""#, "[]", "[1]", "[[{\"b\":1}]]", "{}", r#"{"c":{"b":1}}"#] {
            assert_eq!(pruned("a", value, &paths), None, "{value}");
        }
    }

    #[test]
    fn thousands_of_members_are_no_obstacle() {
        let members: Vec<String> = (0..5000).map(|n| format!(r#""m{n}":{n}"#)).collect();
        let value = format!(r#"{{{},"b":1}}"#, members.join(","));
        let pruned = pruned("a", &value, &[path(&[member("a"), member("b")])]).unwrap();
        assert_eq!(pruned, format!("{{{}}}", members.join(",")));
    }
}
