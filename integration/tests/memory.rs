//! Large bodies: they reach the provider whole, and what they leave behind in the process is
//! bounded.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use llm_balancer_integration::{Answer, World, memory};

const MIB: usize = 1 << 20;
/// The largest body that is let in.
const MOST: usize = 32 * MIB;

async fn world() -> World {
    World::new(
        "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/paris/v1, api_key: k}}\n\
         llm_balancer: {max_body_mb: 32}\n",
    )
    .await
}

/// A chat of so many bytes.
fn chat(size: usize) -> Bytes {
    let (start, end) = (r#"{"messages":[{"role":"user","content":""#, r#""}],"model":"gpt","user":"u"}"#);
    let text = "0123456789abcdef".repeat(size / 16);
    format!("{start}{}{end}", &text[..size - start.len() - end.len()]).into()
}

async fn send(world: &World, body: Bytes) {
    let reply = world.send(Method::POST, "/v1/chat/completions", "application/json", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    world.provider.forget();
}

/// Mebibytes that the processes use.
async fn used(world: &World) -> u64 {
    memory::used_by_all(&world.balancer).await / 1024
}

#[tokio::test]
async fn the_largest_body_costs_a_worker_its_own_size_once() {
    let world = world().await;
    send(&world, chat(1000)).await;
    let before = used(&world).await;
    // Each would leave a gap that the next does not fit into: all of them are 180 MB.
    for size in (1..=8).map(|part| part * MOST / 8) {
        send(&world, chat(size)).await;
    }
    let after = used(&world).await;
    let limit = 32 + 32;
    assert!(after <= before + limit, "{before} MB before, {after} MB after bodies of up to 32 MB");
    for _ in 0..10 {
        send(&world, chat(MOST)).await;
    }
    let later = used(&world).await;
    assert!(later <= before + limit, "{before} MB before, {later} MB after ten more");
}

/// Bodies that are rewritten as a whole are kept whole for a second attempt. Above 128 MB of them, a
/// request takes two hops, and Envoy keeps its body.
#[tokio::test]
async fn no_more_of_large_bodies_is_kept_than_a_worker_has_room_for() {
    let mut world = world().await;
    world.provider.always("paris", Answer::ok().after(Duration::from_secs(4)));
    let members: String = (0..900).map(|n| format!(r#""m{n}":"{}","#, "x".repeat(15_000))).collect();
    let body = Bytes::from(format!(r#"{{{members}"model":"gpt","messages":[]}}"#));
    let clients = (0..16).map(|_| {
        let (client, body) = (world.newcomer(), body.clone());
        tokio::spawn(async move {
            client.send(Method::POST, "/v1/chat/completions", "application/json", body).await.status
        })
    });
    for client in clients.collect::<Vec<_>>() {
        assert_eq!(client.await.unwrap(), 200);
    }
    let passed_on = world.balancer.stats().await["http.attempts.downstream_rq_total"];
    assert!(passed_on > 0, "some have two hops");
    world.provider.always("paris", Answer::ok());
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn an_answer_of_any_size_costs_no_more_than_its_pieces() {
    let world = world().await;
    send(&world, chat(1000)).await;
    let before = used(&world).await;
    let image = format!(r#"{{"data":[{{"b64_json":"{}"}}]}}"#, "A".repeat(2 * MOST));
    world.provider.always("paris", Answer::bytes(image.clone()));
    for _ in 0..3 {
        let reply = world.chat("gpt").await;
        assert!(reply.status == 200 && reply.text() == image);
    }
    let after = used(&world).await;
    assert!(after <= before + 24, "{before} MB before, {after} MB after an answer of 64 MB");
}

#[tokio::test]
async fn a_large_body_reaches_the_provider_whole() {
    let world = world().await;
    let body = chat(20 * MIB);
    let reply = world.send(Method::POST, "/v1/chat/completions", "application/json", body.clone()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let sent = world.provider.only_request().json();
    let expected: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(sent["messages"] == expected["messages"] && sent["user"] == expected["user"]);
    assert_eq!(sent["model"], "m");
}

#[tokio::test]
async fn a_large_file_in_a_form_reaches_the_provider_whole() {
    let world = world().await;
    let file: Vec<u8> = (0..20 * MIB).map(|place| (place % 251) as u8).collect();
    let parts = [
        b"--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n".as_slice(),
        &file,
        b"\r\n--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngpt\r\n--XX--\r\n",
    ];
    let content_type = "multipart/form-data; boundary=XX";
    let reply = world.send(Method::POST, "/v1/audio/transcriptions", content_type, parts.concat()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let expected = [
        b"--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n",
        parts[0],
        &file,
        b"\r\n--XX--\r\n",
    ];
    assert!(world.provider.only_request().body == expected.concat());
}
