//! langchain-openai.

use crate::session::{Scripts, Seen, assert_errors, assert_features};

async fn run(group: &str) -> Vec<Seen> {
    Scripts::python("client_langchain.py", "langchain").run(group).await
}

const CHAT: &[&str] = &["/chat/completions"];
const RESPONSES: &[&str] = &["/responses"];
const EMBEDDINGS: &[&str] = &["/embeddings"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn langchain_chats_and_streams() {
    let seen = run("chat").await;
    assert_features(
        &seen,
        &[
            ("invoke", CHAT),
            ("stream", CHAT),
            ("stream_with_usage", CHAT),
            ("batch", CHAT),
            ("asynchronous", CHAT),
            ("fallbacks_of_a_request", CHAT),
            ("azure", CHAT),
            ("responses", RESPONSES),
        ],
    );
    let invoked = seen[0].received[0].json();
    assert_eq!(
        (&invoked["messages"][0]["role"], invoked["temperature"].as_f64()),
        (&"system".into(), Some(0.5)),
        "{invoked}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn langchain_calls_tools() {
    let seen = run("tools").await;
    assert_features(
        &seen,
        &[
            ("bind_tools", CHAT),
            ("bind_tools_streamed", CHAT),
            ("structured_output", CHAT),
            ("structured_output_by_tool", CHAT),
            ("bind_tools_of_responses", RESPONSES),
        ],
    );
    let [asked, told] = seen[0].received.as_slice() else { panic!("two requests") };
    assert_eq!(asked.json()["tools"][0]["function"]["name"], "weather");
    assert_eq!(told.json()["messages"][2]["role"], "tool");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn langchain_embeds() {
    let seen = run("embeddings").await;
    assert_features(
        &seen,
        &[
            ("embed_documents", EMBEDDINGS),
            ("embed_query", EMBEDDINGS),
            ("embed_query_asynchronously", EMBEDDINGS),
        ],
    );
    assert_eq!(seen[0].received[0].json()["input"][1], "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn langchain_raises_the_errors_of_openais_client() {
    assert_errors(
        &run("errors").await,
        &[
            ("unknown_model", "BadRequestError", 400, "", "no-such-model"),
            ("wrong_key", "AuthenticationError", 401, "", ""),
            ("provider_not_found", "NotFoundError", 404, "", "missing says 404"),
            ("provider_limited", "RateLimitError", 429, "7", "limited says 429"),
            ("provider_limited_streaming", "RateLimitError", 429, "7", "limited says 429"),
            ("provider_failing", "InternalServerError", 503, "", "failing says 503"),
        ],
    );
}
