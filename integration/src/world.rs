//! A provider, a balancer in front of it and a client, from as few words as a test needs.

use std::ops::Deref;

use crate::{Balancer, Client, Launch, Provider};

/// All that a test needs. Dereferences to its client.
#[derive(Debug)]
pub struct World {
    /// The client of the balancer.
    pub client: Client,
    /// The process under test.
    pub balancer: Balancer,
    /// What stands behind it.
    pub provider: Provider,
}

impl World {
    /// A balancer with this configuration, in which `PROVIDER` stands for the provider's origin.
    pub async fn new(config: &str) -> Self {
        let provider = Provider::start().await;
        Self::with(provider, config).await
    }

    /// The same with a provider that is there already.
    pub async fn with(provider: Provider, config: &str) -> Self {
        let config = config.replace("PROVIDER", &provider.origin());
        let balancer = Launch::new(&config).start().await;
        Self { client: Client::new(balancer.port), balancer, provider }
    }

    /// One group, `gpt`, of deployments with these names, and these `router_settings` in flow style (`num_retries: 2, timeout: 1`).
    pub async fn group(names: &[&str], router_settings: &str) -> Self {
        Self::new(&format!("{}router_settings: {{{router_settings}}}\n", model_list("gpt", names))).await
    }
}

/// A `model_list` of one group, each deployment under its own name as id and as the provider's path.
fn model_list(group: &str, names: &[&str]) -> String {
    let mut text = String::from("model_list:\n");
    for name in names {
        text.push_str(&format!(
            "- {{model_name: {group}, litellm_params: {{model: openai/m-{name}, api_base: PROVIDER/{name}/v1, api_key: sk-{name}}}, model_info: {{id: {name}}}}}\n"
        ));
    }
    text
}

impl Deref for World {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
