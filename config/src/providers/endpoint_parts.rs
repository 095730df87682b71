//! What an endpoint is made of.

use super::base_url::BaseUrl;
use crate::config::{Credential, Endpoint, Layout, Tls};
use crate::values::Secret;

/// What an endpoint is made of.
pub(super) struct EndpointParts {
    pub(super) base: BaseUrl,
    pub(super) layout: Layout,
    /// Added to every request.
    pub(super) query: Option<String>,
    /// `api_base` as clients may see it.
    pub(super) display_url: String,
    pub(super) credential: Option<Credential>,
    /// The model's name if the base has another one than the file.
    pub(super) model: Option<String>,
}

impl EndpointParts {
    /// OpenAI's layout, with a bearer key.
    pub(super) fn openai(base: BaseUrl, display_url: String, key: Option<Secret>) -> Self {
        let credential = key.map(Credential::Bearer);
        Self { base, layout: Layout::OpenAi, query: None, display_url, credential, model: None }
    }

    /// The same with another layout.
    pub(super) fn with(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// The endpoint; `tls` applies to https only.
    pub(super) fn endpoint(self, tls: &Tls) -> Endpoint {
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
