//! Connections to providers that end while a request is on them.

use llm_balancer_integration::{Answer, World, item, minute};
use tokio::time::{Duration, sleep};

const ONE: &str = "router_settings: {num_retries: 0}\n";

#[tokio::test]
async fn a_kept_connection_that_the_provider_closes_is_no_error_without_retries() {
    let config = format!("model_list:\n{}{ONE}", item("gpt", "paris", ", rpm: 1000"));
    let mut world = World::new(&config).await;
    minute::with_room_for(Duration::from_secs(15)).await;
    for answer in [Answer::ok().close_kept(), Answer::ok().reset_kept()] {
        world.provider.always("paris", answer);
        for turn in 0..20 {
            let reply = world.chat("gpt").await;
            assert_eq!(reply.status, 200, "{turn}: {}", reply.text());
            assert_eq!(reply.retries(), 0, "{turn}");
        }
    }
    assert!(
        world.provider.calls().len() > 50,
        "most of them were sent twice: {}",
        world.provider.calls().len()
    );
    // What never reached the provider was counted once.
    let reply = world.chat("gpt").await;
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some("959"));
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn several_kept_connections_that_are_closed_at_once_are_no_error_either() {
    let world = World::group(&["paris"], "num_retries: 0").await;
    world.provider.always("paris", Answer::ok().after(Duration::from_millis(100)));
    world.crowd(3, 3, "gpt").await;
    assert!(world.provider.connections() >= 3);
    world.provider.script("paris", vec![Answer::ok().reset_kept(); 3]);
    for reply in world.crowd(3, 9, "gpt").await {
        assert_eq!((reply.status, reply.retries()), (200, 0), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_new_connection_that_ends_before_the_answer_is_an_error_as_before() {
    let world = World::group(&["paris"], "num_retries: 0").await;
    for answer in [Answer::ok().close(), Answer::ok().reset()] {
        world.provider.always("paris", answer);
        world.chat("gpt").await.error(500);
        assert_eq!(world.provider.calls().len(), 1);
        world.provider.forget();
    }
}

#[tokio::test]
async fn a_request_whose_answer_has_begun_is_never_sent_again_uncounted() {
    let world = World::group(&["paris"], "num_retries: 0, disable_cooldowns: true").await;
    for answer in
        [Answer::ok().close_after(0), Answer::ok().reset_after(0), Answer::status(500).reset_after(1)]
    {
        world.provider.always("paris", Answer::ok());
        assert_eq!(world.chat("gpt").await.status, 200);
        sleep(Duration::from_millis(20)).await;
        world.provider.forget();
        world.provider.always("paris", answer.clone());
        world.chat("gpt").await.error(500);
        assert_eq!(world.provider.calls().len(), 1, "{answer:?}");
    }
}
