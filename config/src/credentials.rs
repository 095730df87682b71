//! Credentials: never shown, never empty, never sent as a placeholder that nobody replaced.

use std::borrow::Cow;

use crate::environment::PREFIX;
use crate::python;
use crate::reader::{Reader, Unset};
use crate::report::Path;
use crate::secret::Secret;
use crate::tree::{Entry, Value};

impl Reader<'_> {
    /// The credential under a key. Reports one that is empty or cannot be sent, and warns of one that stands in the
    /// file itself.
    pub fn secret(&mut self, entry: &Entry, path: &Path<'_>, unset: Unset) -> Option<Secret> {
        let value = self.value(&entry.node, path, unset)?;
        let from_environment = matches!(&entry.node.value, Value::Text(text) if text.starts_with(PREFIX));
        let text = match &*value {
            Value::Text(text) => Cow::Borrowed(text.as_str()),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
                let mut out = String::new();
                python::repr(&value, &mut out);
                Cow::Owned(out)
            }
            _ => {
                self.wrong(&entry.node, path, "text");
                return None;
            }
        };
        let text = text.trim();
        if let Some((message, advice)) = misfit(text, &entry.node.value) {
            self.report.refuse(entry.node.place, path, &message, &advice);
            return None;
        }
        if !from_environment && is_literal(text) {
            let advice = "write os.environ/NAME, and set that variable";
            self.report.warn(entry.node.place, path, "is a credential in the file itself", advice);
        }
        Some(Secret::new(text))
    }
}

/// Why a text cannot be a credential.
fn misfit(text: &str, written: &Value) -> Option<(String, String)> {
    if text.is_empty() {
        let what = match written {
            Value::Text(text) if text.starts_with(PREFIX) => format!("the value of {text} is empty"),
            _ => "is empty".to_owned(),
        };
        return Some((what, "set it, or remove the key".to_owned()));
    }
    if let Some(name) = shell_variable(text) {
        let advice = format!("write os.environ/{name}");
        return Some(("is not replaced by a variable: LiteLLM knows os.environ/ only".to_owned(), advice));
    }
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let message = "holds a line break or another character that no header may hold";
        return Some((message.to_owned(), "correct the value".to_owned()));
    }
    None
}

/// The name in `$NAME` or `${NAME}`.
fn shell_variable(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('$')?;
    let name = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(rest);
    let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits { Some(name) } else { None }
}

/// Whether a text is the credential itself, and no reference to it.
pub fn is_literal(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(PREFIX) && !is_placeholder(text)
}

/// What people write for servers that want no key.
fn is_placeholder(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "anything",
        "dummy",
        "empty",
        "fake",
        "lm",
        "lmstudio",
        "local",
        "my",
        "na",
        "n/a",
        "no",
        "none",
        "not",
        "null",
        "ollama",
        "placeholder",
        "sk-1234",
        "sk-fake",
        "test",
        "x",
    ];
    let text = text.to_ascii_lowercase();
    let first = text.split(['-', '_', ' ']).next().unwrap_or(&text);
    WORDS.contains(&text.as_str())
        || WORDS.contains(&first)
        || text.starts_with("sk-no")
        || text.starts_with("sk-x")
}

/// Whether a header or a parameter of that name holds a credential.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts =
        ["authorization", "password", "secret", "credential", "api_key", "api-key", "apikey", "cookie"];
    let ends = ["_key", "-key", "_token", "-token", "_ref", "_key_id"];
    parts.iter().any(|part| name.contains(part))
        || ends.iter().any(|end| name.ends_with(end)) && !name.contains("cost_per")
}
