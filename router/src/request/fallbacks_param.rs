//! A request's own list of fallbacks, in the three forms that LiteLLM reads: names, names with
//! parameters to change, and the form that the configuration has.

use std::sync::Arc;

use llm_balancer_config::{Fallback, Member, Target};

use crate::http::json::{self, Object};
use crate::request::model_name;
use crate::request::refusal::Refusal;
use crate::request::reserved_params::is_operators;

/// Targets of a request's lists at most, in all: each may cost a whole round of retries.
const MOST_TARGETS: usize = 50;

/// Members that a target may change: each is compared with those of the body.
const MOST_OVERRIDES: usize = 100;

/// Bytes of these members in all targets. They are kept, more than once, until the request ends.
const MOST_BYTES: usize = 64 * 1024;

/// Bytes that are written at most to change the body for one target after another.
const MOST_MERGED: usize = 64 * 1024 * 1024;

/// What is left for the lists of a request.
pub struct Room {
    targets: usize,
    /// Those that change something.
    changing: usize,
    bytes: usize,
}

impl Room {
    /// For a body of so many bytes, of which each target that changes something makes another.
    pub fn of(body: usize) -> Self {
        Self { targets: MOST_TARGETS, changing: most_merged(body), bytes: MOST_BYTES }
    }
}

/// How often a body of so many bytes is changed for a target at most.
pub fn most_merged(body: usize) -> usize {
    MOST_MERGED.checked_div(body).unwrap_or(MOST_TARGETS).max(1)
}

/// The refusal of a request whose fallbacks change its body more often than that: the parameters of
/// a fallback may have fallbacks of their own.
pub fn too_large() -> Refusal {
    Refusal::Parameter("fallbacks".to_owned(), TOO_LARGE)
}

/// The group of targets that serve any group which fails.
const ANY_GROUP: &str = "*";

const SHAPE: &str = "a list of models, of {\"model\": .., ..} or of {\"group\": [..]}";
const TOO_MANY: &str =
    "at most 50 fallbacks in all, with at most 100 parameters each and 64 KB of them in all";
const TOO_LARGE: &str = "fewer fallbacks with parameters: each needs another body of this size";
const OPERATORS: &str = "without addresses and keys (api_base, api_key, ..): the configuration sets them";

/// Reads one list. All lists share the room.
///
/// # Errors
/// A [`Refusal`] for another form, for too many, and for members that only the configuration may
/// set.
pub fn read(name: &str, text: &str, room: &mut Room) -> Result<Vec<Fallback>, Refusal> {
    fallbacks(text, room).map_err(|must_be| Refusal::Parameter(name.to_owned(), must_be))
}

/// Whether `fallbacks` have a form of Anthropic's: `"default"`, or maps with a model each. Names and
/// the configuration's form are the router's.
pub fn are_anthropics(text: &str) -> bool {
    let is_map = |item: &str| item.starts_with('{') && group(item) == Ok(None);
    items(text).map_or(true, |items| items.into_iter().all(is_map))
}

/// What a list must be, for the message.
type MustBe = &'static str;

fn fallbacks(text: &str, room: &mut Room) -> Result<Vec<Fallback>, MustBe> {
    let mut fallbacks = Vec::new();
    let mut anywhere = Vec::new();
    for item in items(text)? {
        match group(item)? {
            Some((group, list)) => {
                let targets =
                    items(list)?.into_iter().map(|item| target(item, room)).collect::<Result<_, _>>()?;
                fallbacks.push(Fallback { group, targets });
            }
            None => anywhere.push(target(item, room)?),
        }
    }
    if !anywhere.is_empty() {
        fallbacks.push(Fallback { group: Arc::from(ANY_GROUP), targets: anywhere });
    }
    Ok(fallbacks)
}

fn items(text: &str) -> Result<Vec<&str>, MustBe> {
    // `None` stands for too many items as well as for no list.
    json::list(text, MOST_TARGETS).ok_or_else(|| {
        // A form's field may be no JSON.
        if json::is_list(text) { TOO_MANY } else { SHAPE }
    })
}

/// The configuration's form: one group and its list.
fn group(item: &str) -> Result<Option<(Arc<str>, &str)>, MustBe> {
    if !item.starts_with('{') {
        return Ok(None);
    }
    let object = Object::parse(item.as_bytes()).map_err(|_| SHAPE)?;
    Ok(match object.members() {
        [only] if only.value.starts_with('[') => Some((Arc::from(&*only.key), only.value)),
        _ => None,
    })
}

/// A name, or a map with one.
fn target(item: &str, room: &mut Room) -> Result<Target, MustBe> {
    room.targets = room.targets.checked_sub(1).ok_or(TOO_MANY)?;
    if !item.starts_with('{') {
        return Ok(Target { model: model(item)?, overrides: Vec::new() });
    }
    let object = Object::parse(item.as_bytes()).map_err(|_| SHAPE)?;
    if object.members().len() > MOST_OVERRIDES {
        return Err(TOO_MANY);
    }
    let model = model(object.get("model").ok_or(SHAPE)?)?;
    let mut overrides: Vec<Member> = Vec::new();
    for member in object.members().iter().filter(|member| member.key != "model") {
        if is_operators(&member.key) {
            return Err(OPERATORS);
        }
        // Half a surrogate pair is no name that could be written again.
        let key = json::string(member.written).ok_or(SHAPE)?.into_owned();
        // Of repeated members the last counts.
        overrides.retain(|earlier| earlier.key != member.key);
        room.bytes = room
            .bytes
            .checked_sub(member.written.len().saturating_add(member.value.len()))
            .ok_or(TOO_MANY)?;
        overrides.push(Member { key, json: member.value.to_owned() });
    }
    if !overrides.is_empty() {
        room.changing = room.changing.checked_sub(1).ok_or(TOO_LARGE)?;
    }
    Ok(Target { model, overrides })
}

