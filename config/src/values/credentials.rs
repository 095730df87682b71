//! Credentials: never printed, never empty, never an unreplaced placeholder.

use std::borrow::Cow;

use super::environment::PREFIX;
use super::reader::{Reader, Unset};
use super::secret::Secret;
use super::text::{self, TextKind, VARIABLE_SYNTAX};
use crate::diagnostics::{ADVISES, Path, Place};
use crate::yaml::{Entry, Value, python};

/// Where a credential comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// The file itself.
    File,
    /// This environment variable.
    Variable(&'a str),
}

impl Reader<'_> {
    /// The credential at a key. An empty one, or one that cannot be sent, is an error; one in the
    /// file itself is a warning.
    pub(crate) fn secret(&mut self, entry: &Entry, path: &Path<'_>, unset: Unset) -> Option<Secret> {
        self.secret_for(entry, path, unset, TextKind::AsciiHeader)
    }

    /// The same for a credential that is not sent in a header.
    pub(crate) fn secret_for(
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
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => Cow::Owned(python::str(&value)),
            _ => {
                self.type_error(&entry.node, path, "a string");
                return None;
            }
        };
        let secret = self.credential(&text, source, entry.node.place, path, kind)?;
        if matches!(source, Source::File) && is_literal(secret.reveal()) {
            self.warn_of_literal(entry.node.place, path);
        }
        Some(secret)
    }

    /// Warns of a credential that is written into the file.
    pub(crate) fn warn_of_literal(&mut self, place: Place, path: &Path<'_>) {
        let advice = "write os.environ/NAME, and set that variable";
        self.report.warn(place, path, "credential in plain text", advice);
    }

    /// The credential in the first of these variables that is set, which LiteLLM looks up by
    /// itself. An empty variable counts as unset; a blank one, or one that cannot be sent, is an
    /// error.
    pub(crate) fn secret_from(
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

    /// Every credential is made here: trimmed, because files and shells leave blanks and line
    /// breaks around it, and checked for what cannot be sent.
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
                Source::Variable(name) => {
                    self.env.mark_unusable(name);
                    format!("environment variable {name}: {message}")
                }
            };
            self.report.error(place, path, &message, &advice);
            return None;
        }
        self.warn_of_wrapping(text, source, place, path);
        Some(Secret::new(text))
    }

    /// Warns of a credential with something around it: `docker --env-file` keeps quotes.
    fn warn_of_wrapping(&mut self, text: &str, source: Source<'_>, place: Place, path: &Path<'_>) {
        if !ADVISES {
            return;
        }
        let is_quoted = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
        let what = match source {
            Source::File => String::new(),
            Source::Variable(name) => format!("environment variable {name}: "),
        };
        if is_quoted('"') || is_quoted('\'') {
            let message = format!("{what}the quotes around the value are sent as a part of it");
            self.report.warn(place, path, &message, "remove the quotes from the value");
        } else if path.last_key() == Some("api_key") && text.starts_with("Bearer ") {
            let message = format!("{what}the value begins with \"Bearer\", which is added to it");
            self.report.warn(place, path, &message, "remove \"Bearer\" from the value");
        }
    }
}

/// Why a text cannot be a credential.
fn misfit(text: &str, source: Source<'_>, kind: TextKind) -> Option<(String, String)> {
    if text.is_empty() {
        let advice = match source {
            Source::File => "set it, or remove the key",
            Source::Variable(_) => "set it, or unset the variable",
        };
        return Some(("empty value".to_owned(), advice.to_owned()));
    }
    if let Some(name) = shell_variable(text) {
        let advice = format!("write os.environ/{name}");
        return Some((VARIABLE_SYNTAX.to_owned(), advice));
    }
    if matches!(source, Source::File) && text.starts_with("oidc/") {
        let message = "fetching OIDC tokens is not supported";
        return Some((message.to_owned(), "write the token itself, as os.environ/NAME".to_owned()));
    }
    text::flaw(text, kind).map(|(message, advice)| (message, advice.to_owned()))
}

/// The name in `$NAME`, `${NAME}` or `env:NAME`.
fn shell_variable(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('$').or_else(|| text.strip_prefix("env:"))?;
    let name = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(rest);
    let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits { Some(name) } else { None }
}

/// Whether a text is a credential itself, and not a reference or a placeholder.
pub(crate) fn is_literal(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(PREFIX) && !is_placeholder(text)
}

/// A dummy key for a server that requires none.
fn is_placeholder(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "anything", "dummy", "empty", "fake", "lm", "lmstudio", "local", "my", "na", "n/a", "no", "none",
        "not", "null", "ollama", "placeholder", "sk-1234", "sk-fake", "test", "x",
    ];
    let text = text.to_ascii_lowercase();
    let first = text.split(['-', '_', ' ']).next().unwrap_or(&text);
    WORDS.contains(&text.as_str())
        || WORDS.contains(&first)
        || text.starts_with("sk-no")
        || text.starts_with("sk-x")
}

/// Whether a header or a parameter of that name holds a credential: narrow, since a value that is
/// empty or in plain text then becomes a finding.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts =
        ["authorization", "password", "secret", "credential", "api_key", "api-key", "apikey", "cookie"];
    let ends = ["_key", "-key", "_token", "-token", "_ref", "_key_id"];
    parts.iter().any(|part| name.contains(part))
        || ends.iter().any(|end| name.ends_with(end)) && !name.contains("cost_per")
}

/// Whether listings hide a parameter of that name: LiteLLM's rule, by the segments of the name, and
/// what [`is_secret_name`] adds to it.
pub(crate) fn is_hidden_name(name: &str) -> bool {
    const HIDDEN: &[&str] = &[
        "access", "auth", "authentication", "certificate", "connection", "credentials", "fingerprint",
        "headers", "key", "keys", "private", "tenancy", "token",
    ];
    // `input_cost_per_token`, `access_groups`, `stop_token_ids`, `default_api_key_rpm_limit`.
    const SHOWN: &[&str] = &["cost", "count", "groups", "ids", "limit"];
    const ALWAYS: [&str; 5] = ["authorization", "cookie", "credential", "password", "secret"];
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| name.split(['-', '_', ' ']).any(|segment| words.contains(&segment));
    let is_always = || ALWAYS.iter().any(|part| name.contains(part));
    (!has(SHOWN) && (has(HIDDEN) || is_secret_name(&name))) || is_always()
}
