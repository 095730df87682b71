//! One deployment on its way to an endpoint, and what every provider's way is made of.

use crate::config::{Credential, Endpoint, Layout, Tls};
use crate::diagnostics::report::{ADVISES, Path};
use crate::providers::base_url::{self, BaseUrl};
use crate::providers::base_url_routes;
use crate::providers::resolve::{ResolveError, Unsupported};
use crate::providers::table::Provider;
use crate::values::reader::{Reader, Section, Unset};
use crate::values::secret::Secret;
use crate::values::visible::TextKind;
use crate::yaml::tree::{Entry, Value};

/// What a protocol is made of, before it becomes an endpoint.
pub struct EndpointParts {
    /// Scheme, host, port and path.
    pub base: BaseUrl,
    /// How routes stand behind the path.
    pub layout: Layout,
    /// Added to every request.
    pub query: Option<String>,
    /// `api_base` as clients may see it.
    pub display_url: String,
    /// What opens it.
    pub credential: Option<Credential>,
    /// The model's name there, where the base names another one than the file.
    pub model: Option<String>,
}

impl EndpointParts {
    /// OpenAI's layout.
    pub fn openai(base: BaseUrl, display_url: String, credential: Option<Credential>) -> Self {
        Self { base, layout: Layout::OpenAi, query: None, display_url, credential, model: None }
    }

    /// The same where the provider has other routes, or has them elsewhere.
    pub fn with(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// The endpoint; `tls` applies to https alone.
    pub fn endpoint(self, tls: &Tls) -> Endpoint {
        let base = self.base;
        let query = match (base.query.clone(), self.query) {
            (Some(first), Some(second)) => Some(format!("{first}&{second}")),
            (first, second) => first.or(second),
        };
        Endpoint {
            tls: if base.https { tls.clone() } else { Tls::Off },
            authority: base.authority(),
            host: base.host,
            port: base.port,
            path: base.path,
            layout: self.layout,
            query,
            display_url: self.display_url,
        }
    }
}

/// What the file itself gives to open the provider.
pub struct Credentials {
    key: Option<Secret>,
    /// `azure_ad_token`
    pub token: Option<Secret>,
}

impl Credentials {
    /// Reads both, so that both are reported on whatever else is wrong.
    pub fn read(reader: &mut Reader<'_>, params: &Section<'_>) -> Self {
        Self { key: secret(reader, params, "api_key"), token: secret(reader, params, "azure_ad_token") }
    }
}

fn secret(reader: &mut Reader<'_>, params: &Section<'_>, name: &str) -> Option<Secret> {
    // An empty key in the file is an absent one, as in LiteLLM; an empty variable is a mistake.
    let entry = params.find(name).filter(|entry| entry.node.value != Value::Text(String::new()))?;
    reader.secret(entry, &params.path.key(name), Unset::Refuse)
}

/// One deployment on its way to an endpoint.
pub struct ResolveContext<'c, 'r, 's> {
    /// Where values come from and findings go.
    pub reader: &'c mut Reader<'r>,
    /// litellm_params
    pub params: &'c Section<'s>,
    /// Whose way it is.
    pub provider: &'static Provider,
    /// `model` behind the provider's prefix.
    pub written: &'c str,
    /// From the file, if it is there.
    pub api_base: Option<String>,
    /// Likewise.
    pub given: Credentials,
    /// The environment has a key that cannot be used, and the report says so.
    pub key_refused: bool,
}

