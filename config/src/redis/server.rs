//! One Redis out of the sections that ask for it, with what the environment adds: its address, who we are there, and
//! how its certificate is verified.

use std::net::Ipv6Addr;
use std::num::NonZeroU16;

use crate::config::{Redis, Tls};
use crate::diagnostics::report::Path;
use crate::providers::base_url;
use crate::redis::env::{PASSWORD, Variables, number};
use crate::redis::sections::{ROUTER_KEYS, RedisSections};
use crate::redis::url::{self, DEFAULT_PORT, RedisUrl};
use crate::values::credentials;
use crate::values::environment::PREFIX;
use crate::values::reader::{Reader, Section, Unset};
use crate::values::secret::Secret;
use crate::values::visible::TextKind;
use crate::yaml::tree::{Entry, Place, Value};

/// What is no single server with a password, and the keys that ask for it.
const NOT_SERVED: &[(&str, &str)] = &[
    ("redis_startup_nodes", CLUSTER),
    ("startup_nodes", CLUSTER),
    ("sentinel_nodes", SENTINEL),
    ("gcp_service_account", "logs in to Redis with tokens, which is not served"),
];
const CLUSTER: &str = "is a Redis Cluster, which is not served";
const SENTINEL: &str = "finds Redis through Sentinel, which is not served";
const ONE_SERVER: &str = "name one server as redis_host or redis_url in router_settings, which go first";

/// Where Redis is, as far as its address says it.
#[derive(Default)]
struct Address {
    url: RedisUrl,
    /// Whether it was a URL, which is complete, or a host.
    complete: bool,
}

