//! The sections of an item, and the deployments made of them.

use std::sync::Arc;
use std::time::Duration;

use super::limits::{self, Limits};
use super::stored_credentials::StoredCredentials;
use super::{affinity, drop_path, ids, modes, native_params, params, prompt_template, shown, tags};
use crate::config::{Deployment, FailurePolicy, Member, Tls};
use crate::diagnostics::{Path, Place};
use crate::providers::{
    ChatParams, ResolveError, Resolved, Unsupported, check_without_model, resolve, tls_of_deployment,
};
use crate::settings::{ALLOWED_FAILS, read_failure_policy};
use crate::values::{Reader, Secret, Section, TextKind, Unset, is_secret_name};
use crate::yaml::{Entry, Value};

/// What applies to every deployment of a file.
pub(crate) struct FileDefaults {
    /// `ssl_verify` of litellm_settings or the environment.
    pub(crate) tls: Tls,
    /// `llm_balancer.unsupported_deployments: skip`
    pub(crate) skip_unsupported: bool,
    /// `LITELLM_ENVIRONMENT`
    pub(crate) environment: Option<String>,
    /// `litellm_settings.drop_params`
    pub(crate) drop_params: bool,
    /// `router_settings.default_litellm_params`: request parameters.
    pub(crate) members: Vec<Member>,
    /// The same: `timeout`.
    pub(crate) timeout: Option<Duration>,
    /// The same: `stream_timeout`.
    pub(crate) stream_timeout: Option<Duration>,
    /// Defaults of litellm_settings for litellm_params.
    pub(crate) params: Vec<Entry>,
    /// `credential_list`
    pub(crate) credentials: StoredCredentials,
}

/// The deployments of an item.
pub(super) enum Item {
    /// None: the report has the error.
    Invalid,
    /// None: it is not supported, and the file skips such deployments.
    Skipped(SkippedDeployment),
    /// None: it belongs to another environment. The group.
    OtherEnvironment(String),
    /// One, or one for each organization.
    Deployments(Vec<(Place, Deployment)>),
}

/// A deployment that is not supported and skipped.
pub(super) struct SkippedDeployment {
    pub(crate) group: String,
    /// `litellm_params.model`.
    pub(crate) model: String,
    /// `model_info.id`, if it has one.
    pub(crate) id: Option<String>,
    /// The key of litellm_params that the message is about, with its place.
    pub(crate) key: (&'static str, Place),
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) advice: String,
}

/// The sections of an item.
pub(super) struct RawDeployment<'s> {
    /// `model_name`
    pub(super) group: String,
    /// `litellm_params.model`
    pub(super) model: String,
    pub(super) item: Section<'s>,
    /// litellm_params with the values of its stored credential, and defaults of the file.
    pub(super) params: Section<'s>,
    /// litellm_params as they are written: LiteLLM's id and its listings have no others.
    pub(super) written: Section<'s>,
    pub(super) info: Section<'s>,
}

