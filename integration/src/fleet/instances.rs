//! Several instances of the balancer, one provider behind them, and crowds of clients in front.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::{Balancer, Client, Launch, Provider, Reply, crowd, eventually, item, times};

/// Instances that share what they count.
#[derive(Debug)]
pub struct Fleet {
    /// The provider behind all of them.
    pub provider: Provider,
    /// In the order of the ports that they were given.
    pub instances: Vec<Balancer>,
}

/// An answer, and how long it took.
#[derive(Clone, Debug)]
pub struct Timed {
    /// The answer.
    pub reply: Reply,
    /// From the request to the end of the answer.
    pub took: Duration,
    /// Which instance gave it.
    pub instance: usize,
}

impl Fleet {
    /// One instance with so many workers for each of these ports of Redis. In the configuration,
    /// `PROVIDER` becomes the provider's origin and `REDIS` the port.
    pub async fn start(config: &str, workers: u8, redis: &[u16]) -> Self {
        Self::launched(config, redis, |launch| launch.concurrency(workers)).await
    }

    /// The same with further options for each start.
    pub async fn launched(config: &str, redis: &[u16], more: impl Fn(Launch) -> Launch) -> Self {
        let provider = Provider::start().await;
        let config = config.replace("PROVIDER", &provider.origin());
        let mut instances = Vec::new();
        for port in redis {
            let config = config.replace("REDIS", &port.to_string());
            instances.push(more(Launch::new(&config)).start().await);
        }
        Self { provider, instances }
    }

    /// So many chats with this model from clients of these instances at once, each client on a
    /// connection of its own.
    pub async fn crowd(&self, at: &[usize], clients: usize, count: usize, model: &str) -> Vec<Timed> {
        self.clients(at, clients, model, Duration::ZERO, times(count)).await
    }

    /// How many chats with this model one instance serves of at most so many, one after the other,
    /// once instances that had no time have given back what they do not use: that may take longer
    /// than a request waits.
    pub async fn served_later(&self, instance: usize, most: usize, model: &str) -> usize {
        sleep(Duration::from_millis(700)).await;
        served(&self.crowd(&[instance], 1, most, model).await)
    }

    /// Chats with this model for so long, each client with a pause between two.
    pub async fn steady(
        &self,
        at: &[usize],
        clients: usize,
        time: Duration,
        pause: Duration,
        model: &str,
    ) -> Vec<Timed> {
        let begun = Instant::now();
        self.clients(at, clients, model, pause, move || begun.elapsed() < time).await
    }

    async fn clients(
        &self,
        at: &[usize],
        clients: usize,
        model: &str,
        pause: Duration,
        goes_on: impl Fn() -> bool + Clone + Send + 'static,
    ) -> Vec<Timed> {
        let clients = at.iter().cycle().take(clients);
        let clients = clients.map(|instance| (*instance, Client::new(self.instances[*instance].port)));
        let model = model.to_owned();
        crowd(clients, goes_on, move |(instance, client)| {
            let model = model.clone();
            async move {
                let asked = Instant::now();
                let reply = client.chat(&model).await;
                let took = asked.elapsed();
                sleep(pause).await;
                Timed { reply, took, instance }
            }
        })
        .await
    }

    /// Lets all instances hear of each other and of Redis.
    pub async fn acquaint(&self) {
        sleep(super::ACQUAINTED).await;
    }

    /// Waits until the log of each of these instances has this in it for at least the nth time;
    /// says how long that took.
    pub async fn says(&self, at: &[usize], words: &str, times: usize) -> Duration {
        let begun = Instant::now();
        for instance in at {
            let mut log = String::new();
            let said = eventually(async || {
                log = self.instances[*instance].log();
                log.matches(words).count() >= times
            });
            assert!(said.await, "instance {instance} does not say {words:?} {times} times:\n{log}");
        }
        begun.elapsed()
    }
}

/// A group of two deployments, `<name>-paris` and `<name>-virginia`, each with these further
/// parameters.
pub fn pair(group: &str, params: &str) -> String {
    ["paris", "virginia"].map(|name| item(group, &format!("{group}-{name}"), params)).concat()
}

/// How many were served; asserts that all others got 429 with `retry-after`.
#[track_caller]
pub fn served(answers: &[Timed]) -> usize {
    for Timed { reply, .. } in answers.iter().filter(|answer| answer.reply.status != 200) {
        assert_eq!(reply.status, 429, "{}", reply.text());
        assert!(reply.header("retry-after").is_some(), "no retry-after: {}", reply.text());
    }
    answers.iter().filter(|answer| answer.reply.status == 200).count()
}

/// How many were served by each instance.
#[track_caller]
pub fn served_each(answers: &[Timed]) -> BTreeMap<usize, usize> {
    served(answers);
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.instance).or_default() += usize::from(answer.reply.status == 200);
    }
    counts
}

/// The time in which so many percent were answered.
pub fn percentile(answers: &[Timed], percent: usize) -> Duration {
    let mut times: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
    times.sort();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}
