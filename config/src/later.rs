//! What is read and checked, but not applied by this version. A line goes from here when its feature comes.

use crate::reader::Reader;
use crate::report::Path;
use crate::tree::Entry;
use crate::verdict::Table;

/// Section, key, and what happens instead.
pub const NOT_YET: &[(&str, &str, &str)] = &[
    ("router_settings", "redis_url", REDIS),
    ("router_settings", "redis_host", REDIS),
    ("general_settings", "redis_url", REDIS),
    ("general_settings", "redis_host", REDIS),
];

const REDIS: &str = "every instance decides for itself";

/// What this version does instead of a key that it applies otherwise.
pub fn instead(table: &str, key: &str) -> Option<&'static str> {
    let line = NOT_YET.iter().find(|(section, name, _)| *section == table && *name == key)?;
    Some(line.2)
}

/// Warns about a key that asks for something this version does not do.
pub fn mention(reader: &mut Reader<'_>, table: &Table, entry: &Entry, path: &Path<'_>) {
    let Some(text) = instead(table.name, &entry.key).filter(|_| !entry.node.asks_nothing()) else { return };
    let message = format!("is not applied by this version: {text}");
    reader.report.note(entry.place, path, &message, "keep it for a later version, or remove it");
}
