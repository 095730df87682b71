//! LiteLLM's library as a client: each feature through `openai/` and through `litellm_proxy/`.

use crate::session::{Scripts, Seen, assert_errors, assert_features};

async fn run(group: &str) -> Vec<Seen> {
    Scripts::python("client_litellm.py", "litellm").run(group).await
}

const CHAT: &[&str] = &["/chat/completions"];
const RESPONSES: &[&str] = &["/responses"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn litellm_chats_streams_and_calls_tools() {
    let seen = run("chat").await;
    assert_features(
        &seen,
        &[
            ("completion", CHAT),
            ("stream", CHAT),
            ("asynchronous", CHAT),
            // To its own proxy LiteLLM turns a text completion into a chat.
            ("text_completion", &["/completions", "/chat/completions"]),
            ("headers_say_who", CHAT),
            ("tools", CHAT),
            ("tools_streamed", CHAT),
        ],
    );
    let [asked, told, ..] = seen[5].received.as_slice() else { panic!("four requests") };
    assert_eq!(asked.json()["tools"][0]["function"]["name"], "weather");
    assert_eq!(told.json()["messages"][2]["content"], "sunny");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn litellm_embeds_draws_hears_speaks_and_uses_the_responses_api() {
    let seen = run("media").await;
    assert_features(
        &seen,
        &[
            ("embedding", &["/embeddings"]),
            ("image_generation", &["/images/generations"]),
            ("transcription", &["/audio/transcriptions"]),
            ("speech", &["/audio/speech"]),
            ("responses", RESPONSES),
            ("responses_streamed", RESPONSES),
        ],
    );
    seen[2].assert_file_arrived();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn litellm_raises_its_own_classes_of_errors() {
    assert_errors(
        &run("errors").await,
        &[
            ("unknown_model", "BadRequestError", 400, "", "no-such-model"),
            ("wrong_key", "AuthenticationError", 401, "", ""),
            ("provider_not_found", "NotFoundError", 404, "", "missing says 404"),
            ("provider_limited", "RateLimitError", 429, "7", "limited says 429"),
            ("provider_failing", "ServiceUnavailableError", 503, "", "failing says 503"),
        ],
    );
}
