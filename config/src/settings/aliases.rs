//! `model_group_alias`: other names for groups.

use std::sync::Arc;

use crate::config::Alias;
use crate::diagnostics::Path;
use crate::keys::{Table, applied, check_keys};
use crate::values::{Reader, Section, Settings, TextKind, Unset};
use crate::yaml::{Entry, Value};

const KEYS: &Table = &Table {
    name: "model_group_alias",
    keys: &[applied("hidden", "not in the listings"), applied("model", "the group")],
    open: false,
};

/// Reads `model_group_alias`.
pub(crate) fn read_aliases(reader: &mut Reader<'_>, settings: &Settings<'_>) -> Vec<Alias> {
    const KEY: &str = "model_group_alias";
    let Some((section, _)) = settings.routing(KEY) else { return Vec::new() };
    if let Some(litellm) = settings.litellm {
        let own = settings.router.and_then(|router| router.find(KEY));
        let used = own.filter(|own| !own.node.is_falsy()).map(|_| section.path.key(KEY));
        reader.warn_of_misplaced(&litellm, KEY, "router_settings", used);
    }
    let Some(map) = reader.section(&section, KEY) else { return Vec::new() };
    let mut aliases = Vec::new();
    for entry in map.entries {
        aliases.extend(alias(reader, entry, &map.path.key(&entry.key)));
    }
    aliases
}

fn alias(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>) -> Option<Alias> {
    if !reader.check_key(entry.place, path, &entry.key) {
        return None;
    }
    if entry.key.contains('*') {
        let advice = "add a deployment with this model_name to model_list";
        reader.report.error(entry.place, path, "an alias cannot be a pattern", advice);
        return None;
    }
    let (target, hidden) = match &entry.node.value {
        Value::Null => return None,
        Value::Map(entries) => {
            let section = Section { entries, path: *path, place: entry.place };
            check_keys(reader, &section, KEYS);
            let hidden = reader.bool(&section, "hidden").unwrap_or(false);
            (reader.string(&section, "model"), hidden)
        }
        Value::List(_) => {
            let advice = "put all of its deployments into one group of model_list";
            reader.report.error(entry.place, path, "expected a group, found a list", advice);
            return None;
        }
        _ => (reader.string_of(&entry.node, path, Unset::Ignore), false),
    };
    let Some(target) = target.filter(|target| !target.is_empty()) else {
        let advice = "write name: group, or name: {model: group, hidden: true}";
        reader.report.error(entry.place, path, "missing group", advice);
        return None;
    };
    reader.check_text(entry.place, path, &target, TextKind::Name);
    Some(Alias { name: Arc::from(entry.key.as_str()), target: Arc::from(target), hidden })
}
