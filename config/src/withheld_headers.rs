//! Headers of a provider's answer that clients do not get.
//!
//! To a client the answer is the balancer's own. A header about the provider's host (location,
//! protocols, browser rights, sessions) would be taken for one about the balancer's host, and Envoy
//! or a proxy before it would obey a header for proxies.

use crate::names;

/// All of them, and the balancer's own internal ones. Envoy removes hop-by-hop headers and `server` by
/// itself.
pub const WITHHELD_HEADERS: &[&str] = &[
    // Other places of the answer: a client would send its prompt and key there. `location` is
    // missing, because the filter reads it; the edge removes it.
    "content-location",
    "refresh",
    "alt-svc",
    "alternate-protocol",
    // What a client stores for the host.
    "set-cookie",
    "set-cookie2",
    "clear-site-data",
    "strict-transport-security",
    "expect-ct",
    "public-key-pins",
    "public-key-pins-report-only",
    // Where a browser reports to.
    "nel",
    "report-to",
    "reporting-endpoints",
    // What a browser may do with the answer.
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-allow-private-network",
    "access-control-expose-headers",
    "access-control-max-age",
    "content-security-policy",
    "content-security-policy-report-only",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "feature-policy",
    "origin-agent-cluster",
    "permissions-policy",
    "service-worker-allowed",
    "x-frame-options",
    "x-xss-protection",
    // Which key is needed: the operator's, which the client does not have.
    "authentication-info",
    "proxy-authenticate",
    "proxy-authentication-info",
    "www-authenticate",
    // From one Envoy to the next: retries, health.
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-degraded",
    "x-envoy-immediate-health-check-fail",
    "x-envoy-is-timeout-retry",
    "x-envoy-local-overloaded",
    "x-envoy-overloaded",
    "x-envoy-peer-metadata",
    "x-envoy-peer-metadata-id",
    "x-envoy-ratelimited",
    "x-envoy-upstream-canary",
    "x-envoy-upstream-healthchecked-cluster",
    "x-envoy-upstream-service-time",
    // Of a LiteLLM before the provider: what the operator pays.
    "x-litellm-key-spend",
    "x-litellm-response-cost",
    "x-litellm-version",
    // For nginx, Apache and Perlbal: another source of the body.
    "x-accel-redirect",
    "x-lighttpd-send-file",
    "x-reproxy-url",
    "x-sendfile",
    // Our own, between the filter and the edge.
    names::RETRY,
    names::REUSED,
    names::CLUSTER,
    names::NEXT_ATTEMPT,
    names::CLIENT,
];

/// Whether clients do not get a header of a provider. Where each header is looked at, as the module
/// does in first attempts, those are withheld, too, that begin like Envoy's and ours. The filter adds
/// our own later.
pub fn is_withheld(name: &str) -> bool {
    ["x-envoy-", "x-llm-", "x-litellm-"].iter().any(|prefix| name.starts_with(prefix))
        || WITHHELD_HEADERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_like_envoys_and_ours_are_withheld_and_the_rest_is_not() {
        for name in [
            "x-envoy-foo", "x-llm-balancer-explain", "x-llm-cluster", "x-litellm-response-cost", "set-cookie",
        ] {
            assert!(is_withheld(name), "{name}");
        }
        for name in ["x-request-id", "openai-processing-ms", "x-ratelimit-remaining-tokens", "location"] {
            assert!(!is_withheld(name), "{name}");
        }
    }
}
