//! Groups that are named after Claude and serve no client of Anthropic's API.

use std::collections::BTreeSet;

use super::model_list::{PATH, group_of};
use crate::config::{Deployment, Fallback, Wire};
use crate::diagnostics::{ADVISES, Place};
use crate::values::{Reader, Section};
use crate::yaml::{self, Node, Value};

/// Warns of groups `claude*` and `anthropic/*` without a deployment that serves Messages, and without
/// a fallback to one: nothing is translated, so Claude Code gets a 400 there.
pub(crate) fn warn_of_claude_without_messages(
    reader: &mut Reader<'_>,
    document: &Section<'_>,
    deployments: &[Deployment],
    fallbacks: &[Fallback],
) {
    let Some(Value::List(items)) = document.find("model_list").map(|entry| &entry.node.value) else { return };
    if !ADVISES {
        return;
    }
    let groups = |wire: Option<Wire>| -> BTreeSet<&str> {
        let speaks = |it: &&Deployment| wire.is_none_or(|wire| it.endpoint.layout.speaks(wire));
        deployments.iter().filter(speaks).map(|it| &*it.group).collect()
    };
    let (mut quiet, all) = (groups(Some(Wire::Anthropic)), groups(None));
    let leads_there = |fallback: &&Fallback| fallback.targets.iter().any(|to| quiet.contains(&*to.model));
    let falling_back: Vec<&str> = fallbacks.iter().filter(leads_there).map(|it| &*it.group).collect();
    if falling_back.contains(&"*") {
        return;
    }
    quiet.extend(falling_back);
    for (index, item) in items.iter().enumerate() {
        let Some(group) = group_of(item).filter(|group| is_claude(group) && all.contains(group)) else {
            continue;
        };
        if quiet.insert(group) {
            let path = PATH.index(index);
            let message = "no deployment of this group serves /v1/messages, and nothing is translated: \
                           clients of Anthropic's API, such as Claude Code, get 400";
            let advice = "write anthropic/name, or add llm_balancer: {wire: anthropic} where the server has \
                          that API";
            reader.report.warn(place_of_name(item), &path.key("model_name"), message, advice);
        }
    }
}

fn is_claude(group: &str) -> bool {
    let group = group.to_ascii_lowercase();
    group.starts_with("claude") || group.starts_with("anthropic/")
}

fn place_of_name(item: &Node) -> Place {
    let name = item.entries().and_then(|entries| yaml::find(entries, "model_name"));
    name.map_or(item.place, |entry| entry.place)
}
