//! `router_settings`, litellm_settings where they have no value, and LiteLLM's defaults (BEHAVIOUR
//! 1.3).

use std::sync::Arc;
use std::time::Duration;

use super::failure_policy::{ALLOWED_FAILS, RETRIES, read_failure_policy};
use super::{fallbacks, routing_groups, strategy};
use crate::config::{FailurePolicy, RouterSettings};
use crate::diagnostics::{Path, Place};
use crate::keys::Table;
use crate::values::{Reader, Section, Settings};
use crate::yaml::Value;

/// LiteLLM's `request_timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(6000);
/// LiteLLM's `DEFAULT_COOLDOWN_TIME_SECONDS`.
const DEFAULT_COOLDOWN: Duration = Duration::from_secs(5);
/// As in LiteLLM's documentation; its code has 2.
const DEFAULT_RETRIES: u32 = 3;
/// LiteLLM's `ROUTER_MAX_FALLBACKS`.
const DEFAULT_FALLBACKS: u32 = 5;

/// LiteLLM's `DEFAULT_FAILURE_THRESHOLD_PERCENT`.
const DEFAULT_FAILURE_THRESHOLD: f64 = 0.5;
/// LiteLLM's `DEFAULT_FAILURE_THRESHOLD_MINIMUM_REQUESTS`.
const DEFAULT_FAILURE_REQUESTS: u32 = 5;
/// LiteLLM's `SINGLE_DEPLOYMENT_TRAFFIC_FAILURE_THRESHOLD`.
const DEFAULT_SINGLE_DEPLOYMENT_FAILURES: u32 = 1000;

/// Reads how requests are routed.
pub(crate) fn read_router(
    reader: &mut Reader<'_>,
    settings: &Settings<'_>,
    soft_limits: bool,
) -> RouterSettings {
    let router = settings.router.unwrap_or(Section { entries: &[], path: ROUTER, place: Place::default() });
    let strategy = strategy::of_file(reader, &router);
    let strategy_args = strategy::args(reader, &router);
    RouterSettings {
        strategy,
        routing_groups: routing_groups::read(reader, &router, strategy, &strategy_args),
        strategy_args,
        num_retries: count(reader, settings, "num_retries").unwrap_or(DEFAULT_RETRIES),
        timeout: timeout(reader, settings).unwrap_or(DEFAULT_TIMEOUT),
        stream_timeout: reader.seconds(&router, "stream_timeout").filter(|timeout| !timeout.is_zero()),
        retry_after: reader.seconds(&router, "retry_after").unwrap_or_default(),
        retry_policy: failure_policy(reader, &router, "retry_policy", RETRIES),
        group_retry_policy: group_retry_policy(reader, &router),
        max_fallbacks: count(reader, settings, "max_fallbacks")
            .or_else(|| reader.count_from("ROUTER_MAX_FALLBACKS"))
            .unwrap_or(DEFAULT_FALLBACKS),
        fallbacks: fallbacks::with_default(reader, settings),
        context_window_fallbacks: fallbacks::list(reader, settings, "context_window_fallbacks"),
        content_policy_fallbacks: fallbacks::list(reader, settings, "content_policy_fallbacks"),
        cooldown_time: cooldown_time(reader, &router),
        allowed_fails: count(reader, settings, "allowed_fails"),
        allowed_fails_policy: failure_policy(reader, &router, "allowed_fails_policy", ALLOWED_FAILS),
        failure_threshold: reader
            .share_from("DEFAULT_FAILURE_THRESHOLD_PERCENT")
            .unwrap_or(DEFAULT_FAILURE_THRESHOLD),
        failure_threshold_requests: reader
            .count_from("DEFAULT_FAILURE_THRESHOLD_MINIMUM_REQUESTS")
            .unwrap_or(DEFAULT_FAILURE_REQUESTS),
        single_deployment_failure_threshold: reader
            .count_from("SINGLE_DEPLOYMENT_TRAFFIC_FAILURE_THRESHOLD")
            .unwrap_or(DEFAULT_SINGLE_DEPLOYMENT_FAILURES),
        disable_cooldowns: reader.bool(&router, "disable_cooldowns").unwrap_or(false),
        max_parallel_requests: reader
            .count(&router, "default_max_parallel_requests")
            .filter(|count| *count > 0),
        pre_call_checks: reader.bool(&router, "enable_pre_call_checks").unwrap_or(false),
        tag_filtering: reader.bool(&router, "enable_tag_filtering").unwrap_or(false),
        tags_match_any: reader.bool(&router, "tag_filtering_match_any").unwrap_or(true),
        tag_prefix: reader.string(&router, "tag_routing_prefix").unwrap_or_default(),
        mock_testing: settings
            .general
            .and_then(|section| reader.bool(&section, "dangerously_allow_mock_testing_request_params"))
            .unwrap_or(true),
        soft_limits,
    }
}

