//! What docs/many-instances.md tells an operator to type, on a real Redis: the user that it creates
//! may do all that is needed.

use std::time::Duration;

use llm_balancer_integration::fleet::silences;
use llm_balancer_integration::{Balancer, Client, Launch, Provider, Redis, item, minute};

/// Of which one is enough.
const GROUPS: [&str; 3] = ["gpt", "again", "once-more"];

const PAGE: &str = include_str!("../../docs/many-instances.md");

/// The words of the page's line that creates the user.
fn acl() -> Vec<&'static str> {
    let line = PAGE.lines().find(|line| line.starts_with("ACL SETUSER")).expect("the page creates a user");
    line.split(' ').collect()
}

#[tokio::test]
async fn the_documented_user_is_enough_to_share_a_limit() {
    let redis = Redis::start().await;
    assert_eq!(redis.command(&acl()).await, "OK");
    let provider = Provider::start().await;
    let config = format!(
        "model_list:\n{}router_settings: {{redis_host: 127.0.0.1, redis_port: {}, redis_username: llm-balancer, redis_password: os.environ/REDIS_PASSWORD, redis_db: 1}}\n",
        GROUPS
            .map(|group| ["paris", "oslo"].map(|name| item(group, &format!("{group}-{name}"), ", rpm: 10")).concat())
            .concat(),
        redis.port()
    )
    .replace("PROVIDER", &provider.origin());
    let launch = || Launch::new(&config).env("REDIS_PASSWORD", "secret").start();
    let balancers = [launch().await, launch().await];
    let silences = || silences(balancers.iter().map(Balancer::log));
    let mut is_shared = false;
    // A machine that has no time for Redis for a moment shows nothing.
    for group in GROUPS {
        minute::with_room_for(Duration::from_secs(20)).await;
        let before = silences();
        let mut served = 0;
        for n in 0..30 {
            let reply = Client::new(balancers[n % 2].port).chat(group).await;
            served += usize::from(reply.status == 200);
        }
        assert!(served <= 20, "{served} of 20");
        is_shared |= served == 20 && silences() == before;
        if is_shared {
            break;
        }
    }
    assert!(is_shared, "{}", balancers[0].log());
    assert_eq!(redis.command(&["ACL", "LOG"]).await, "");
    // Every key begins with the namespace that the user is confined to, and expires.
    let keys = redis.command(&["-n", "1", "--scan"]).await;
    assert!(keys.lines().count() >= 4, "{keys}");
    for key in keys.lines() {
        assert!(key.starts_with("llm-balancer:"), "{key}");
        let left: i64 = redis.command(&["-n", "1", "PTTL", key]).await.parse().unwrap();
        assert!(left > 0, "{key} never expires");
    }
}
