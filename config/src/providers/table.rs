//! The providers of LiteLLM 1.109.1: address, protocol, and the variables with keys and bases.

use std::borrow::Cow;

use Protocol::{
    Anthropic, Azure, AzureAi, Bedrock, Cohere, Gemini, HostedVllm, Native, Ollama, OpenAi, Vectors, VertexAi,
};

/// The API of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// OpenAI's format at the base, with a bearer key.
    OpenAi,
    /// The same without a key. vLLM still requires the header.
    HostedVllm,
    /// Azure OpenAI.
    Azure,
    /// Azure AI Foundry.
    AzureAi,
    /// OpenAI's format at `{base}/v1`.
    Ollama,
    /// Anthropic's OpenAI-compatible endpoint.
    Anthropic,
    /// Google AI Studio's.
    Gemini,
    /// Vertex AI's.
    VertexAi,
    /// Bedrock's, for some of its models.
    Bedrock,
    /// Embeddings and rerankings at the base only.
    Vectors,
    /// Rerankings in the clients' format; everything else in its own.
    Cohere,
    /// Its own format, which is not supported.
    Native,
}

/// A provider.
pub(super) struct Provider {
    /// LiteLLM's name, the prefix of models.
    pub(super) name: &'static str,
    /// Its base, or empty if the operator has to set it.
    pub(super) base: &'static str,
    /// Its API.
    pub(super) protocol: Protocol,
    keys: Variables,
    bases: Variables,
}

enum Variables {
    None,
    /// `GROQ_API_KEY`, `GROQ_API_BASE`
    ByName,
    These(&'static [&'static str]),
}

impl Provider {
    /// Variables with the key, the preferred one first.
    pub(super) fn key_variables(&self) -> Vec<Cow<'static, str>> {
        self.variables(&self.keys, "_API_KEY")
    }

    /// Variables with the base.
    pub(super) fn base_variables(&self) -> Vec<Cow<'static, str>> {
        self.variables(&self.bases, "_API_BASE")
    }

    fn variables(&self, variables: &Variables, ending: &str) -> Vec<Cow<'static, str>> {
        match variables {
            Variables::None => Vec::new(),
            Variables::ByName => {
                let name = self.name.to_ascii_uppercase().replace('-', "_");
                vec![Cow::Owned(format!("{name}{ending}"))]
            }
            Variables::These(names) => names.iter().map(|name| Cow::Borrowed(*name)).collect(),
        }
    }
}

/// The provider of that name.
pub(super) fn find(name: &str) -> Option<&'static Provider> {
    let found = PROVIDERS.binary_search_by(|provider| provider.name.cmp(name)).ok()?;
    PROVIDERS.get(found)
}

/// The names of all providers.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().map(|provider| provider.name)
}

/// The provider with this base: LiteLLM uses it for models without provider.
pub(super) fn at_base(api_base: &str) -> Option<&'static Provider> {
    let bare =
        |url: &str| url.trim_end_matches('/').split_once("://").map(|(_, rest)| rest.to_ascii_lowercase());
    let wanted = bare(api_base)?;
    PROVIDERS.iter().find(|provider| bare(provider.base).is_some_and(|base| base == wanted))
}

const fn openai(name: &'static str, base: &'static str) -> Provider {
    Provider { name, base, protocol: OpenAi, keys: Variables::ByName, bases: Variables::ByName }
}

const fn native(name: &'static str) -> Provider {
    Provider { name, base: "", protocol: Native, keys: Variables::None, bases: Variables::None }
}

const fn row(
    name: &'static str,
    base: &'static str,
    protocol: Protocol,
    keys: &'static [&'static str],
    bases: &'static [&'static str],
) -> Provider {
    Provider { name, base, protocol, keys: variables(keys), bases: variables(bases) }
}

const fn variables(names: &'static [&'static str]) -> Variables {
    match names {
        [] => Variables::ByName,
        [first] if first.is_empty() => Variables::None,
        _ => Variables::These(names),
    }
}

const NONE: &[&str] = &[""];

