//! Anthropic's clients for Python and Node, and the requests of Claude Code.

use serde_json::json;

use crate::session::{Scripts, Seen, assert_errors, assert_features, tools};

async fn python(group: &str) -> Vec<Seen> {
    Scripts::python("client_anthropic.py", "anthropic").run(group).await
}

async fn node(group: &str) -> Vec<Seen> {
    let packages = Some(("LLM_BALANCER_PACKAGES", tools("anthropic-node")));
    Scripts { program: tools("node/bin/node"), file: "client_anthropic.mjs", packages }.run(group).await
}

const MESSAGES: &[&str] = &["/messages"];
const COUNT_TOKENS: &[&str] = &["/messages/count_tokens"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anthropics_python_client_sends_messages_and_streams() {
    let seen = python("sync").await;
    assert_features(
        &seen,
        &[
            ("message", MESSAGES),
            ("both_deployments_get_their_turn", MESSAGES),
            ("stream", MESSAGES),
            ("stream_helper", MESSAGES),
            ("stream_left_early", MESSAGES),
            ("thinking", MESSAGES),
            ("prompt_caching", MESSAGES),
            ("betas", MESSAGES),
            ("count_tokens", COUNT_TOKENS),
            ("key_as_bearer", MESSAGES),
            ("fallbacks_of_a_request", MESSAGES),
            ("models", &[]),
        ],
    );
    let message = seen[0].received[0].json();
    assert_eq!(message["metadata"], json!({"user_id": "u-1"}), "{message}");
    let cached = seen[6].received[0].json();
    assert_eq!(cached["system"][0]["cache_control"], json!({"type": "ephemeral"}), "{cached}");
    let betas = &seen[7].received[0];
    assert_eq!(betas.header("anthropic-beta"), Some("context-1m-2025-08-07,effort-2025-11-24"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anthropics_asynchronous_python_client_sends_messages_and_streams() {
    assert_features(
        &python("async").await,
        &[
            ("async_messages_at_once", MESSAGES),
            ("async_stream", MESSAGES),
            ("async_models", &[]),
            ("async_count_tokens", COUNT_TOKENS),
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anthropics_python_client_calls_tools() {
    let seen = python("tools").await;
    assert_features(&seen, &[("tools", MESSAGES), ("tools_streamed", MESSAGES)]);
    let [asked, told] = seen[0].received.as_slice() else { panic!("two requests") };
    assert_eq!(asked.json()["tools"][0]["name"], "weather");
    assert_eq!(told.json()["messages"][2]["content"][0]["content"], "sunny");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requests_of_claude_code_arrive_as_they_were_sent() {
    let seen = python("code").await;
    assert_features(
        &seen,
        &[("code_turn", MESSAGES), ("code_counts_tokens", COUNT_TOKENS), ("code_discovers_models", &[])],
    );
    for request in seen.iter().flat_map(|seen| &seen.received) {
        let betas = "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,effort-2025-11-24";
        assert_eq!(request.header("anthropic-beta"), Some(betas));
        assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
        let body = request.json();
        assert_eq!(body["system"][1]["cache_control"], json!({"type": "ephemeral"}), "{body}");
        assert_eq!(
            body["messages"][0]["content"][0]["cache_control"],
            json!({"type": "ephemeral"}),
            "{body}"
        );
    }
    let turn = seen[0].received[0].json();
    for member in
        ["max_tokens", "stream", "thinking", "metadata", "context_management", "output_config", "tools"]
    {
        assert!(!turn[member].is_null(), "{member} of {turn}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anthropics_python_client_raises_its_own_classes_of_errors() {
    let seen = python("errors").await;
    assert!(seen.iter().any(|seen| seen.feature == "own_retry_waits_as_told"));
    assert_errors(
        &seen,
        &[
            ("unknown_model", "BadRequestError", 400, "", "no-such-model"),
            ("unknown_model_retrieved", "NotFoundError", 404, "", "no-such-model"),
            ("page_behind_an_unknown_model", "BadRequestError", 400, "", "after_id"),
            ("model_of_openais_api_alone", "BadRequestError", 400, "", "/v1/chat/completions"),
            ("route_that_is_not_served", "NotFoundError", 404, "", "/v1/messages/batches"),
            ("wrong_key", "AuthenticationError", 401, "", ""),
            ("missing_max_tokens", "BadRequestError", 400, "", "max_tokens: Field required"),
            ("provider_bad_request", "BadRequestError", 400, "", "refusing_messages says 400"),
            ("provider_unauthorized", "AuthenticationError", 401, "", "unauthorized_messages says 401"),
            ("provider_not_found", "NotFoundError", 404, "", "missing_messages says 404"),
            ("provider_limited", "RateLimitError", 429, "7", "limited_messages says 429"),
            ("provider_overloaded", "OverloadedError", 529, "", "overloaded_messages says 529"),
            ("provider_failing", "ServiceUnavailableError", 503, "", "failing_messages says 503"),
            ("provider_hanging", "RequestTimeoutError", 408, "", ""),
            ("limit_of_the_balancer", "RateLimitError", 429, "of the minute", ""),
            ("streamed_error", "RateLimitError", 429, "7", "limited_messages says 429"),
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anthropics_node_client_sends_messages_streams_and_calls_tools() {
    let seen = node("messages").await;
    assert_features(
        &seen,
        &[
            ("message", MESSAGES),
            ("messages_at_once", MESSAGES),
            ("stream", MESSAGES),
            ("stream_helper", MESSAGES),
            ("stream_left_early", MESSAGES),
            ("betas", MESSAGES),
            ("count_tokens", COUNT_TOKENS),
            ("key_as_bearer", MESSAGES),
            ("tools", MESSAGES),
            ("models", &[]),
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anthropics_node_client_raises_its_own_classes_of_errors() {
    assert_errors(
        &node("errors").await,
        &[
            ("unknown_model", "BadRequestError", 400, "", "no-such-model"),
            ("unknown_model_retrieved", "NotFoundError", 404, "", "no-such-model"),
            ("model_of_openais_api_alone", "BadRequestError", 400, "", "/v1/chat/completions"),
            ("wrong_key", "AuthenticationError", 401, "", ""),
            ("provider_bad_request", "BadRequestError", 400, "", "refusing_messages says 400"),
            ("provider_limited", "RateLimitError", 429, "7", "limited_messages says 429"),
            ("streamed_error", "RateLimitError", 429, "7", "limited_messages says 429"),
            ("provider_overloaded", "OverloadedError", 529, "", "overloaded_messages says 529"),
        ],
    );
}