impl RawDeployment<'_> {
    /// Its deployments: one, or one for each organization.
    pub(super) fn deployments(&self, reader: &mut Reader<'_>, file: &FileDefaults) -> Item {
        let tls = tls_of_deployment(reader, &self.params, &file.tls);
        match resolve(reader, [&self.params, &self.info], &self.model, &tls) {
            Ok(resolved) => {
                modes::warn(reader, [&self.params, &self.info], &resolved);
                native_params::warn(reader, &self.params, &resolved);
                prompt_template::check(reader, &self.params, &resolved);
                Item::Deployments(self.per_organization(reader, file, resolved))
            }
            Err(ResolveError::Unsupported(unsupported)) if file.skip_unsupported => {
                Item::Skipped(self.skipped(reader, unsupported))
            }
            Err(error) => {
                if let ResolveError::Unsupported(Unsupported { key, message, advice }) = error {
                    let path = self.params.path.key(key);
                    reader.report.error(self.place_of(key), &path, &message, &advice);
                }
                // To report the errors of the rest as well.
                self.deployment(reader, file, Resolved::placeholder());
                Item::Invalid
            }
        }
    }

    /// Reports the errors of a deployment without a valid group or model.
    pub(super) fn report_rest(&self, reader: &mut Reader<'_>, file: &FileDefaults) {
        tls_of_deployment(reader, &self.params, &file.tls);
        check_without_model(reader, [&self.params, &self.info]);
        self.deployment(reader, file, Resolved::placeholder());
    }

    fn per_organization(
        &self,
        reader: &mut Reader<'_>,
        file: &FileDefaults,
        resolved: Resolved,
    ) -> Vec<(Place, Deployment)> {
        let id = self.own_id(reader);
        let organizations = self.organizations(reader, resolved.provider);
        let first = self.deployment(reader, file, resolved);
        let mut all = Vec::new();
        for organization in &organizations {
            let mut deployment = first.clone();
            let one_of_several = if organizations.len() > 1 { organization.as_deref() } else { None };
            let computed = |env| ids::of_deployment(&self.group, self.written.entries, one_of_several, env);
            let (id, named_after) = match (&id, one_of_several) {
                // In LiteLLM, all organizations of a list have the same id and share all state.
                // Here each has its own cooldowns and limits.
                (Some(id), Some(organization)) => (format!("{id}-{organization}"), None),
                (Some(id), None) => (id.clone(), None),
                (None, _) => (computed(Some(&mut reader.env)), Some(computed(None))),
            };
            if let Some(organization) = organization {
                deployment.headers.push(("openai-organization".to_owned(), Secret::new(organization)));
            }
            let named_after = named_after.as_deref().unwrap_or(&id);
            deployment.cluster = ids::cluster(&self.group, named_after, &deployment.endpoint);
            deployment.id = Arc::from(id);
            all.push((self.item.place, deployment));
        }
        all
    }

    fn skipped(&self, reader: &mut Reader<'_>, unsupported: Unsupported) -> SkippedDeployment {
        let Unsupported { key, message, advice } = unsupported;
        let path = self.info.path.key("id");
        let id = self.info.find("id");
        let id = id.and_then(|entry| reader.string_of(&entry.node, &path, Unset::Ignore));
        let (group, model) = (self.group.clone(), self.model.clone());
        SkippedDeployment { group, model, id, key: (key, self.place_of(key)), message, advice }
    }

    /// The place of a key of litellm_params, or of `model` without it.
    fn place_of(&self, key: &str) -> Place {
        let entry = self.params.find(key).or_else(|| self.params.find("model"));
        entry.map_or(self.params.place, |entry| entry.place)
    }

    fn own_id(&self, reader: &mut Reader<'_>) -> Option<String> {
        let entry = self.info.find("id")?;
        let id = reader.string_of(&entry.node, &self.info.path.key("id"), Unset::Error)?;
        let path = self.info.path.key("id");
        if id.is_empty() {
            reader.report.error(entry.place, &path, "empty value", "write an id, or remove the key");
            return None;
        }
        reader.check_text(entry.place, &path, &id, TextKind::Name).then_some(id)
    }

    /// One `None` if there is no organization.
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

    /// The first variable is LiteLLM's, the second its OpenAI client's.
    fn organization_of_the_environment(&self, reader: &mut Reader<'_>) -> Option<String> {
        let (variable, name) = reader.env.first_named(&["OPENAI_ORGANIZATION", "OPENAI_ORG_ID"])?;
        reader
            .check_text(self.params.place, &Path::top(variable), &name, TextKind::AsciiHeader)
            .then_some(name)
    }

    fn deployment(&self, reader: &mut Reader<'_>, file: &FileDefaults, resolved: Resolved) -> Deployment {
        let (params, info) = (&self.params, &self.info);
        let own = Limits::read(reader, params).or(Limits::read(reader, &self.item));
        let of_info = Limits::read(reader, info);
        let limits = own.or(of_info).above_zero();
        limits::warn_of_zeros(reader, [params, &self.item, info]);
        shown::warn(reader, info);
        let mut defaults = params::defaults(reader, params, resolved.provider);
        let missing = |member: &&Member| defaults.iter().all(|own| own.key != member.key);
        let added: Vec<Member> = file.members.iter().filter(missing).cloned().collect();
        defaults.extend(added);
        defaults.retain(|member| !native_params::is_withheld(resolved.provider, &member.key));
        let limit_members = [("rpm", own.rpm), ("tpm", own.tpm)];
        let request_timeout = reader.seconds(params, "request_timeout");
        let (drop_params, drop_paths) = drop_path::read(reader, params);
        let drops = reader.drop_params(params) == Some(true) || file.drop_params;
        let allowed = reader.strings(params, "allowed_openai_params").unwrap_or_default();
        let base_model =
            [info, params].into_iter().find_map(|section| modes::find_text(section, "base_model"));
        Deployment {
            id: Arc::from(""),
            group: Arc::from(self.group.as_str()),
            litellm_model: self.model.clone(),
            model: resolved.model,
            provider: resolved.provider.to_owned(),
            infers_provider: resolved.infers_provider,
            cluster: String::new(),
            credential: resolved.credential,
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
            max_input_tokens: self.max_input_tokens(),
            affinity: affinity::read(reader, [params, info]),
            tags: tags::read(reader, params),
            tag_filtering: reader.bool(info, "enable_tag_filtering"),
            input_cost_per_token: self.cost(reader, "input_cost_per_token"),
            output_cost_per_token: self.cost(reader, "output_cost_per_token"),
            extra_body: params::extra_body(reader, params, resolved.endpoint.layout),
            chat_params: ChatParams::new(resolved.provider, &self.model, base_model, drops, &allowed),
            drop_params,
            drop_paths,
            public_params: params::public(
                reader, &self.written, &resolved.endpoint.display_url, &limit_members,
            ),
            info: self.public_info(reader),
            endpoint: resolved.endpoint,
            defaults,
        }
    }

    fn cost(&self, reader: &mut Reader<'_>, key: &str) -> Option<f64> {
        reader.number(&self.params, key).or_else(|| reader.number(&self.info, key))
    }

    /// As in LiteLLM, a value that is not a whole number is shown and not compared.
    fn max_input_tokens(&self) -> Option<u64> {
        match self.info.find("max_input_tokens")?.node.value {
            Value::Int(tokens) => u64::try_from(tokens).ok(),
            _ => None,
        }
    }

    fn allowed_fails_policy(&self, reader: &mut Reader<'_>) -> FailurePolicy {
        let section = reader.section(&self.info, "allowed_fails_policy");
        section.map(|section| read_failure_policy(reader, &section, ALLOWED_FAILS)).unwrap_or_default()
    }

    fn public_info(&self, reader: &mut Reader<'_>) -> Vec<Member> {
        // A text below a name of its own is the operator's note, as in LiteLLM, unless the name is
        // plainly a credential's.
        let shown = |entry: &&Entry| !matches!(&*entry.key, "id" | "token") && !is_secret_name(&entry.key);
        let mut members = Vec::new();
        for entry in self.info.entries.iter().filter(shown) {
            let path = self.info.path.key(&entry.key);
            let value = reader.json_value_or_null(&entry.node, &path);
            members.extend(value.map(|value| Member::new(&entry.key, &params::without_secrets(value))));
        }
        members
    }
}

fn not_zero(duration: &Duration) -> bool {
    !duration.is_zero()
}
