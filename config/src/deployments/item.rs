//! One item of `model_list`.

use std::borrow::Cow;

use super::raw::{FileDefaults, Item, RawDeployment, SkippedDeployment};
use crate::diagnostics::{ADVISES, Path};
use crate::keys::check_keys;
use crate::keys::tables::{ITEM, LITELLM_PARAMS, MODEL_INFO};
use crate::values::{Reader, Section, TextKind};
use crate::yaml::{self, Node, Value};

/// Reads an item. A skipped one has no other findings.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, path: Path<'_>, file: &FileDefaults) -> Item {
    let before = reader.report.mark();
    let item = read_item(reader, node, path, file);
    if let Item::Skipped(SkippedDeployment { key: (key, place), message, advice, .. }) = &item {
        reader.report.forget_since(before);
        let message = format!("{message}: the deployment is skipped");
        reader.report.warn(*place, &path.key("litellm_params").key(key), &message, advice);
    }
    item
}

fn read_item(reader: &mut Reader<'_>, node: &Node, path: Path<'_>, file: &FileDefaults) -> Item {
    let Some(entries) = node.entries() else {
        reader.type_error(node, &path, "a map with model_name and litellm_params");
        return Item::Invalid;
    };
    let item = Section { entries, path, place: node.place };
    check_keys(reader, &item, &ITEM);
    let group = group(reader, &item);
    let Some(written) = litellm_params(reader, &item) else { return Item::Invalid };
    let applied = file.credentials.apply(reader, &written);
    let has_credentials = applied.is_ok();
    let mut entries = applied.unwrap_or(Cow::Borrowed(written.entries));
    for default in &file.params {
        if yaml::find(&entries, &default.key).is_none() {
            entries.to_mut().push(default.clone());
        }
    }
    let params = Section { entries: &entries, ..written };
    check_keys(reader, &params, &LITELLM_PARAMS);
    let empty = Section { entries: &[], path: item.path.key("model_info"), place: item.place };
    let info = reader.section(&item, "model_info").unwrap_or(empty);
    check_keys(reader, &info, &MODEL_INFO);
    let model = model(reader, &params);
    let (Some(group), Some(model), true) = (group, model, has_credentials) else {
        if ADVISES {
            let (group, model) = (String::new(), String::new());
            RawDeployment { group, model, item, params, written, info }.report_rest(reader, file);
        }
        return Item::Invalid;
    };
    if !is_in_its_environment(reader, &info, file) {
        return Item::OtherEnvironment(group);
    }
    RawDeployment { group, model, item, params, written, info }.deployments(reader, file)
}

fn group(reader: &mut Reader<'_>, item: &Section<'_>) -> Option<String> {
    let name = reader.required_string(item, "model_name");
    if let Some(name) = name.as_deref().filter(|name| !name.trim().is_empty()) {
        let place = item.find("model_name").map_or(item.place, |entry| entry.place);
        let fits = reader.check_text(place, &item.path.key("model_name"), name, TextKind::Name);
        return fits.then(|| name.to_owned());
    }
    if item.find("model_name").is_none_or(|entry| entry.node.value == Value::Text(String::new())) {
        let path = item.path.key("model_name");
        reader.report.error(item.place, &path, "missing key", "write the name of the group");
    }
    None
}

fn litellm_params<'s>(reader: &mut Reader<'_>, item: &'s Section<'s>) -> Option<Section<'s>> {
    if item.find("litellm_params").is_none() {
        let path = item.path.key("litellm_params");
        reader.report.error(item.place, &path, "missing key", "write litellm_params with a model");
        return None;
    }
    reader.section(item, "litellm_params")
}

const PROVIDER_NAME: &str = "write provider/name, such as openai/gpt-4o";

fn model(reader: &mut Reader<'_>, params: &Section<'_>) -> Option<String> {
    if params.find("model").is_none() {
        let path = params.path.key("model");
        reader.report.error(params.place, &path, "missing key", PROVIDER_NAME);
        return None;
    }
    let model = reader.required_string(params, "model")?;
    if model.trim().is_empty() {
        reader.report.error(params.place, &params.path.key("model"), "empty value", PROVIDER_NAME);
        return None;
    }
    let place = params.find("model").map_or(params.place, |entry| entry.place);
    if ADVISES && model.split_once(',').is_some_and(|(_, rest)| rest.contains('/')) {
        let (message, advice) = ("sent as the name of one model", "write a deployment for each of several");
        reader.report.warn(place, &params.path.key("model"), message, advice);
    }
    reader.check_text(place, &params.path.key("model"), &model, TextKind::Name).then_some(model)
}

/// `supported_environments`: LiteLLM skips a deployment of another environment with a warning.
fn is_in_its_environment(reader: &mut Reader<'_>, info: &Section<'_>, file: &FileDefaults) -> bool {
    let Some(entry) = info.find("supported_environments") else { return true };
    let Some(environments) = reader.strings(info, "supported_environments") else { return true };
    let here = file.environment.as_deref();
    if here.is_some_and(|here| environments.iter().any(|name| name == here)) {
        return true;
    }
    let message = match here {
        Some(here) => format!("the list has no \"{here}\": the deployment is left out"),
        None => "LITELLM_ENVIRONMENT is not set: the deployment is left out".to_owned(),
    };
    let path = info.path.key("supported_environments");
    reader.report.warn(entry.place, &path, &message, "set LITELLM_ENVIRONMENT to one of the list");
    false
}
