//! What becomes of each key that a section may hold, and what to say about it.

use crate::diagnostics::report::{ADVISES, Path};
use crate::keys::tables;
use crate::values::reader::{Reader, Section};
use crate::yaml::tree::{Entry, Value};

/// A key that is known, and what becomes of it.
pub struct Key {
    /// As LiteLLM spells it.
    pub name: &'static str,
    /// What becomes of it.
    pub support: Support,
}

/// What becomes of a key.
#[derive(Clone, Copy)]
pub enum Support {
    /// It does what the text says.
    Applied(&'static str),
    /// It has no effect: why, and what to do instead.
    Ignored(&'static str, &'static str),
    /// Ignoring it would change security, money or correctness: why, and what to do instead.
    Refused(&'static str, &'static str),
}

/// Words for the documentation and for warnings, which the filter does not print: no weight for it to carry.
pub const fn words(text: &'static str) -> &'static str {
    if ADVISES { text } else { "" }
}

/// A key that is applied.
pub const fn applied(name: &'static str, what: &'static str) -> Key {
    Key { name, support: Support::Applied(words(what)) }
}

/// A key that has no effect.
pub const fn ignored(name: &'static str, why: &'static str, advice: &'static str) -> Key {
    Key { name, support: Support::Ignored(words(why), words(advice)) }
}

/// A key that cannot be ignored and is not served.
pub const fn refused(name: &'static str, why: &'static str, advice: &'static str) -> Key {
    Key { name, support: Support::Refused(why, words(advice)) }
}

/// The keys of one section.
pub struct Table {
    /// The section, as people know it.
    pub name: &'static str,
    /// Sorted by name.
    pub keys: &'static [Key],
    /// Keys that are none of ours may stand there: what is said about them, if anything.
    pub open: bool,
}

impl Table {
    /// The verdict on a key, if it is known here.
    pub fn find(&self, name: &str) -> Option<Support> {
        let found = self.keys.binary_search_by(|key| key.name.cmp(name)).ok()?;
        self.keys.get(found).map(|key| key.support)
    }
}

/// Says about every key of a section what there is to say.
pub fn check_keys(reader: &mut Reader<'_>, section: &Section<'_>, table: &Table) {
    for entry in section.entries {
        if entry.node.value == Value::Null {
            continue;
        }
        let path = section.path.key(&entry.key);
        match table.find(&entry.key) {
            Some(Support::Applied(_)) => {}
            Some(Support::Ignored(why, advice)) => {
                if !entry.node.is_falsy() {
                    reader.report.warn(entry.place, &path, why, advice);
                }
            }
            Some(Support::Refused(why, advice)) => {
                if !entry.node.is_falsy() {
                    reader.report.refuse_feature(entry.place, &path, why, advice);
                }
            }
            // `x-` keys hold anchors for the rest of the file.
            None if table.open || entry.key.starts_with("x-") => almost(reader, table, entry, &path),
            None => unknown(reader, table, entry, &path),
        }
    }
}

/// A key of one's own that is nearly one of ours. Those of litellm_params are looked at where they are sent.
fn almost(reader: &mut Reader<'_>, table: &Table, entry: &Entry, path: &Path<'_>) {
    if !ADVISES || table.name != "model_info" {
        return;
    }
    if let Some(near) = reader.report.suggestions.key(&entry.key, table) {
        let advice = format!("did you mean {near}?");
        reader.report.warn(entry.place, path, "is shown by the listings, and does nothing else", &advice);
    }
}

/// A key that this section does not know: misspelt, misplaced, or neither.
pub fn unknown(reader: &mut Reader<'_>, table: &Table, entry: &Entry, path: &Path<'_>) {
    if !ADVISES {
        return;
    }
    let (message, advice) = if let Some(near) = reader.report.suggestions.key(&entry.key, table) {
        ("is not known here and has no effect".to_owned(), format!("did you mean {near}?"))
    } else if let Some(home) = tables::home_of(&entry.key, table.name) {
        ("has no effect here".to_owned(), format!("it belongs in {home}"))
    } else {
        (
            "is not known here and has no effect".to_owned(),
            "remove it, or see docs/configuration.md".to_owned(),
        )
    };
    reader.report.warn(entry.place, path, &message, &advice);
}
