//! Warnings and errors about the keys of a section.

use super::support::{Support, Table};
use super::tables;
use crate::diagnostics::{ADVISES, Path};
use crate::values::{Reader, Section};
use crate::yaml::{Entry, Value};

/// Reports keys that are ignored, refused or unknown.
pub(crate) fn check_keys(reader: &mut Reader<'_>, section: &Section<'_>, table: &Table) {
    for entry in section.entries {
        if entry.node.value == Value::Null {
            continue;
        }
        let path = section.path.key(&entry.key);
        match table.find(&entry.key) {
            Some(Support::Applied(_)) => {}
            Some(Support::Ignored(why, advice)) => {
                if !entry.node.is_falsy() {
                    reader.report.warn(entry.place, &path, why.text(), advice.text());
                }
            }
            Some(Support::Refused(why, advice)) => {
                if !entry.node.is_falsy() {
                    let why = if ADVISES { why.text() } else { "unsupported; llm-balancer check says why" };
                    reader.report.unsupported(entry.place, &path, why, advice.text());
                }
            }
            // `x-` keys hold anchors for the rest of the file.
            None if table.open || entry.key.starts_with("x-") => {
                warn_of_misspelling(reader, table, entry, &path);
            }
            None => warn_of_unknown(reader, table, entry, &path),
        }
    }
}

/// An unknown key of model_info that resembles a known one. Those of litellm_params are checked
/// where they are sent.
fn warn_of_misspelling(reader: &mut Reader<'_>, table: &Table, entry: &Entry, path: &Path<'_>) {
    if !ADVISES || table.name != "model_info" {
        return;
    }
    if let Some(near) = reader.report.suggestions.key(&entry.key, table.names()) {
        let advice = match tables::settings_with(&entry.key) {
            Some(home) => format!("remove it, it is a key of {home}"),
            None => format!("did you mean {near}?"),
        };
        reader.report.warn(entry.place, path, "unknown key, only shown in listings", &advice);
    }
}

/// A key that is unknown in this section: misspelt, misplaced, or neither.
pub(crate) fn warn_of_unknown(reader: &mut Reader<'_>, table: &Table, entry: &Entry, path: &Path<'_>) {
    if !ADVISES {
        return;
    }
    // A key of another section of settings is no misspelling of one that is here.
    let home = tables::home_of(&entry.key, table.name);
    let is_misplaced = home.is_some() && table.name.ends_with("_settings");
    let near = if is_misplaced { None } else { reader.report.suggestions.key(&entry.key, table.names()) };
    let (message, advice) = if let Some(near) = near {
        ("unknown key, ignored", format!("did you mean {near}?"))
    } else if let Some(home) = home {
        ("has no effect here", format!("move it to {home}"))
    } else {
        ("unknown key, ignored", "remove it, or see docs/configuration.md".to_owned())
    };
    reader.report.warn(entry.place, path, message, &advice);
}
