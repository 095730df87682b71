//! `routing_strategy` and its arguments, of the file or of a routing group.

use std::time::Duration;

use crate::config::{Strategy, StrategyArgs};
use crate::diagnostics::{ADVISES, did_you_mean};
use crate::keys::{Table, applied, check_keys, ignored};
use crate::values::{Reader, Section};
use crate::yaml::Entry;

/// Deployments are selected by `model_priorities`. For routing groups only.
pub(super) const PRIORITY: &str = "priority";

/// The strategies.
pub(crate) const ROUTING_STRATEGY: &Table = &Table {
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

/// Unsupported strategies of LiteLLM: the beginning of the name, why, and what to write instead.
const UNSUPPORTED: &[(&str, &str, &str)] = &[
    ("adaptive-router", BY_CONTENT, NAME_MODEL),
    ("auto-router", BY_CONTENT, NAME_MODEL),
    ("complexity-router", BY_CONTENT, NAME_MODEL),
    ("quality-router", BY_CONTENT, NAME_MODEL),
    ("lar1", "selecting by a confidence of the client is not supported", NAME_MODEL),
    (
        "provider-budget-routing",
        "budgets are not supported",
        "set the budgets at the providers, and write simple-shuffle or cost-based-routing",
    ),
    (
        PRIORITY,
        "only routing groups have this strategy, as in LiteLLM",
        "use it in routing_groups, or set order in each litellm_params",
    ),
];
const BY_CONTENT: &str = "selecting by the content of the request is not supported";
const NAME_MODEL: &str = "name the model in the request, and write simple-shuffle";

/// The strategy of the whole file.
pub(super) fn of_file(reader: &mut Reader<'_>, router: &Section<'_>) -> Strategy {
    let Some(entry) = router.find("routing_strategy") else { return Strategy::default() };
    let Some(name) = reader.string(router, "routing_strategy") else { return Strategy::default() };
    named(reader, router, entry, &name)
}

/// The strategy of a name, which is the value of an entry. An unknown one is an error.
pub(super) fn named(reader: &mut Reader<'_>, section: &Section<'_>, entry: &Entry, name: &str) -> Strategy {
    match name {
        "simple-shuffle" => Strategy::SimpleShuffle,
        "least-busy" => Strategy::LeastBusy,
        "usage-based-routing" | "usage-based-routing-v2" => Strategy::UsageBased,
        "latency-based-routing" => Strategy::LowestLatency,
        "cost-based-routing" => Strategy::LowestCost,
        _ => {
            refuse(reader, section, entry, name);
            Strategy::default()
        }
    }
}

fn refuse(reader: &mut Reader<'_>, section: &Section<'_>, entry: &Entry, name: &str) {
    let path = section.path.key("routing_strategy");
    let bare = name.trim_matches(|char: char| !char.is_ascii_alphanumeric());
    let dashed = bare.to_ascii_lowercase().replace('_', "-");
    if let Some((_, why, advice)) = UNSUPPORTED.iter().find(|(beginning, ..)| dashed.starts_with(beginning)) {
        reader.report.error(entry.place, &path, &format!("unsupported strategy \"{name}\": {why}"), advice);
        return;
    }
    let near = by_measure(&dashed).or_else(|| reader.report.suggestions.key(bare, ROUTING_STRATEGY.names()));
    let advice = did_you_mean(near, &format!("write {}", choice()));
    reader.report.error(entry.place, &path, &format!("unknown routing strategy \"{name}\""), &advice);
}

/// The strategy that compares what a name mentions: `least-cost` is not `least-busy`.
fn by_measure(dashed: &str) -> Option<&'static str> {
    let is_measure = |word: &&str| matches!(*word, "cost" | "latency" | "usage");
    let measure = dashed.split('-').find(is_measure).filter(|_| ADVISES)?;
    ROUTING_STRATEGY.names().find(|name| name.starts_with(measure))
}

/// The names of all strategies, for advice.
pub(super) fn choice() -> String {
    let names: Vec<&str> = ROUTING_STRATEGY.names().collect();
    format!("one of {}", names.join(", "))
}

/// Keys of `routing_strategy_args`.
pub(crate) const ROUTING_STRATEGY_ARGS: &Table = &Table {
    name: "routing_strategy_args",
    keys: &[
        applied(
            "lowest_latency_buffer",
            "share above the lowest latency within which deployments count as equal; a tenth at least",
        ),
        applied("max_latency_list_size", "latencies kept for each deployment; 10 if unset"),
        ignored(
            "ttft_percentile",
            "has no effect: times to first token are compared by a moving average",
            "remove it",
        ),
        applied("ttl", "seconds that a latency is kept; 3600 if unset"),
    ],
    open: false,
};

/// Reads `routing_strategy_args`.
pub(super) fn args(reader: &mut Reader<'_>, section: &Section<'_>) -> StrategyArgs {
    let mut args = StrategyArgs {
        ttl: Duration::from_secs(3600),
        lowest_latency_buffer: 0.0,
        max_latency_list_size: 10,
    };
    let Some(section) = reader.section(section, "routing_strategy_args") else { return args };
    check_keys(reader, &section, ROUTING_STRATEGY_ARGS);
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
