//! What is known of one deployment while its endpoint is resolved.

use super::base_url::{self, BaseUrl};
use super::provider::{Protocol, Provider};
use super::{lookup, routes};
use crate::config::Wire;
use crate::diagnostics::{ADVISES, Path, Place};
use crate::values::url::{InvalidUrl, is_loopback};
use crate::values::{Reader, Secret, Section, TextKind, Unset};
use crate::yaml::Value;

/// Why a deployment has no endpoint.
pub(crate) enum ResolveError {
    /// The report has the error.
    Reported,
    /// The deployment is not supported.
    Unsupported(Unsupported),
}

/// Why a deployment is not supported.
pub(crate) struct Unsupported {
    /// The key of litellm_params that the message is about.
    pub(crate) key: &'static str,
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) advice: String,
}

impl ResolveError {
    /// A model that is not supported.
    #[inline(always)]
    pub(super) fn unsupported(message: impl Into<String>, advice: impl Into<String>) -> Self {
        let advice = if ADVISES { advice.into() } else { String::new() };
        Self::Unsupported(Unsupported { key: "model", message: message.into(), advice })
    }
}

/// The credentials in the file.
pub(super) struct Credentials {
    key: Option<Secret>,
    /// `azure_ad_token`
    pub(super) token: Option<Secret>,
}

impl Credentials {
    /// Reads both, to report errors in both.
    pub(super) fn read(reader: &mut Reader<'_>, params: &Section<'_>) -> Self {
        Self { key: secret(reader, params, "api_key"), token: secret(reader, params, "azure_ad_token") }
    }
}

fn secret(reader: &mut Reader<'_>, params: &Section<'_>, name: &str) -> Option<Secret> {
    // An empty key in the file counts as unset, as in LiteLLM; an empty variable is an error.
    let entry = params.find(name).filter(|entry| entry.node.value != Value::Text(String::new()))?;
    reader.secret(entry, &params.path.key(name), Unset::Error)
}

/// One deployment while its endpoint is resolved.
pub(super) struct ResolveContext<'c, 'r, 's> {
    pub(super) reader: &'c mut Reader<'r>,
    /// litellm_params
    pub(super) params: &'c Section<'s>,
    pub(super) provider: &'static Provider,
    /// The API that the deployment is to be called by.
    pub(super) wire: Wire,
    /// `model` without the provider's prefix.
    pub(super) written: &'c str,
    /// From the file.
    pub(super) api_base: Option<String>,
    /// From the file.
    pub(super) credentials: Credentials,
    /// The environment has an invalid key, and the report has the error.
    pub(super) has_invalid_key: bool,
}

