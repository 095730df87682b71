//! `model_list`: all deployments with unique ids, and the names of those that are skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::raw::{FileDefaults, Item, SkippedDeployment};
use super::{ids, item, weights};
use crate::config::Deployment;
use crate::diagnostics::{ADVISES, Path, Place};
use crate::values::{Reader, Section};
use crate::yaml::{self, Node, Value};

/// The deployments of `model_list`, and its other names.
#[derive(Default)]
pub(crate) struct ModelList {
    /// Deployments that can be served.
    pub(crate) deployments: Vec<Deployment>,
    /// All groups, served or not: references to them are no misspellings.
    pub(crate) groups: BTreeSet<Arc<str>>,
    /// Groups and ids of deployments that are skipped, with the reason. Others with the same group
    /// may be served.
    pub(crate) skipped: BTreeMap<Arc<str>, String>,
    /// How many deployments are skipped.
    pub(crate) skipped_count: usize,
    /// The litellm models of these deployments, likewise.
    pub(crate) skipped_models: BTreeMap<Arc<str>, String>,
    /// The litellm models, each with its group, and the ids, each with an empty text, of deployments
    /// that have errors or belong to another environment: references to them are no misspellings.
    pub(crate) unserved: BTreeMap<Arc<str>, String>,
    /// Whether an item has `model_info.max_input_tokens`.
    pub(crate) has_contexts: bool,
    clusters: BTreeSet<String>,
}

pub(super) const PATH: Path<'static> = Path::top("model_list");

/// Reads `model_list`.
pub(crate) fn read_model_list(
    reader: &mut Reader<'_>,
    document: &Section<'_>,
    file: &FileDefaults,
) -> ModelList {
    let errors_before = reader.report.errors();
    let mut list = ModelList::default();
    let Some(entry) = document.find("model_list") else {
        reader.report.error(document.place, &PATH, "missing key", "list the deployments there");
        return list;
    };
    let Value::List(items) = &entry.node.value else {
        reader.type_error(&entry.node, &PATH, "a list of deployments");
        return list;
    };
    if items.is_empty() {
        reader.report.error(entry.place, &PATH, "empty list", "list the deployments there");
    }
    let mut ids: BTreeMap<Arc<str>, Place> = BTreeMap::new();
    for (index, node) in items.iter().enumerate() {
        list.add_item(reader, &mut ids, node, PATH.index(index), file);
    }
    if reader.report.errors() == errors_before {
        weights::warn_of_zeros(reader, items, &list.deployments);
    }
    if list.deployments.is_empty() && reader.report.errors() == errors_before {
        let advice = if list.skipped.is_empty() {
            "set LITELLM_ENVIRONMENT, or add a deployment that can be served"
        } else {
            "add a deployment that can be served"
        };
        reader.report.error(entry.place, &PATH, "no deployments left", advice);
    }
    list
}

/// The `model_name` of an item.
pub(super) fn group_of(item: &Node) -> Option<&str> {
    text_of(item, "model_name")
}

fn text_of<'n>(map: &'n Node, key: &str) -> Option<&'n str> {
    match &yaml::find(map.entries()?, key)?.node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

impl ModelList {
    fn add_item(
        &mut self,
        reader: &mut Reader<'_>,
        ids: &mut BTreeMap<Arc<str>, Place>,
        node: &Node,
        path: Path<'_>,
        file: &FileDefaults,
    ) {
        let info = node.entries().and_then(|entries| yaml::find(entries, "model_info"));
        self.has_contexts |=
            ADVISES && info.and_then(|info| yaml::find(info.node.entries()?, "max_input_tokens")).is_some();
        match item::read(reader, node, path, file) {
            // References to it are no further errors.
            Item::Invalid => {
                self.groups.extend(group_of(node).map(Arc::from));
                self.add_unserved(node);
            }
            Item::Skipped(SkippedDeployment { group, model, id, message, .. }) => {
                self.skipped_count = self.skipped_count.saturating_add(1);
                for name in [Some(group), id].into_iter().flatten() {
                    self.skipped.entry(Arc::from(name)).or_insert_with(|| message.clone());
                }
                self.skipped_models.entry(Arc::from(model)).or_insert(message);
            }
            Item::OtherEnvironment(group) => {
                self.groups.insert(Arc::from(group));
                self.add_unserved(node);
            }
            Item::Deployments(deployments) => {
                for (place, deployment) in deployments {
                    self.add(reader, ids, path, place, deployment);
                }
            }
        }
    }

    fn add_unserved(&mut self, item: &Node) {
        let name = |section, key| {
            let entry = yaml::find(item.entries()?, section)?;
            text_of(&entry.node, key).map(Arc::from)
        };
        if let Some(model) = name("litellm_params", "model") {
            self.unserved.insert(model, group_of(item).unwrap_or_default().to_owned());
        }
        if let Some(id) = name("model_info", "id") {
            self.unserved.insert(id, String::new());
        }
    }

    fn add(
        &mut self,
        reader: &mut Reader<'_>,
        ids: &mut BTreeMap<Arc<str>, Place>,
        path: Path<'_>,
        place: Place,
        deployment: Deployment,
    ) {
        if let Some(first) = ids.get(&deployment.id) {
            self.report_duplicate(reader, *first, path, place, &deployment);
            return;
        }
        let mut deployment = deployment;
        if !self.clusters.insert(deployment.cluster.clone()) {
            // An id that equals the first digits of another one's hash.
            deployment.cluster = ids::unambiguous_cluster(&deployment.id, &deployment.endpoint);
            self.clusters.insert(deployment.cluster.clone());
        }
        ids.insert(Arc::clone(&deployment.id), place);
        self.groups.insert(Arc::clone(&deployment.group));
        self.deployments.push(deployment);
    }

    /// The same deployment twice is a warning, as in LiteLLM; another one with the same id is an
    /// error.
    fn report_duplicate(
        &self,
        reader: &mut Reader<'_>,
        first: Place,
        path: Path<'_>,
        place: Place,
        deployment: &Deployment,
    ) {
        let same = self.deployments.iter().find(|other| other.id == deployment.id);
        let is_copy = same.is_some_and(|other| other.group == deployment.group);
        if is_copy && ids::is_hash(&deployment.id) {
            let message = format!("duplicate of the deployment on line {}, ignored", first.line);
            let advice = "remove it; use weight for a larger share";
            reader.report.warn(place, &path, &message, advice);
        } else {
            let message = format!("duplicate id \"{}\", first used on line {}", deployment.id, first.line);
            let info = path.key("model_info");
            reader.report.error(place, &info.key("id"), &message, "use another id");
        }
    }
}
