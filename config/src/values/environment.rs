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

/// The file's own `environment_variables:`, and the environment of the process.
///
/// LiteLLM replaces `os.environ/NAME` before it applies `environment_variables:`, which then overrides
/// the process for the variables that LiteLLM looks up by itself. So the process has priority for a
/// reference, and the file for all else. A variable that only the file sets is empty for a reference
/// in LiteLLM, and has the file's value here.
pub(crate) struct Environment<'a> {
    process: Lookup<'a>,
    section: BTreeMap<String, String>,
    names: BTreeSet<String>,
    referenced: BTreeSet<String>,
    implicit: BTreeSet<String>,
    unusable: BTreeSet<String>,
}

/// A value, and whether it is the file's.
type Found = Option<(String, bool)>;

impl<'a> Environment<'a> {
    /// With the entries of `environment_variables:`.
    pub(crate) fn new(process: Lookup<'a>, section: &[Entry]) -> Self {
        let entries =
            section.iter().filter_map(|entry| Some((entry.key.clone(), scalar_str(&entry.node.value)?)));
        // Not collected, which would add a sort to the filter.
        let mut section = BTreeMap::new();
        section.extend(entries);
        let (names, referenced) = (BTreeSet::new(), BTreeSet::new());
        let (implicit, unusable) = (BTreeSet::new(), BTreeSet::new());
        Self { process, section, names, referenced, implicit, unusable }
    }

    /// The value of a variable that LiteLLM looks up, if it is set. Records the names that the
    /// process was asked for.
    pub(crate) fn get(&mut self, name: &str) -> Option<String> {
        let (found, asked) = self.look_up(name);
        self.names.extend(asked);
        found.map(|(value, _)| value)
    }

    /// The value of `os.environ/NAME`, likewise.
    pub(crate) fn referenced(&mut self, name: &str) -> Option<String> {
        let (found, asked) = self.follow(name);
        self.referenced.extend(asked.iter().cloned());
        self.names.extend(asked);
        found.map(|(value, _)| value)
    }

    /// Whether the file sets this variable, and a reference to it has another value, of the process.
    pub(crate) fn is_overridden(&self, name: &str) -> bool {
        let of_process = || (self.process)(name).filter(|value| !value.trim().is_empty());
        self.referenced.contains(name)
            && self.section.get(name).is_some_and(|value| {
                !value.starts_with(PREFIX) && of_process().is_some_and(|other| other.trim() != value.trim())
            })
    }

    /// The values of several variables. Looks up all of them, so that the filter gets all of them:
    /// which of them are set may change.
    pub(crate) fn all_of(&mut self, names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| self.get(name)).collect()
    }

    /// The value of a variable that the filter does not need, and whether the file has it. Does not
    /// record the name.
    pub(crate) fn peek(&self, name: &str) -> Option<(String, bool)> {
        self.look_up(name).0
    }

    /// By the file, and else the process; with the names that the process was asked for.
    fn look_up(&self, name: &str) -> (Found, Vec<String>) {
        let set = self.section.get(name).map(|value| (value, value.strip_prefix(PREFIX)));
        match set {
            Some((value, None)) => (Some((value.clone(), true)), Vec::new()),
            Some((_, Some(other))) if other != name => self.follow(other),
            // `X: os.environ/X` refers to the process.
            _ => ((self.process)(name).map(|value| (value, false)), vec![name.to_owned()]),
        }
    }

    /// By the process, and else the file. A blank variable of the process counts as unset if the
    /// file sets it. Asks for all variables that may count: which of them are set may change.
    fn follow(&self, name: &str) -> (Found, Vec<String>) {
        let (mut name, mut found, mut blank, mut asked) = (name, None, None, Vec::new());
        for _ in 0..MAX_REFERENCES {
            asked.push(name.to_owned());
            let value = (self.process)(name);
            if value.as_ref().is_some_and(|value| !value.trim().is_empty()) {
                found = found.or(value.map(|value| (value, false)));
            } else {
                blank = blank.or(value);
            }
            let set = self.section.get(name).map(|value| (value, value.strip_prefix(PREFIX)));
            match set {
                Some((value, None)) => return (found.or_else(|| Some((value.clone(), true))), asked),
                Some((_, Some(other))) if other != name => name = other,
                _ => break,
            }
        }
        (found.or_else(|| blank.map(|value| (value, false))), asked)
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
fn scalar_str(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::List(_) | Value::Map(_) => None,
        scalar => Some(python::str(scalar)),
    }
}
