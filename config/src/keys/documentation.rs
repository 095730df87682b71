//! The tables of docs/configuration.md, written from those that the program uses.

use super::support::{Key, Support, Table};
use super::tables;

/// The name of each section, with its table in Markdown.
pub fn documented_tables() -> Vec<(&'static str, String)> {
    tables::ALL.iter().map(|table| (table.name, markdown(table))).collect()
}

fn markdown(table: &Table) -> String {
    let mut out = String::from("| key | verdict | |\n|---|---|---|\n");
    for key in table.keys {
        let (support, text) = described(key);
        out.push_str(&format!("| `{}` | {support} | {text} |\n", key.name));
    }
    out
}

fn described(key: &Key) -> (&'static str, String) {
    match key.support {
        Support::Applied(what) => ("applied", what.to_owned()),
        Support::Ignored(why, advice) => ("ignored, with a warning", format!("{why}; {advice}")),
        Support::Refused(why, advice) => ("**refused**", format!("{why}; {advice}")),
    }
}
