//! The server out of its sections and the environment: address, login, TLS.

use std::net::Ipv6Addr;
use std::num::NonZeroU16;

use super::env::{PASSWORD, Variables, number};
use super::sections::{ROUTER_KEYS, RedisSections};
use super::url::{self, DEFAULT_PORT, RedisUrl};
use crate::config::{Redis, Tls};
use crate::diagnostics::{ADVISES, Path, Place};
use crate::keys::tables::ROUTER_SETTINGS;
use crate::values::url::{InvalidUrl, host_and_port};
use crate::values::{PREFIX, Reader, Secret, Section, TextKind, Unset, VARIABLE_SYNTAX, is_literal};
use crate::yaml::{Entry, Value};

/// Keys of other setups than a single server with a password.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("redis_startup_nodes", CLUSTER),
    ("startup_nodes", CLUSTER),
    ("sentinel_nodes", SENTINEL),
    ("gcp_service_account", TOKENS),
    ("aws_iam_auth", TOKENS),
];
const TOKENS: &str = "logging in to Redis with tokens is not supported";
const CLUSTER: &str = "Redis Cluster is not supported";
const SENTINEL: &str = "Redis Sentinel is not supported";
const ONE_SERVER: &str = "set redis_host or redis_url of one server in router_settings, which overrides it";

/// Where Redis is.
#[derive(Default)]
struct Address {
    url: RedisUrl,
    /// From a URL, which has port, login and database too; not from a host.
    complete: bool,
}

