//! The tables of docs/configuration.md, written from those that the program uses.

use super::support::{Key, Support, Table};
use super::tables::{self, DEPLOYMENT_LLM_BALANCER};
use crate::settings::{ALLOWED_FAILS, RETRIES, ROUTING_GROUPS, ROUTING_STRATEGY, ROUTING_STRATEGY_ARGS};

/// The name of each section, and of maps within sections, with its table in Markdown.
pub fn documented_tables() -> Vec<(&'static str, String)> {
    let sections = tables::ALL.iter().map(|table| (table.name, *table));
    let inner = [
        ("a deployment's llm_balancer", &DEPLOYMENT_LLM_BALANCER),
        (ROUTING_STRATEGY.name, ROUTING_STRATEGY),
        (ROUTING_STRATEGY_ARGS.name, ROUTING_STRATEGY_ARGS),
        (ROUTING_GROUPS.name, ROUTING_GROUPS),
        (RETRIES.name, RETRIES),
        (ALLOWED_FAILS.name, ALLOWED_FAILS),
    ];
    sections.chain(inner).map(|(name, table)| (name, markdown(table))).collect()
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
        Support::Applied(what) => ("applied", what.text().to_owned()),
        Support::Ignored(why, advice) => {
            ("ignored, with a warning", format!("{}; {}", why.text(), advice.text()))
        }
        Support::Refused(why, advice) => ("**refused**", format!("{}; {}", why.text(), advice.text())),
    }
}
