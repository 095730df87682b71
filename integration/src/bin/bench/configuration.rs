//! What is measured: a group of deployments that are all the same server.

/// Every strategy, under LiteLLM's names.
pub const STRATEGIES: [&str; 5] =
    ["simple-shuffle", "least-busy", "usage-based-routing-v2", "latency-based-routing", "cost-based-routing"];

#[derive(Clone, Copy)]
pub struct Configuration {
    pub deployments: usize,
    pub strategy: &'static str,
    /// Whether each has rpm and tpm, far above what is sent; without them nothing cools down
    /// either.
    pub limits: bool,
    /// The port of a Redis through which the limits are shared.
    pub redis: Option<u16>,
}

impl Default for Configuration {
    fn default() -> Self {
        Self { deployments: 3, strategy: "simple-shuffle", limits: false, redis: None }
    }
}

impl Configuration {
    /// The file that a user would have.
    pub fn text(&self, upstream: u16) -> String {
        let limits = if self.limits { ", rpm: 100000000, tpm: 100000000000" } else { "" };
        let item = |n: usize| {
            format!(
                "- model_name: gpt-3.5-turbo\n  litellm_params: {{model: openai/m{n}, api_base: 'http://127.0.0.1:{upstream}/d{n}/v1', api_key: sk-{n}{limits}}}\n"
            )
        };
        let items: String = (0..self.deployments).map(item).collect();
        let Self { strategy, limits, .. } = self;
        let redis = self.redis.map(settings).unwrap_or_default();
        format!(
            "model_list:\n{items}router_settings: {{routing_strategy: {strategy}, disable_cooldowns: {}{redis}}}\n",
            !limits
        )
    }
}

/// What names a Redis of this machine in `router_settings`, after something else.
pub fn settings(port: u16) -> String {
    format!(", redis_host: 127.0.0.1, redis_port: {port}")
}
