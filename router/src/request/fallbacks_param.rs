//! A request's own list of fallbacks, in the three forms that LiteLLM reads: names, names with
//! parameters to change, and the form that the configuration has.

use std::sync::Arc;

use llm_balancer_config::{Fallback, Member, Target};
use serde_json::value::RawValue;

use crate::http::json::{self, Object};
use crate::request::model_name;
use crate::request::refusal::Refusal;
use crate::request::reserved_params::is_operators;

/// Targets of a request's lists at most, in all: each may cost a whole round of retries.
pub const MOST_TARGETS: usize = 50;

/// Members that a target may change: each is compared with those of the body.
const MOST_OVERRIDES: usize = 100;

/// The group of targets that serve any group which fails.
const ANY_GROUP: &str = "*";

const SHAPE: &str = "a list of models, of {\"model\": .., ..} or of {\"group\": [..]}";
const TOO_MANY: &str = "at most 50 fallbacks in all, with at most 100 parameters each";
const OPERATORS: &str = "without addresses and keys (api_base, api_key, ..): the configuration sets them";

/// Reads one list. `remaining` is the rest of [`MOST_TARGETS`], which all lists share.
///
/// # Errors
/// A [`Refusal`] for another form, for too many, and for members that only the configuration may
/// set.
pub fn read(name: &str, text: &str, remaining: &mut usize) -> Result<Vec<Fallback>, Refusal> {
    fallbacks(text, remaining).map_err(|must_be| Refusal::Parameter(name.to_owned(), must_be))
}

/// What a list must be, for the message.
type MustBe = &'static str;

fn fallbacks(text: &str, remaining: &mut usize) -> Result<Vec<Fallback>, MustBe> {
    let mut fallbacks = Vec::new();
    let mut anywhere = Vec::new();
    for item in items(text)? {
        match group(item)? {
            Some((group, list)) => {
                let targets =
                    items(list)?.into_iter().map(|item| target(item, remaining)).collect::<Result<_, _>>()?;
                fallbacks.push(Fallback { group, targets });
            }
            None => anywhere.push(target(item, remaining)?),
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
        let is_list = text.starts_with('[') && serde_json::from_str::<&RawValue>(text).is_ok();
        if is_list { TOO_MANY } else { SHAPE }
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
fn target(item: &str, remaining: &mut usize) -> Result<Target, MustBe> {
    *remaining = remaining.checked_sub(1).ok_or(TOO_MANY)?;
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
        // Of repeated members the last counts.
        overrides.retain(|earlier| earlier.key != member.key);
        overrides.push(Member { key: member.key.to_string(), json: member.value.to_owned() });
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
        fallbacks(text, &mut MOST_TARGETS.clone()).unwrap_err()
    }

    fn list(text: &str) -> Vec<Fallback> {
        fallbacks(text, &mut MOST_TARGETS.clone()).unwrap()
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
            r#"[{"g": [["a"]]}]"#, r#"[{"g": [{"h": ["a"]}]}]"#,
        ] {
            assert_eq!(refused(text), SHAPE, "{text}");
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
}
