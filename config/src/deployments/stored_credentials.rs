//! `credential_list`, and `litellm_credential_name`, by which a deployment takes the values of an
//! item of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::diagnostics::{ADVISES, Path, did_you_mean};
use crate::values::{Reader, Section, Unset, found};
use crate::yaml::{Entry, Node, Value};

/// The key of a deployment.
const NAME: &str = "litellm_credential_name";
const LIST: Path<'static> = Path::top("credential_list");

/// The `credential_values` of each `credential_name`. They are read in the deployments that take
/// them.
#[derive(Default)]
pub(crate) struct StoredCredentials(BTreeMap<String, Vec<Entry>>);

impl StoredCredentials {
    /// Reads `credential_list`.
    pub(crate) fn read(reader: &mut Reader<'_>, document: &Section<'_>) -> Self {
        let mut stored = Self::default();
        let Some(entry) = document.find("credential_list") else { return stored };
        let Value::List(items) = &entry.node.value else {
            report_kind(reader, &entry.node, &LIST, "a list of credentials");
            return stored;
        };
        for (index, item) in items.iter().enumerate() {
            stored.add(reader, item, &LIST.index(index));
        }
        stored
    }

    /// The first of several with the same name counts, as in LiteLLM.
    fn add(&mut self, reader: &mut Reader<'_>, item: &Node, path: &Path<'_>) {
        let Some(entries) = item.entries() else {
            report_kind(reader, item, path, "a map with credential_name and credential_values");
            return;
        };
        let section = Section { entries, path: *path, place: item.place };
        for key in ["credential_name", "credential_values"] {
            if section.find(key).is_none() {
                reader.report.error(
                    item.place,
                    &path.key(key),
                    "missing key",
                    "write it, or remove the item",
                );
                return;
            }
        }
        let name = reader.required_string(&section, "credential_name");
        let (Some(name), Some(values)) = (name, section.find("credential_values")) else { return };
        let Some(entries) = values.node.entries() else {
            report_kind(reader, &values.node, &path.key("credential_values"), "a map");
            return;
        };
        if self.0.contains_key(&name) {
            if ADVISES {
                let message = format!("duplicate name \"{name}\": the first one is used");
                let path = path.key("credential_name");
                reader.report.warn(item.place, &path, &message, "remove one of them");
            }
            return;
        }
        self.0.insert(name, entries.to_vec());
    }

    /// The entries of litellm_params with those of the credential that they name, if any. What the
    /// deployment sets itself counts, as in LiteLLM. `Err` if there is no such credential, which is
    /// in the report.
    pub(super) fn apply<'s>(
        &self,
        reader: &mut Reader<'_>,
        params: &Section<'s>,
    ) -> Result<Cow<'s, [Entry]>, ()> {
        let Some(entry) = params.find(NAME).filter(|entry| !entry.node.is_falsy()) else {
            return Ok(Cow::Borrowed(params.entries));
        };
        let path = params.path.key(NAME);
        let name = reader.string_of(&entry.node, &path, Unset::Error).ok_or(())?;
        let Some(values) = self.0.get(&name) else {
            let near = reader.report.suggestions.name(&name, self.0.keys().map(String::as_str));
            // It may be a pasted key, or come from a variable that holds one.
            let message = format!("unknown credential, found {}", found(&entry.node));
            let advice = did_you_mean(near, "add it to credential_list: no other credentials are stored");
            reader.report.error(entry.place, &path, &message, &advice);
            return Err(());
        };
        let taken = values.iter().filter(|value| params.find(&value.key).is_none());
        Ok(params.entries.iter().chain(taken).cloned().collect())
    }
}

/// Reports a value of the wrong type by its kind alone: it may be a credential.
fn report_kind(reader: &mut Reader<'_>, node: &Node, path: &Path<'_>, expected: &str) {
    reader.report.error(node.place, path, &format!("expected {expected}, found {}", node.kind()), "");
}
