//! Which headers of a provider's answer stay inside of the process.
//!
//! A client takes an answer for the balancer's own. A header that speaks for the host it came from (where it is, which
//! protocols it has, what a browser may do with it, who is logged in) would speak for the balancer's host, and one that a
//! proxy obeys would be obeyed by Envoy or by the proxy in front of it.

/// Removed by the route from every answer of a provider. Envoy removes hop-by-hop headers and `server` by itself.
pub(super) const PROVIDER_HEADERS_WITHHELD: &[&str] = &[
    // Where else the answer is to be had: a client that went there would send its prompt and its key past the balancer.
    // `location` is not among them, because the filter reads it; the edge removes it.
    "content-location",
    "refresh",
    "alt-svc",
    "alternate-protocol",
    // What a client keeps for the host.
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
    // Which key is wanted: the operator's, that the client does not have.
    "authentication-info",
    "proxy-authenticate",
    "proxy-authentication-info",
    "www-authenticate",
    // What one Envoy tells the next: whether to try again, whether a host is well.
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
    "x-envoy-upstream-service-time",
    // What nginx, Apache and Perlbal obey: another place to take the body from.
    "x-accel-redirect",
    "x-lighttpd-send-file",
    "x-reproxy-url",
    "x-sendfile",
];
