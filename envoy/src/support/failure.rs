//! Why the program ends early, and its exit code.

use std::fmt;
use std::process::ExitCode;

/// What is said on standard error before the program ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command line, or a file that it names.
    Usage(String),
    /// The configuration is refused; its findings have been printed.
    Refused,
    /// Something else on this machine.
    Machine(String),
    /// Envoy has ended by itself, with this code, before it served.
    Ended(u8),
}

impl Failure {
    /// As scripts see it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused | Self::Machine(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::Ended(code) => ExitCode::from(*code),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Machine(message) => f.write_str(message),
            Self::Ended(_) => f.write_str("Envoy did not start"),
            Self::Refused => f.write_str("the configuration is refused, for the reasons above"),
        }
    }
}
