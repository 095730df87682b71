//! How clients are admitted: general_settings and llm_balancer.

use super::llm_balancer::LlmBalancerSettings;
use crate::config::ServerSettings;
use crate::diagnostics::{ADVISES, Path, Place};
use crate::values::{Reader, Secret, Section, Settings, TextKind, Unset};

/// Largest request body in MiB, if unset.
const DEFAULT_BODY_MB: u64 = 64;
const MIB: u64 = 1 << 20;
/// The keys in LiteLLM's documentation and in this repository.
const PUBLISHED_KEYS: [&str; 5] =
    ["sk-1234", "sk-12345", "sk-123456", "sk-litellm-master-key", "sk-of-the-compose-file"];
/// The variable with the master key, if the file has none.
const MASTER_KEY: &str = "LITELLM_MASTER_KEY";

/// Reads the settings that concern clients.
pub(crate) fn read_server(
    reader: &mut Reader<'_>,
    document: &Section<'_>,
    settings: &Settings<'_>,
    own: &LlmBalancerSettings,
) -> ServerSettings {
    let general = settings.general.as_ref();
    let max_request = general.and_then(|section| reader.uint(section, "max_request_size_mb"));
    let megabytes = own.max_body_mb.or(max_request).unwrap_or(DEFAULT_BODY_MB);
    let flag = |reader: &mut Reader<'_>, name| general.and_then(|section| reader.bool(section, name));
    ServerSettings {
        master_key: master_key(reader, document, settings),
        key_header: general.and_then(|section| key_header(reader, section)),
        max_body_bytes: megabytes.saturating_mul(MIB),
        access_log: own.access_log.unwrap_or(true),
        forward_client_headers: flag(reader, "forward_client_headers_to_llm_api").unwrap_or(false),
        always_include_usage: flag(reader, "always_include_stream_usage").unwrap_or(false),
    }
}

/// From general_settings, or a section where it is misplaced, so that the gateway is not open by
/// mistake, or from LITELLM_MASTER_KEY.
fn master_key(reader: &mut Reader<'_>, document: &Section<'_>, settings: &Settings<'_>) -> Option<Secret> {
    const KEY: &str = "master_key";
    let places = [settings.general, settings.litellm, settings.router, Some(*document)];
    let mut used: Option<(&Section<'_>, _)> = None;
    for (index, section) in places.iter().enumerate() {
        let Some(section) = section else { continue };
        // Null counts as unset: people comment out a value.
        let Some(entry) = section.find(KEY) else { continue };
        let earlier = used.as_ref().map(|(section, _)| section.path.key(KEY));
        if index > 0 {
            reader.warn_of_misplaced(section, KEY, "general_settings", earlier);
        }
        if used.is_none() {
            let key = reader.secret(entry, &section.path.key(KEY), Unset::Error);
            warn_if_weak(reader, entry.place, &section.path.key(KEY), key.as_ref());
            used = Some((section, key));
        }
    }
    match used {
        Some((_, key)) => key,
        None => master_key_of_environment(reader, document.place),
    }
}

fn key_header(reader: &mut Reader<'_>, general: &Section<'_>) -> Option<String> {
    const KEY: &str = "litellm_key_header_name";
    let entry = general.find(KEY)?;
    let path = general.path.key(KEY);
    let name = reader.string_of(&entry.node, &path, Unset::Ignore)?.to_ascii_lowercase();
    reader.check_header_name(entry.place, &path, &name).then_some(name)
}

/// An empty variable is an error: the operator expects the gateway to require a key.
fn master_key_of_environment(reader: &mut Reader<'_>, place: Place) -> Option<Secret> {
    let path = Path::top(MASTER_KEY);
    let key = reader.secret_from(&[MASTER_KEY], place, &path, TextKind::AsciiHeader);
    if key.is_none() && reader.env.get(MASTER_KEY).is_some_and(|value| value.is_empty()) {
        let message = format!("environment variable {MASTER_KEY}: empty value");
        reader.report.error(place, &path, &message, "set it, or unset the variable");
    }
    warn_if_weak(reader, place, &path, key.as_ref());
    key
}

fn warn_if_weak(reader: &mut Reader<'_>, place: Place, path: &Path<'_>, key: Option<&Secret>) {
    if ADVISES && key.is_some_and(|key| is_weak(key.reveal())) {
        let advice = "use a long random key: openssl rand -hex 32";
        reader.report.warn(place, path, "weak key", advice);
    }
}

fn is_weak(key: &str) -> bool {
    let mut chars = key.chars();
    let first = chars.next();
    PUBLISHED_KEYS.contains(&key) || key.len() < 8 || chars.all(|char| Some(char) == first)
}
