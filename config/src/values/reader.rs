//! Values of a wanted type: environment variables replaced, strings converted, errors reported with
//! place.

use std::borrow::Cow;
use std::time::Duration;

use super::environment::{Environment, PREFIX};
use super::variable_name;
use crate::diagnostics::{Path, Place, Report};
use crate::yaml::{self, Entry, Node, Value, python, scalar};

/// A map of the file, with its path.
#[derive(Clone, Copy)]
pub(crate) struct Section<'a> {
    pub(crate) entries: &'a [Entry],
    pub(crate) path: Path<'a>,
    /// Where the map begins.
    pub(crate) place: Place,
}

impl<'a> Section<'a> {
    /// The entry of that name, unless it is null.
    pub(crate) fn find(&self, key: &str) -> Option<&'a Entry> {
        yaml::find(self.entries, key)
    }
}

/// What happens to a value whose environment variable is not set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    /// An error: a credential or an address is missing.
    Error,
    /// The key counts as unset, as in LiteLLM, with a warning.
    Ignore,
}

/// Reads one configuration.
pub(crate) struct Reader<'a> {
    /// The findings so far.
    pub(crate) report: Report,
    /// The values of `os.environ/NAME`.
    pub(crate) env: Environment<'a>,
}

impl Reader<'_> {
    /// A value with its variable replaced; `None` if it is null or the variable is not set.
    pub(crate) fn value<'n>(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        unset: Unset,
    ) -> Option<Cow<'n, Value>> {
        let Value::Text(text) = &node.value else {
            return if node.value == Value::Null { None } else { Some(Cow::Borrowed(&node.value)) };
        };
        let Some(name) = text.strip_prefix(PREFIX) else {
            return Some(Cow::Borrowed(&node.value));
        };
        if let Some(mut value) = self.env.referenced(name) {
            // Files and shells leave a line break at the end of a variable.
            value.truncate(value.trim_end().len());
            return Some(Cow::Owned(Value::Text(value)));
        }
        self.env.mark_unusable(name);
        let (message, advice) = variable_name::unset(name);
        match unset {
            Unset::Error => self.report.error(node.place, path, &message, advice),
            Unset::Ignore => {
                let message = format!("{message}: the key is ignored");
                self.report.warn(node.place, path, &message, advice);
            }
        }
        None
    }

    /// The same for a parameter of a request: a number or a boolean of the environment becomes one.
    pub(crate) fn json_value(&mut self, node: &Node, path: &Path<'_>) -> Option<Value> {
        match self.value(node, path, Unset::Ignore)? {
            Cow::Owned(Value::Text(text)) => Some(match scalar::resolve(&text) {
                value @ (Value::Bool(_) | Value::Int(_) | Value::Float(_)) if !is_always_text(path) => value,
                _ => Value::Text(text),
            }),
            Cow::Borrowed(Value::List(items)) => {
                let items = items.iter().enumerate().filter_map(|(index, item)| {
                    let value = self.json_value_or_null(item, &path.index(index))?;
                    Some(Node { place: item.place, value })
                });
                Some(Value::List(items.collect()))
            }
            Cow::Borrowed(Value::Map(entries)) => {
                let entries = entries.iter().filter_map(|entry| {
                    let value = self.json_value_or_null(&entry.node, &path.key(&entry.key))?;
                    let node = Node { place: entry.node.place, value };
                    Some(Entry { key: entry.key.clone(), place: entry.place, node })
                });
                Some(Value::Map(entries.collect()))
            }
            value => Some(value.into_owned()),
        }
    }

    /// The same with null as a value.
    pub(crate) fn json_value_or_null(&mut self, node: &Node, path: &Path<'_>) -> Option<Value> {
        if node.value == Value::Null { Some(Value::Null) } else { self.json_value(node, path) }
    }

    /// A string; numbers and booleans as Python's `str` writes them.
    pub(crate) fn string_of(&mut self, node: &Node, path: &Path<'_>, unset: Unset) -> Option<String> {
        match self.value(node, path, unset)?.into_owned() {
            Value::Text(text) => Some(text),
            Value::List(_) | Value::Map(_) => {
                self.type_error(node, path, "a string");
                None
            }
            scalar => Some(python::str(&scalar)),
        }
    }

    /// A string at a key.
    pub(crate) fn string(&mut self, section: &Section<'_>, key: &str) -> Option<String> {
        let entry = section.find(key)?;
        self.string_of(&entry.node, &section.path.key(key), Unset::Ignore)
    }

    /// A string that is required: a variable that is not set is an error.
    pub(crate) fn required_string(&mut self, section: &Section<'_>, key: &str) -> Option<String> {
        let entry = section.find(key)?;
        self.string_of(&entry.node, &section.path.key(key), Unset::Error)
    }

    /// A list of strings.
    pub(crate) fn strings(&mut self, section: &Section<'_>, key: &str) -> Option<Vec<String>> {
        let entry = section.find(key)?;
        let path = section.path.key(key);
        let Value::List(items) = &entry.node.value else {
            self.type_error(&entry.node, &path, "a list");
            return None;
        };
        let items = items.iter().enumerate();
        let strings =
            items.filter_map(|(index, item)| self.string_of(item, &path.index(index), Unset::Ignore));
        Some(strings.collect())
    }

    /// A boolean, quoted or not.
    pub(crate) fn bool(&mut self, section: &Section<'_>, key: &str) -> Option<bool> {
        self.typed(section, key, "true or false", boolean)
    }

    /// `drop_params`, where LiteLLM passes over a list.
    pub(crate) fn drop_params(&mut self, section: &Section<'_>) -> Option<bool> {
        const KEY: &str = "drop_params";
        if let Some(entry) = section.find(KEY)
            && matches!(entry.node.value, Value::List(_))
        {
            let message = "expected true or false: a list is ignored, as in LiteLLM";
            let advice = "list the names in additional_drop_params of the deployments";
            self.report.warn(entry.place, &section.path.key(KEY), message, advice);
            return None;
        }
        self.bool(section, KEY)
    }

    /// A non-negative integer, quoted or not.
    pub(crate) fn uint(&mut self, section: &Section<'_>, key: &str) -> Option<u64> {
        let uint = |value: &Value| integer(value).and_then(|number| u64::try_from(number).ok());
        self.typed(section, key, "a non-negative integer", uint)
    }

    /// The same, at most `u32::MAX`.
    pub(crate) fn count(&mut self, section: &Section<'_>, key: &str) -> Option<u32> {
        self.uint(section, key).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// An integer.
    pub(crate) fn integer(&mut self, section: &Section<'_>, key: &str) -> Option<i64> {
        self.typed(section, key, "an integer", integer)
    }

    /// A finite number.
    pub(crate) fn number(&mut self, section: &Section<'_>, key: &str) -> Option<f64> {
        let finite = |value: &Value| float(value).filter(|number| number.is_finite());
        self.typed(section, key, "a number", finite)
    }

    /// A non-negative number of seconds, with or without a fraction.
    pub(crate) fn seconds(&mut self, section: &Section<'_>, key: &str) -> Option<Duration> {
        let seconds = |value: &Value| Duration::try_from_secs_f64(float(value)?).ok();
        self.typed(section, key, "a non-negative number of seconds", seconds)
    }

    fn typed<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        expected: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let entry = section.find(key)?;
        let path = section.path.key(key);
        let converted = convert(&*self.value(&entry.node, &path, Unset::Ignore)?);
        if converted.is_none() {
            self.type_error(&entry.node, &path, expected);
        }
        converted
    }

    /// A map at a key. An empty section (`router_settings:`) counts as unset.
    pub(crate) fn section<'s>(&mut self, parent: &'s Section<'s>, key: &'s str) -> Option<Section<'s>> {
        let entry = parent.find(key)?;
        let path = parent.path.key(key);
        match entry.node.entries() {
            Some(entries) => Some(Section { entries, path, place: entry.place }),
            None => {
                self.type_error(&entry.node, &path, "a map");
                None
            }
        }
    }

    /// Reports a value of the wrong type.
    pub(crate) fn type_error(&mut self, node: &Node, path: &Path<'_>, expected: &str) {
        let message = format!("expected {expected}, found {}", found(node));
        self.report.error(node.place, path, &message, "");
    }
}

