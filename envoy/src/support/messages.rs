//! Messages on standard error.
//!
//! The reader of a pipe may end before this program: a pager, or a collector of logs that restarts.
//! `eprintln!` would panic then, and end a balancer that serves.

/// Writes a line, in colors where standard error is a terminal. A line that cannot be written is
/// dropped.
macro_rules! message {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(anstream::stderr(), $($text)*);
    }};
}

pub(crate) use message;
