//! LiteLLM's environment variables about Redis, which fill in what the file leaves open.

use std::str::FromStr;

use crate::diagnostics::report::Path;
use crate::values::reader::Reader;
use crate::yaml::tree::Place;

/// Looked up with all the others, and read as the credential that it is where it is used.
pub const PASSWORD: &str = "REDIS_PASSWORD";

/// LiteLLM's variables, each as far as it is set and not empty.
pub struct Variables {
    /// `REDIS_URL`
    pub url: Option<String>,
    /// `REDIS_HOST`
    pub host: Option<String>,
    /// `REDIS_PORT`
    pub port: Option<String>,
    /// `REDIS_USERNAME`
    pub username: Option<String>,
    /// `REDIS_DB`
    pub database: Option<String>,
    /// `REDIS_SSL`
    pub ssl: Option<String>,
    /// `REDIS_SSL_CA_CERTS`
    pub ca_certs: Option<String>,
    /// `REDIS_SSL_CERT_REQS`
    pub cert_reqs: Option<String>,
    /// `REDIS_CLUSTER_NODES`
    pub cluster: Option<String>,
    /// `REDIS_SENTINEL_NODES`
    pub sentinel: Option<String>,
}

impl Variables {
    /// All at once: those that are not set today may be tomorrow, and the filter gets those that were looked up.
    pub fn read(reader: &mut Reader<'_>) -> Self {
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

    /// Beside a URL, wherever that comes from, only what says how its certificate is verified: a URL is complete.
    pub fn beside_a_url(self) -> Self {
        Self { port: None, username: None, database: None, ssl: None, ..self }
    }
}

/// A number of the environment; `None` if it is none, and the report says so.
pub fn number<T: FromStr>(reader: &mut Reader<'_>, place: Place, name: &str, text: &str) -> Option<T> {
    let number = text.trim().parse().ok();
    if number.is_none() {
        reader.report.refuse(
            place,
            &Path::top(name),
            "is no number that it can be",
            "correct it, or unset it",
        );
    }
    number
}
