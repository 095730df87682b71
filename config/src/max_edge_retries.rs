//! The edge's `num_retries`. An upper bound: the filter counts retries.

use std::collections::BTreeSet;

use crate::config::{Config, FailurePolicy};

/// For requests with their own `num_retries`.
const MIN: u32 = 25;
/// A bound on endless loops.
const MAX: u32 = 250;

/// The edge's `num_retries`: one attempt and its retries for every group, order and priority that a
/// request may reach.
///
/// The filter sends a request to providers this often at most, whatever the request's own
/// `num_retries` and `fallbacks` are. The edge's last attempt is reserved for a response that the
/// one before could not give.
pub fn max_edge_retries(config: &Config) -> u32 {
    let router = &config.router;
    let deployments = config.deployments.iter().filter_map(|deployment| deployment.num_retries);
    let policies = router.group_retry_policy.iter().map(|(_, policy)| policy).chain([&router.retry_policy]);
    let most = deployments.chain(policies.filter_map(max_of)).fold(router.num_retries, u32::max);
    let hops = targets(config).max(router.max_fallbacks).saturating_add(further_orders(config));
    let attempts = most.saturating_add(1).saturating_mul(hops.saturating_add(1));
    attempts.clamp(MIN, MAX)
}

/// The number of different fallback targets: a request tries each once.
fn targets(config: &Config) -> u32 {
    let router = &config.router;
    let lists = [&router.fallbacks, &router.context_window_fallbacks, &router.content_policy_fallbacks];
    let mut names = BTreeSet::new();
    for target in lists.into_iter().flatten().flat_map(|fallback| &fallback.targets) {
        names.insert(&target.model);
    }
    length(names.len())
}

/// Orders and priorities beyond the first of each group: each is tried like a fallback.
fn further_orders(config: &Config) -> u32 {
    let mut levels = BTreeSet::new();
    for deployment in &config.deployments {
        levels.extend(deployment.order.map(|order| (&deployment.group, order)));
    }
    for group in &config.router.routing_groups {
        for (_, priority) in &group.priorities {
            levels.insert((&group.name, *priority));
        }
    }
    let mut groups = BTreeSet::new();
    for (group, _) in &levels {
        groups.insert(*group);
    }
    length(levels.len()).saturating_sub(length(groups.len()))
}

fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn max_of(policy: &FailurePolicy) -> Option<u32> {
    let FailurePolicy {
        bad_request,
        authentication,
        timeout,
        rate_limit,
        content_policy,
        internal_server,
        service_unavailable,
        not_found,
        default,
    } = *policy;
    let all = [
        bad_request, authentication, timeout, rate_limit, content_policy, internal_server,
        service_unavailable, not_found, default,
    ];
    all.into_iter().flatten().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    /// Of three groups, of which `a` has deployments of three orders.
    fn max_edge_retries_with(settings: &str) -> u32 {
        let item = |group: &str, more: &str| {
            format!("- {{model_name: {group}, litellm_params: {{model: openai/gpt, api_key: none{more}}}}}\n")
        };
        let orders: String = (1..=3).map(|order| item("a", &format!(", order: {order}"))).collect();
        let text = format!(
            "model_list:\n{}{}{orders}router_settings: {{{settings}}}\n",
            item("gpt", ""),
            item("other", ", order: 7")
        );
        let reading = read("config.yaml", &text, &|_| None);
        max_edge_retries(&reading.config.unwrap_or_else(|| panic!("{:?}", reading.findings)))
    }

    #[test]
    fn every_group_that_a_request_may_reach_has_its_retries() {
        let cases = [
            // The defaults of three retries and five fallbacks, and two further orders.
            ("", 32),
            ("num_retries: 9", 80),
            ("num_retries: 9, max_fallbacks: 2", 50),
            ("num_retries: 9, max_fallbacks: 2, fallbacks: [{gpt: [other]}, {a: [other]}]", 50),
            (
                "num_retries: 9, max_fallbacks: 1, fallbacks: [{gpt: [other, a]}], default_fallbacks: [gpt]",
                60,
            ),
            (
                "num_retries: 9, max_fallbacks: 0, routing_groups: [{group_name: both, models: [gpt, other], \
              routing_strategy: priority, model_priorities: {gpt: 1, other: 2}}]",
                40,
            ),
            ("retry_policy: {RateLimitErrorRetries: 7, TimeoutErrorRetries: 1}", 64),
            ("model_group_retry_policy: {gpt: {InternalServerErrorRetries: 7}}", 64),
            ("num_retries: 0, max_fallbacks: 0", 25),
            ("num_retries: 4000000000, max_fallbacks: 4000000000", 250),
        ];
        for (settings, expected) in cases {
            assert_eq!(max_edge_retries_with(settings), expected, "{settings}");
        }
    }
}