impl RedisSections<'_> {
    /// Reads it; `None` where there is none, or none that can be used, and the report says why.
    pub fn redis(&self, reader: &mut Reader<'_>, namespace: String) -> Option<Redis> {
        self.refuse_clusters(reader)?;
        let refusals_before = reader.report.refusals();
        let variables = Variables::read(reader);
        let address = self.address(reader, &variables);
        let complete = address.as_ref().is_some_and(|address| address.complete);
        // Without an address the rest is read all the same, so that everything is told at once.
        let url = address.map(|address| address.url).unwrap_or_default();
        let place = self.place();
        let variables = if complete { variables.beside_a_url() } else { variables };
        let port = if complete { Some(url.port) } else { self.port(reader, place, &variables) };
        let database = match url.database {
            Some(database) => Some(database),
            None => self.database(reader, place, &variables),
        };
        let password = match url.password.as_deref() {
            Some(password) => {
                reader.check_text(place, &Path::top("redis_url"), password, TextKind::Opaque);
                Some(Secret::new(password))
            }
            None => self.password(reader, complete),
        };
        let username = self.username(reader, &url, &variables).filter(|_| password.is_some());
        let tls = self.tls(reader, &url, &variables);
        if url.host.is_empty() || reader.report.refusals() > refusals_before {
            return None;
        }
        let (port, database) = (port?, database?);
        Some(Redis { host: url.host, port, database, username, password, tls, namespace })
    }

    /// `None` if one is asked for.
    fn refuse_clusters(&self, reader: &mut Reader<'_>) -> Option<()> {
        for (key, message) in NOT_SERVED {
            if let Some((section, _, entry)) = self.find([*key]).filter(|(.., entry)| !entry.node.is_falsy())
            {
                reader.refuse_at(entry, &section.path.key(key), message, ONE_SERVER);
                return None;
            }
        }
        Some(())
    }

    /// `None` if there is none, or none that can be used; the report says why.
    fn address(&self, reader: &mut Reader<'_>, variables: &Variables) -> Option<Address> {
        if let Some((section, key, entry)) = self.find([self.keys.url]) {
            if let Some((section, key, entry)) = self.find([self.keys.host]) {
                let message = format!("has no effect beside {}", self.keys.url);
                reader.report.warn(entry.place, &section.path.key(key), &message, "remove one of them");
            }
            return self.url(reader, section, key, entry);
        }
        if let Some((section, key, entry)) = self.find([self.keys.host]) {
            let path = section.path.key(key);
            let host = reader.string_of(&entry.node, &path, Unset::Refuse)?;
            return host_address(reader, entry.place, &path, &host);
        }
        self.address_of_environment(reader, variables)
    }

    fn url(
        &self,
        reader: &mut Reader<'_>,
        section: &Section<'_>,
        key: &str,
        entry: &Entry,
    ) -> Option<Address> {
        let path = section.path.key(key);
        let text = reader.string_of(&entry.node, &path, Unset::Refuse)?;
        let address = url_address(reader, entry.place, &path, &text)?;
        let literal = matches!(&entry.node.value, Value::Text(text) if !text.starts_with(PREFIX));
        if literal && address.url.password.as_deref().is_some_and(credentials::is_literal) {
            let advice = "write os.environ/NAME, and set that variable";
            reader.report.warn(entry.place, &path, "holds a credential in the file itself", advice);
        }
        Some(address)
    }

    fn address_of_environment(&self, reader: &mut Reader<'_>, variables: &Variables) -> Option<Address> {
        let place = self.place();
        let clusters = [
            ("REDIS_CLUSTER_NODES", &variables.cluster, CLUSTER),
            ("REDIS_SENTINEL_NODES", &variables.sentinel, SENTINEL),
        ];
        if let Some((name, _, message)) = clusters.iter().find(|(_, value, _)| value.is_some()) {
            reader.report.refuse(place, &Path::top(name), message, ONE_SERVER);
            return None;
        }
        match (&variables.url, &variables.host) {
            (Some(url), _) => url_address(reader, place, &Path::top("REDIS_URL"), url),
            (None, Some(host)) => host_address(reader, place, &Path::top("REDIS_HOST"), host),
            (None, None) => {
                self.nowhere(reader);
                None
            }
        }
    }

    /// Something about Redis is set, and where it is is not.
    fn nowhere(&self, reader: &mut Reader<'_>) {
        if let Some((section, key, entry)) = self.find(ROUTER_KEYS.all()).filter(|_| !self.is_cache()) {
            let message = "belongs to a Redis whose address is missing";
            reader.refuse_at(entry, &section.path.key(key), message, "set redis_host or redis_url beside it");
        } else if let Some(section) = self.sections.first().filter(|section| !section.entries.is_empty()) {
            let message = "names no Redis, so every instance decides for itself";
            let advice = "set REDIS_HOST or REDIS_URL, or redis_host in router_settings";
            reader.report.warn(section.place, &section.path, message, advice);
        }
    }

    /// Where to report what the environment says.
    fn place(&self) -> Place {
        self.find(self.keys.all())
            .map(|(.., entry)| entry.place)
            .or(self.sections.first().map(|section| section.place))
            .unwrap_or_default()
    }

    fn port(&self, reader: &mut Reader<'_>, place: Place, variables: &Variables) -> Option<u16> {
        let Some((section, key, entry)) = self.find([self.keys.port]) else {
            let Some(text) = &variables.port else { return Some(DEFAULT_PORT) };
            return number::<NonZeroU16>(reader, place, "REDIS_PORT", text).map(NonZeroU16::get);
        };
        match reader.uint(section, key) {
            // Not set in the environment, or refused already.
            None => Some(DEFAULT_PORT),
            Some(port) => match u16::try_from(port) {
                Ok(port) if port > 0 => Some(port),
                _ => {
                    let advice = "write a port from 1 to 65535";
                    reader.refuse_at(entry, &section.path.key(key), &format!("{port} is no port"), advice);
                    None
                }
            },
        }
    }

    fn database(&self, reader: &mut Reader<'_>, place: Place, variables: &Variables) -> Option<u32> {
        match (self.find([self.keys.database]), &variables.database) {
            (Some((section, key, _)), _) => Some(reader.count(section, key).unwrap_or(0)),
            (None, Some(text)) => number(reader, place, "REDIS_DB", text),
            (None, None) => Some(0),
        }
    }

    /// Of the file; or of the environment, where no URL is complete without it.
    fn password(&self, reader: &mut Reader<'_>, complete: bool) -> Option<Secret> {
        if let Some((section, key, entry)) = self.find([self.keys.password]) {
            return reader.secret_for(entry, &section.path.key(key), Unset::Refuse, TextKind::Opaque);
        }
        if complete {
            return None;
        }
        reader.secret_from(&[PASSWORD], self.place(), &Path::top(PASSWORD), TextKind::Opaque)
    }

    fn username(&self, reader: &mut Reader<'_>, url: &RedisUrl, variables: &Variables) -> Option<String> {
        let set = match (&url.username, self.find([self.keys.username])) {
            (Some(username), _) => Some(username.clone()),
            (None, Some((section, key, _))) => reader.required_string(section, key),
            (None, None) => variables.username.clone(),
        };
        let username = set.filter(|username| !username.is_empty())?;
        reader
            .check_text(self.place(), &Path::top("redis_username"), &username, TextKind::Opaque)
            .then_some(username)
    }

    fn tls(&self, reader: &mut Reader<'_>, url: &RedisUrl, variables: &Variables) -> Tls {
        let ssl = match self.find([self.keys.ssl]) {
            Some((section, key, _)) => reader.bool(section, key).unwrap_or(false),
            None => variables.ssl.as_ref().is_some_and(|ssl| is_yes(ssl)),
        };
        if !(url.tls || ssl) {
            return Tls::Off;
        }
        let text = |reader: &mut Reader<'_>, key| {
            self.find([key]).and_then(|(section, key, _)| reader.required_string(section, key))
        };
        let cert_reqs = url
            .cert_reqs
            .clone()
            .or_else(|| text(reader, self.keys.cert_reqs))
            .or_else(|| variables.cert_reqs.clone());
        if cert_reqs.as_deref().is_some_and(is_no) {
            let message = "leaves Redis unverified: anybody in between can read its password";
            let advice = "give the path of a PEM file with the CA as ssl_ca_certs instead";
            let path = Path::top("ssl_cert_reqs");
            match self.find([self.keys.cert_reqs, self.keys.url]) {
                Some((section, key, entry)) => {
                    reader.report.warn(entry.place, &section.path.key(key), message, advice)
                }
                None => reader.report.warn(self.place(), &path, message, advice),
            }
            return Tls::Unverified;
        }
        let ca_certs = url
            .ca_certs
            .clone()
            .or_else(|| text(reader, self.keys.ca_certs))
            .or_else(|| variables.ca_certs.clone());
        ca_certs.filter(|file| !file.is_empty()).map_or(Tls::SystemCas, Tls::CaFile)
    }
}

