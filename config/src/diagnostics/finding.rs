//! What is worth telling the operator about a configuration: one line each, with its place and advice.

use std::fmt;

/// Whether a finding stops the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used as it stands.
    Refused,
    /// The file is usable; this part of it does something else than its author may think.
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
    /// What is the matter.
    pub message: String,
    /// What to write instead.
    pub advice: String,
}

/// `config.yaml:12: refused: model_list[0].litellm_params.model: names no provider; write openai/<name>`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Refused => "refused",
            Severity::Warning => "warning",
        };
        let Self { file, line, path, message, advice, .. } = self;
        write!(f, "{file}:{line}: {severity}: {path}: {message}")?;
        if advice.is_empty() { Ok(()) } else { write!(f, "; {advice}") }
    }
}
