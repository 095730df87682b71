//! `router_settings`, and what litellm_settings and LiteLLM's defaults add (BEHAVIOUR 1.3).

use std::sync::Arc;
use std::time::Duration;

use crate::config::{FailurePolicy, RouterSettings, Strategy, StrategyArgs};
use crate::fallbacks;
use crate::policy;
use crate::reader::{Reader, Section};
use crate::report::Path;
use crate::settings::Settings;
use crate::tree::{Entry, Value};
use crate::verdict::{self, Key, Table, applied};

/// LiteLLM's `request_timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(6000);
/// LiteLLM's `DEFAULT_COOLDOWN_TIME_SECONDS`.
const DEFAULT_COOLDOWN: Duration = Duration::from_secs(5);
/// As LiteLLM documents it (it does 2).
const DEFAULT_RETRIES: u32 = 3;
/// LiteLLM's `ROUTER_MAX_FALLBACKS`.
const DEFAULT_FALLBACKS: u32 = 5;

/// Reads how requests are routed.
pub fn read(reader: &mut Reader<'_>, settings: &Settings<'_>) -> RouterSettings {
    let router = settings.router.unwrap_or(Section {
        entries: &[],
        path: ROUTER,
        place: crate::tree::Place::default(),
    });
    RouterSettings {
        strategy: strategy(reader, &router),
        strategy_args: strategy_args(reader, &router),
        routing_groups: Vec::new(),
        num_retries: count(reader, settings, "num_retries").unwrap_or(DEFAULT_RETRIES),
        timeout: timeout(reader, settings).unwrap_or(DEFAULT_TIMEOUT),
        stream_timeout: reader.seconds(&router, "stream_timeout").filter(|timeout| !timeout.is_zero()),
        retry_after: reader.seconds(&router, "retry_after").unwrap_or_default(),
        retry_policy: retry_policy(reader, &router),
        group_retry_policy: group_retry_policy(reader, &router),
        max_fallbacks: count(reader, settings, "max_fallbacks")
            .or_else(|| reader.count_from("ROUTER_MAX_FALLBACKS"))
            .unwrap_or(DEFAULT_FALLBACKS),
        fallbacks: fallbacks::with_default(reader, settings),
        context_window_fallbacks: fallbacks::list(reader, settings, "context_window_fallbacks"),
        content_policy_fallbacks: fallbacks::list(reader, settings, "content_policy_fallbacks"),
        cooldown_time: cooldown_time(reader, &router),
        allowed_fails: count(reader, settings, "allowed_fails"),
        allowed_fails_policy: match reader.section(&router, "allowed_fails_policy") {
            Some(section) => policy::read(reader, &section, policy::ALLOWED_FAILS),
            None => FailurePolicy::default(),
        },
        disable_cooldowns: reader.flag(&router, "disable_cooldowns").unwrap_or(false),
        max_parallel_requests: reader
            .count(&router, "default_max_parallel_requests")
            .filter(|count| *count > 0),
        tag_filtering: reader.flag(&router, "enable_tag_filtering").unwrap_or(false),
        tags_match_any: reader.flag(&router, "tag_filtering_match_any").unwrap_or(true),
        mock_testing: settings
            .general
            .and_then(|section| reader.flag(&section, "dangerously_allow_mock_testing_request_params"))
            .unwrap_or(true),
        soft_limits: reader.soft_limits,
    }
}

const ROUTER: Path<'static> = Path::top("router_settings");

fn count(reader: &mut Reader<'_>, settings: &Settings<'_>, key: &str) -> Option<u32> {
    settings.routing_section(key).and_then(|section| reader.count(&section, key))
}

/// Zero is a number of seconds nobody means; the default stands, as in LiteLLM.
fn cooldown_time(reader: &mut Reader<'_>, router: &Section<'_>) -> Duration {
    let set = reader.seconds(router, "cooldown_time").filter(|time| !time.is_zero());
    let set = set.or_else(|| reader.seconds_from("DEFAULT_COOLDOWN_TIME_SECONDS"));
    set.unwrap_or(DEFAULT_COOLDOWN)
}

