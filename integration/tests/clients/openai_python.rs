//! OpenAI's client for Python.

use serde_json::json;

use crate::session::{Scripts, Seen, assert_errors, assert_features, world};

async fn run(group: &str) -> Vec<Seen> {
    Scripts::python("client_openai.py", "python").run(group).await
}

const CHAT: &[&str] = &["/chat/completions"];
const RESPONSES: &[&str] = &["/responses"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_python_client_chats_and_streams() {
    let seen = run("sync").await;
    assert_features(
        &seen,
        &[
            ("chat", CHAT),
            ("both_deployments_get_their_turn", CHAT),
            ("stream", CHAT),
            ("stream_without_usage", CHAT),
            ("structured_output", CHAT),
            ("completions", &["/completions"]),
            ("moderations", &["/moderations"]),
            ("models", &[]),
            ("fallbacks_of_a_request", CHAT),
            ("azure", CHAT),
        ],
    );
    let chat = seen[0].received[0].json();
    assert_eq!((chat["temperature"].as_f64(), chat["seed"].as_u64()), (Some(0.5), Some(11)), "{chat}");
    let structured = seen[4].received[0].json();
    assert_eq!(structured["response_format"]["json_schema"]["name"], "Weather", "{structured}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_asynchronous_python_client_chats_and_streams() {
    assert_features(
        &run("async").await,
        &[
            ("async_chats_at_once", CHAT),
            ("async_stream", CHAT),
            ("async_stream_left_early", CHAT),
            ("async_embeddings", &["/embeddings"]),
            ("async_models", &[]),
        ],
    );
}

/// It closes its connection at `data: [DONE]`, before the last chunk has come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_python_client_leaves_its_streams_at_their_end_and_they_are_successes() {
    let world = world().await;
    let seen = Scripts::python("client_openai.py", "python").run_in(&world, "ends").await;
    assert_features(
        &seen,
        &[
            ("chats_to_the_end", CHAT),
            ("async_chats_to_the_end", CHAT),
            ("completions_to_the_end", &["/completions"]),
            ("responses_to_the_end", RESPONSES),
        ],
    );
    for line in world.logged(40).await {
        assert_eq!(line["outcome"], "success", "{line}");
        assert_eq!(line["tokens"], json!({"prompt": 5, "completion": 7}), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_python_client_calls_tools() {
    let seen = run("tools").await;
    let wanted: [(&str, &[&str]); 4] = [
        ("tools", CHAT),
        ("tools_streamed", CHAT),
        ("tools_of_responses", RESPONSES),
        ("tools_of_responses_streamed", RESPONSES),
    ];
    assert_features(&seen, &wanted);
    let [asked, told] = seen[0].received.as_slice() else { panic!("two requests") };
    assert_eq!(asked.json()["tools"][0]["function"]["name"], "weather");
    assert_eq!(told.json()["messages"][2]["content"], "sunny");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_python_client_embeds_and_draws() {
    let seen = run("media").await;
    assert_features(
        &seen,
        &[
            ("embeddings_as_base64", &["/embeddings"]),
            ("embeddings_as_numbers", &["/embeddings"]),
            ("image_generation", &["/images/generations"]),
            ("image_generation_as_base64", &["/images/generations"]),
            ("image_edit", &["/images/edits"]),
        ],
    );
    let format = |n: usize| seen[n].received[0].json()["encoding_format"].clone();
    assert_eq!((format(0), format(1)), ("base64".into(), "float".into()));
    seen[4].assert_file_arrived();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_python_client_hears_and_speaks() {
    let seen = run("audio").await;
    const HEARS: &[&str] = &["/audio/transcriptions"];
    assert_features(
        &seen,
        &[
            ("transcription", HEARS),
            ("transcription_in_detail", HEARS),
            ("transcription_as_text", HEARS),
            ("transcription_streamed", HEARS),
            ("translation", &["/audio/translations"]),
            ("speech", &["/audio/speech"]),
            ("speech_as_it_arrives", &["/audio/speech"]),
        ],
    );
    seen.iter().filter(|seen| seen.feature.starts_with("trans")).for_each(Seen::assert_file_arrived);
}

const COMPACTED: &[&str] = &["/responses", "/responses/compact", "/responses"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_python_client_uses_the_responses_api() {
    assert_features(
        &run("responses").await,
        &[
            ("response", RESPONSES),
            ("response_events", RESPONSES),
            ("response_helper", RESPONSES),
            ("response_structured", RESPONSES),
            ("response_async", RESPONSES),
            ("response_compacted", COMPACTED),
            ("response_input_counted", &["/responses/input_tokens"]),
        ],
    );
}

const EVERY_ROUTE: &[&str] = &[
    "/chat/completions", "/responses", "/chat/completions", "/completions", "/embeddings",
    "/images/generations", "/images/edits", "/images/variations", "/audio/transcriptions",
    "/audio/translations", "/audio/speech", "/moderations", "/responses",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_python_client_for_azure_is_served_on_every_route_under_each_base_url() {
    let seen = run("azure").await;
    assert_features(
        &seen,
        &[
            ("azure_by_endpoint", EVERY_ROUTE),
            ("azure_by_deployment", EVERY_ROUTE),
            ("azure_by_base_url", EVERY_ROUTE),
            ("azure_v1", EVERY_ROUTE),
            ("azure_async", &["/chat/completions", "/images/edits", "/responses"]),
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_python_client_raises_its_own_classes_of_errors() {
    let seen = run("errors").await;
    assert!(seen.iter().any(|seen| seen.feature == "own_retry_waits_as_told"));
    assert_errors(
        &seen,
        &[
            ("unknown_model", "BadRequestError", 400, "", "no-such-model"),
            ("unknown_model_retrieved", "NotFoundError", 404, "", "no-such-model"),
            ("route_that_is_not_served", "NotFoundError", 404, "", "/files"),
            ("no_json", "BadRequestError", 400, "", ""),
            ("wrong_key", "AuthenticationError", 401, "", ""),
            ("provider_bad_request", "BadRequestError", 400, "", "refusing says 400"),
            ("provider_unauthorized", "AuthenticationError", 401, "", "unauthorized says 401"),
            ("provider_forbidden", "PermissionDeniedError", 403, "", "forbidden says 403"),
            ("provider_not_found", "NotFoundError", 404, "", "missing says 404"),
            ("provider_limited", "RateLimitError", 429, "7", "limited says 429"),
            ("provider_failing", "InternalServerError", 503, "", "failing says 503"),
            ("provider_hanging", "APIStatusError", 408, "", ""),
            ("limit_of_the_balancer", "RateLimitError", 429, "of the minute", ""),
            ("streamed_error", "RateLimitError", 429, "7", "limited says 429"),
        ],
    );
}
