//! `model_list`: all deployments, ids unique, and the names of those that are skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::Deployment;
use crate::deployments::deployment::{self, FileDefaults, Item, Skipped};
use crate::deployments::ids;
use crate::diagnostics::report::Path;
use crate::values::reader::{Reader, Section};
use crate::yaml::tree::{Node, Place, Value};

/// What `model_list` comes to.
#[derive(Default)]
pub struct ModelList {
    /// What can be served.
    pub deployments: Vec<Deployment>,
    /// Groups that are named, served or not: references to them are no misspellings.
    pub groups: BTreeSet<Arc<str>>,
    /// Groups and ids of deployments that are skipped, with the reason. Some may be those of others that are served.
    pub skipped: BTreeMap<Arc<str>, String>,
    /// Their litellm models, likewise.
    pub skipped_models: BTreeMap<Arc<str>, String>,
    clusters: BTreeSet<String>,
    elsewhere: BTreeSet<Arc<str>>,
}

const PATH: Path<'static> = Path::top("model_list");

/// Reads `model_list`.
pub fn read(reader: &mut Reader<'_>, document: &Section<'_>, file: &FileDefaults) -> ModelList {
    let refusals = reader.report.refusals();
    let mut list = ModelList::default();
    let Some(entry) = document.find("model_list") else {
        reader.report.refuse(document.place, &PATH, "is missing", "list the deployments there");
        return list;
    };
    let Value::List(items) = &entry.node.value else {
        reader.type_error(&entry.node, &PATH, "a list of deployments");
        return list;
    };
    if items.is_empty() {
        reader.report.refuse(entry.place, &PATH, "is empty", "list the deployments there");
    }
    let mut ids: BTreeMap<Arc<str>, Place> = BTreeMap::new();
    for (index, node) in items.iter().enumerate() {
        let path = PATH.index(index);
        match deployment::read(reader, node, path, file) {
            // Its group is named all the same: that it is refused is one mistake, not one for each reference to it.
            Item::Refused => list.elsewhere.extend(named(node).map(Arc::from)),
            Item::Skipped(skipped) => {
                let Skipped { group, model, id, message, .. } = skipped;
                for name in [Some(group), id].into_iter().flatten() {
                    list.skipped.entry(Arc::from(name)).or_insert_with(|| message.clone());
                }
                list.skipped_models.entry(Arc::from(model)).or_insert(message);
            }
            Item::OtherEnvironment(group) => {
                list.elsewhere.insert(Arc::from(group));
            }
            Item::Deployments(deployments) => {
                for (place, deployment) in deployments {
                    list.add(reader, &mut ids, path, place, deployment);
                }
            }
        }
    }
    if list.deployments.is_empty() && reader.report.refusals() == refusals {
        let advice = match list.skipped.is_empty() {
            true => "set LITELLM_ENVIRONMENT, or add a deployment that can be served",
            false => "add a deployment that can be served",
        };
        reader.report.refuse(entry.place, &PATH, "no deployment is left", advice);
    }
    let elsewhere = std::mem::take(&mut list.elsewhere);
    list.groups.extend(elsewhere);
    list
}

/// The `model_name` of an item as it is written.
fn named(item: &Node) -> Option<&str> {
    let Value::Map(entries) = &item.value else { return None };
    entries.iter().find(|entry| entry.key == "model_name").and_then(|entry| match &entry.node.value {
        Value::Text(name) => Some(name.as_str()),
        _ => None,
    })
}

impl ModelList {
    fn add(
        &mut self,
        reader: &mut Reader<'_>,
        ids: &mut BTreeMap<Arc<str>, Place>,
        path: Path<'_>,
        place: Place,
        deployment: Deployment,
    ) {
        if let Some(first) = ids.get(&deployment.id) {
            let same = self.deployments.iter().find(|other| other.id == deployment.id);
            let is_copy =
                same.is_some_and(|other| other.group == deployment.group) && is_hash(&deployment.id);
            if is_copy {
                let message =
                    format!("is the same as the deployment on line {}, and is left out", first.line);
                reader.report.warn(
                    place,
                    &path,
                    &message,
                    "remove it; weight gives the first one a larger share",
                );
            } else {
                let message =
                    format!("the id {} is that of the deployment on line {}", deployment.id, first.line);
                let info = path.key("model_info");
                reader.report.refuse(
                    place,
                    &info.key("id"),
                    &message,
                    "give each deployment an id of its own",
                );
            }
            return;
        }
        let mut deployment = deployment;
        if !self.clusters.insert(deployment.cluster.clone()) {
            // An id that looks like the first digits of another one's hash.
            deployment.cluster = ids::unmistakable_cluster(&deployment.id, &deployment.endpoint);
            self.clusters.insert(deployment.cluster.clone());
        }
        ids.insert(Arc::clone(&deployment.id), place);
        self.groups.insert(Arc::clone(&deployment.group));
        self.deployments.push(deployment);
    }
}

/// Whether the id was made from the deployment rather than given.
fn is_hash(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}
