//! `make screenshot`: pictures of the status page of one of two instances that share a Redis, after
//! minutes of traffic with retries, a cooldown, a limit that is reached, fallbacks and a reload.
//!
//! usage: screenshot FILE.png [FOLDER]. FOLDER gets the dark page and that of a phone, to look at.
//! `SCREENSHOT_SECONDS` sets the time of the traffic.

use std::path::Path;
use std::time::{Duration, Instant};

use llm_balancer_integration::{Answer, Browser, Client, Fleet, Redis, item, within};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Of traffic, unless `SCREENSHOT_SECONDS` says otherwise.
const SECONDS: u64 = 240;
const WIDTH: u32 = 1280;

fn config(rpm_of_openai: u64) -> String {
    [
        "model_list:\n".to_owned(),
        item("gpt-4o", "azure-eu", ", rpm: 900"),
        item("gpt-4o", "azure-us", ", rpm: 450, tpm: 60000"),
        item("gpt-4o", "openai", &format!(", rpm: {rpm_of_openai}")),
        item("claude-sonnet", "bedrock", ", weight: 2"),
        item("claude-sonnet", "anthropic", ", weight: 1"),
        item("llama-3.3-70b", "vllm-1", ", rpm: 30"),
        "router_settings: {redis_host: 127.0.0.1, redis_port: REDIS, num_retries: 2, retry_after: 0, cooldown_time: 45, fallbacks: [{llama-3.3-70b: [gpt-4o]}]}\n".to_owned(),
    ]
    .concat()
}

fn script(fleet: &Fleet) {
    let slow = |after: u64| Answer::ok().after(Duration::from_millis(after)).using(60, 190);
    for (name, after) in
        [("azure-eu", 220), ("azure-us", 410), ("openai", 330), ("bedrock", 560), ("vllm-1", 150)]
    {
        fleet.provider.always(name, slow(after));
    }
    fleet.provider.always("anthropic", Answer::status(529));
}

async fn traffic(fleet: &Fleet, time: Duration) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    let models = ["gpt-4o", "gpt-4o", "gpt-4o", "claude-sonnet", "llama-3.3-70b", "gpt-4o"];
    for (place, model) in models.into_iter().enumerate() {
        // One instance gets all requests for the limited group.
        let instances = if model.starts_with("llama") { 1 } else { fleet.instances.len() };
        for instance in fleet.instances.iter().take(instances) {
            let client = Client::new(instance.port);
            crowd.spawn(async move {
                let begun = Instant::now();
                while begun.elapsed() < time {
                    client.chat_with(model, &json!({"stream": place % 2 == 0})).await;
                    // A wave, as traffic is.
                    let wave = (begun.elapsed().as_secs_f64() / 25.0 + place as f64).sin();
                    sleep(Duration::from_millis(420 + (300.0 * wave) as u64)).await;
                }
            });
        }
    }
    crowd
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("usage: screenshot FILE.png [FOLDER]");
    let folder = arguments.next();
    let seconds =
        std::env::var("SCREENSHOT_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let redis = Redis::start().await;
    let fleet = Fleet::start(&config(150), 2, &[redis.port(), redis.port()]).await;
    script(&fleet);
    let mut browser = Browser::open(&fleet.instances[0].page()).await;
    let crowd = traffic(&fleet, Duration::from_secs(seconds)).await;
    sleep(Duration::from_secs(seconds / 2)).await;
    let changed =
        config(300).replace("PROVIDER", &fleet.provider.origin()).replace("REDIS", &redis.port().to_string());
    fleet.instances.iter().for_each(|instance| instance.replace_file(&changed));
    sleep(Duration::from_secs((seconds / 2).saturating_sub(35))).await;
    browser.view(WIDTH, 900, false).await;
    let height = browser.eval("document.documentElement.scrollHeight").await.as_u64().unwrap_or(900);
    let height = u32::try_from(height).unwrap_or(900).min(1200);
    browser.view(WIDTH, height, false).await;
    let shown = "['cooling down', 'limit reached'].every((words) => document.body.innerText.includes(words))";
    within(Duration::from_secs(30), async || browser.eval(shown).await == true).await;
    std::fs::write(&file, browser.screenshot().await).expect("the picture can be written");
    if let Some(folder) = folder.as_deref().map(Path::new) {
        for (name, width, dark) in [("dark.png", WIDTH, true), ("phone.png", 390, true)] {
            browser.view(width, 900, dark).await;
            sleep(Duration::from_millis(2500)).await;
            std::fs::write(folder.join(name), browser.screenshot().await)
                .expect("the picture can be written");
        }
        browser.eval("window.scrollTo(0, 1300), true").await;
        sleep(Duration::from_millis(500)).await;
        std::fs::write(folder.join("phone2.png"), browser.screenshot().await)
            .expect("the picture can be written");
    }
    crowd.join_all().await;
}
