//! Credentials: never shown, never empty, never sent as a placeholder that nobody replaced.

use std::borrow::Cow;

use crate::diagnostics::report::{ADVISES, Path};
use crate::values::environment::PREFIX;
use crate::values::reader::{Reader, Unset};
use crate::values::secret::Secret;
use crate::values::visible::{self, TextKind};
use crate::yaml::python;
use crate::yaml::tree::{Entry, Place, Value};

/// Where a credential comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// The file itself, as it stands there.
    File,
    /// This variable of the environment.
    Variable(&'a str),
}

impl Reader<'_> {
    /// The credential under a key. Refuses one that is empty or cannot be sent, and warns of one that stands in the
    /// file itself.
    pub fn secret(&mut self, entry: &Entry, path: &Path<'_>, unset: Unset) -> Option<Secret> {
        self.secret_for(entry, path, unset, TextKind::AsciiHeader)
    }

    /// The same for a credential that is no header.
    pub fn secret_for(
        &mut self,
        entry: &Entry,
        path: &Path<'_>,
        unset: Unset,
        kind: TextKind,
    ) -> Option<Secret> {
        let value = self.value(&entry.node, path, unset)?;
        let source = match &entry.node.value {
            Value::Text(text) => text.strip_prefix(PREFIX).map_or(Source::File, Source::Variable),
            _ => Source::File,
        };
        let text = match &*value {
            Value::Text(text) => Cow::Borrowed(text.as_str()),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
                let mut out = String::new();
                python::repr(&value, &mut out);
                Cow::Owned(out)
            }
            _ => {
                self.type_error(&entry.node, path, "text");
                return None;
            }
        };
        let secret = self.credential(&text, source, entry.node.place, path, kind)?;
        if matches!(source, Source::File) && is_literal(secret.reveal()) {
            let advice = "write os.environ/NAME, and set that variable";
            self.report.warn(entry.node.place, path, "is a credential in the file itself", advice);
        }
        Some(secret)
    }

    /// The credential in the first of these variables that is set: those that LiteLLM looks up although no file names
    /// them. An empty variable counts as unset; one of blanks alone, or whose value cannot be sent, is refused.
    pub fn secret_from(
        &mut self,
        names: &[&str],
        place: Place,
        path: &Path<'_>,
        kind: TextKind,
    ) -> Option<Secret> {
        let values = self.env.all_of(names);
        let mut set = names.iter().zip(values).filter_map(|(name, value)| Some((*name, value?)));
        let (name, value) = set.find(|(_, value)| !value.is_empty())?;
        self.env.mark_used(name);
        self.credential(&value, Source::Variable(name), place, path, kind)
    }

    /// The one way in which a text becomes a credential: without the blanks and line breaks around it, which files and
    /// shells leave there, and refused if it cannot be sent.
    fn credential(
        &mut self,
        text: &str,
        source: Source<'_>,
        place: Place,
        path: &Path<'_>,
        kind: TextKind,
    ) -> Option<Secret> {
        let text = text.trim();
        if let Some((message, advice)) = misfit(text, source, kind) {
            let message = match source {
                Source::File => message,
                Source::Variable(name) => format!("the value of the environment variable {name} {message}"),
            };
            self.report.refuse(place, path, &message, &advice);
            return None;
        }
        self.warn_of_wrapping(text, source, place, path);
        Some(Secret::new(text))
    }

    /// What is a credential and something around it: `docker --env-file` keeps quotes.
    fn warn_of_wrapping(&mut self, text: &str, source: Source<'_>, place: Place, path: &Path<'_>) {
        if !ADVISES {
            return;
        }
        let is_quoted = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
        let what = match source {
            Source::File => String::new(),
            Source::Variable(name) => format!("the value of the environment variable {name} "),
        };
        if is_quoted('"') || is_quoted('\'') {
            let message = format!("{what}begins and ends with a quote, which is sent as a part of it");
            self.report.warn(place, path, &message, "remove the quotes from the value");
        } else if path.last_key() == Some("api_key") && text.starts_with("Bearer ") {
            let message = format!("{what}begins with Bearer, which is put before it as well");
            self.report.warn(place, path, &message, "give the key alone");
        }
    }
}

/// Why a text cannot be a credential.
fn misfit(text: &str, source: Source<'_>, kind: TextKind) -> Option<(String, String)> {
    if text.is_empty() {
        let advice = match source {
            Source::File => "set it, or remove the key",
            Source::Variable(_) => "set it, or remove it",
        };
        return Some(("is empty".to_owned(), advice.to_owned()));
    }
    if let Some(name) = shell_variable(text) {
        let advice = format!("write os.environ/{name}");
        return Some(("is not replaced by a variable: LiteLLM knows os.environ/ only".to_owned(), advice));
    }
    if matches!(source, Source::File) && text.starts_with("oidc/") {
        let message = "asks for a token to be fetched, which is not served";
        return Some((message.to_owned(), "give the token itself, as os.environ/NAME".to_owned()));
    }
    visible::flaw(text, kind).map(|(message, advice)| (message, advice.to_owned()))
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
