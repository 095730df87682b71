//! Azure OpenAI and Azure AI Foundry.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::base_url::BaseUrl;
use super::context::{ResolveContext, ResolveError};
use super::endpoint_parts::EndpointParts;
use super::infer::infer_provider;
use crate::config::{Credential, Layout};

/// LiteLLM's `AZURE_DEFAULT_API_VERSION` in 1.109.1.
const AZURE_DEFAULT_VERSION: &str = "2025-02-01-preview";
/// LiteLLM's version for Azure AI Foundry resources.
const FOUNDRY_VERSION: &str = "2024-05-01-preview";
/// Characters of a query that are escaped: all but the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl ResolveContext<'_, '_, '_> {
    /// A path per deployment and the header `api-key`; at `/openai/v1`, OpenAI's own layout.
    pub(super) fn azure(&mut self, name: &str) -> Result<EndpointParts, ResolveError> {
        let base = self.base()?;
        // Endpoints of one model, such as Mistral's, speak OpenAI's format with a bearer key.
        if base.host.ends_with(".inference.ai.azure.com") || base.host.ends_with(".models.ai.azure.com") {
            return self.azure_ai(name);
        }
        self.azure_at(base, name)
    }

    fn azure_at(&mut self, mut base: BaseUrl, name: &str) -> Result<EndpointParts, ResolveError> {
        let display_url = base.display_url();
        let version = self.azure_version(&base)?;
        let model = self.azure_deployment(&mut base, name);
        let v1 = base.path.ends_with("/openai/v1")
            || model.is_none() && matches!(version.as_deref(), Some("preview" | "latest" | "v1"));
        if v1 {
            base.trim_path("/openai/v1");
            base.end_path("/openai");
            base.end_path("/v1");
            let credential = self.azure_key(&base, true)?;
            let parts = EndpointParts::openai(base, display_url, None).with(Layout::AzureV1);
            return Ok(EndpointParts { credential, ..parts });
        }
        let layout = if base.path.contains("/openai/deployments/") {
            Layout::AzureDeployment
        } else {
            Layout::AzureDeployments
        };
        // Cloudflare's gateway has the deployment behind the resource, and no `/openai` before it.
        let in_path = base.host == "gateway.ai.cloudflare.com" && !name.contains('*');
        let layout = if in_path { Layout::AzureDeployment } else { layout };
        let is_end = |end: &&str| layout == Layout::AzureDeployments && base.trim_path(end);
        if let Some(end) = ["/openai/deployments", "/openai"].into_iter().find(is_end) {
            let message = format!("ends in {end}, which is removed: requests add it");
            self.warn("api_base", &message, &format!("remove {end}"));
        }
        if in_path && model.is_none() {
            base.path.push('/');
            base.path.extend(utf8_percent_encode(name, RESERVED));
        }
        let query = match (base.api_version(), version) {
            // The query of the base has it.
            (Some(_), _) => None,
            (None, Some(version)) => Some(version),
            (None, None) => {
                let message = format!("missing key: {AZURE_DEFAULT_VERSION} is used, as in LiteLLM");
                self.warn("api_version", &message, "set api_version");
                Some(AZURE_DEFAULT_VERSION.to_owned())
            }
        };
        let query = query.map(|version| version_query(&version));
        let credential = self.azure_key(&base, false)?;
        Ok(EndpointParts { base, layout, query, display_url, credential, model })
    }

    /// The version in `api_base`, as in LiteLLM, or else of the file or the environment.
    fn azure_version(&mut self, base: &BaseUrl) -> Result<Option<String>, ResolveError> {
        let set = self.version(&["AZURE_API_VERSION"])?;
        let Some(in_base) = base.api_version() else { return Ok(set) };
        let other = set.filter(|set| set != in_base && self.params.find("api_version").is_some());
        if let Some(other) = other {
            let message = format!("{other} is ignored: api_base has {in_base}");
            self.warn("api_version", &message, "remove one of them");
        }
        Ok(Some(in_base.to_owned()))
    }

    /// The deployment in `api_base`, as in the URLs of Azure's portal. LiteLLM sends requests
    /// there.
    fn azure_deployment(&mut self, base: &mut BaseUrl, name: &str) -> Option<String> {
        let deployment = base.take_deployment()?;
        if deployment != name {
            let message = format!("requests go to the deployment {deployment} of this URL, not to {name}");
            let advice = format!("write model: azure/{deployment} with api_base: {}", base.display_url());
            self.warn("api_base", &message, &advice);
        }
        Some(deployment)
    }

    /// A Foundry resource by path and version. Elsewhere OpenAI's models are Azure OpenAI's, as in
    /// LiteLLM, and others have OpenAI's layout.
    pub(super) fn azure_ai(&mut self, name: &str) -> Result<EndpointParts, ResolveError> {
        let mut base = self.base()?;
        let display_url = base.display_url();
        if base.path.contains("/api/projects") {
            let advice = format!("write https://{}", base.authority());
            return Err(self.mistake("api_base", "URL of a project, which serves no models", &advice));
        }
        let by_deployment = base.path.contains("/openai/deployments/");
        let v1 = base.path.ends_with("/openai/v1");
        // A resource also has paths of vendors, such as /providers/cohere/v2.
        let own = ["/v1", "/v2"].iter().any(|end| base.path.ends_with(end));
        let foundry = base.host.ends_with(".services.ai.azure.com");
        if is_openais(name) && !foundry && !by_deployment && !own {
            return self.azure_at(base, name);
        }
        if !foundry || by_deployment || own {
            let takes_key = by_deployment && (foundry || base.host.ends_with(".openai.azure.com"));
            let credential = if takes_key { Credential::ApiKey } else { Credential::Bearer };
            let layout = match (v1, by_deployment) {
                (true, _) => Layout::AzureV1,
                (false, true) => Layout::AzureDeployment,
                (false, false) => Layout::AzureAi,
            };
            let credential = self.expected_key().map(credential);
            let version = self.version(&[])?.filter(|_| base.api_version().is_none());
            let query = version.map(|version| version_query(&version));
            return Ok(EndpointParts { base, layout, query, display_url, credential, model: None });
        }
        base.end_path("/models");
        let version = self.version(&["AZURE_AI_API_VERSION"])?;
        let version = version.as_deref().unwrap_or(FOUNDRY_VERSION);
        let query = base.api_version().is_none().then(|| version_query(version));
        let credential = self.expected_key().map(Credential::ApiKey);
        Ok(EndpointParts { base, layout: Layout::Foundry, query, display_url, credential, model: None })
    }

    /// A token of Entra ID overrides a key, as in Azure's SDK.
    fn azure_key(&mut self, base: &BaseUrl, bearer: bool) -> Result<Option<Credential>, ResolveError> {
        if let Some(token) = self.credentials.token.clone() {
            return Ok(Some(Credential::Bearer(token)));
        }
        let key = self.key();
        // Those of `azure/`, which LiteLLM makes of `azure_ai/` with a model of OpenAI's.
        let key = key.or_else(|| self.secret_from(&["AZURE_OPENAI_API_KEY", "AZURE_API_KEY"]));
        if let Some(key) = key {
            return Ok(Some(if bearer { Credential::Bearer(key) } else { Credential::ApiKey(key) }));
        }
        let token = self.secret_from(&["AZURE_AD_TOKEN"]);
        match token {
            None if base.https => {
                let advice = "set api_key: os.environ/AZURE_API_KEY, or azure_ad_token";
                self.missing_credential("missing key or token: fetching tokens is not supported", advice)?;
            }
            None => self.warn_of_missing_key(),
            Some(_) => {}
        }
        Ok(token.map(Credential::Bearer))
    }
}

/// Whether the name is one of OpenAI's models, as far as Azure OpenAI serves them.
fn is_openais(name: &str) -> bool {
    let provider = infer_provider(name).filter(|_| !name.contains('*') && !name.starts_with("gpt-oss"));
    matches!(provider, Some("openai" | "text-completion-openai"))
}

/// The query that names a version.
fn version_query(version: &str) -> String {
    format!("api-version={}", utf8_percent_encode(version, RESERVED))
}