impl ResolveContext<'_, '_, '_> {
    /// The base from the file, the environment, or the provider's own.
    pub fn base(&mut self) -> Result<BaseUrl, ResolveError> {
        if let Some(given) = self.api_base.clone() {
            return self.parse(&given);
        }
        let variables = self.provider.base_variables();
        let names: Vec<&str> = variables.iter().map(AsRef::as_ref).collect();
        let set =
            if self.params.find("api_base").is_some() { None } else { self.reader.env.first_named(&names) };
        match set {
            Some((name, base)) => self.parse_variable(name, &base),
            None if self.provider.base.is_empty() => {
                let set = names.first().map(|name| format!(", or {name}")).unwrap_or_default();
                let message =
                    format!("has no api_base, and {} has no address of its own", self.provider.name);
                Err(self.mistake("model", &message, &format!("set api_base{set}")))
            }
            None => self.parse(self.provider.base),
        }
    }

    /// The same for a base of the environment, which is reported on under its variable's name.
    fn parse_variable(&mut self, name: &str, text: &str) -> Result<BaseUrl, ResolveError> {
        if let Err(base_url::InvalidUrl(message, advice)) = base_url::parse(text) {
            self.reader.report.refuse(self.params.place, &Path::top(name), message, advice);
            return Err(ResolveError::Reported);
        }
        self.parse(text)
    }

    /// A base taken apart, with advice about a route at its end.
    pub fn parse(&mut self, text: &str) -> Result<BaseUrl, ResolveError> {
        let entry = self.base_entry();
        let path = self.params.path.key("api_base");
        let place = entry.map_or(self.params.place, |entry| entry.node.place);
        match base_url::parse(text) {
            Ok(mut base) => {
                let protocol = self.provider.protocol;
                if let Some((route, advice)) = base.foreign_route(protocol) {
                    let message = format!("ends in {route}, which belongs to another format than OpenAI's");
                    self.reader.report.refuse(place, &path, &message, &advice);
                    return Err(ResolveError::Reported);
                }
                if let Some(route) = base.trim_route(protocol) {
                    let message = format!("ends in {route}, which is added to it for every request");
                    let advice = format!("write {}", base.display_url());
                    self.reader.report.warn(place, &path, &message, &advice);
                }
                Ok(base)
            }
            Err(base_url::InvalidUrl(message, advice)) => {
                self.reader.report.refuse(place, &path, message, advice);
                Err(ResolveError::Reported)
            }
        }
    }

    fn base_entry(&self) -> Option<&Entry> {
        self.params.find("api_base").or_else(|| self.params.find("base_url"))
    }

    /// A setting of the file, or of a variable.
    pub fn setting(&mut self, key: &str, variables: &[&str]) -> Option<String> {
        let given = self.reader.string(self.params, key).filter(|text| !text.is_empty());
        given.or_else(|| self.reader.env.first_of(variables))
    }

    /// A setting that becomes a part of a host or a path.
    pub fn label(&mut self, key: &str, variables: &[&str]) -> Result<Option<String>, ResolveError> {
        let Some(text) = self.setting(key, variables) else { return Ok(None) };
        let path = self.params.path.key(key);
        let place = self.params.find(key).map_or(self.params.place, |entry| entry.place);
        let text = text.trim();
        match self.reader.check_text(place, &path, text, TextKind::Label) {
            true => Ok(Some(text.to_owned())),
            false => Err(ResolveError::Reported),
        }
    }

    /// `api_version`, mended where it was copied with something around it.
    pub fn version(&mut self, variables: &[&str]) -> Result<Option<String>, ResolveError> {
        let Some(written) = self.setting("api_version", variables) else { return Ok(None) };
        let Some(version) = base_url_routes::mended_version(&written) else {
            let advice = "write a version as Azure names it, such as 2024-10-21";
            return Err(self.mistake("api_version", "is no api-version", advice));
        };
        if version != written {
            let message = format!("holds more than a version, of which {version} is used");
            self.warn("api_version", &message, &format!("write {version}"));
        }
        Ok(Some(version))
    }

    /// Where a credential is missing without which every request fails. Something on the way may add one: then the
    /// operator accepts it.
    pub fn lacks_credential(&mut self, message: &str, advice: &str) -> Result<(), ResolveError> {
        if self.has_own_authorization() || self.key_refused {
            return Ok(());
        }
        let path = self.params.path.key("api_key");
        if self.reader.report.is_accepted(self.params.place, &path, message, advice) {
            return Ok(());
        }
        let (message, advice) = (message.to_owned(), advice.to_owned());
        Err(ResolveError::Unsupported(Unsupported { key: "api_key", message, advice }))
    }

    /// The base from the file, or from a variable if the file has none.
    pub fn base_or(&mut self, variables: &[&str]) -> Option<String> {
        self.api_base.clone().or_else(|| self.reader.env.first_of(variables))
    }

    /// The key from the file, or from the provider's variables if the file has none.
    pub fn key(&mut self) -> Option<Secret> {
        if self.given.key.is_some() {
            return self.given.key.clone();
        }
        let variables = self.provider.key_variables();
        let names: Vec<&str> = variables.iter().map(AsRef::as_ref).collect();
        self.secret_from(&names)
    }

    /// A credential of the environment.
    pub fn secret_from(&mut self, names: &[&str]) -> Option<Secret> {
        let path = self.params.path.key("api_key");
        let refusals_before = self.reader.report.refusals();
        let secret = self.reader.secret_from(names, self.params.place, &path, TextKind::AsciiHeader);
        self.key_refused |= self.reader.report.refusals() > refusals_before;
        secret
    }

    /// The key, with a warning if there is none.
    pub fn needed_key(&mut self) -> Option<Secret> {
        let key = self.key();
        if key.is_none() {
            self.warn_no_key();
        }
        key
    }

    /// Warns that the provider asks for a key.
    pub fn warn_no_key(&mut self) {
        if self.has_own_authorization() || self.key_refused {
            return;
        }
        let variables = self.provider.key_variables();
        let names: Vec<&str> = variables.iter().map(AsRef::as_ref).collect();
        let own_address = self.api_base.is_none() && !self.provider.base.is_empty();
        let empty = names.iter().find(|name| self.reader.env.get(name).is_some());
        if let (true, Some(name)) = (own_address, empty) {
            let path = self.params.path.key("api_key");
            let message = format!("the value of the environment variable {name} is empty");
            self.reader.report.refuse(self.params.place, &path, &message, "set it, or remove it");
            return;
        }
        if !ADVISES {
            return;
        }
        let message = match own_address {
            true => format!("has no api_key, and {} refuses every request without one", self.provider.name),
            false => format!("has no api_key, and {} asks for one", self.provider.name),
        };
        let advice = match variables.first() {
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

    /// Something that is wrong with the file, whatever becomes of deployments that are not served.
    pub fn mistake(&mut self, key: &str, message: &str, advice: &str) -> ResolveError {
        let place = self.params.find(key).map_or(self.params.place, |entry| entry.place);
        self.reader.report.refuse(place, &self.params.path.key(key), message, advice);
        ResolveError::Reported
    }

    /// A warning about a key, at that key if it is there.
    #[inline(always)]
    pub fn warn(&mut self, key: &str, message: &str, advice: &str) {
        if !ADVISES {
            return;
        }
        let place = self.params.find(key).map_or(self.params.place, |entry| entry.place);
        self.reader.report.warn(place, &self.params.path.key(key), message, advice);
    }
}
