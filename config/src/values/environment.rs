//! Environment variables: those that the file names (`os.environ/NAME`), and those that LiteLLM
//! looks up.

use std::collections::{BTreeMap, BTreeSet};

use crate::yaml::{Entry, Value, python};

/// How the file refers to a variable.
pub(crate) const PREFIX: &str = "os.environ/";
/// Variables of `environment_variables:` may refer to each other this often, at most.
const MAX_REFERENCES: usize = 8;

/// Looks up a variable of the process.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The file's own `environment_variables:`, then the environment of the process.
pub(crate) struct Environment<'a> {
    process: Lookup<'a>,
    section: BTreeMap<String, String>,
    names: BTreeSet<String>,
    implicit: BTreeSet<String>,
    unusable: BTreeSet<String>,
}

/// Where a value is.
enum Resolved<'n> {
    /// In the file; this is the value.
    InFile(&'n str),
    /// In the process, under this name.
    InProcess(&'n str),
}

impl<'a> Environment<'a> {
    /// With the entries of `environment_variables:`, which override the process.
    pub(crate) fn new(process: Lookup<'a>, section: &[Entry]) -> Self {
        let entries = section.iter().filter_map(|entry| Some((entry.key.clone(), text(&entry.node.value)?)));
        // Not collected, which would add a sort to the filter.
        let mut section = BTreeMap::new();
        section.extend(entries);
        let (names, implicit, unusable) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { process, section, names, implicit, unusable }
    }

    /// The value of a variable, if it is set. Records the name.
    pub(crate) fn get(&mut self, name: &str) -> Option<String> {
        let name = match self.resolved(name) {
            Resolved::InFile(value) => return Some(value.to_owned()),
            Resolved::InProcess(name) => name.to_owned(),
        };
        let value = (self.process)(&name);
        self.names.insert(name);
        value
    }

    /// The values of several variables. Looks up all of them, so that the filter gets all of them:
    /// which of them are set may change.
    pub(crate) fn all_of(&mut self, names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| self.get(name)).collect()
    }

    /// The value of a variable that the filter does not need, and whether the file has it. Does not
    /// record the name.
    pub(crate) fn peek(&self, name: &str) -> Option<(String, bool)> {
        match self.resolved(name) {
            Resolved::InFile(value) => Some((value.to_owned(), true)),
            Resolved::InProcess(name) => (self.process)(name).map(|value| (value, false)),
        }
    }

    fn resolved<'n>(&'n self, name: &'n str) -> Resolved<'n> {
        let mut name = name;
        for _ in 0..MAX_REFERENCES {
            let set = self.section.get(name);
            match set.map(|value| (value, value.strip_prefix(PREFIX))) {
                Some((value, None)) => return Resolved::InFile(value),
                // `X: os.environ/X` refers to the process.
                Some((_, Some(other))) if other != name => name = other,
                _ => break,
            }
        }
        Resolved::InProcess(name)
    }

    /// The first of several variables that is set and not empty, trimmed. Not for credentials: see
    /// [`Reader::secret_from`](super::Reader::secret_from).
    pub(crate) fn first_of(&mut self, names: &[&str]) -> Option<String> {
        self.first_named(names).map(|(_, value)| value)
    }

    /// The same with its name.
    pub(crate) fn first_named<'n>(&mut self, names: &[&'n str]) -> Option<(&'n str, String)> {
        let values = self.all_of(names);
        let mut set = names.iter().zip(values).filter_map(|(name, value)| Some((*name, value?)));
        let (name, value) = set.find(|(_, value)| !value.trim().is_empty())?;
        self.mark_used(name);
        Some((name, value.trim().to_owned()))
    }

    /// Records that a variable is used which no key names. Those of `environment_variables:` are
    /// the file's own.
    pub(crate) fn mark_used(&mut self, name: &str) {
        if !self.section.contains_key(name) {
            self.implicit.insert(name.to_owned());
        }
    }

    /// Variables that are used and that the file does not name, sorted.
    pub(crate) fn implicit(&self) -> Vec<String> {
        self.implicit.iter().cloned().collect()
    }

    /// Records that a variable is not set, or cannot be used as a credential.
    pub(crate) fn mark_unusable(&mut self, name: &str) {
        self.unusable.insert(name.to_owned());
    }

    /// Variables that are not set, or cannot be used as a credential, sorted.
    pub(crate) fn unusable(&self) -> Vec<String> {
        self.unusable.iter().cloned().collect()
    }

    /// All names that were looked up in the process, sorted.
    pub(crate) fn into_names(self) -> Vec<String> {
        self.names.into_iter().collect()
    }
}

/// A scalar as Python's `str` writes it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::List(_) | Value::Map(_) => None,
        scalar => Some(python::str(scalar)),
    }
}
