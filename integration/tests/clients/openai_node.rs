//! OpenAI's client for Node.

use crate::session::{Scripts, Seen, assert_errors, assert_features, tools};

async fn run(group: &str) -> Vec<Seen> {
    let packages = Some(("LLM_BALANCER_PACKAGES", tools("node")));
    Scripts { program: tools("node/bin/node"), file: "client_openai.mjs", packages }.run(group).await
}

const CHAT: &[&str] = &["/chat/completions"];
const RESPONSES: &[&str] = &["/responses"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_node_client_chats_and_streams() {
    let seen = run("chat").await;
    assert_features(
        &seen,
        &[
            ("chat", CHAT),
            ("chats_at_once", CHAT),
            ("stream", CHAT),
            ("stream_helper", CHAT),
            ("stream_left_early", CHAT),
            ("fallbacks_of_a_request", CHAT),
            ("models", &[]),
            ("azure", CHAT),
        ],
    );
    assert_eq!(seen[0].received[0].json()["temperature"].as_f64(), Some(0.5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_node_client_calls_tools() {
    let seen = run("tools").await;
    assert_features(
        &seen,
        &[("tools", CHAT), ("tools_run_by_the_client", CHAT), ("tools_of_responses", RESPONSES)],
    );
    let [_, told] = seen[1].received.as_slice() else { panic!("two requests") };
    assert_eq!(told.json()["messages"][2]["content"], "sunny");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_node_client_embeds_draws_hears_speaks_and_uses_the_responses_api() {
    let seen = run("media").await;
    assert_features(
        &seen,
        &[
            ("embeddings", &["/embeddings"]),
            ("image_generation", &["/images/generations"]),
            ("image_edit", &["/images/edits"]),
            ("transcription", &["/audio/transcriptions"]),
            ("transcription_streamed", &["/audio/transcriptions"]),
            ("speech", &["/audio/speech"]),
            ("response", RESPONSES),
            ("response_streamed", RESPONSES),
        ],
    );
    seen[2..5].iter().for_each(Seen::assert_file_arrived);
}

const EVERY_ROUTE: &[&str] = &[
    "/chat/completions", "/responses", "/audio/speech", "/chat/completions", "/completions", "/embeddings",
    "/images/generations", "/images/edits", "/images/variations", "/audio/transcriptions",
    "/audio/translations", "/moderations", "/responses",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_node_client_for_azure_is_served_on_every_route_under_each_base_url() {
    let wanted = ["azure_by_endpoint", "azure_by_deployment", "azure_by_base_url", "azure_v1"];
    assert_features(&run("azure").await, &wanted.map(|feature| (feature, EVERY_ROUTE)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_node_client_raises_its_own_classes_of_errors() {
    let seen = run("errors").await;
    assert!(seen.iter().any(|seen| seen.feature == "own_retry_waits_as_told"));
    assert_errors(
        &seen,
        &[
            ("unknown_model", "BadRequestError", 400, "", "no-such-model"),
            ("unknown_model_retrieved", "NotFoundError", 404, "", "no-such-model"),
            ("wrong_key", "AuthenticationError", 401, "", ""),
            ("provider_bad_request", "BadRequestError", 400, "", "refusing says 400"),
            ("provider_not_found", "NotFoundError", 404, "", "missing says 404"),
            ("provider_limited", "RateLimitError", 429, "7", "limited says 429"),
            ("streamed_error", "RateLimitError", 429, "7", "limited says 429"),
            ("provider_failing", "InternalServerError", 503, "", "failing says 503"),
            ("limit_of_the_balancer", "RateLimitError", 429, "of the minute", ""),
        ],
    );
}
