//! Values of the wanted type out of the tree: environment applied, text coerced, misfits reported with place.

use std::borrow::Cow;
use std::time::Duration;

use crate::diagnostics::report::{Path, Report};
use crate::values::environment::{Environment, PREFIX};
use crate::yaml::python;
use crate::yaml::scalar;
use crate::yaml::tree::{self, Entry, Node, Place, Value};

/// A map of the file that is being read, with the way to it.
#[derive(Clone, Copy)]
pub struct Section<'a> {
    /// Its keys.
    pub entries: &'a [Entry],
    /// The way to it.
    pub path: Path<'a>,
    /// Where it begins.
    pub place: Place,
}

impl<'a> Section<'a> {
    /// The entry of that name, unless it is null.
    pub fn find(&self, key: &str) -> Option<&'a Entry> {
        tree::find(self.entries, key)
    }
}

/// What becomes of a value whose environment variable is not set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unset {
    /// The configuration is refused: a credential or an address is missing.
    Refuse,
    /// The key counts as absent, as in LiteLLM, and a warning says so.
    Drop,
}

/// Reads one configuration.
pub struct Reader<'a> {
    /// What was found so far.
    pub report: Report,
    /// Where `os.environ/` values come from.
    pub env: Environment<'a>,
}

impl Reader<'_> {
    /// A value with the environment applied; `None` if it is null or its variable is not set.
    pub fn value<'n>(&mut self, node: &'n Node, path: &Path<'_>, unset: Unset) -> Option<Cow<'n, Value>> {
        let Value::Text(text) = &node.value else {
            return if node.value == Value::Null { None } else { Some(Cow::Borrowed(&node.value)) };
        };
        let Some(name) = text.strip_prefix(PREFIX) else {
            return Some(Cow::Borrowed(&node.value));
        };
        if let Some(mut value) = self.env.get(name) {
            // Files and shells leave a line break behind what they put into a variable.
            value.truncate(value.trim_end().len());
            return Some(Cow::Owned(Value::Text(value)));
        }
        let message = format!("the environment variable {name} is not set");
        match unset {
            Unset::Refuse => self.report.refuse(node.place, path, &message, "set it, or remove the key"),
            Unset::Drop => {
                self.report.warn(node.place, path, &message, "set it; until then the key is left out")
            }
        }
        None
    }

    /// The same, for a parameter of a request: numbers and truth values of the environment are such.
    pub fn json_value(&mut self, node: &Node, path: &Path<'_>) -> Option<Value> {
        match self.value(node, path, Unset::Drop)? {
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

    fn json_value_or_null(&mut self, node: &Node, path: &Path<'_>) -> Option<Value> {
        if node.value == Value::Null { Some(Value::Null) } else { self.json_value(node, path) }
    }

    /// Text; numbers and truth values as Python's `str` writes them.
    pub fn string_of(&mut self, node: &Node, path: &Path<'_>, unset: Unset) -> Option<String> {
        match self.value(node, path, unset)?.into_owned() {
            Value::Text(text) => Some(text),
            Value::List(_) | Value::Map(_) => {
                self.type_error(node, path, "text");
                None
            }
            scalar => {
                let mut out = String::new();
                python::repr(&scalar, &mut out);
                Some(out)
            }
        }
    }

    /// Text under a key.
    pub fn string(&mut self, section: &Section<'_>, key: &str) -> Option<String> {
        let entry = section.find(key)?;
        self.string_of(&entry.node, &section.path.key(key), Unset::Drop)
    }

    /// Text without which the configuration is worth nothing: a variable that is not set refuses it.
    pub fn required_string(&mut self, section: &Section<'_>, key: &str) -> Option<String> {
        let entry = section.find(key)?;
        self.string_of(&entry.node, &section.path.key(key), Unset::Refuse)
    }

    /// A list of texts.
    pub fn strings(&mut self, section: &Section<'_>, key: &str) -> Option<Vec<String>> {
        let entry = section.find(key)?;
        let path = section.path.key(key);
        let Value::List(items) = &entry.node.value else {
            self.type_error(&entry.node, &path, "a list");
            return None;
        };
        let texts = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| self.string_of(item, &path.index(index), Unset::Drop));
        Some(texts.collect())
    }

    /// A truth value, quoted or not.
    pub fn bool(&mut self, section: &Section<'_>, key: &str) -> Option<bool> {
        let entry = section.find(key)?;
        let path = section.path.key(key);
        let value = self.value(&entry.node, &path, Unset::Drop)?;
        let flag = match &*value {
            Value::Bool(on) => Some(*on),
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" | "" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if flag.is_none() {
            self.type_error(&entry.node, &path, "true or false");
        }
        flag
    }

    /// A whole number from 0 on, quoted or not.
    pub fn uint(&mut self, section: &Section<'_>, key: &str) -> Option<u64> {
        let entry = section.find(key)?;
        let path = section.path.key(key);
        let value = self.value(&entry.node, &path, Unset::Drop)?;
        let number = integer(&value).and_then(|number| u64::try_from(number).ok());
        if number.is_none() {
            self.type_error(&entry.node, &path, "a whole number from 0 on");
        }
        number
    }

    /// The same, as far as 32 bits reach.
    pub fn count(&mut self, section: &Section<'_>, key: &str) -> Option<u32> {
        self.uint(section, key).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// A whole number with a sign.
    pub fn integer(&mut self, section: &Section<'_>, key: &str) -> Option<i64> {
        let entry = section.find(key)?;
        let path = section.path.key(key);
        let value = self.value(&entry.node, &path, Unset::Drop)?;
        let number = integer(&value);
        if number.is_none() {
            self.type_error(&entry.node, &path, "a whole number");
        }
        number
    }

    /// A finite number.
    pub fn number(&mut self, section: &Section<'_>, key: &str) -> Option<f64> {
        let entry = section.find(key)?;
        let path = section.path.key(key);
        let value = self.value(&entry.node, &path, Unset::Drop)?;
        let number = float(&value).filter(|number| number.is_finite());
        if number.is_none() {
            self.type_error(&entry.node, &path, "a number");
        }
        number
    }

    /// Seconds from 0 on, with or without a fraction.
    pub fn seconds(&mut self, section: &Section<'_>, key: &str) -> Option<Duration> {
        let entry = section.find(key)?;
        let path = section.path.key(key);
        let value = self.value(&entry.node, &path, Unset::Drop)?;
        let seconds = float(&value).and_then(|number| Duration::try_from_secs_f64(number).ok());
        if seconds.is_none() {
            self.type_error(&entry.node, &path, "a number of seconds from 0 on");
        }
        seconds
    }

    /// A map under a key; an empty section (`router_settings:`) counts as absent.
    pub fn section<'s>(&mut self, parent: &'s Section<'s>, key: &'s str) -> Option<Section<'s>> {
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

    /// Refuses a value for its type. Shows short plain values, never what may be a secret.
    pub fn type_error(&mut self, node: &Node, path: &Path<'_>, wanted: &str) {
        let written = match &node.value {
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
                let mut out = String::new();
                python::repr(&node.value, &mut out);
                out
            }
            Value::Text(text) if text.starts_with(PREFIX) => format!("the value of {text}"),
            Value::Text(text) if is_harmless(text) => format!("\"{text}\""),
            _ => node.kind().to_owned(),
        };
        let message = format!("{written} stands where {wanted} belongs");
        self.report.refuse(node.place, path, &message, &format!("write {wanted}"));
    }
}

/// Parameters that are text even where it looks like a number.
fn is_always_text(path: &Path<'_>) -> bool {
    const TEXT: [&str; 7] =
        ["model", "prompt_cache_key", "safety_identifier", "stop", "suffix", "user", "voice"];
    path.last_key().is_none_or(|key| TEXT.contains(&key))
}

/// Short, plain, and no key by its looks.
fn is_harmless(text: &str) -> bool {
    text.len() <= 20 && !text.starts_with("sk-") && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        // Pydantic takes 3.0 for 3, and so do we; 3.5 is no count.
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e18 => {
            format!("{number:.0}").parse().ok()
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
        // `1e-6` is text in YAML 1.1 and a number to everybody who writes it.
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}
