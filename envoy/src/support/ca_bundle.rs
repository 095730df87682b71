//! The CA files that verify providers and Redis. Envoy needs them when it starts.

use std::fs::File;
use std::io;
use std::path::Path;

use llm_balancer_config::{Config, Tls};

use super::command_error::CommandError;

/// Where distributions keep their CA bundle.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",   // older RHEL, Amazon Linux
    "/etc/ssl/ca-bundle.pem",             // SUSE
    "/etc/ssl/cert.pem",                  // Alpine, BSD
];

/// The CA bundle: the one that a variable names, else the system's; empty if nothing needs one. An
/// error if it, or a CA file of a deployment or of Redis, cannot be read.
pub(crate) fn find(config: &Config) -> Result<String, CommandError> {
    let mut needed = false;
    for deployment in &config.deployments {
        let role = || format!("ssl_verify of deployment {}", deployment.id);
        needed |= needs_system(&deployment.endpoint.tls, role)?;
        needed |= config.proxies.of(&deployment.endpoint).is_some_and(|proxy| proxy.url.tls);
    }
    if let Some(redis) = &config.redis {
        needed |= needs_system(&redis.tls, || "ssl_ca_certs of Redis".to_owned())?;
    }
    if needed { system(config) } else { Ok(String::new()) }
}

fn needs_system(tls: &Tls, role: impl Fn() -> String) -> Result<bool, CommandError> {
    match tls {
        Tls::Off | Tls::Unverified => Ok(false),
        Tls::SystemCas => Ok(true),
        Tls::CaFile(file) => readable(file, &role()).map(|()| false),
    }
}

fn system(config: &Config) -> Result<String, CommandError> {
    if let Some((variable, file)) = &config.ca_bundle {
        readable(file, variable)?;
        return Ok(file.clone());
    }
    let found = BUNDLES.iter().find(|file| Path::new(file).is_file());
    found.map(|file| (*file).to_owned()).ok_or_else(|| {
        let message =
            "no CA bundle found to verify servers with: install ca-certificates, or set SSL_CERT_FILE to a PEM file";
        CommandError::Io(message.to_owned())
    })
}

fn readable(file: &str, role: &str) -> Result<(), CommandError> {
    let opened = File::open(file).and_then(|file| {
        if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(()) }
    });
    opened.map_err(|error| CommandError::Io(format!("{role}: cannot read {file}: {error}")))
}
