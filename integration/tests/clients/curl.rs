//! curl.

use data_encoding::BASE64;
use serde_json::Value;

use crate::session::{Scripts, Seen};

async fn run(group: &str) -> Vec<Seen> {
    Scripts { program: "bash".into(), file: "client_curl.sh", packages: None }.run(group).await
}

fn body(seen: &Seen) -> Vec<u8> {
    BASE64.decode(seen.line["body"].as_str().unwrap_or_default().as_bytes()).expect("the script encodes it")
}

fn text(seen: &Seen) -> String {
    String::from_utf8_lossy(&body(seen)).into_owned()
}

/// The first value of a header.
fn header<'a>(seen: &'a Seen, name: &str) -> Option<&'a str> {
    seen.line["headers"][name][0].as_str()
}

/// Asserts that a request was served: by whom the headers and the body say, asked on this route.
#[track_caller]
fn assert_served(seen: &Seen, feature: &str, route: &str) {
    assert_eq!((seen.feature.as_str(), &seen.line["status"]), (feature, &200.into()), "{}", text(seen));
    let [request] = seen.received.as_slice() else {
        panic!("{feature}: one request, not {:?}", seen.received)
    };
    assert_eq!(request.route(), route, "{feature}");
    assert_eq!(header(seen, "x-litellm-model-id"), Some(request.name.as_str()), "{feature}");
    // A vector in base64 is the only answer whose text does not name the deployment.
    assert!(text(seen).contains(&request.name), "{feature}: {}", text(seen));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_posts_json() {
    let seen = run("json").await;
    let served = [
        ("chat", "/chat/completions"),
        ("chat_without_v1", "/chat/completions"),
        ("completion", "/completions"),
        ("embedding", "/embeddings"),
        ("response", "/responses"),
        ("image", "/images/generations"),
        ("speech", "/audio/speech"),
        ("model_in_the_path", "/chat/completions"),
        ("compressed", "/chat/completions"),
        ("http2", "/chat/completions"),
    ];
    assert_eq!(seen.len(), served.len() + 2);
    for (seen, (feature, route)) in seen.iter().zip(served) {
        assert_served(seen, feature, route);
    }
    assert!(body(&seen[6]).ends_with(&(0..=255).collect::<Vec<u8>>()), "sound arrives as it was sent");
    let models: Value = serde_json::from_slice(&body(&seen[10])).expect("a list of models");
    assert!(models["data"].as_array().unwrap().iter().any(|model| model["id"] == "gpt"), "{models}");
    let of_codex: Value = serde_json::from_slice(&body(&seen[11])).expect("a list of models");
    assert_eq!((&of_codex["models"], &of_codex["data"]), (&Value::Array(Vec::new()), &models["data"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_shows_events_as_they_arrive() {
    let seen = run("stream").await;
    let lines: Vec<_> = seen.iter().map(|seen| seen.line["line"].as_str().unwrap_or_default()).collect();
    let words: Vec<_> = lines.iter().filter(|line| line.contains("from slow")).collect();
    assert_eq!((words.len(), lines.last()), (3, Some(&"data: [DONE]")), "{lines:?}");
    let times: Vec<_> = seen.iter().filter_map(|seen| seen.line["after"].as_u64()).collect();
    // 300 ms between one and the next; a balancer that kept them back would hand out several at
    // once.
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] > 150), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_posts_forms_with_files() {
    let seen = run("forms").await;
    assert_eq!(seen.len(), 3);
    assert_served(&seen[0], "transcription", "/audio/transcriptions");
    assert_served(&seen[1], "translation", "/audio/translations");
    assert_served(&seen[2], "image_edit", "/images/edits");
    seen.iter().for_each(Seen::assert_file_arrived);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_sees_statuses_and_openais_shape_of_errors() {
    let wanted = [
        ("unknown_model", 400, "no-such-model"),
        ("wrong_key", 401, ""),
        ("no_json", 400, ""),
        ("unknown_route", 404, ""),
        ("provider_not_found", 404, "missing says 404"),
        ("provider_limited", 429, "limited says 429"),
        ("served_once_a_minute", 200, ""),
        ("limit_of_the_balancer", 429, ""),
    ];
    let seen = run("errors").await;
    assert_eq!(seen.len(), wanted.len());
    for (seen, (feature, status, message)) in seen.iter().zip(wanted) {
        assert_eq!(
            (seen.feature.as_str(), &seen.line["status"]),
            (feature, &status.into()),
            "{}",
            text(seen)
        );
        let body: Value = serde_json::from_slice(&body(seen)).expect("errors are JSON");
        let said = body["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 200 || (said.contains(message) && !said.is_empty()), "{feature}: {body}");
    }
    assert_eq!(header(&seen[5], "retry-after"), Some("7"));
    let left: u64 = header(&seen[7], "retry-after").and_then(|left| left.parse().ok()).expect("seconds");
    assert!((1..=60).contains(&left), "{left}");
}