const ROUTER: Path<'static> = Path::top("router_settings");

fn count(reader: &mut Reader<'_>, settings: &Settings<'_>, key: &str) -> Option<u32> {
    settings.routing_section(key).and_then(|section| reader.count(&section, key))
}

/// Zero counts as unset, as in LiteLLM.
fn cooldown_time(reader: &mut Reader<'_>, router: &Section<'_>) -> Duration {
    const KEY: &str = "cooldown_time";
    let set = reader.seconds(router, KEY);
    if let Some(entry) = router.find(KEY).filter(|_| set.is_some_and(|time| time.is_zero())) {
        let advice = "remove it; disable_cooldowns: true disables cooldowns";
        reader.report.warn(entry.place, &router.path.key(KEY), "0 counts as unset, as in LiteLLM", advice);
    }
    let set = set.filter(|time| !time.is_zero());
    let set = set.or_else(|| reader.seconds_from("DEFAULT_COOLDOWN_TIME_SECONDS"));
    set.unwrap_or(DEFAULT_COOLDOWN)
}

/// litellm_settings.request_timeout, router_settings.timeout, or `REQUEST_TIMEOUT`. Zero counts as
/// unset (BEHAVIOUR 1.3).
fn timeout(reader: &mut Reader<'_>, settings: &Settings<'_>) -> Option<Duration> {
    const KEY: &str = "request_timeout";
    let home = Path::top("litellm_settings");
    let request = settings.litellm.and_then(|section| reader.seconds(&section, KEY));
    let used = request.filter(|timeout| !timeout.is_zero()).map(|_| home.key(KEY));
    let misplaced = settings.general.and_then(|section| {
        reader.warn_of_misplaced(&section, KEY, "litellm_settings", used);
        if used.is_some() { None } else { reader.seconds(&section, KEY) }
    });
    let router = settings.router.and_then(|section| reader.seconds(&section, "timeout"));
    let environment = reader.seconds_from("REQUEST_TIMEOUT");
    [request, misplaced, router, environment].into_iter().flatten().find(|timeout| !timeout.is_zero())
}

fn failure_policy(reader: &mut Reader<'_>, router: &Section<'_>, key: &str, table: &Table) -> FailurePolicy {
    let section = reader.section(router, key);
    section.map(|section| read_failure_policy(reader, &section, table)).unwrap_or_default()
}

fn group_retry_policy(reader: &mut Reader<'_>, router: &Section<'_>) -> Vec<(Arc<str>, FailurePolicy)> {
    let Some(groups) = reader.section(router, "model_group_retry_policy") else { return Vec::new() };
    let mut policies = Vec::new();
    for entry in groups.entries.iter().filter(|entry| entry.node.value != Value::Null) {
        if !reader.check_key(entry.place, &groups.path.key(&entry.key), &entry.key) {
            continue;
        }
        if let Some(section) = reader.section(&groups, &entry.key) {
            let policy = read_failure_policy(reader, &section, RETRIES);
            policies.push((Arc::from(entry.key.as_str()), policy));
        }
    }
    policies
}
