//! `llm_balancer`: settings of this gateway.

use crate::redis;
use crate::values::{Reader, Section};

/// `llm_balancer`.
#[derive(Default)]
pub(crate) struct LlmBalancerSettings {
    /// `unsupported_deployments: skip`
    pub(crate) skip_unsupported: bool,
    /// `limits: soft`
    pub(crate) soft_limits: bool,
    /// `access_log`
    pub(crate) access_log: Option<bool>,
    /// `max_body_mb`
    pub(crate) max_body_mb: Option<u64>,
    /// `redis_namespace`
    pub(crate) redis_namespace: Option<String>,
}

/// Reads `llm_balancer`.
pub(crate) fn read_llm_balancer(
    reader: &mut Reader<'_>,
    section: Option<&Section<'_>>,
) -> LlmBalancerSettings {
    let Some(section) = section else { return LlmBalancerSettings::default() };
    let skip_unsupported = one_of(reader, section, "unsupported_deployments", ["refuse", "skip"]);
    LlmBalancerSettings {
        soft_limits: one_of(reader, section, "limits", ["hard", "soft"]) == Some("soft"),
        skip_unsupported: skip_unsupported == Some("skip"),
        access_log: reader.bool(section, "access_log"),
        max_body_mb: reader.uint(section, "max_body_mb").filter(|size| *size > 0),
        redis_namespace: redis::read_namespace(reader, section, "redis_namespace"),
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
        let message = format!("expected {}, found \"{text}\"", words.join(" or "));
        reader.report.error(entry.place, &section.path.key(key), &message, "");
    }
    found
}
