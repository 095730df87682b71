//! One finding: what is wrong with a line of a configuration, and what to write instead.

use std::fmt;

/// Whether findings carry advice and warnings. Not in the filter: its file has passed `check`, so
/// it reports errors alone, and leaving out the other texts makes it smaller.
pub(crate) const ADVISES: bool = !cfg!(target_family = "wasm");

/// Where a value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index into the names of the files that were read. The operator's own file is 0.
    pub(crate) file: u16,
    /// Line in that file, from 1.
    pub(crate) line: u32,
}

impl Place {
    /// What is about a whole file, or has lost its line.
    pub(crate) const FIRST_LINE: Self = Self { file: 0, line: 1 };
}

/// Whether a finding stops the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but this part of it may not do what its author expects.
    Warning,
}

/// One thing found in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it stops the configuration.
    pub severity: Severity,
    /// The file as the operator named it.
    pub file: String,
    /// Line in that file, from 1.
    pub line: usize,
    /// The key's path, such as `model_list[0].litellm_params.model`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub advice: String,
}

/// `config.yaml:12: error: model_list[0].litellm_params.rpm: expected an integer, found "many"`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Self { file, line, path, message, advice, .. } = self;
        write!(f, "{file}:{line}: {severity}: {path}: {message}")?;
        if advice.is_empty() { Ok(()) } else { write!(f, "; {advice}") }
    }
}