/// A value in a message: short plain ones as they are, and never what may be a secret.
pub(crate) fn found(node: &Node) -> String {
    match &node.value {
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => python::str(&node.value),
        Value::Text(text) if text.strip_prefix(PREFIX).is_some_and(variable_name::is_likely) => {
            format!("the value of {text}")
        }
        Value::Text(text) if is_harmless(text) => format!("\"{text}\""),
        _ => node.kind().to_owned(),
    }
}

/// Parameters that are strings, also those that look like numbers.
fn is_always_text(path: &Path<'_>) -> bool {
    const TEXT: [&str; 7] =
        ["model", "prompt_cache_key", "safety_identifier", "stop", "suffix", "user", "voice"];
    path.last_key().is_none_or(|key| TEXT.contains(&key))
}

/// Short, printable, and not a key.
fn is_harmless(text: &str) -> bool {
    text.len() <= 20
        && !text.starts_with("sk-")
        && !text.starts_with(PREFIX)
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        // As Pydantic: 3.0 is 3, and 3.5 is an error.
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e18 => {
            // As whole seconds, which no cast is needed for, and none of the code that formats floats.
            let size = Duration::try_from_secs_f64(number.abs()).ok()?.as_secs();
            let size = i64::try_from(size).ok()?;
            Some(if *number < 0.0 { size.saturating_neg() } else { size })
        }
        Value::Text(text) => match scalar::resolve(text.trim()) {
            Value::Text(_) => None,
            number => integer(&number),
        },
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => number.to_string().parse().ok(),
        Value::Float(number) => Some(*number),
        // `1e-6` is text in YAML 1.1.
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let rows = [
            ("7", Some(7)),
            ("3.0", Some(3)),
            ("-3.0", Some(-3)),
            ("1.0e+3", Some(1000)),
            ("9.007199254740993e+15", Some(9_007_199_254_740_992)),
            ("9.0e+17", Some(900_000_000_000_000_000)),
            ("-0.0", Some(0)),
            ("3.5", None),
            ("1.0e+18", None),
            (".inf", None),
            (".nan", None),
            ("three", None),
        ];
        for (text, number) in rows {
            assert_eq!(integer(&scalar::resolve(text)), number, "{text}");
        }
    }
}
