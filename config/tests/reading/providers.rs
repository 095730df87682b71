//! Where each provider is reached, and what is sent to it.

use super::*;

#[test]
fn every_provider_is_reached_where_it_speaks_openai() {
    let rows = [
        ("model: gpt-4o", "openai", "gpt-4o", "https://api.openai.com/v1", "bearer sk-openai"),
        (
            "model: openai/gpt-4o, api_base: 'http://localhost:1234/v1/'",
            "openai",
            "gpt-4o",
            "http://localhost:1234/v1",
            "bearer sk-openai",
        ),
        (
            "model: groq/llama-3.3-70b", "groq", "llama-3.3-70b", "https://api.groq.com/openai/v1",
            "bearer gsk-groq",
        ),
        (
            "model: hosted_vllm/Qwen/Qwen3, api_base: 'http://vllm:8000/v1'",
            "hosted_vllm",
            "Qwen/Qwen3",
            "http://vllm:8000/v1",
            "bearer fake-api-key",
        ),
        ("model: ollama/llama3.2", "ollama", "llama3.2", "http://localhost:11434/v1", "none"),
        (
            "model: ollama_chat/llama3.2, api_base: 'http://gpu:11434/v1'",
            "ollama_chat",
            "llama3.2",
            "http://gpu:11434/v1",
            "none",
        ),
        (
            "model: anthropic/claude-sonnet-4-5, api_key: k",
            "anthropic",
            "claude-sonnet-4-5",
            "https://api.anthropic.com/v1",
            "bearer k",
        ),
        (
            "model: claude-sonnet-4-5, api_key: k",
            "anthropic",
            "claude-sonnet-4-5",
            "https://api.anthropic.com/v1",
            "bearer k",
        ),
        (
            "model: gemini/gemini-2.5-pro, api_key: k",
            "gemini",
            "gemini-2.5-pro",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "bearer k",
        ),
        (
            "model: gemini/gemini-2.5-pro, api_base: 'https://generativelanguage.googleapis.com', api_key: k",
            "gemini",
            "gemini-2.5-pro",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "bearer k",
        ),
        (
            "model: vertex_ai/gemini-2.5-pro, vertex_project: p, api_key: t",
            "vertex_ai",
            "google/gemini-2.5-pro",
            "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/endpoints/openapi",
            "bearer t",
        ),
        (
            "model: vertex_ai/meta/llama-3, vertex_project: p, vertex_location: global, api_key: t",
            "vertex_ai",
            "meta/llama-3",
            "https://aiplatform.googleapis.com/v1/projects/p/locations/global/endpoints/openapi",
            "bearer t",
        ),
        (
            "model: vertex_ai/meta/llama-3, vertex_ai_project: p, vertex_ai_location: europe-west4, api_key: t",
            "vertex_ai",
            "meta/llama-3",
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/endpoints/openapi",
            "bearer t",
        ),
        (
            "model: vertex_ai/meta/llama-3, vertex_ai_project: q, vertex_ai_location: europe-west4, vertex_project: p, vertex_location: global, api_key: t",
            "vertex_ai",
            "meta/llama-3",
            "https://aiplatform.googleapis.com/v1/projects/p/locations/global/endpoints/openapi",
            "bearer t",
        ),
        (
            "model: vertex_ai/gemini-2.5-pro, vertex_project: p, vertex_location: eu, api_key: t",
            "vertex_ai",
            "google/gemini-2.5-pro",
            "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/endpoints/openapi",
            "bearer t",
        ),
        (
            "model: vertex_ai/openai/gpt-oss-120b-maas, vertex_project: p, vertex_location: us, api_key: t",
            "vertex_ai",
            "openai/gpt-oss-120b-maas",
            "https://aiplatform.us.rep.googleapis.com/v1/projects/p/locations/us/endpoints/openapi",
            "bearer t",
        ),
        (
            "model: 'bedrock/converse/openai.gpt-oss-120b-1:0', aws_region_name: us-west-2",
            "bedrock",
            "openai.gpt-oss-120b-1:0",
            "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1",
            "bearer bedrock-key",
        ),
        (
            "model: azure/gpt-4o, api_version: preview",
            "azure",
            "gpt-4o",
            "https://acme.openai.azure.com/openai/v1",
            "bearer azure-key",
        ),
        (
            "model: azure/gpt-4o, api_base: 'https://x.openai.azure.com/openai/v1/'",
            "azure",
            "gpt-4o",
            "https://x.openai.azure.com/openai/v1",
            "bearer azure-key",
        ),
        (
            "model: azure_ai/mistral, api_base: 'https://x.services.ai.azure.com', api_key: k",
            "azure_ai",
            "mistral",
            "https://x.services.ai.azure.com/models?api-version=2024-05-01-preview",
            "api-key k",
        ),
        (
            "model: azure_ai/mistral, api_base: 'https://x.models.ai.azure.com/v1', api_key: k",
            "azure_ai",
            "mistral",
            "https://x.models.ai.azure.com/v1",
            "bearer k",
        ),
        (
            "model: azure_ai/mistral, api_base: 'https://x.models.ai.azure.com', api_key: k, api_version: 2024-05-01",
            "azure_ai",
            "mistral",
            "https://x.models.ai.azure.com?api-version=2024-05-01",
            "bearer k",
        ),
        (
            "model: cohere_chat/command-r, api_base: 'https://api.cohere.com/v2/chat', api_key: k",
            "cohere_chat",
            "command-r",
            "https://api.cohere.ai",
            "bearer k",
        ),
        (
            "model: huggingface/together/deepseek-ai/DeepSeek-R1, api_key: k",
            "huggingface",
            "deepseek-ai/DeepSeek-R1:together",
            "https://router.huggingface.co/v1",
            "bearer k",
        ),
        (
            "model: huggingface/own/team/llama, api_base: 'https://tgi.test', api_key: k",
            "huggingface",
            "own/team/llama",
            "https://tgi.test/v1",
            "bearer k",
        ),
        (
            "model: azure_ai/*, api_base: 'https://x.models.ai.azure.com', api_key: k",
            "azure_ai",
            "*",
            "https://x.models.ai.azure.com",
            "bearer k",
        ),
        (
            "model: cohere/v2/command-r, api_key: k",
            "cohere",
            "command-r",
            "https://api.cohere.ai",
            "bearer k",
        ),
        (
            "model: huggingface/deepseek-ai/DeepSeek-R1, api_key: k",
            "huggingface",
            "deepseek-ai/DeepSeek-R1",
            "https://router.huggingface.co/v1",
            "bearer k",
        ),
        (
            "model: huggingface/HuggingFaceH4/zephyr-7b-beta, api_base: 'http://tgi:8080/'",
            "huggingface",
            "HuggingFaceH4/zephyr-7b-beta",
            "http://tgi:8080/v1",
            "none",
        ),
        (
            "model: 'cloudflare/@cf/meta/llama-3.1-8b-instruct', api_base: 'https://api.cloudflare.com/client/v4/accounts/7/ai/run', api_key: k",
            "cloudflare",
            "@cf/meta/llama-3.1-8b-instruct",
            "https://api.cloudflare.com/client/v4/accounts/7/ai/v1",
            "bearer k",
        ),
        (
            "model: cloudflare/m, api_key: k",
            "cloudflare",
            "m",
            "https://api.cloudflare.com/client/v4/accounts/acme/ai/v1",
            "bearer k",
        ),
        (
            "model: heroku/claude-4-sonnet, api_base: 'https://us.inference.heroku.com', api_key: k",
            "heroku",
            "claude-4-sonnet",
            "https://us.inference.heroku.com/v1",
            "bearer k",
        ),
        (
            "model: fireworks_ai/llama-v3, api_key: k",
            "fireworks_ai",
            "accounts/fireworks/models/llama-v3",
            "https://api.fireworks.ai/inference/v1",
            "bearer k",
        ),
        (
            "model: openrouter/auto, api_key: k",
            "openrouter",
            "openrouter/auto",
            "https://openrouter.ai/api/v1",
            "bearer k",
        ),
        (
            "model: openrouter/meta-llama/llama-3, api_key: k",
            "openrouter",
            "meta-llama/llama-3",
            "https://openrouter.ai/api/v1",
            "bearer k",
        ),
        (
            "model: perplexity/sonar, api_key: k",
            "perplexity",
            "sonar",
            "https://api.perplexity.ai",
            "bearer k",
        ),
        (
            "model: perplexity/openai/gpt-5.2, api_key: k",
            "perplexity",
            "openai/gpt-5.2",
            "https://api.perplexity.ai/v1",
            "bearer k",
        ),
        (
            "model: baseten/abcd1234, api_key: k",
            "baseten",
            "abcd1234",
            "https://model-abcd1234.api.baseten.co/environments/production/sync/v1",
            "bearer k",
        ),
        (
            "model: databricks/system.ai.claude-sonnet-4-5, api_base: 'https://x.cloud.databricks.com/serving-endpoints', api_key: k",
            "databricks",
            "system.ai.claude-sonnet-4-5",
            "https://x.cloud.databricks.com/ai-gateway/mlflow/v1",
            "bearer k",
        ),
        (
            "model: databricks/claude-3.7, api_base: 'https://x.cloud.databricks.com/serving-endpoints', api_key: k",
            "databricks",
            "claude-3.7",
            "https://x.cloud.databricks.com/serving-endpoints",
            "bearer k",
        ),
        (
            "model: cohere/rerank-v3.5, api_base: 'https://proxy.example.com/v1/rerank', api_key: k",
            "cohere",
            "rerank-v3.5",
            "https://proxy.example.com/v1",
            "bearer k",
        ),
        (
            "model: cohere/rerank-v3.5, api_base: 'https://proxy.example.com/v1', api_key: k",
            "cohere",
            "rerank-v3.5",
            "https://proxy.example.com",
            "bearer k",
        ),
        ("model: cometapi/gpt-5, api_key: k", "cometapi", "gpt-5", "https://api.cometapi.com/v1", "bearer k"),
        (
            "model: cometapi/gpt-5, api_base: 'https://api.cometapi.com', api_key: k",
            "cometapi",
            "gpt-5",
            "https://api.cometapi.com/v1",
            "bearer k",
        ),
        (
            "model: 'openai/gemma4-12b,gpu', api_base: 'http://127.0.0.1:9379/v1', api_key: k",
            "openai",
            "gemma4-12b,gpu",
            "http://127.0.0.1:9379/v1",
            "bearer k",
        ),
        (
            "model: my/model, custom_llm_provider: openai, base_url: 'http://[::1]:8080'",
            "openai",
            "my/model",
            "http://[::1]:8080",
            "bearer sk-openai",
        ),
        (
            "model: mistral/large, custom_llm_provider: mistral, api_key: k",
            "mistral",
            "large",
            "https://api.mistral.ai/v1",
            "bearer k",
        ),
        (
            "model: mistral/large, api_base: 'https://api.mistral.ai', api_key: k",
            "mistral",
            "large",
            "https://api.mistral.ai/v1",
            "bearer k",
        ),
        (
            "model: meta-llama/Llama-3, api_base: 'https://api.together.ai/v1', api_key: k",
            "together_ai",
            "meta-llama/Llama-3",
            "https://api.together.ai/v1",
            "bearer k",
        ),
        (
            "model: meta-llama/Llama-3, api_base: 'https://api.together.xyz/v1', api_key: k",
            "together_ai",
            "meta-llama/Llama-3",
            "https://api.together.xyz/v1",
            "bearer k",
        ),
        (
            "model: kimi, api_base: 'https://api.deepseek.com/v1/chat/completions', api_key: k",
            "deepseek",
            "kimi",
            "https://api.deepseek.com/v1",
            "bearer k",
        ),
        ("model: '*'", "openai", "*", "https://api.openai.com/v1", "bearer sk-openai"),
        (
            "model: openai/m, api_base: 'https://x.com/v1?team=a#top', api_key: k",
            "openai",
            "m",
            "https://x.com/v1?team=a",
            "bearer k",
        ),
    ];
    for (params, provider, model, url, key) in rows {
        let deployment = deployment(params);
        let endpoint = &deployment.endpoint;
        let scheme = if endpoint.tls == Tls::Off { "http" } else { "https" };
        let query = endpoint.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        assert_eq!(format!("{scheme}://{}{}{query}", endpoint.authority, endpoint.path), url, "{params}");
        assert_eq!((deployment.provider.as_str(), deployment.model.as_str()), (provider, model), "{params}");
        assert_eq!(secret(&deployment), key, "{params}");
        assert_ne!(endpoint.layout, Layout::AzureDeployments, "{params}");
    }
}

#[test]
fn providers_are_verified_by_default() {
    let tls = |text: &str| config(text).deployments.remove(0).endpoint.tls;
    assert_eq!(tls(&with_params("model: gpt-4o")), Tls::SystemCas);
    assert_eq!(tls(&with_params("model: gpt-4o, ssl_verify: False")), Tls::Unverified);
    assert_eq!(tls(&with_params("model: gpt-4o, ssl_verify: /ca.pem")), Tls::CaFile("/ca.pem".to_owned()));
    let settings = "litellm_settings: {ssl_verify: /all.pem}\n";
    assert_eq!(
        tls(&format!("{}{settings}", with_params("model: gpt-4o"))),
        Tls::CaFile("/all.pem".to_owned())
    );
    assert_eq!(tls(&with_params("model: ollama/m, ssl_verify: false")), Tls::Off);
}

#[test]
fn bare_names_have_a_provider() {
    assert_eq!(infer_provider("gpt-4o"), Some("openai"));
    assert_eq!(infer_provider("unheard-of"), None);
}