fn model(text: &str) -> Result<Arc<str>, MustBe> {
    let name = json::string(text).filter(|name| model_name::is_sendable(name));
    name.map(|name| Arc::from(&*name)).ok_or(SHAPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> &'static str {
        fallbacks(text, &mut Room::of(0)).unwrap_err()
    }

    fn list(text: &str) -> Vec<Fallback> {
        fallbacks(text, &mut Room::of(0)).unwrap()
    }

    fn target(model: &str, overrides: &[(&str, &str)]) -> Target {
        let member = |(key, json): &(&str, &str)| Member { key: (*key).into(), json: (*json).into() };
        Target { model: model.into(), overrides: overrides.iter().map(member).collect() }
    }

    fn fallback(group: &str, targets: &[Target]) -> Fallback {
        Fallback { group: group.into(), targets: targets.to_vec() }
    }

    #[test]
    fn names_go_for_whatever_group_fails() {
        assert_eq!(list(r#"["a", "b"]"#), [fallback("*", &[target("a", &[]), target("b", &[])])]);
        assert_eq!(list("[]"), []);
    }

    #[test]
    fn a_map_with_a_model_changes_the_request_on_the_way_there() {
        let changed =
            list(r#"[{"temperature": 1, "model": "a", "messages": [ {} ], "temperature": 0}, "b"]"#);
        let first = target("a", &[("messages", "[ {} ]"), ("temperature", "0")]);
        assert_eq!(changed, [fallback("*", &[first, target("b", &[])])]);
    }

    #[test]
    fn the_configurations_shape_is_read_as_well() {
        assert_eq!(
            list(r#"[{"g": ["a", {"model": "b", "temperature": 0}]}, {"*": ["c"]}, {"model": ["d"]}]"#),
            [
                fallback("g", &[target("a", &[]), target("b", &[("temperature", "0")])]),
                fallback("*", &[target("c", &[])]),
                fallback("model", &[target("d", &[])]),
            ]
        );
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            r#""a""#, "{}", "3", "[3]", "[\"a\"", "[null]", r#"[""]"#, r#"["a\r\nx-llm: b"]"#, "[{}]",
            "[[]]", r#"[{"g": "a"}]"#, r#"[{"g": ["a"], "h": ["b"]}]"#, r#"[{"model": 3}]"#,
            r#"[{"g": [["a"]]}]"#, r#"[{"g": [{"h": ["a"]}]}]"#, r#"[{"model":"a","\ud800":1}]"#,
        ] {
            assert_eq!(refused(text), SHAPE, "{text}");
        }
    }

    #[test]
    fn models_with_parameters_may_be_anthropics_and_names_are_not() {
        for own in [r#""default""#, r#"[{"model":"a"}]"#, r#"[{"model":"a","max_tokens":1}, {}]"#, "[]"] {
            assert!(are_anthropics(own), "{own}");
        }
        for routers in [r#"["a"]"#, r#"[{"model":"a"}, "b"]"#, r#"[{"g":["a"]}]"#] {
            assert!(!are_anthropics(routers), "{routers}");
        }
    }

    #[test]
    fn a_list_without_end_is_refused() {
        let names = |count| format!("[{}]", vec![r#""a""#; count].join(","));
        assert_eq!(list(&names(50)).len(), 1);
        assert_eq!(refused(&names(51)), TOO_MANY);
        assert_eq!(refused(&format!(r#"[{{"g": {}}}, "b"]"#, names(50))), TOO_MANY);
        let members: Vec<String> = (0..100).map(|member| format!("\"{member}\":0")).collect();
        assert_eq!(refused(&format!(r#"[{{"model":"a",{}}}]"#, members.join(","))), TOO_MANY);
    }

    #[test]
    fn where_deployments_are_is_not_the_clients_to_say() {
        for key in ["api_base", "base_url", "api_key", "custom_llm_provider", "aws_access_key_id"] {
            assert_eq!(refused(&format!(r#"[{{"model":"a","{key}":"x"}}]"#)), OPERATORS, "{key}");
        }
    }

    #[test]
    fn what_targets_change_is_bounded_with_the_body() {
        let text = |count: usize, size: usize| {
            let target = format!(r#"{{"model":"m","user":"{}"}}"#, "u".repeat(size));
            format!("[{}]", vec![target; count].join(","))
        };
        for (count, size, body, expected) in [
            (50, 10, 1 << 20, None),
            (50, 10, 2 << 20, Some(TOO_LARGE)),
            (1, 10, 100 << 20, None),
            (2, 10, 60 << 20, Some(TOO_LARGE)),
            (1, 60_000, 1000, None),
            (2, 60_000, 1000, Some(TOO_MANY)),
        ] {
            let read = fallbacks(&text(count, size), &mut Room::of(body));
            assert_eq!(read.err(), expected, "{count} of {size} in {body}");
        }
        let names = format!("[{}]", vec![r#""m""#; 50].join(","));
        assert!(fallbacks(&names, &mut Room::of(100 << 20)).is_ok(), "names need no other body");
    }
}
