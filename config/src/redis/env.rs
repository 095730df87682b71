//! LiteLLM's environment variables about Redis.

use std::str::FromStr;

use crate::diagnostics::{Path, Place};
use crate::values::Reader;

/// Looked up with all the others, and read as a credential where it is used.
pub(super) const PASSWORD: &str = "REDIS_PASSWORD";

/// LiteLLM's variables; `None` if unset or empty.
pub(super) struct Variables {
    /// `REDIS_URL`
    pub(super) url: Option<String>,
    /// `REDIS_HOST`
    pub(super) host: Option<String>,
    /// `REDIS_PORT`
    pub(super) port: Option<String>,
    /// `REDIS_USERNAME`
    pub(super) username: Option<String>,
    /// `REDIS_DB`
    pub(super) database: Option<String>,
    /// `REDIS_SSL`
    pub(super) ssl: Option<String>,
    /// `REDIS_SSL_CA_CERTS`
    pub(super) ca_certs: Option<String>,
    /// `REDIS_SSL_CERT_REQS`
    pub(super) cert_reqs: Option<String>,
    /// `REDIS_CLUSTER_NODES`
    pub(super) cluster: Option<String>,
    /// `REDIS_SENTINEL_NODES`
    pub(super) sentinel: Option<String>,
}

impl Variables {
    /// Looks up all of them: the filter gets those that were looked up, and any may be set later.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.env.get(PASSWORD);
        let mut get = |name| reader.env.first_of(&[name]);
        Self {
            url: get("REDIS_URL"),
            host: get("REDIS_HOST"),
            port: get("REDIS_PORT"),
            username: get("REDIS_USERNAME"),
            database: get("REDIS_DB"),
            ssl: get("REDIS_SSL"),
            ca_certs: get("REDIS_SSL_CA_CERTS"),
            cert_reqs: get("REDIS_SSL_CERT_REQS"),
            cluster: get("REDIS_CLUSTER_NODES"),
            sentinel: get("REDIS_SENTINEL_NODES"),
        }
    }

    /// Those that apply beside a URL: how the certificate is verified. A URL has the rest.
    pub(super) fn beside_a_url(self) -> Self {
        Self { port: None, username: None, database: None, ssl: None, ..self }
    }
}

/// A number; `None` with an error if the variable holds none.
pub(super) fn number<T: FromStr>(reader: &mut Reader<'_>, place: Place, name: &str, text: &str) -> Option<T> {
    let number = text.trim().parse().ok();
    if number.is_none() {
        reader.report.error(place, &Path::top(name), "invalid number", "correct it, or unset the variable");
    }
    number
}
