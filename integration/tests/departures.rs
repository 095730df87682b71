//! Clients that go away, at every stage of a request: the provider is let go, and nothing is left
//! behind.

use std::time::Duration;

use llm_balancer_integration::{Answer, Client, World, eventually, raw};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

const BODY: &str = "{\"model\": \"gpt\", \"messages\": []}";
const STREAM: &str = "{\"model\": \"gpt\", \"messages\": [], \"stream\": true}";

#[tokio::test]
async fn a_client_that_goes_before_its_request_is_complete_leaves_nothing() {
    let mut world = World::group(&["paris"], "").await;
    let whole = raw::chat(BODY, Some(BODY.len()));
    for sent in [0, 1, 20, whole.len() - BODY.len(), whole.len() - 1] {
        let mut socket = raw::connect(world.balancer.port).await;
        socket.write_all(&whole[..sent]).await.unwrap();
        sleep(Duration::from_millis(50)).await;
        drop(socket);
    }
    assert!(world.provider.received().is_empty());
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_client_that_goes_while_the_provider_thinks_lets_the_provider_go() {
    let mut world = World::group(&["paris"], "").await;
    for answer in [Answer::ok().hang(), Answer::ok().hang_after(0), Answer::status(500).hang_after(1)] {
        let before = world.provider.abandoned();
        world.provider.script("paris", [answer]);
        let mut socket = raw::connect(world.balancer.port).await;
        socket.write_all(&raw::chat(BODY, Some(BODY.len()))).await.unwrap();
        let asked = world.provider.count();
        assert!(
            eventually(async || world.provider.count() > asked
                || world.provider.received().iter().any(|r| r.name == "paris"))
            .await
        );
        sleep(Duration::from_millis(100)).await;
        drop(socket);
        assert!(
            eventually(async || world.provider.abandoned() == before + 1).await,
            "the provider still works after its client has disconnected"
        );
        world.provider.forget();
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_of_a_stream_lets_the_provider_go() {
    let mut world = World::group(&["paris"], "").await;
    world.provider.script("paris", [Answer::ok().events(1000).every(Duration::from_millis(50))]);
    let mut socket = raw::connect(world.balancer.port).await;
    let seen = raw::exchange(&mut socket, &raw::chat(STREAM, Some(STREAM.len())), |seen| {
        seen.contains("2 from paris")
    })
    .await;
    assert!(seen.contains("2 from paris"), "{seen}");
    drop(socket);
    assert!(
        eventually(async || world.provider.abandoned() == 1).await,
        "the provider still streams after its client has disconnected"
    );
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn an_http2_client_that_drops_one_stream_keeps_its_others() {
    let mut world = World::group(&["paris"], "").await;
    world.provider.always("paris", Answer::ok().events(1000).every(Duration::from_millis(20)));
    let client = Client::http2(world.balancer.port);
    let mut dropped = client.stream_chat("gpt").await;
    let mut kept = client.stream_chat("gpt").await;
    assert!(dropped.next().await.is_some() && kept.next().await.is_some());
    drop(dropped);
    assert!(
        eventually(async || world.provider.abandoned() == 1).await,
        "the provider still streams after its client has disconnected"
    );
    assert!(kept.next().await.is_some());
    drop((kept, client));
    assert!(eventually(async || world.provider.abandoned() == 2).await);
    world.provider.always("paris", Answer::ok());
    world.assert_well("gpt").await;
}

/// A stream of HTTP/2 that is reset, on a connection that goes on: before the answer, behind filler,
/// and in mid-stream.
#[tokio::test]
async fn an_http2_client_that_drops_its_streams_says_nothing_about_the_deployments() {
    let mut world = World::group(&["paris", "virginia"], "allowed_fails: 0").await;
    let client = Client::http2(world.balancer.port);
    for (count, answer) in
        [(3, Answer::ok().hang()), (6, Answer::ok().events(1000).every(Duration::from_millis(20)))]
    {
        for name in ["paris", "virginia"] {
            world.provider.always(name, answer.clone());
        }
        while world.provider.abandoned() < count {
            let before = world.provider.abandoned();
            let asked = world.provider.received().len();
            let dropped = tokio::spawn({
                let client = client.clone();
                async move {
                    let mut stream = client.stream_chat("gpt").await;
                    while stream.next().await.is_some() {}
                }
            });
            assert!(eventually(async || world.provider.received().len() > asked).await);
            sleep(Duration::from_millis(100)).await;
            dropped.abort();
            assert!(eventually(async || world.provider.abandoned() > before).await);
        }
    }
    for line in world.logged(6).await {
        assert_eq!(line["outcome"], "client_disconnected", "{line}");
    }
    for name in ["paris", "virginia"] {
        world.provider.always(name, Answer::ok());
    }
    let picks = world.picks("gpt", 40).await;
    assert_eq!(picks.len(), 2, "neither cools down: {picks:?}");
    world.assert_well("gpt").await;
}

/// As Node ends a stream, and an Envoy before 1.37: Envoy has no flag for that. In mid-stream, and while
/// the answer is held.
#[tokio::test]
async fn a_stream_that_is_reset_without_an_error_says_nothing_about_the_deployment() {
    let mut world = World::group(&["paris"], "allowed_fails: 0, num_retries: 0").await;
    let role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    let answers = [
        Answer::ok().events(1000).every(Duration::from_millis(20)),
        Answer::pieces([role, role]).every(Duration::from_millis(300)).hang(),
        Answer::ok().hang(),
    ];
    for (gone, answer) in answers.into_iter().enumerate() {
        world.provider.always("paris", answer);
        let socket = raw::connect(world.balancer.port).await;
        let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let uri = format!("http://127.0.0.1:{}/v1/chat/completions", world.balancer.port);
        let request = hyper::Request::post(uri).body(()).unwrap();
        let (answer, mut stream) = client.send_request(request, false).unwrap();
        stream.send_data(STREAM.into(), true).unwrap();
        assert!(eventually(async || world.provider.received().len() > gone).await);
        sleep(Duration::from_millis(900)).await;
        stream.send_reset(h2::Reason::NO_ERROR);
        assert!(eventually(async || world.provider.abandoned() > gone).await);
        drop(answer);
    }
    for line in world.logged(3).await {
        assert_eq!(line["outcome"], "client_disconnected", "{line}");
    }
    world.provider.always("paris", Answer::ok());
    assert_eq!(world.chat("gpt").await.status, 200, "it has not cooled down");
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_client_that_goes_between_attempts_ends_the_attempts() {
    let mut world = World::group(&["paris"], "num_retries: 3").await;
    world.provider.script("paris", [Answer::status(429).retry_after("2")]);
    let mut socket = raw::connect(world.balancer.port).await;
    socket.write_all(&raw::chat(BODY, Some(BODY.len()))).await.unwrap();
    assert!(eventually(async || world.provider.count() == 1).await);
    sleep(Duration::from_millis(200)).await;
    drop(socket);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.provider.count(), 1, "an attempt without a client");
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_hundred_clients_that_leave_at_random_leave_nothing() {
    let mut world = World::group(&["paris", "virginia"], "disable_cooldowns: true").await;
    world.provider.always(
        "paris",
        Answer::ok().events(20).after(Duration::from_millis(30)).every(Duration::from_millis(10)),
    );
    world.provider.always("virginia", Answer::status(500).after(Duration::from_millis(20)));
    let port = world.balancer.port;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..100_u64 {
        clients.spawn(async move {
            let mut socket = raw::connect(port).await;
            let _ = socket.write_all(&raw::chat(STREAM, Some(STREAM.len()))).await;
            sleep(Duration::from_millis(number * 37 % 400)).await;
        });
    }
    clients.join_all().await;
    world.provider.always("virginia", Answer::ok());
    world.assert_well("gpt").await;
    assert!(eventually(async || world.provider.open_connections() <= 110).await);
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() {
    let world = World::group(&["paris"], "").await;
    let piece = format!("data: {}\n\n", "x".repeat(64 * 1024 - 8)).into_bytes();
    world.provider.always("paris", Answer::pieces(vec![piece; 64]));
    let mut events = world.stream_chat("gpt").await;
    let mut bytes = 0;
    while let Some((_, data)) = events.next().await {
        bytes += data.len();
        if bytes < 1 << 20 {
            sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!((bytes, events.broken), (64 * 64 * 1024, false));
}

/// Envoy then reads no more from the provider, which looks like a provider that is silent.
#[tokio::test]
async fn a_client_that_stops_reading_for_too_long_loses_its_answer_and_no_deployment() {
    let names = ["paris", "virginia"];
    let world = World::group(&names, "stream_timeout: 1, allowed_fails: 0, num_retries: 0").await;
    let piece = format!("data: {}\n\n", "x".repeat(64 * 1024 - 8)).into_bytes();
    let all = |answer: &Answer| names.map(|name| world.provider.always(name, answer.clone()));
    // More than the buffers of the kernel and of Envoy can hold.
    all(&Answer::pieces(vec![piece; 512]));
    let mut events = world.stream_chat("gpt").await;
    assert!(events.next().await.is_some());
    sleep(Duration::from_secs(3)).await;
    events.until_end().await;
    assert!(events.broken, "it looks whole");
    let line = world.logged(1).await.remove(0);
    let attempt = &line["attempts"][0];
    assert_eq!((&attempt["outcome"], &attempt["class"]), (&"timeout".into(), &"client_timeout".into()));
    all(&Answer::ok());
    assert_eq!(world.picks("gpt", 40).await.len(), 2, "a deployment cools down");
}

/// The SDK drops an answer to a call whose stream is gone; answers to unknown calls would end the
/// VM.
#[tokio::test]
async fn a_client_that_goes_while_deployments_are_probed_leaves_nothing() {
    let mut world = World::group(&["paris", "virginia"], "").await;
    for name in ["paris", "virginia"] {
        world.provider.script(name, [Answer::ok().after(Duration::from_millis(300))]);
    }
    let mut socket = raw::connect(world.balancer.port).await;
    socket.write_all(b"GET /health HTTP/1.1\r\nhost: balancer\r\n\r\n").await.unwrap();
    assert!(eventually(async || world.provider.count() == 2).await, "the deployments were not probed");
    drop(socket);
    sleep(Duration::from_millis(600)).await;
    world.assert_well("gpt").await;
}