fn is_yes(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1")
}

/// As Python's `ssl` and redis-py spell it.
fn is_no(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "none" | "cert_none" | "false" | "0")
}

fn url_address(reader: &mut Reader<'_>, place: Place, path: &Path<'_>, text: &str) -> Option<Address> {
    match url::parse(text) {
        Ok(url) => {
            if !url.unknown.is_empty() {
                let message = format!("holds options that have no effect: {}", url.unknown.join(", "));
                reader.report.warn(place, path, &message, "remove them");
            }
            Some(Address { url, complete: true })
        }
        Err(url::InvalidUrl(message, advice)) => {
            reader.report.refuse(place, path, message, advice);
            None
        }
    }
}

fn host_address(reader: &mut Reader<'_>, place: Place, path: &Path<'_>, text: &str) -> Option<Address> {
    let text = text.trim();
    let host = match text.parse::<Ipv6Addr>() {
        Ok(_) => Some(text.to_owned()),
        Err(_) => match base_url::host_and_port(text) {
            Ok((host, None)) => Some(host),
            _ => None,
        },
    };
    let Some(host) = host else {
        let (message, advice) = if text.contains('$') {
            ("is not replaced by a variable: LiteLLM knows os.environ/ only", "write os.environ/NAME")
        } else if text.starts_with('/') || text.starts_with("unix:") {
            ("is a Unix socket, which is not served", "let Redis listen on a port, and name its host")
        } else {
            ("is no host", "write a name or an address alone; a port goes to redis_port, a URL to redis_url")
        };
        reader.report.refuse(place, path, message, advice);
        return None;
    };
    let url = RedisUrl { host, port: DEFAULT_PORT, ..RedisUrl::default() };
    Some(Address { url, complete: false })
}
