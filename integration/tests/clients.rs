//! Real clients, as their documentation uses them.

use std::process::Command;

use llm_balancer_integration::{Answer, World};

const KEY: &str = "sk-key-of-the-house-4711";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_python_client_is_served_plain_streaming_and_with_its_own_error_classes() {
    let item = |group: &str, name: &str| {
        format!(
            "- {{model_name: {group}, litellm_params: {{model: openai/m, api_base: PROVIDER/{name}/v1, api_key: k}}, model_info: {{id: {name}}}}}\n"
        )
    };
    let alone = ["unauthorized", "limited", "failing", "hanging"].map(|name| item(name, name)).concat();
    let world = World::new(&format!(
        "model_list:\n{}{}{alone}router_settings: {{num_retries: 0, timeout: 2}}\ngeneral_settings: {{master_key: {KEY}}}\n",
        item("gpt", "paris"),
        item("gpt", "virginia"),
    ))
    .await;
    world.provider.always("unauthorized", Answer::status(401));
    world.provider.always("limited", Answer::status(429));
    world.provider.always("failing", Answer::status(503));
    world.provider.always("hanging", Answer::ok().hang());

    let mut python = Command::new("python3");
    python
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/test_openai.py"))
        .arg("-v")
        .env("LLM_BALANCER_URL", format!("http://localhost:{}", world.balancer.port))
        .env("LLM_BALANCER_KEY", KEY);
    if std::env::var_os("PYTHONPATH").is_none() {
        python.env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/python"));
    }
    let output = tokio::task::spawn_blocking(move || python.output()).await.unwrap().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
