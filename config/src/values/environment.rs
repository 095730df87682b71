//! Values from outside the file: `os.environ/NAME` wherever it stands, and the variables LiteLLM looks up itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::yaml::python;
use crate::yaml::tree::{Entry, Value};

/// How a value of the environment is written in the file.
pub const PREFIX: &str = "os.environ/";
/// Variables of `environment_variables:` that refer to each other, at most this often.
const MAX_HOPS: usize = 8;

/// Looks up one variable of the process.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process environment under what the file's own section sets.
pub struct Environment<'a> {
    process: Lookup<'a>,
    section: BTreeMap<String, String>,
    names: BTreeSet<String>,
    implicit: BTreeSet<String>,
}

/// Where a value is.
enum Resolved<'n> {
    /// In the file: this is it.
    InFile(&'n str),
    /// In the process, under this name.
    OfProcess(&'n str),
}

impl<'a> Environment<'a> {
    /// With the entries of `environment_variables:`, which go before the process.
    pub fn new(process: Lookup<'a>, section: &[Entry]) -> Self {
        let section = section.iter().filter_map(|entry| Some((entry.key.clone(), text(&entry.node.value)?)));
        Self { process, section: section.collect(), names: BTreeSet::new(), implicit: BTreeSet::new() }
    }

    /// The value of a variable, unless it is unset. Its name is remembered.
    pub fn get(&mut self, name: &str) -> Option<String> {
        let name = match self.resolved(name) {
            Resolved::InFile(value) => return Some(value.to_owned()),
            Resolved::OfProcess(name) => name.to_owned(),
        };
        let value = (self.process)(&name);
        self.names.insert(name);
        value
    }

    /// What each of several variables holds. All are looked up, so that all are handed to the filter: which of them are
    /// set may change.
    pub fn all_of(&mut self, names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| self.get(name)).collect()
    }

    /// The value of a variable that the filter has no use for, so its name is not remembered; and whether the file itself
    /// holds it.
    pub fn peek(&self, name: &str) -> Option<(String, bool)> {
        match self.resolved(name) {
            Resolved::InFile(value) => Some((value.to_owned(), true)),
            Resolved::OfProcess(name) => (self.process)(name).map(|value| (value, false)),
        }
    }

    /// Where the value of a variable comes from, after what the file's section says about it.
    fn resolved<'n>(&'n self, name: &'n str) -> Resolved<'n> {
        let mut name = name;
        for _ in 0..MAX_HOPS {
            let set = self.section.get(name);
            match set.map(|value| (value, value.strip_prefix(PREFIX))) {
                Some((value, None)) => return Resolved::InFile(value),
                // `X: os.environ/X` hands the process' own value through.
                Some((_, Some(other))) if other != name => name = other,
                _ => break,
            }
        }
        Resolved::OfProcess(name)
    }

    /// The first of several variables that is set and not empty, without the blanks and line breaks around it. Not for
    /// credentials: see [`Reader::secret_from`](crate::values::reader::Reader::secret_from).
    pub fn first_of(&mut self, names: &[&str]) -> Option<String> {
        self.first_named(names).map(|(_, value)| value)
    }

    /// The same with its name.
    pub fn first_named<'n>(&mut self, names: &[&'n str]) -> Option<(&'n str, String)> {
        let values = self.all_of(names);
        let mut set = names.iter().zip(values).filter_map(|(name, value)| Some((*name, value?)));
        let (name, value) = set.find(|(_, value)| !value.trim().is_empty())?;
        self.mark_used(name);
        Some((name, value.trim().to_owned()))
    }

    /// Remembers that a variable that the file does not name had something to say.
    pub fn mark_used(&mut self, name: &str) {
        self.implicit.insert(name.to_owned());
    }

    /// Variables that the file does not name and that had something to say, sorted.
    pub fn implicit(&self) -> Vec<String> {
        self.implicit.iter().cloned().collect()
    }

    /// Every name that was looked up in the process, sorted.
    pub fn into_names(self) -> Vec<String> {
        self.names.into_iter().collect()
    }
}

/// What `str` makes of a scalar; collections are no value for a variable.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::List(_) | Value::Map(_) => None,
        scalar => {
            let mut out = String::new();
            python::hashed(scalar, &mut out);
            Some(out)
        }
    }
}
