//! Files with the CAs that providers and Redis are verified against. They must be there before Envoy looks for them.

use std::fs::File;
use std::io;
use std::path::Path;

use llm_balancer_config::{Config, Tls};

use crate::support::failure::Failure;

/// Where systems keep the bundle of their CAs.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",   // older RHEL, Amazon Linux
    "/etc/ssl/ca-bundle.pem",             // SUSE
    "/etc/ssl/cert.pem",                  // Alpine, BSD
];

/// The system's bundle, one that a variable names before all others; empty where nobody needs it. A file that is named
/// and cannot be read is an error too.
pub fn find(config: &Config) -> Result<String, Failure> {
    let mut needed = false;
    for deployment in &config.deployments {
        let role = || format!("ssl_verify of deployment {}", deployment.id);
        needed |= needs_system(&deployment.endpoint.tls, role)?;
        needed |= config.proxies.of(&deployment.endpoint).is_some_and(|proxy| proxy.tls);
    }
    if let Some(redis) = &config.redis {
        needed |= needs_system(&redis.tls, || "ssl_ca_certs of Redis".to_owned())?;
    }
    if needed { system(config) } else { Ok(String::new()) }
}

fn needs_system(tls: &Tls, role: impl Fn() -> String) -> Result<bool, Failure> {
    match tls {
        Tls::Off | Tls::Unverified => Ok(false),
        Tls::SystemCas => Ok(true),
        Tls::CaFile(file) => readable(file, &role()).map(|()| false),
    }
}

fn system(config: &Config) -> Result<String, Failure> {
    if let Some((variable, file)) = &config.ca_bundle {
        readable(file, variable)?;
        return Ok(file.clone());
    }
    let found = BUNDLES.iter().find(|file| Path::new(file).is_file());
    found.map(|file| (*file).to_owned()).ok_or_else(|| {
        let message =
            "no CAs to verify servers by: install ca-certificates, or name a PEM file in SSL_CERT_FILE";
        Failure::Machine(message.to_owned())
    })
}

fn readable(file: &str, role: &str) -> Result<(), Failure> {
    let opened = File::open(file).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(()),
    });
    opened.map_err(|error| Failure::Machine(format!("{role}: cannot read {file}: {error}")))
}
