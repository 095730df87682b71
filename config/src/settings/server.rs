//! How clients are admitted: general_settings and llm_balancer.

use crate::config::ServerSettings;
use crate::diagnostics::report::Path;
use crate::redis::sections;
use crate::values::reader::{Reader, Section, Unset};
use crate::values::secret::Secret;
use crate::values::settings::Settings;
use crate::values::visible::TextKind;
use crate::yaml::tree::Place;

/// Bodies above 64 MiB are refused where nothing is set.
const DEFAULT_BODY_MB: u64 = 64;
const MIB: u64 = 1 << 20;
/// LiteLLM's documentation and countless copies of it use these.
const KNOWN_TO_EVERYBODY: [&str; 4] = ["sk-1234", "sk-12345", "sk-123456", "sk-litellm-master-key"];

/// Where LiteLLM looks for the master key that no file gives.
const MASTER_KEY: &str = "LITELLM_MASTER_KEY";

/// What `llm_balancer` decides about the rest of the file.
#[derive(Default)]
pub struct LlmBalancerSettings {
    /// `unsupported_deployments: skip`
    pub skip_unsupported: bool,
    /// `limits: soft`
    pub soft_limits: bool,
    /// `access_log`
    pub access_log: Option<bool>,
    /// `max_body_mb`
    pub max_body_mb: Option<u64>,
    /// `redis_namespace`
    pub redis_namespace: Option<String>,
}

/// Reads `llm_balancer`.
pub fn llm_balancer_settings(reader: &mut Reader<'_>, section: Option<&Section<'_>>) -> LlmBalancerSettings {
    let Some(section) = section else { return LlmBalancerSettings::default() };
    LlmBalancerSettings {
        soft_limits: one_of(reader, section, "limits", ["hard", "soft"]) == Some("soft"),
        skip_unsupported: one_of(reader, section, "unsupported_deployments", ["refuse", "skip"])
            == Some("skip"),
        access_log: reader.bool(section, "access_log"),
        max_body_mb: reader.uint(section, "max_body_mb").filter(|size| *size > 0),
        redis_namespace: sections::read_namespace(reader, section, "redis_namespace"),
    }
}

fn one_of(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
    words: [&'static str; 2],
) -> Option<&'static str> {
    let entry = section.find(key)?;
    let text = reader.string(section, key)?;
    let found = words.into_iter().find(|word| *word == text);
    if found.is_none() {
        let path = section.path.key(key);
        let advice = format!("write {}", words.join(" or "));
        reader.report.refuse(entry.place, &path, &format!("{text} is nothing it can be"), &advice);
    }
    found
}

/// Reads what concerns clients.
pub fn read(
    reader: &mut Reader<'_>,
    document: &Section<'_>,
    settings: &Settings<'_>,
    own: &LlmBalancerSettings,
) -> ServerSettings {
    let general = settings.general.as_ref();
    let max_request = general.and_then(|section| reader.uint(section, "max_request_size_mb"));
    let megabytes = own.max_body_mb.or(max_request).unwrap_or(DEFAULT_BODY_MB);
    ServerSettings {
        master_key: master_key(reader, document, settings),
        max_body_bytes: megabytes.saturating_mul(MIB),
        access_log: own.access_log.unwrap_or(true),
        forward_client_headers: general
            .and_then(|section| reader.bool(section, "forward_client_headers_to_llm_api"))
            .unwrap_or(false),
    }
}

/// From general_settings; from where people put it by mistake, so that a gateway they believe guarded is not open;
/// from LITELLM_MASTER_KEY.
fn master_key(reader: &mut Reader<'_>, document: &Section<'_>, settings: &Settings<'_>) -> Option<Secret> {
    let places = [settings.general, settings.litellm, settings.router, Some(*document)];
    let mut found = None;
    for (index, section) in places.iter().enumerate() {
        let Some(section) = section else { continue };
        // A null key in general_settings is an unset one: that is how people comment out a value.
        let Some(entry) = section.find("master_key") else { continue };
        if index > 0 {
            reader.misplaced(section, "master_key", "general_settings");
        }
        let key = reader.secret(entry, &section.path.key("master_key"), Unset::Refuse);
        if found.is_none() {
            warn_if_weak(reader, entry.place, &section.path.key("master_key"), key.as_ref());
            found = Some(key);
        }
    }
    match found {
        Some(key) => key,
        None => {
            let path = Path::top(MASTER_KEY);
            let key = reader.secret_from(&[MASTER_KEY], document.place, &path, TextKind::AsciiHeader);
            if key.is_none() && reader.env.get(MASTER_KEY).is_some_and(|value| value.is_empty()) {
                // Who sets it believes the gateway guarded.
                let message = format!("the value of the environment variable {MASTER_KEY} is empty");
                reader.report.refuse(document.place, &path, &message, "set it, or remove it");
            }
            warn_if_weak(reader, document.place, &path, key.as_ref());
            key
        }
    }
}

fn warn_if_weak(reader: &mut Reader<'_>, place: Place, path: &Path<'_>, key: Option<&Secret>) {
    if key.is_some_and(|key| KNOWN_TO_EVERYBODY.contains(&key.reveal()) || key.reveal().len() < 8) {
        let message = "is a key that anybody would try first";
        let advice = "take a long random one, such as `openssl rand -hex 32` prints";
        reader.report.warn(place, path, message, advice);
    }
}