impl RedisSections<'_> {
    /// Reads the server; `None` if there is none, or the report has the error.
    pub(super) fn read_server(&self, reader: &mut Reader<'_>, namespace: String) -> Option<Redis> {
        self.report_clusters(reader)?;
        let errors_before = reader.report.errors();
        let variables = Variables::read(reader);
        let address = self.address(reader, &variables);
        let complete = address.as_ref().is_some_and(|address| address.complete);
        // Without an address the rest is read all the same, to report all errors at once.
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
        let username = self.username(reader, &url, &variables);
        let tls = self.tls(reader, &url, &variables);
        if url.host.is_empty() || reader.report.errors() > errors_before {
            return None;
        }
        if password.is_none() && username.is_some() {
            self.warn_of_no_effect(
                reader,
                [self.keys.username, self.keys.url],
                ("the user has no effect without a password", "set redis_password, or remove the user"),
            );
        }
        if matches!(tls, Tls::Off) {
            self.warn_of_no_effect(
                reader,
                [self.keys.ca_certs, self.keys.cert_reqs],
                ("has no effect: the connection is not encrypted", "set redis_ssl: true, or remove it"),
            );
        }
        let username = username.filter(|_| password.is_some());
        let (port, database) = (port?, database?);
        Some(Redis { host: url.host, port, database, username, password, tls, namespace })
    }

    /// `None` with an error if the file asks for one. The table of router_settings has errors of its
    /// own for these keys.
    fn report_clusters(&self, reader: &mut Reader<'_>) -> Option<()> {
        for (key, message) in UNSUPPORTED {
            let found = self.find([*key]).filter(|(.., entry)| !entry.node.is_falsy());
            if let Some((section, _, entry)) = found {
                let table = section.path.last_key() == Some(ROUTER_SETTINGS.name);
                if table && ROUTER_SETTINGS.find(key).is_some() {
                    continue;
                }
                reader.report.error(entry.place, &section.path.key(key), message, ONE_SERVER);
                return None;
            }
        }
        Some(())
    }

    /// `None` if there is none, or with an error.
    fn address(&self, reader: &mut Reader<'_>, variables: &Variables) -> Option<Address> {
        if let Some((section, key, entry)) = self.find([self.keys.url]) {
            if let Some((section, key, entry)) = self.find([self.keys.host]) {
                let message = format!("ignored: {} is used", self.keys.url);
                reader.report.warn(entry.place, &section.path.key(key), &message, "remove one of them");
            }
            return self.url(reader, section, key, entry);
        }
        if let Some((section, key, entry)) = self.find([self.keys.host]) {
            let path = section.path.key(key);
            let host = reader.string_of(&entry.node, &path, Unset::Error)?;
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
        let text = reader.string_of(&entry.node, &path, Unset::Error)?;
        let address = url_address(reader, entry.place, &path, &text)?;
        let in_file = matches!(&entry.node.value, Value::Text(text) if !text.starts_with(PREFIX));
        if in_file && address.url.password.as_deref().is_some_and(is_literal) {
            reader.warn_of_literal(entry.place, &path);
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
            reader.report.error(place, &Path::top(name), message, ONE_SERVER);
            return None;
        }
        match (&variables.url, &variables.host) {
            (Some(url), _) => url_address(reader, place, &Path::top("REDIS_URL"), url),
            (None, Some(host)) => host_address(reader, place, &Path::top("REDIS_HOST"), host),
            (None, None) => {
                self.report_missing_address(reader);
                None
            }
        }
    }

    fn report_missing_address(&self, reader: &mut Reader<'_>) {
        if let Some((section, key, entry)) = self.find(ROUTER_KEYS.all()).filter(|_| !self.is_cache()) {
            let (message, advice) =
                ("the address of Redis is missing", "set redis_host or redis_url beside it");
            reader.report.error(entry.place, &section.path.key(key), message, advice);
        } else if let Some(section) = self.sections.first().filter(|section| !section.entries.is_empty()) {
            let message = "no address of Redis: each instance counts for itself";
            let advice = "set REDIS_HOST or REDIS_URL, or redis_host in router_settings";
            reader.report.warn(section.place, &section.path, message, advice);
        }
    }

    /// The place for findings about the environment.
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
        // `None`: its variable is not set, or the report has the error.
        let Some(port) = reader.uint(section, key) else { return Some(DEFAULT_PORT) };
        let valid = u16::try_from(port).ok().filter(|port| *port > 0);
        if valid.is_none() {
            let message = format!("expected a port from 1 to 65535, found {port}");
            reader.report.error(entry.place, &section.path.key(key), &message, "");
        }
        valid
    }

    fn database(&self, reader: &mut Reader<'_>, place: Place, variables: &Variables) -> Option<u32> {
        match (self.find([self.keys.database]), &variables.database) {
            (Some((section, key, _)), _) => Some(reader.count(section, key).unwrap_or(0)),
            (None, Some(text)) => number(reader, place, "REDIS_DB", text),
            (None, None) => Some(0),
        }
    }

    /// From the file, or, if the address is no URL, from the environment.
    fn password(&self, reader: &mut Reader<'_>, complete: bool) -> Option<Secret> {
        if let Some((section, key, entry)) = self.find([self.keys.password]) {
            return reader.secret_for(entry, &section.path.key(key), Unset::Error, TextKind::Opaque);
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
        let path = Path::top("redis_username");
        reader.check_text(self.place(), &path, &username, TextKind::Opaque).then_some(username)
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
            self.warn_of_unverified(reader);
            return Tls::Unverified;
        }
        let ca_certs = url
            .ca_certs
            .clone()
            .or_else(|| text(reader, self.keys.ca_certs))
            .or_else(|| variables.ca_certs.clone());
        ca_certs.filter(|file| !file.is_empty()).map_or(Tls::SystemCas, Tls::CaFile)
    }

    fn warn_of_no_effect(
        &self,
        reader: &mut Reader<'_>,
        keys: [&'static str; 2],
        (message, advice): (&str, &str),
    ) {
        if ADVISES && let Some((section, key, entry)) = self.find(keys) {
            reader.report.warn(entry.place, &section.path.key(key), message, advice);
        }
    }

    fn warn_of_unverified(&self, reader: &mut Reader<'_>) {
        let message = "the certificate of Redis is not verified: the password can be intercepted";
        let advice = "set ssl_ca_certs to a PEM file with the CA instead";
        match self.find([self.keys.cert_reqs, self.keys.url]) {
            Some((section, key, entry)) => {
                reader.report.warn(entry.place, &section.path.key(key), message, advice);
            }
            None => reader.report.warn(self.place(), &Path::top("ssl_cert_reqs"), message, advice),
        }
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
                let message = format!("unknown options, ignored: {}", url.unknown.join(", "));
                reader.report.warn(place, path, &message, "remove them");
            }
            Some(Address { url, complete: true })
        }
        Err(InvalidUrl(message, advice)) => {
            reader.report.error(place, path, message, advice);
            None
        }
    }
}

fn host_address(reader: &mut Reader<'_>, place: Place, path: &Path<'_>, text: &str) -> Option<Address> {
    let text = text.trim();
    let host = match text.parse::<Ipv6Addr>() {
        Ok(_) => Some(text.to_owned()),
        Err(_) => match host_and_port(text) {
            Ok((host, None)) => Some(host),
            _ => None,
        },
    };
    let Some(host) = host else {
        let (message, advice) = if text.contains('$') {
            (VARIABLE_SYNTAX, "write os.environ/NAME")
        } else if text.starts_with('/') || text.starts_with("unix:") {
            ("Unix sockets are not supported", "let Redis listen on a port, and write its host")
        } else {
            ("invalid host", "write a name or an address only; set a port as redis_port, a URL as redis_url")
        };
        reader.report.error(place, path, message, advice);
        return None;
    };
    let url = RedisUrl { host, port: DEFAULT_PORT, ..RedisUrl::default() };
    Some(Address { url, complete: false })
}
