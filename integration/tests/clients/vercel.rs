//! Vercel's AI SDK.

use crate::session::{Scripts, Seen, assert_features, tools};

async fn run(group: &str) -> Vec<Seen> {
    let packages = Some(("LLM_BALANCER_PACKAGES", tools("vercel")));
    Scripts { program: tools("node/bin/node"), file: "client_vercel.mjs", packages }.run(group).await
}

/// All features of one of its providers, on this route.
async fn assert_serves(provider: &str, route: &[&str]) {
    let features = ["text", "stream", "tools", "object"].map(|feature| (feature, route));
    assert_features(&run(provider).await, &features);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vercels_provider_for_openai_uses_the_responses_api() {
    assert_serves("responses", &["/responses"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vercels_provider_for_openai_chats() {
    assert_serves("chat", &["/chat/completions"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vercels_provider_for_compatible_servers_chats() {
    assert_serves("compatible", &["/chat/completions"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vercels_provider_for_anthropic_sends_messages() {
    assert_serves("messages", &["/messages"]).await;
}