/// litellm_settings.request_timeout, then router_settings.timeout; 0 counts as unset (BEHAVIOUR 1.3).
fn timeout(reader: &mut Reader<'_>, settings: &Settings<'_>) -> Option<Duration> {
    let request = settings.litellm.and_then(|section| reader.seconds(&section, "request_timeout"));
    let misplaced = settings.general.and_then(|section| {
        reader.misplaced(&section, "request_timeout", "litellm_settings");
        reader.seconds(&section, "request_timeout")
    });
    let router = settings.router.and_then(|section| reader.seconds(&section, "timeout"));
    [request, misplaced, router].into_iter().flatten().find(|timeout| !timeout.is_zero())
}

fn strategy(reader: &mut Reader<'_>, router: &Section<'_>) -> Strategy {
    let Some(entry) = router.find("routing_strategy") else { return Strategy::default() };
    let Some(name) = reader.text(router, "routing_strategy") else { return Strategy::default() };
    match name.as_str() {
        "simple-shuffle" => Strategy::SimpleShuffle,
        "least-busy" => Strategy::LeastBusy,
        "usage-based-routing" | "usage-based-routing-v2" => Strategy::UsageBased,
        "latency-based-routing" => Strategy::LowestLatency,
        "cost-based-routing" => Strategy::LowestCost,
        _ => {
            refuse_strategy(reader, router, entry, &name);
            Strategy::default()
        }
    }
}

/// The strategies that are served, for advice.
const STRATEGIES: &Table = &Table {
    name: "routing_strategy",
    keys: &[
        applied("cost-based-routing", "the cheapest"),
        applied("latency-based-routing", "the fastest"),
        applied("least-busy", "the one with the fewest requests in flight"),
        applied("simple-shuffle", "at random by weight"),
        applied("usage-based-routing", "the one with the fewest tokens of the minute"),
        applied("usage-based-routing-v2", "the same"),
    ],
    open: false,
};

fn refuse_strategy(reader: &mut Reader<'_>, router: &Section<'_>, entry: &Entry, name: &str) {
    let path = router.path.key("routing_strategy");
    let message = format!("{name} is no strategy that is served");
    let bare = name.trim_matches(|char: char| !char.is_ascii_alphanumeric());
    let advice = match verdict::nearest(bare, STRATEGIES) {
        Some(near) => format!("did you mean {near}?"),
        None => {
            let names: Vec<&str> = STRATEGIES.keys.iter().map(|Key { name, .. }| *name).collect();
            format!("write one of {}", names.join(", "))
        }
    };
    reader.refuse_at(entry, &path, &message, &advice);
}

fn strategy_args(reader: &mut Reader<'_>, router: &Section<'_>) -> StrategyArgs {
    const ARGS: &Table = &Table {
        name: "routing_strategy_args",
        keys: &[
            applied("lowest_latency_buffer", "share above the lowest latency that still counts as lowest"),
            applied("max_latency_list_size", "latencies kept for each deployment"),
            applied("ttl", "seconds a latency is remembered"),
        ],
        open: false,
    };
    let mut args = StrategyArgs {
        ttl: Duration::from_secs(3600),
        lowest_latency_buffer: 0.0,
        max_latency_list_size: 10,
    };
    let Some(section) = reader.section(router, "routing_strategy_args") else { return args };
    verdict::judge(reader, &section, ARGS);
    if let Some(ttl) = reader.seconds(&section, "ttl") {
        args.ttl = ttl;
    }
    if let Some(buffer) = reader.number(&section, "lowest_latency_buffer") {
        args.lowest_latency_buffer = buffer.max(0.0);
    }
    if let Some(size) = reader.count(&section, "max_latency_list_size").filter(|size| *size > 0) {
        args.max_latency_list_size = size;
    }
    args
}

fn retry_policy(reader: &mut Reader<'_>, router: &Section<'_>) -> FailurePolicy {
    match reader.section(router, "retry_policy") {
        Some(section) => policy::read(reader, &section, policy::RETRIES),
        None => FailurePolicy::default(),
    }
}

fn group_retry_policy(reader: &mut Reader<'_>, router: &Section<'_>) -> Vec<(Arc<str>, FailurePolicy)> {
    let Some(groups) = reader.section(router, "model_group_retry_policy") else { return Vec::new() };
    let mut policies = Vec::new();
    for entry in groups.entries.iter().filter(|entry| entry.node.value != Value::Null) {
        if let Some(section) = reader.section(&groups, &entry.key) {
            let policy = policy::read(reader, &section, policy::RETRIES);
            policies.push((Arc::from(entry.key.as_str()), policy));
        }
    }
    policies
}
