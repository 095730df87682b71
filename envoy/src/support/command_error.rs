//! Why a command fails, and its exit code.

use std::fmt;
use std::process::ExitCode;

/// Printed to standard error before the program exits.
#[derive(Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The command line, or a file that it names.
    Usage(String),
    /// The configuration is refused; its findings are printed.
    Refused,
    /// This machine: files, ports, processes.
    Io(String),
    /// Envoy exited with this code before it served.
    EnvoyExited(u8),
}

impl CommandError {
    /// 1 for the configuration or the machine, 2 for the command line, else Envoy's own code.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused | Self::Io(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::EnvoyExited(code) => ExitCode::from(*code),
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Io(message) => f.write_str(message),
            Self::EnvoyExited(_) => f.write_str("Envoy did not start"),
            Self::Refused => f.write_str("configuration refused, see above"),
        }
    }
}
