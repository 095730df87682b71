//! From the command to the first answer. Alone in its file, so that no other test runs beside it.

use std::time::Duration;

use llm_balancer_integration::Launch;

#[tokio::test]
async fn the_first_answer_comes_within_two_seconds() {
    let config = "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_base: 'http://127.0.0.1:1/v1', api_key: k}}\n";
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(Launch::new(config).start().await.ready_after);
    }
    // The best of three: the machine may have other things to do.
    assert!(times.iter().min() <= Some(&Duration::from_secs(2)), "{times:?}");
}
