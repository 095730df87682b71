//! One item of `model_list`, and the deployments it stands for.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Deployment, FailurePolicy, Member, Tls};
use crate::deployments::drop_path;
use crate::deployments::ids;
use crate::deployments::limits::{self, Limits};
use crate::deployments::params;
use crate::deployments::tags;
use crate::diagnostics::report::Path;
use crate::keys::support;
use crate::keys::tables::{ITEM, LITELLM_PARAMS, MODEL_INFO};
use crate::providers::resolve::{self, ResolveError, Target, Unsupported};
use crate::providers::tls;
use crate::settings::failure_policy;
use crate::values::reader::{Reader, Section, Unset};
use crate::values::visible::TextKind;
use crate::yaml::tree::{Entry, Node, Place, Value};

/// What is the same for every deployment of a file.
pub struct FileDefaults {
    /// `ssl_verify` of litellm_settings or of the environment.
    pub tls: Tls,
    /// `llm_balancer.unsupported_deployments: skip`
    pub skip_unsupported: bool,
    /// `LITELLM_ENVIRONMENT`
    pub environment: Option<String>,
    /// `router_settings.default_litellm_params`: request parameters.
    pub defaults: Vec<Member>,
    /// The same: `timeout`.
    pub timeout: Option<Duration>,
    /// The same: `stream_timeout`.
    pub stream_timeout: Option<Duration>,
}

/// What an item of `model_list` comes to.
pub enum Item {
    /// Nothing: the report says why.
    Refused,
    /// It cannot be served, and the file says that such are skipped.
    Skipped(Skipped),
    /// The same, because it belongs to another environment: its whole group may.
    OtherEnvironment(String),
    /// One deployment, or one for each organization.
    Deployments(Vec<(Place, Deployment)>),
}

/// A deployment that is left out.
pub struct Skipped {
    /// Its group.
    pub group: String,
    /// `litellm_params.model`.
    pub model: String,
    /// `model_info.id`, if it has one.
    pub id: Option<String>,
    /// The key that says why, with its place.
    pub key: (&'static str, Place),
    /// Why.
    pub message: String,
    /// What to do instead.
    pub advice: String,
}

/// Reads an item. What is skipped is not reported on for anything else: it is not served anyhow.
pub fn read(reader: &mut Reader<'_>, node: &Node, path: Path<'_>, file: &FileDefaults) -> Item {
    let before = reader.report.mark();
    let item = read_item(reader, node, path, file);
    if let Item::Skipped(Skipped { key: (key, place), message, advice, .. }) = &item {
        reader.report.forget_since(before);
        let message = format!("{message}; the deployment is skipped");
        reader.report.warn(*place, &path.key("litellm_params").key(key), &message, advice);
    }
    item
}

fn read_item(reader: &mut Reader<'_>, node: &Node, path: Path<'_>, file: &FileDefaults) -> Item {
    let Some(entries) = node.entries() else {
        reader.type_error(node, &path, "a map with model_name and litellm_params");
        return Item::Refused;
    };
    let item = Section { entries, path, place: node.place };
    support::check_keys(reader, &item, &ITEM);
    let group = group(reader, &item);
    let (Some(group), Some(params)) = (group, litellm_params(reader, &item)) else {
        return Item::Refused;
    };
    support::check_keys(reader, &params, &LITELLM_PARAMS);
    let empty = Section { entries: &[], path: item.path.key("model_info"), place: item.place };
    let info = reader.section(&item, "model_info").unwrap_or(empty);
    support::check_keys(reader, &info, &MODEL_INFO);
    let Some(model) = model(reader, &params) else { return Item::Refused };
    if !is_in_its_environment(reader, &info, file) {
        return Item::OtherEnvironment(group);
    }
    let parts = RawDeployment { group, model, item, params, info };
    parts.deployments(reader, file)
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
        reader.report.refuse(item.place, &path, "is missing", "give the group a name");
    }
    None
}

fn litellm_params<'s>(reader: &mut Reader<'_>, item: &'s Section<'s>) -> Option<Section<'s>> {
    if item.find("litellm_params").is_none() {
        let path = item.path.key("litellm_params");
        reader.report.refuse(item.place, &path, "is missing", "write litellm_params with a model in it");
        return None;
    }
    reader.section(item, "litellm_params")
}

fn model(reader: &mut Reader<'_>, params: &Section<'_>) -> Option<String> {
    if params.find("model").is_none() {
        let path = params.path.key("model");
        reader.report.refuse(params.place, &path, "is missing", "write provider/name, such as openai/gpt-4o");
        return None;
    }
    let model = reader.required_string(params, "model")?;
    if model.trim().is_empty() {
        let advice = "write provider/name, such as openai/gpt-4o";
        reader.report.refuse(params.place, &params.path.key("model"), "is empty", advice);
        return None;
    }
    let place = params.find("model").map_or(params.place, |entry| entry.place);
    if model.contains(',') {
        let advice = "make a deployment of each";
        reader.report.refuse(place, &params.path.key("model"), "names several models", advice);
        return None;
    }
    reader.check_text(place, &params.path.key("model"), &model, TextKind::Name).then_some(model)
}

