//! The end of a log, read once: a log of an hour does not fit into memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// Whole lines from a place on.
#[derive(Debug)]
pub(super) struct LogTail {
    file: PathBuf,
    place: u64,
    /// The beginning of a line that is not complete.
    rest: Vec<u8>,
}

impl LogTail {
    /// All lines.
    pub(super) fn of(file: PathBuf) -> Self {
        Self { file, place: 0, rest: Vec::new() }
    }

    /// Lines that are written from now on.
    pub(super) fn at_end(file: PathBuf) -> Self {
        let place = std::fs::metadata(&file).map(|metadata| metadata.len()).unwrap_or_default();
        Self { place, file, rest: Vec::new() }
    }

    /// The lines that are complete and were not read before.
    pub(super) fn lines(&mut self) -> Vec<String> {
        let mut file = File::open(&self.file).expect("the log can be read");
        file.seek(SeekFrom::Start(self.place)).expect("the log has this place");
        let read = file.read_to_end(&mut self.rest).expect("the log can be read");
        self.place += read as u64;
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        let text = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest.drain(..end);
        text.lines().map(str::to_owned).collect()
    }
}