impl ResolveContext<'_, '_, '_> {
    /// The base of the file, of the environment, or the provider's own.
    pub(super) fn base(&mut self) -> Result<BaseUrl, ResolveError> {
        if let Some(base) = self.api_base.clone() {
            return self.parse(&base);
        }
        let variables = self.provider.base_variables();
        let names: Vec<&str> = variables.iter().map(AsRef::as_ref).collect();
        let set =
            if self.params.find("api_base").is_some() { None } else { self.reader.env.first_named(&names) };
        match set {
            Some((name, base)) => self.parse_variable(name, &base),
            None if self.provider.base.is_empty() => {
                let variable = names.first().map(|name| format!(", or {name}")).unwrap_or_default();
                let message = format!("missing api_base: {} has no default", self.provider.name);
                Err(self.mistake("model", &message, &format!("set api_base{variable}")))
            }
            None if self.provider.name == "baseten" && is_basetens_id(self.written) => {
                let id = self.written;
                self.parse(&format!("https://model-{id}.api.baseten.co/environments/production/sync/v1"))
            }
            None => self.parse(self.provider.base),
        }
    }

    /// A base of the environment, whose errors are reported under the name of its variable.
    fn parse_variable(&mut self, name: &str, text: &str) -> Result<BaseUrl, ResolveError> {
        if let Err(InvalidUrl(message, advice)) = base_url::parse(text) {
            self.reader.report.error(self.params.place, &Path::top(name), message, advice);
            return Err(ResolveError::Reported);
        }
        self.parse(text)
    }

    /// Parses a base. A route at its end is removed, or an error.
    pub(super) fn parse(&mut self, text: &str) -> Result<BaseUrl, ResolveError> {
        let entry = self.params.find("api_base").or_else(|| self.params.find("base_url"));
        let path = self.params.path.key("api_base");
        let place = entry.map_or(self.params.place, |entry| entry.node.place);
        let mut base = match base_url::parse(text) {
            Ok(base) => base,
            Err(InvalidUrl(message, advice)) => {
                self.reader.report.error(place, &path, message, advice);
                return Err(ResolveError::Reported);
            }
        };
        let protocol = self.provider.protocol;
        if let Some((route, advice)) = base.foreign_route(protocol, self.wire) {
            let message = format!("{route} is not a route of OpenAI's format");
            self.reader.report.error(place, &path, &message, &advice);
            return Err(ResolveError::Reported);
        }
        if let Some(route) = base.trim_route(protocol) {
            let message = format!("ends in {route}, which is removed: requests add their route");
            if route == "/rerank" && protocol == Protocol::Cohere {
                return Ok(base);
            }
            let query = if base.query.is_some() { ", and the query behind it" } else { "" };
            let advice = format!("write {}{query}", base.display_url());
            self.reader.report.warn(place, &path, &message, &advice);
        }
        Ok(base)
    }

    /// A setting of the file, or of a variable.
    fn setting(&mut self, key: &str, variables: &[&str]) -> Option<String> {
        self.written(key).or_else(|| self.reader.env.first_of(variables))
    }

    /// A setting of the file, unless it is empty.
    fn written(&mut self, key: &str) -> Option<String> {
        self.reader.string(self.params, key).filter(|text| !text.is_empty())
    }

    /// A setting that becomes a part of a host or a path.
    pub(super) fn label(&mut self, key: &str, variables: &[&str]) -> Result<Option<String>, ResolveError> {
        self.label_of(&[key], variables)
    }

    /// The same for a setting with several names, of which the first that is set applies.
    pub(super) fn label_of(
        &mut self,
        keys: &[&str],
        variables: &[&str],
    ) -> Result<Option<String>, ResolveError> {
        let of_file = keys.iter().find_map(|key| Some((*key, self.written(key)?)));
        let first = keys.first().copied().unwrap_or_default();
        let set = of_file.or_else(|| Some((first, self.reader.env.first_of(variables)?)));
        let Some((key, text)) = set else { return Ok(None) };
        let path = self.params.path.key(key);
        let text = text.trim();
        if !self.reader.check_text(self.place_of(key), &path, text, TextKind::Label) {
            return Err(ResolveError::Reported);
        }
        Ok(Some(text.to_owned()))
    }

    /// `api_version`, without what people copy along with it.
    pub(super) fn version(&mut self, variables: &[&str]) -> Result<Option<String>, ResolveError> {
        let Some(written) = self.setting("api_version", variables) else { return Ok(None) };
        let Some(version) = routes::cleaned_version(&written) else {
            let advice = "write a version of Azure's, such as 2024-10-21";
            return Err(self.mistake("api_version", "invalid api-version", advice));
        };
        if version != written {
            let message = format!("only {version} is used of the value");
            self.warn("api_version", &message, &format!("write {version}"));
        }
        Ok(Some(version))
    }

    /// Reports a missing credential without which every request fails. The operator can accept it,
    /// for a proxy that adds one.
    pub(super) fn missing_credential(&mut self, message: &str, advice: &str) -> Result<(), ResolveError> {
        if self.has_own_authorization() || self.has_invalid_key {
            return Ok(());
        }
        let path = self.params.path.key("api_key");
        if self.reader.report.is_accepted(self.params.place, &path, message, advice) {
            return Ok(());
        }
        let (message, advice) = (message.to_owned(), advice.to_owned());
        Err(ResolveError::Unsupported(Unsupported { key: "api_key", message, advice }))
    }

    /// The base of the file, or of a variable.
    pub(super) fn base_or(&mut self, variables: &[&str]) -> Option<String> {
        self.api_base.clone().or_else(|| self.reader.env.first_of(variables))
    }

    /// The key of the file, or of the provider's variables.
    pub(super) fn key(&mut self) -> Option<Secret> {
        if self.credentials.key.is_some() {
            return self.credentials.key.clone();
        }
        let variables = self.provider.key_variables();
        let names: Vec<&str> = variables.iter().map(AsRef::as_ref).collect();
        let key = self.secret_from(&names);
        if ADVISES && key.is_some() {
            self.warn_of_another_address(&names);
        }
        key
    }

    /// Warns that a key of the environment, which the deployment does not name, is sent to a server
    /// that is not the provider's. Nothing is wrong on this machine, where most such servers are,
    /// nor for a provider whose server the operator runs or rents under a name of its own.
    fn warn_of_another_address(&mut self, names: &[&str]) {
        let Some(text) = self.api_base.as_deref() else { return };
        let (Ok(base), Ok(own)) = (base_url::parse(text), base_url::parse(self.provider.base)) else {
            return;
        };
        let is_known = lookup::at_base(text).is_some_and(|found| found.name == self.provider.name);
        let is_own = base.domain() == own.domain() || self.provider.other_domains().contains(&base.domain());
        if !own.https || is_known || is_loopback(&base.host) || is_own {
            return;
        }
        let is_set = |name: &&&str| self.reader.env.peek(name).is_some_and(|(value, _)| !value.is_empty());
        let Some(name) = names.iter().find(is_set) else { return };
        let (provider, plainly) = (self.provider.name, if base.https { "" } else { "in plain text " });
        let message = format!(
            "{name} of the environment is sent {plainly}to this address, which is not {provider}'s own"
        );
        let vllm = if provider == "openai" { " (for vLLM model: hosted_vllm/name)" } else { "" };
        let advice = format!("write api_key: os.environ/{name} if that is meant, else api_key: none{vllm}");
        self.warn("api_base", &message, &advice);
    }

    /// A credential of the environment.
    pub(super) fn secret_from(&mut self, names: &[&str]) -> Option<Secret> {
        let path = self.params.path.key("api_key");
        let errors_before = self.reader.report.errors();
        let secret = self.reader.secret_from(names, self.params.place, &path, TextKind::AsciiHeader);
        self.has_invalid_key |= self.reader.report.errors() > errors_before;
        secret
    }

    /// The key, with a warning if there is none.
    pub(super) fn expected_key(&mut self) -> Option<Secret> {
        let key = self.key();
        if key.is_none() {
            self.warn_of_missing_key();
        }
        key
    }

    /// Warns that the provider requires a key. An empty variable is an error.
    pub(super) fn warn_of_missing_key(&mut self) {
        if self.has_own_authorization() || self.has_invalid_key {
            return;
        }
        let variables = self.provider.key_variables();
        let names: Vec<&str> = variables.iter().map(AsRef::as_ref).collect();
        let own_address = self.api_base.is_none() && !self.provider.base.is_empty();
        let empty = names.iter().find(|name| self.reader.env.get(name).is_some());
        if let (true, Some(name)) = (own_address, empty) {
            let path = self.params.path.key("api_key");
            let message = format!("environment variable {name}: empty value");
            self.reader.report.error(self.params.place, &path, &message, "set it, or unset the variable");
            return;
        }
        if !ADVISES {
            return;
        }
        let requires = if own_address { "rejects requests without one" } else { "usually requires one" };
        let message = format!("missing api_key: {} {requires}", self.provider.name);
        let advice = match self.provider.advised_variable() {
            Some(name) => format!("set api_key: os.environ/{name}"),
            None => "set api_key".to_owned(),
        };
        let path = self.params.path;
        self.reader.report.warn(self.params.place, &path, &message, &advice);
    }

    fn has_own_authorization(&self) -> bool {
        const NAMES: [&str; 4] = ["authorization", "api-key", "x-api-key", "x-goog-api-key"];
        let maps =
            ["extra_headers", "headers"].iter().filter_map(|key| self.params.find(key)?.node.entries());
        let mut headers = maps.flatten();
        headers.any(|entry| NAMES.iter().any(|name| entry.key.eq_ignore_ascii_case(name)))
    }

    /// The place of a key, or of litellm_params without it.
    fn place_of(&self, key: &str) -> Place {
        self.params.find(key).map_or(self.params.place, |entry| entry.place)
    }

    /// Reports an error at a key, also where unsupported deployments are skipped.
    pub(super) fn mistake(&mut self, key: &str, message: &str, advice: &str) -> ResolveError {
        self.reader.report.error(self.place_of(key), &self.params.path.key(key), message, advice);
        ResolveError::Reported
    }

    /// Adds a warning at a key.
    #[inline(always)]
    pub(super) fn warn(&mut self, key: &str, message: &str, advice: &str) {
        if ADVISES {
            self.reader.report.warn(self.place_of(key), &self.params.path.key(key), message, advice);
        }
    }
}

/// Whether a model of Baseten's is a deployment of one's own, which has its own host.
fn is_basetens_id(name: &str) -> bool {
    name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
