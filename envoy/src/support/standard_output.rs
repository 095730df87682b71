//! Standard output of the commands that print a result.
//!
//! Its reader may end before this program, as `head` does, and its disk may be full. `println!` would
//! panic then.

use std::io::{self, Write};

use super::command_error::CommandError;

/// Prints the text, in colors where standard output is a terminal. Returns false if the reader has
/// ended.
pub(crate) fn print(text: &str) -> Result<bool, CommandError> {
    write(anstream::stdout(), text.as_bytes())
}

/// The same for a file, whose bytes stay as they are.
pub(crate) fn print_file(content: &[u8]) -> Result<bool, CommandError> {
    write(io::stdout(), content)
}

fn write(mut out: impl Write, content: &[u8]) -> Result<bool, CommandError> {
    match out.write_all(content).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CommandError::Io(format!("cannot write to standard output: {error}"))),
    }
}