/// Sorted by name.
const PROVIDERS: &[Provider] = &[
    native("a2a_agent"),
    openai("abliteration", "https://api.abliteration.ai/v1"),
    openai("ai21", "https://api.ai21.com/studio/v1"),
    row("ai21_chat", "https://api.ai21.com/studio/v1", OpenAi, &["AI21_API_KEY"], &["AI21_API_BASE"]),
    openai("aiand", "https://api.aiand.com/v1"),
    openai("aihubmix", "https://aihubmix.com/v1"),
    openai("aiml", "https://api.aimlapi.com/v1"),
    row(
        "aiohttp_openai",
        "https://api.openai.com/v1",
        OpenAi,
        &["OPENAI_API_KEY"],
        &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
    ),
    native("aleph_alpha"),
    native("amazon_nova"),
    row(
        "anthropic",
        "https://api.anthropic.com",
        Anthropic,
        &[],
        &["ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"],
    ),
    native("anthropic_text"),
    native("anyscale"),
    row("apertis", "https://api.stima.tech/v1", OpenAi, &["STIMA_API_KEY"], &[]),
    openai("assemblyai", "https://llm-gateway.assemblyai.com/v1"),
    native("auto_router"),
    native("aws_polly"),
    row("azure", "", Azure, &["AZURE_OPENAI_API_KEY", "AZURE_API_KEY"], &[]),
    row("azure_ai", "", AzureAi, &[], &[]),
    native("azure_speech"),
    native("azure_text"),
    openai("baseten", "https://inference.baseten.co/v1"),
    row("bedrock", "", Bedrock, &["AWS_BEARER_TOKEN_BEDROCK"], NONE),
    native("bedrock_mantle"),
    native("bigmodel"),
    native("black_forest_labs"),
    native("bytez"),
    openai("cerebras", "https://api.cerebras.ai/v1"),
    openai("charity_engine", "https://api.charityengine.services/remotejobs/v2/inference"),
    native("chatgpt"),
    openai("chutes", "https://llm.chutes.ai/v1"),
    openai("clarifai", "https://api.clarifai.com/v2/ext/openai/v1"),
    openai("clf_ai_gateway", "https://api.clfaigateway.dev/v1"),
    native("cloudflare"),
    openai("codestral", "https://codestral.mistral.ai/v1"),
    openai("cognition", "https://api.cognition.ai/v1"),
    row("cohere", "https://api.cohere.com", Cohere, &["COHERE_API_KEY", "CO_API_KEY"], &[]),
    native("cohere_chat"),
    row("cometapi", "", OpenAi, &["COMETAPI_KEY", "COMETAPI_API_KEY"], &[]),
    native("compactifai"),
    openai("coralbricks", "https://inference.coralbricks.ai/v1"),
    openai("cortecs", "https://api.cortecs.ai/v1"),
    openai("crusoe", "https://api.inference.crusoecloud.com/v1"),
    native("custom"),
    row(
        "custom_openai",
        "https://api.openai.com/v1",
        OpenAi,
        &["OPENAI_API_KEY"],
        &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
    ),
    openai("darkbloom", "https://api.darkbloom.dev/v1"),
    openai("dashscope", "https://dashscope.aliyuncs.com/compatible-mode/v1"),
    openai("databricks", ""),
    native("datarobot"),
    native("deepgram"),
    openai("deepinfra", "https://api.deepinfra.com/v1/openai"),
    openai("deepseek", "https://api.deepseek.com/beta"),
    openai("docker_model_runner", "http://localhost:22088/engines/llama.cpp"),
    native("dotprompt"),
    openai("edenai", "https://api.edenai.run/v3"),
    native("elevenlabs"),
    openai("empiriolabs", "https://api.empiriolabs.ai/v1"),
    openai("empower", "https://app.empower.dev/api/v1"),
    native("fal_ai"),
    row(
        "featherless_ai",
        "https://api.featherless.ai/v1",
        OpenAi,
        &["FEATHERLESS_AI_API_KEY", "FEATHERLESS_API_KEY"],
        &[],
    ),
    row(
        "fireworks_ai",
        "https://api.fireworks.ai/inference/v1",
        OpenAi,
        &["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"],
        &["FIREWORKS_API_BASE"],
    ),
    row(
        "friendliai",
        "https://api.friendli.ai/serverless/v1",
        OpenAi,
        &["FRIENDLIAI_API_KEY", "FRIENDLI_TOKEN"],
        &["FRIENDLI_API_BASE"],
    ),
    openai("galadriel", "https://api.galadriel.com/v1"),
    native("gdc"),
    row(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        Gemini,
        &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        &[],
    ),
    native("gigachat"),
    openai("github", "https://models.inference.ai.azure.com"),
    native("github_copilot"),
    openai("gmi", "https://api.gmi-serving.com/v1"),
    native("gradient_ai"),
    openai("groq", "https://api.groq.com/openai/v1"),
    openai("helicone", "https://ai-gateway.helicone.ai"),
    native("heroku"),
    row("hosted_vllm", "", HostedVllm, &[], &[]),
    openai("hostinger_router", "https://router.hostinger.com/v1"),
    native("huggingface"),
    openai("hyperbolic", "https://api.hyperbolic.xyz/v1"),
    openai("inception", "https://api.inceptionlabs.ai/v1"),
    openai("inferenceapis", "https://api.inferenceapis.com/v1"),
    row("infinity", "", Vectors, &[], &[]),
    row(
        "jina_ai",
        "https://api.jina.ai/v1",
        Vectors,
        &["JINA_AI_API_KEY", "JINA_API_KEY", "JINA_AI_TOKEN"],
        &[],
    ),
    openai("kyma", "https://kymaapi.com/v1"),
    row("lambda_ai", "https://api.lambda.ai/v1", OpenAi, &["LAMBDA_API_KEY"], &["LAMBDA_API_BASE"]),
    native("langgraph"),
    native("lemonade"),
    openai("libertai", "https://api.libertai.io/v1"),
    openai("litellm_proxy", ""),
    openai("llamafile", "http://127.0.0.1:8080/v1"),
    openai("llamagate", "https://api.llamagate.dev/v1"),
    openai("lm_studio", ""),
    native("maritalk"),
    openai("meta", "https://api.meta.ai/v1"),
    row("meta_llama", "https://api.llama.com/compat/v1", OpenAi, &["LLAMA_API_KEY"], &["LLAMA_API_BASE"]),
    openai("minimax", "https://api.minimax.io/v1"),
    openai("mistral", "https://api.mistral.ai/v1"),
    openai("modelscope", "https://api-inference.modelscope.cn/v1"),
    openai("moonshot", "https://api.moonshot.ai/v1"),
    openai("morph", "https://api.morphllm.com/v1"),
    native("nadir"),
    row("nano-gpt", "https://nano-gpt.com/api/v1", OpenAi, &["NANOGPT_API_KEY"], &[]),
    openai("nebius", "https://api.studio.nebius.ai/v1"),
    openai("neosantara", "https://api.neosantara.xyz/v1"),
    native("nlp_cloud"),
    openai("novita", "https://api.novita.ai/v3/openai"),
    openai("nscale", "https://inference.api.nscale.com/v1"),
    openai("nvidia_nim", "https://integrate.api.nvidia.com/v1"),
    native("nvidia_riva"),
    native("oci"),
    row("ollama", "http://localhost:11434", Ollama, &[], &[]),
    row("ollama_chat", "http://localhost:11434", Ollama, &["OLLAMA_API_KEY"], &["OLLAMA_API_BASE"]),
    row("openai", "https://api.openai.com/v1", OpenAi, &[], &["OPENAI_BASE_URL", "OPENAI_API_BASE"]),
    native("openai_like"),
    row(
        "opencode_go",
        "https://opencode.ai/inference/go/openai/v1",
        OpenAi,
        &["OPENCODE_GO_API_KEY", "OPENCODE_API_KEY"],
        &[],
    ),
    openai("openinfer", "https://api.openinfer.ai/v1"),
    row("openrouter", "https://openrouter.ai/api/v1", OpenAi, &["OPENROUTER_API_KEY", "OR_API_KEY"], &[]),
    native("ovhcloud"),
    openai("parasail", "https://api.parasail.io/v1"),
    row(
        "perplexity",
        "https://api.perplexity.ai",
        OpenAi,
        &["PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"],
        &[],
    ),
    native("petals"),
    openai("pinstripes", "https://pinstripes.io/v1"),
    openai("poe", "https://api.poe.com/v1"),
    native("predibase"),
    openai("prism", "https://api.prisminference.com/v1"),
    openai("publicai", "https://api.publicai.co/v1"),
    row(
        "qwen_ai_platform",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        OpenAi,
        &["QWEN_AI_PLATFORM_API_KEY", "DASHSCOPE_API_KEY"],
        &[],
    ),
    row(
        "qwencloud",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        OpenAi,
        &["QWENCLOUD_API_KEY", "DASHSCOPE_API_KEY"],
        &[],
    ),
    native("ragflow"),
    native("recraft"),
    openai("refuseless", "https://api.refuseless.com/v1"),
    openai("reka", "https://api.reka.ai/v1"),
    native("replicate"),
    native("runwayml"),
    native("sagemaker"),
    native("sagemaker_chat"),
    openai("sail", "https://api.sailresearch.com/v1"),
    openai("sambanova", "https://api.sambanova.ai/v1"),
    native("sap"),
    openai("sarvam", "https://api.sarvam.ai/v1"),
    native("scaledown"),
    row("scaleway", "https://api.scaleway.ai/v1", OpenAi, &["SCW_SECRET_KEY"], &[]),
    row("scx-ai", "https://api.scx.ai/v1", OpenAi, &["SCX_API_KEY"], &["SCX_API_BASE"]),
    native("snowflake"),
    native("soniox"),
    native("stability"),
    openai("streamlake", "https://vanchin.streamlake.ai/api/gateway/v1/endpoints"),
    openai("synthetic", "https://api.synthetic.new/openai/v1"),
    openai("tencent", "https://tokenhub-intl.tencentcloudmaas.com/v1"),
    row(
        "tensormesh",
        "https://serverless.tensormesh.ai/v1",
        OpenAi,
        &["TENSORMESH_INFERENCE_API_KEY"],
        &["TENSORMESH_SERVERLESS_BASE_URL"],
    ),
    native("text-completion-codestral"),
    row(
        "text-completion-openai",
        "https://api.openai.com/v1",
        OpenAi,
        &["OPENAI_API_KEY"],
        &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
    ),
    row(
        "together_ai",
        "https://api.together.ai/v1",
        OpenAi,
        &["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"],
        &[],
    ),
    native("topaz"),
    native("triton"),
    openai("v0", "https://api.v0.dev/v1"),
    row("veniceai", "https://api.venice.ai/api/v1", OpenAi, &["VENICE_AI_API_KEY"], &[]),
    openai("vercel_ai_gateway", "https://ai-gateway.vercel.sh/v1"),
    row("vertex_ai", "", VertexAi, NONE, NONE),
    native("vertex_ai_beta"),
    native("vllm"),
    openai("volcengine", "https://ark.cn-beijing.volces.com/api/v3"),
    row(
        "voyage",
        "https://api.voyageai.com/v1",
        Vectors,
        &["VOYAGE_API_KEY", "VOYAGE_AI_API_KEY", "VOYAGE_AI_TOKEN"],
        &[],
    ),
    openai("wandb", "https://api.inference.wandb.ai/v1"),
    native("watsonx"),
    native("watsonx_text"),
    openai("xai", "https://api.x.ai/v1"),
    openai("xiaomi_mimo", "https://api.xiaomimimo.com/v1"),
    openai("xinference", ""),
    openai("zai", "https://api.z.ai/api/paas/v4"),
    openai("zerogpu", "https://api.zerogpu.ai/v1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_base_can_be_used() {
        assert!(PROVIDERS.is_sorted_by(|a, b| a.name < b.name));
        for provider in PROVIDERS.iter().filter(|provider| !provider.base.is_empty()) {
            let base = crate::providers::base_url::parse(provider.base).ok().unwrap();
            assert_eq!(base.display_url(), provider.base);
        }
    }

    #[test]
    fn variables_follow_the_name_unless_litellm_has_others() {
        assert_eq!(find("nano-gpt").unwrap().key_variables(), ["NANOGPT_API_KEY"]);
        assert_eq!(find("groq").unwrap().key_variables(), ["GROQ_API_KEY"]);
        assert_eq!(find("openai").unwrap().base_variables(), ["OPENAI_BASE_URL", "OPENAI_API_BASE"]);
        assert!(find("vertex_ai").unwrap().key_variables().is_empty());
    }

    #[test]
    fn a_known_address_names_its_provider() {
        assert_eq!(at_base("https://api.groq.com/openai/v1/").unwrap().name, "groq");
        assert!(at_base("https://example.com/v1").is_none());
    }
}
