//! Requests that are cheap to send and expensive to read.

use std::time::{Duration, Instant};

use flate2::{Compress, Compression, FlushCompress};
use hyper::Method;
use llm_balancer_integration::{Answer, Client, Reply, World, item};

/// What the most expensive of them may take, on a machine that is busy with other tests. Work that
/// grows with the square of the size would take minutes.
const MOST: Duration = Duration::from_secs(5);

async fn chat(client: &Client, body: String) -> (Reply, Duration) {
    timed(client, "/v1/chat/completions", "application/json", body.into()).await
}

async fn timed(client: &Client, path: &str, content_type: &str, body: Vec<u8>) -> (Reply, Duration) {
    let asked = Instant::now();
    (client.send(Method::POST, path, content_type, body).await, asked.elapsed())
}

/// So many of something that differs, between commas.
fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(",")
}

#[tokio::test]
async fn a_hundred_thousand_members_messages_tags_or_fallbacks_take_no_worker_away() {
    // All that may look into a body: limits of tokens, tags, prompts, wildcards.
    let config = format!(
        "model_list:\n{}{}router_settings: {{enable_tag_filtering: true, num_retries: 0}}\n",
        item("gpt", "paris", ", tpm: 100000000, tags: [default]"),
        item("'*-*-*'", "oslo", ", tpm: 100000000")
    );
    let mut world = World::new(&config).await;
    // The fake provider would read every body several times.
    world.provider.always("paris", Answer::bytes("{\"choices\":[{}]}"));
    let n = 100_000;
    let chats: Vec<(&str, String)> = vec![
        ("members", many(n, |k| format!("\"k{k}\":{k}"))),
        ("the same member", many(n, |_| "\"k\":1".to_owned())),
        ("members of metadata", format!("\"metadata\":{{{}}}", many(n, |k| format!("\"k{k}\":{k}")))),
        ("tags", format!("\"tags\":[{}]", many(n, |k| format!("\"t{k}\"")))),
        ("tags in metadata", format!("\"metadata\":{{\"tags\":[{}]}}", many(n, |k| format!("\"t{k}\"")))),
        ("fallbacks", format!("\"fallbacks\":[{}]", many(n, |k| format!("\"f{k}\"")))),
        (
            "fallbacks that are objects",
            format!("\"fallbacks\":[{}]", many(n, |k| format!("{{\"f{k}\":[\"gpt\"]}}"))),
        ),
        (
            "messages",
            format!("\"messages\":[{}]", many(n, |_| "{\"role\":\"user\",\"content\":\"a\"}".to_owned())),
        ),
        (
            "parts",
            format!(
                "\"messages\":[{{\"role\":\"user\",\"content\":[{}]}}]",
                many(n, |_| "{\"type\":\"text\",\"text\":\"a\"}".to_owned())
            ),
        ),
        ("members of a message", format!("\"messages\":[{{{}}}]", many(n, |k| format!("\"k{k}\":1")))),
        ("quotes", format!("\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]", "\\\"".repeat(10 * n))),
        (
            "backslashes",
            format!("\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]", "\\\\".repeat(10 * n)),
        ),
        (
            "escapes",
            format!("\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]", "\\u0061".repeat(4 * n)),
        ),
        ("digits", format!("\"n\":{}", "9".repeat(10 * n))),
        ("an exponent", format!("\"n\":1e{}", "9".repeat(10 * n))),
        ("token ids", format!("\"prompt\":[{}]", many(10 * n, |_| "1".to_owned()))),
        ("lists in lists", format!("\"messages\":{}{}", "[".repeat(10 * n), "]".repeat(10 * n))),
        (
            "tools",
            format!(
                "\"tools\":[{}]",
                many(n, |k| format!("{{\"type\":\"function\",\"function\":{{\"name\":\"f{k}\"}}}}"))
            ),
        ),
        ("spaces", format!("\"n\":{}1", " ".repeat(40 * n))),
    ];
    for (what, members) in chats {
        let (reply, took) = chat(&world.client, format!("{{\"model\":\"gpt\",{members}}}")).await;
        // An answer of endless choices would be above any limit.
        assert!([200, 400, 429].contains(&reply.status), "{what}: {} {}", reply.status, reply.text());
        assert!(took < MOST, "{what}: {took:?}");
        world.provider.forget();
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_form_of_a_hundred_thousand_parts_takes_no_worker_away() {
    let mut world = World::group(&["paris"], "num_retries: 0").await;
    world.provider.always("paris", Answer::bytes("{\"text\":\"hi\"}"));
    let part = |k: usize| format!("--XX\r\nContent-Disposition: form-data; name=\"k{k}\"\r\n\r\nv\r\n");
    let model = "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngpt\r\n";
    let end = "--XX--\r\n";
    let n = 100_000;
    for (what, body) in [
        ("parts", (0..n).map(part).collect::<String>() + model + end),
        ("the same part", model.repeat(n) + end),
        ("headers of a part", format!("--XX\r\n{}\r\nv\r\n{model}{end}", "x: y\r\n".repeat(n))),
        (
            "parameters",
            format!("--XX\r\nContent-Disposition: form-data{}\r\n\r\nv\r\n{model}{end}", "; a=b".repeat(n)),
        ),
        (
            "delimiters that are none",
            format!(
                "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{}\r\n{model}{end}",
                "\r\n--XY".repeat(n)
            ),
        ),
        ("line breaks", format!("{}{model}{end}", "\r\n".repeat(10 * n))),
        ("dashes", format!("--XX{}\r\n{model}{end}", "-".repeat(10 * n))),
    ] {
        let (reply, took) =
            timed(&world.client, "/v1/audio/transcriptions", "multipart/form-data; boundary=XX", body.into())
                .await;
        assert!([200, 400].contains(&reply.status), "{what}: {} {}", reply.status, reply.text());
        assert!(took < MOST, "{what}: {took:?}");
        world.provider.forget();
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_name_that_nearly_matches_thousands_of_wildcards_takes_no_worker_away() {
    let items: String =
        (0..3000).map(|n| item(&format!("'a*a*a*a*a*a*a*a*b{n}'"), &format!("d{n}"), "")).collect();
    let world = World::new(&format!("model_list:\n{}{items}", item("gpt", "paris", ""))).await;
    for name in ["a".repeat(1024), "ab".repeat(512), "a*".repeat(512)] {
        for _ in 0..5 {
            let (reply, took) = chat(&world.client, format!("{{\"model\":\"{name}\"}}")).await;
            reply.error(400);
            assert!(took < MOST, "{took:?}");
        }
    }
    assert_eq!(world.chat("gpt").await.served_by(), "paris");
}

#[tokio::test]
async fn headers_and_queries_as_large_as_they_may_be_take_no_worker_away() {
    let mut world = World::group(&["paris"], "num_retries: 0").await;
    let large = "a,".repeat(20_000);
    for (name, value) in [("x-litellm-tags", &large), ("accept", &large), ("x-any", &large)] {
        let (reply, took) = chat(&world.with_header(name, value), "{\"model\":\"gpt\"}".to_owned()).await;
        assert!([200, 400].contains(&reply.status), "{name}: {}", reply.text());
        assert!(took < MOST, "{name}: {took:?}");
    }
    let query = format!("/v1/chat/completions?{}", "amodel=x&".repeat(4_000));
    let (reply, took) =
        timed(&world.client, &query, "application/json", b"{\"model\":\"gpt\"}".to_vec()).await;
    assert!(reply.status == 200 && took < MOST, "{} {took:?}", reply.status);
    let slashes = format!("/v1{}models", "/".repeat(40_000));
    assert_eq!(world.get(&slashes).await.status, 200);
    world.assert_well("gpt").await;
}

/// 512 MB of zeros as half a megabyte of gzip.
fn bomb() -> Vec<u8> {
    let (zeros, mut block) = (vec![0; 1 << 20], vec![0; 1 << 14]);
    let mut compress = Compress::new(Compression::best(), false);
    compress.compress(&zeros, &mut block, FlushCompress::Sync).unwrap();
    block.truncate(compress.total_out() as usize);
    let head = b"\x1f\x8b\x08\0\0\0\0\0\0\x03";
    [&head[..], &block.repeat(512), b"\x03\0\0\0\0\0\0\0\0\0"].concat()
}

#[tokio::test]
async fn a_request_that_swells_to_half_a_gigabyte_is_refused_before_it_does() {
    let mut world = World::group(&["paris"], "num_retries: 0").await;
    let peak = |world: &World| {
        let peak = |pid: u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        world.balancer.processes().into_iter().filter_map(peak).sum::<u64>() / 1024
    };
    let before = peak(&world);
    let bomb = bomb();
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let client = world.with_header("content-encoding", "gzip");
    for _ in 0..3 {
        let (reply, _) = timed(&client, "/v1/chat/completions", "application/json", bomb.clone()).await;
        assert!([400, 413].contains(&reply.status), "{} {}", reply.status, reply.text());
    }
    let after = peak(&world);
    // The largest body that is let in has 64 MB, and Envoy may hold it three times, with some slack.
    assert!(after <= before + 3 * 64 + 16, "{before} MB before, {after} MB at the most");
    assert!(world.provider.received().is_empty());
    world.assert_well("gpt").await;
}
