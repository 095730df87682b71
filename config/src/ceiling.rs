//! How often the edge may send a request again: only a ceiling, since the filter counts.

use crate::{Config, FailurePolicy};

/// Room for requests that bring their own `num_retries`.
const FEWEST: u32 = 25;
/// Where an endless loop would end.
const MOST: u32 = 250;

/// The edge's `num_retries`, and the most that a request can ask for: enough for every group on the longest chain of
/// fallbacks to use up its retries.
pub fn retry_ceiling(config: &Config) -> u32 {
    let router = &config.router;
    let deployments = config.deployments.iter().filter_map(|deployment| deployment.num_retries);
    let policies = router.group_retry_policy.iter().map(|(_, policy)| policy).chain([&router.retry_policy]);
    let most = deployments.chain(policies.filter_map(most_of)).fold(router.num_retries, u32::max);
    let attempts = most.saturating_add(1).saturating_mul(router.max_fallbacks.saturating_add(1));
    attempts.clamp(FEWEST, MOST)
}

fn most_of(policy: &FailurePolicy) -> Option<u32> {
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
        bad_request,
        authentication,
        timeout,
        rate_limit,
        content_policy,
        internal_server,
        service_unavailable,
        not_found,
        default,
    ];
    all.into_iter().flatten().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    fn ceiling_with(settings: &str) -> u32 {
        let text = format!(
            "model_list: [{{model_name: gpt, litellm_params: {{model: openai/gpt, api_key: none}}}}]\nrouter_settings: {{{settings}}}\n"
        );
        let reading = read("config.yaml", &text, &|_| None);
        retry_ceiling(&reading.config.unwrap_or_else(|| panic!("{:?}", reading.findings)))
    }

    #[test]
    fn every_group_on_the_longest_chain_of_fallbacks_has_its_retries() {
        let cases = [
            // Three retries and five fallbacks, as they are where nothing is set, and those of requests.
            ("", 25),
            ("num_retries: 9", 60),
            ("num_retries: 9, max_fallbacks: 2", 30),
            ("retry_policy: {RateLimitErrorRetries: 7, TimeoutErrorRetries: 1}", 48),
            ("model_group_retry_policy: {gpt: {InternalServerErrorRetries: 7}}", 48),
            ("num_retries: 0, max_fallbacks: 0", 25),
            ("num_retries: 4000000000, max_fallbacks: 4000000000", 250),
        ];
        for (settings, expected) in cases {
            assert_eq!(ceiling_with(settings), expected, "{settings}");
        }
    }
}
