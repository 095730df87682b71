//! A provider, a balancer in front of it and a client, from as few words as a test needs.

use std::collections::BTreeMap;
use std::iter::repeat_n;
use std::ops::Deref;

use serde_json::Value;

use crate::{Balancer, Client, Launch, Provider, Reply, crowd, eventually, statistics, times};

/// All that a test needs. Dereferences to its client.
#[derive(Debug)]
pub struct World {
    /// The client of the balancer.
    pub client: Client,
    /// The process under test.
    pub balancer: Balancer,
    /// The provider behind it.
    pub provider: Provider,
}

impl World {
    /// A balancer with this configuration, in which `PROVIDER` becomes the provider's origin.
    pub async fn new(config: &str) -> Self {
        let provider = Provider::start().await;
        Self::with(provider, config).await
    }

    /// The same with a provider that is there already.
    pub async fn with(provider: Provider, config: &str) -> Self {
        Self::started(provider, config, |launch| launch).await
    }

    /// The same with so many workers.
    pub async fn with_workers(workers: u8, config: &str) -> Self {
        Self::launched(config, |launch| launch.concurrency(workers)).await
    }

    /// The same with further options for the start.
    pub async fn launched(config: &str, more: impl FnOnce(Launch) -> Launch) -> Self {
        Self::started(Provider::start().await, config, more).await
    }

    async fn started(provider: Provider, config: &str, more: impl FnOnce(Launch) -> Launch) -> Self {
        let config = config.replace("PROVIDER", &provider.origin());
        let balancer = more(Launch::new(&config)).start().await;
        Self { client: Client::new(balancer.port), balancer, provider }
    }

    /// The access log as soon as it has so many lines.
    pub async fn logged(&self, count: usize) -> Vec<Value> {
        let complete = eventually(async || self.balancer.access_log().len() >= count).await;
        let lines = self.balancer.access_log();
        let log = || self.balancer.log();
        assert!(complete && lines.len() == count, "{count} lines were expected: {lines:#?}\n{}", log());
        lines
    }

    /// A client on connections of its own, which any of the workers may accept.
    pub fn newcomer(&self) -> Client {
        Client::new(self.balancer.port)
    }

    /// One group, `gpt`, of deployments with these names, and these `router_settings` in flow style
    /// (`num_retries: 2, timeout: 1`).
    pub async fn group(names: &[&str], router_settings: &str) -> Self {
        Self::new(&format!("{}router_settings: {{{router_settings}}}\n", model_list("gpt", names))).await
    }

    /// So many chats with this model, from sixteen clients at once: how often each deployment
    /// served.
    pub async fn picks(&self, model: &str, count: usize) -> BTreeMap<String, usize> {
        let replies = self.crowd(16, count, model).await;
        statistics::counts(replies.iter().map(Reply::served_by))
    }

    /// So many chats with this model from so many clients at once.
    pub async fn crowd(&self, clients: usize, count: usize, model: &str) -> Vec<Reply> {
        let model = model.to_owned();
        crowd(repeat_n(self.client.clone(), clients), times(count), move |client| {
            let model = model.clone();
            async move { client.chat(&model).await }
        })
        .await
    }

    /// Asserts that the balancer still serves this model, and that nothing is left in flight.
    pub async fn assert_well(&mut self, model: &str) {
        let reply = self.chat(model).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let mut busy = BTreeMap::new();
        let idle = crate::eventually(async || {
            busy = self.balancer.busy().await;
            busy.is_empty()
        });
        assert!(idle.await, "still in flight: {busy:?}");
        assert!(self.balancer.alive(), "the balancer is gone");
    }
}

/// An item of `model_list`, its name being its id and the provider's path; with further
/// litellm_params (`, rpm: 20`).
pub fn item(group: &str, name: &str, params: &str) -> String {
    format!(
        "- {{model_name: {group}, litellm_params: {{model: openai/m-{name}, api_base: PROVIDER/{name}/v1, api_key: sk-{name}{params}}}, model_info: {{id: {name}}}}}\n"
    )
}

/// A `model_list` of one group, each deployment under its own name as id and as the provider's
/// path.
pub(crate) fn model_list(group: &str, names: &[&str]) -> String {
    let mut text = String::from("model_list:\n");
    for name in names {
        text.push_str(&item(group, name, ""));
    }
    text
}

impl Deref for World {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