/// `supported_environments`: LiteLLM skips what does not fit, with a warning.
fn is_in_its_environment(reader: &mut Reader<'_>, info: &Section<'_>, file: &FileDefaults) -> bool {
    let Some(entry) = info.find("supported_environments") else { return true };
    let Some(environments) = reader.strings(info, "supported_environments") else { return true };
    let here = file.environment.as_deref();
    if here.is_some_and(|here| environments.iter().any(|name| name == here)) {
        return true;
    }
    let message = match here {
        Some(here) => format!("does not hold {here}, so the deployment is left out"),
        None => "is given, and LITELLM_ENVIRONMENT is not set, so the deployment is left out".to_owned(),
    };
    let path = info.path.key("supported_environments");
    reader.report.warn(entry.place, &path, &message, "set LITELLM_ENVIRONMENT to one of them to use it");
    false
}

/// An item of `model_list`, taken apart.
struct RawDeployment<'s> {
    group: String,
    model: String,
    item: Section<'s>,
    params: Section<'s>,
    info: Section<'s>,
}

impl RawDeployment<'_> {
    fn deployments(&self, reader: &mut Reader<'_>, file: &FileDefaults) -> Item {
        let tls = tls::of_deployment(reader, &self.params, &file.tls);
        let target = match resolve::find(reader, &self.params, &self.model, &tls) {
            Ok(target) => target,
            Err(obstacle) => {
                let item = match obstacle {
                    ResolveError::Reported => Item::Refused,
                    ResolveError::Unsupported(unsupported) => self.unsupported(reader, file, unsupported),
                };
                if matches!(item, Item::Refused) {
                    self.deployment(reader, file, Target::nowhere());
                }
                return item;
            }
        };
        let id = self.own_id(reader);
        let organizations = self.organizations(reader, target.provider);
        let first = self.deployment(reader, file, target);
        let mut all = Vec::new();
        for organization in &organizations {
            let mut deployment = first.clone();
            let single = if organizations.len() > 1 { organization.as_deref() } else { None };
            let id = match (&id, single) {
                // LiteLLM gives all organizations of a list the same id, so that they share all state; ids of their
                // own keep their cooldowns and limits apart.
                (Some(id), Some(organization)) => format!("{id}-{organization}"),
                (Some(id), None) => id.clone(),
                (None, single) => {
                    ids::of_deployment(&self.group, self.params.entries, single, &mut reader.env)
                }
            };
            if let Some(organization) = organization {
                deployment.headers.push(("openai-organization".to_owned(), crate::Secret::new(organization)));
            }
            deployment.cluster = ids::cluster(&self.group, &id, &deployment.endpoint);
            deployment.id = Arc::from(id);
            all.push((self.item.place, deployment));
        }
        Item::Deployments(all)
    }

    fn unsupported(&self, reader: &mut Reader<'_>, file: &FileDefaults, unsupported: Unsupported) -> Item {
        let Unsupported { key, message, advice } = unsupported;
        let place = self.params.find(key).or_else(|| self.params.find("model"));
        let place = place.map_or(self.params.place, |entry| entry.place);
        if file.skip_unsupported {
            let id = self
                .info
                .find("id")
                .and_then(|entry| reader.string_of(&entry.node, &self.info.path.key("id"), Unset::Drop));
            let (group, model) = (self.group.clone(), self.model.clone());
            return Item::Skipped(Skipped { group, model, id, key: (key, place), message, advice });
        }
        reader.report.refuse(place, &self.params.path.key(key), &message, &advice);
        Item::Refused
    }

    fn own_id(&self, reader: &mut Reader<'_>) -> Option<String> {
        let entry = self.info.find("id")?;
        let id = reader.string_of(&entry.node, &self.info.path.key("id"), Unset::Refuse)?;
        let path = self.info.path.key("id");
        if id.is_empty() {
            reader.report.refuse(entry.place, &path, "is no id", "give it an id, or remove the key");
            return None;
        }
        reader.check_text(entry.place, &path, &id, TextKind::Name).then_some(id)
    }

    /// One `None` where no organization is named.
    fn organizations(&self, reader: &mut Reader<'_>, provider: &str) -> Vec<Option<String>> {
        let list = self.params.find("organization").map(|entry| &entry.node.value);
        let names = match list {
            Some(Value::List(items)) if !items.is_empty() => reader.strings(&self.params, "organization"),
            Some(Value::List(_)) | None => None,
            Some(_) => reader.string(&self.params, "organization").map(|name| vec![name]),
        };
        let place = self.params.find("organization").map_or(self.params.place, |entry| entry.place);
        let path = self.params.path.key("organization");
        for name in names.iter().flatten() {
            reader.check_text(place, &path, name, TextKind::AsciiHeader);
        }
        match names {
            Some(names) if !names.is_empty() => names.into_iter().map(Some).collect(),
            _ if provider == "openai" => vec![self.organization_of_the_environment(reader)],
            _ => vec![None],
        }
    }

    /// The first variable is LiteLLM's, the second that of the client which it uses.
    fn organization_of_the_environment(&self, reader: &mut Reader<'_>) -> Option<String> {
        let (variable, name) = reader.env.first_named(&["OPENAI_ORGANIZATION", "OPENAI_ORG_ID"])?;
        reader
            .check_text(self.params.place, &Path::top(variable), &name, TextKind::AsciiHeader)
            .then_some(name)
    }

    fn deployment(&self, reader: &mut Reader<'_>, file: &FileDefaults, target: Target) -> Deployment {
        let (params, info) = (&self.params, &self.info);
        let own = Limits::read(reader, params).or(Limits::read(reader, &self.item));
        let of_info = Limits::read(reader, info);
        let limits = own.or(of_info).above_zero();
        limits::warn_of_zeros(reader, [params, &self.item, info]);
        let mut defaults = params::defaults(reader, params);
        let missing = |member: &&Member| defaults.iter().all(|own| own.key != member.key);
        let added: Vec<Member> = file.defaults.iter().filter(missing).cloned().collect();
        defaults.extend(added);
        let limit_members = [("rpm", own.rpm), ("tpm", own.tpm)];
        let request_timeout = reader.seconds(params, "request_timeout");
        let (drop_params, drop_paths) = drop_path::read(reader, params);
        Deployment {
            id: Arc::from(""),
            group: Arc::from(self.group.as_str()),
            litellm_model: self.model.clone(),
            model: target.model,
            provider: target.provider.to_owned(),
            cluster: String::new(),
            credential: target.credential,
            headers: params::headers(reader, params),
            weight: reader.number(params, "weight"),
            rpm: limits.rpm,
            tpm: limits.tpm,
            limits_from_model_info: own.is_none() && !of_info.is_none(),
            max_parallel_requests: reader.count(params, "max_parallel_requests").filter(|count| *count > 0),
            order: reader.integer(params, "order").or_else(|| reader.integer(info, "order")),
            timeout: reader.seconds(params, "timeout").or(request_timeout).or(file.timeout).filter(not_zero),
            stream_timeout: reader.seconds(params, "stream_timeout").or(file.stream_timeout).filter(not_zero),
            num_retries: reader.count(params, "num_retries"),
            cooldown_time: reader
                .seconds(info, "cooldown_time")
                .or_else(|| reader.seconds(params, "cooldown_time")),
            allowed_fails: reader.count(info, "allowed_fails"),
            allowed_fails_policy: self.allowed_fails_policy(reader),
            tags: tags::read(reader, params),
            tag_filtering: reader.bool(info, "enable_tag_filtering"),
            input_cost_per_token: self.cost(reader, "input_cost_per_token"),
            output_cost_per_token: self.cost(reader, "output_cost_per_token"),
            extra_body: params::extra_body(reader, params),
            drop_params,
            drop_paths,
            public_params: params::public(reader, params, &target.endpoint.display_url, &limit_members),
            info: self.public_info(reader),
            endpoint: target.endpoint,
            defaults,
        }
    }

    fn cost(&self, reader: &mut Reader<'_>, key: &str) -> Option<f64> {
        reader.number(&self.params, key).or_else(|| reader.number(&self.info, key))
    }

    fn allowed_fails_policy(&self, reader: &mut Reader<'_>) -> FailurePolicy {
        match reader.section(&self.info, "allowed_fails_policy") {
            Some(section) => failure_policy::read(reader, &section, failure_policy::ALLOWED_FAILS),
            None => FailurePolicy::default(),
        }
    }

    fn public_info(&self, reader: &mut Reader<'_>) -> Vec<Member> {
        let shown =
            |entry: &&Entry| entry.key != "id" && !crate::values::credentials::is_secret_name(&entry.key);
        let mut members = Vec::new();
        for entry in self.info.entries.iter().filter(shown) {
            let path = self.info.path.key(&entry.key);
            let value = match entry.node.value {
                Value::Null => Some(Value::Null),
                _ => reader.json_value(&entry.node, &path),
            };
            members.extend(value.map(|value| params::member(&entry.key, &value)));
        }
        members
    }
}

fn not_zero(duration: &Duration) -> bool {
    !duration.is_zero()
}
