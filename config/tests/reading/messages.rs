//! Deployments of Anthropic's API.

use super::*;

#[test]
fn a_deployment_of_anthropics_api_is_reached_where_it_serves_messages() {
    let rows = [
        ("model: anthropic/claude, api_key: k", "https://api.anthropic.com/v1", "api-key k"),
        (
            "model: anthropic/claude, api_key: sk-ant-oat01-x",
            "https://api.anthropic.com/v1",
            "token sk-ant-oat01-x",
        ),
        ("model: openai/m, api_base: 'http://vllm:8000/v1', api_key: k", "http://vllm:8000/v1", "bearer k"),
        (
            "model: openai/m, api_base: 'https://a.test/anthropic', api_key: k",
            "https://a.test/anthropic/v1",
            "bearer k",
        ),
        (
            "model: openai/m, api_base: 'https://a.test/v1/messages', api_key: k",
            "https://a.test/v1",
            "bearer k",
        ),
        ("model: hosted_vllm/m, api_base: 'http://vllm:8000'", "http://vllm:8000/v1", "none"),
        (
            "model: azure_ai/claude-opus-4, api_base: 'https://r.services.ai.azure.com/', api_key: k",
            "https://r.services.ai.azure.com/anthropic/v1",
            "api-key k",
        ),
        (
            "model: azure_ai/claude-opus-4, api_base: 'https://r.services.ai.azure.com/anthropic', api_key: k",
            "https://r.services.ai.azure.com/anthropic/v1",
            "api-key k",
        ),
    ];
    for (params, url, key) in rows {
        let deployment = deployment(&format!("{params}, llm_balancer: {{wire: anthropic}}"));
        let endpoint = &deployment.endpoint;
        let scheme = if endpoint.tls == Tls::Off { "http" } else { "https" };
        assert_eq!(format!("{scheme}://{}{}", endpoint.authority, endpoint.path), url, "{params}");
        assert_eq!((endpoint.layout, secret(&deployment).as_str()), (Layout::Messages, key), "{params}");
        assert!(deployment.defaults.is_empty(), "{params}: llm_balancer is not sent");
        assert!(endpoint.layout.speaks(Wire::Anthropic) && !endpoint.layout.speaks(Wire::OpenAi));
    }
    let both = deployment("model: anthropic/claude, api_key: k").endpoint.layout;
    assert!(both.speaks(Wire::Anthropic) && both.speaks(Wire::OpenAi));
    assert!(!deployment("model: gpt-4o").endpoint.layout.speaks(Wire::Anthropic));
}
