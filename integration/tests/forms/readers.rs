//! The readers of integration/forms, each run once for a list of forms.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::cases::{Entry, entry};

/// A form on its way to a provider.
pub struct Sent {
    /// Its header.
    pub content_type: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// What a reader sees of one form.
pub type Read = Result<Vec<Entry>, String>;

/// Where `make tools` puts them.
fn tools(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/forms")).join(path)
}

/// Starlette with python-multipart.
pub fn starlette(forms: &[Sent]) -> Vec<Read> {
    run("python3", &["readers.py"], ("PYTHONPATH", tools("python").as_os_str()), forms)
}

/// busboy or multer.
pub fn nodes(reader: &str, forms: &[Sent]) -> Vec<Read> {
    run("node", &["readers.mjs", reader], ("FORM_READERS", tools("node").as_os_str()), forms)
}

fn run(program: &str, args: &[&str], variable: (&str, &OsStr), forms: &[Sent]) -> Vec<Read> {
    let letters = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let line =
        |form: &Sent| json!({"content_type": form.content_type, "body": letters(&form.body)}).to_string();
    let input = forms.iter().map(line).collect::<Vec<_>>().join("\n") + "\n";
    let mut reader = Command::new(program)
        .args(args)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/forms"))
        .env(variable.0, variable.1)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    let mut stdin = reader.stdin.take().expect("a pipe");
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = reader.wait_with_output().expect("an output");
    assert!(output.status.success(), "{args:?} failed; `make tools` installs what it needs");
    writing.join().expect("no panic").expect("the reader reads to the end");
    let text = String::from_utf8(output.stdout).expect("lines are text");
    let read = |line: &str| match serde_json::from_str(line).expect("a line is JSON") {
        Value::Array(parts) => Ok(parts.iter().map(entry).collect()),
        error => Err(error.to_string()),
    };
    text.lines().map(read).collect()
}
