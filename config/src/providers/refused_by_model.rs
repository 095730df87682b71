//! Parameters of chats that a provider refuses for some of its models, by parts of their names.
//!
//! LiteLLM asks its table of models (`supports_reasoning`), in which a model that is missing does
//! not reason. Here a family that reasons at one provider of that table (1.106) does so at all.

use super::refused_params::{FREQUENCY_PENALTY, Params, REASONING_EFFORT, STOP, TEMPERATURE};

/// Provider, parameters, and parts of the names of the models that refuse them.
const ROWS: [(&str, Params, &str); 4] = [
    ("azure_ai", STOP, "grok-3-mini grok-4 grok-code-fast"),
    // They take 1 alone: LiteLLM never sends it.
    ("moonshot", TEMPERATURE, "kimi-k2. kimi-k3"),
    ("xai", FREQUENCY_PENALTY, "grok-4 grok-code-fast"),
    ("xai", STOP, "grok-3-mini grok-4 grok-code-fast"),
];

/// Providers whose models all take `reasoning_effort`, or are not told apart by LiteLLM.
const REASONING: &str = "amazon_nova dashscope databricks deepseek inception ollama ollama_chat \
                         qwen_ai_platform qwencloud sail tencent wandb";

/// Parts of the names of models that take `reasoning_effort` at the other providers.
const REASONERS: &str = "claude- deep-research deepseek-r deepseek-v3. deepseek-v3p deepseek-v4 ember- \
                         gemini-2.5 gemini-3 gemma-4 glm- gpt-oss granite-4.2 grok-3-mini grok-4. \
                         grok-build grok-code hy3 kimi-k2. kimi-k2p kimi-k3 ling-3 mimo- minimax-m \
                         mistral-large-4 mistral-medium mistral-small-26 mistral-small-latest mistral-vibe \
                         muse- nemotron-3 nemotron-l qwen-3 qwen3 qwq reason routers/ seed- step-3 think";

/// Models of these families that do not take it.
const NO_REASONERS: &str = "claude-3 coder glm-4- grok-4- instruct medium-25 non-reasoning";

/// The parameters that some models of a provider refuse. Of them, `temperature` is dropped without
/// `drop_params`, too.
pub(super) fn of_some_models(provider: &str) -> Params {
    let takes_effort = REASONING.split(' ').any(|name| name == provider);
    let mut params = if takes_effort { 0 } else { REASONING_EFFORT };
    for (name, of_row, _) in &ROWS {
        if *name == provider {
            params |= of_row;
        }
    }
    params
}

/// Whether a model refuses one of these parameters. It is none of OpenAI's that reason.
pub(super) fn refuses(provider: &str, model: &str, param: Params) -> bool {
    if param == REASONING_EFFORT {
        let model = model.to_ascii_lowercase();
        return !has_part(&model, REASONERS) || has_part(&model, NO_REASONERS);
    }
    ROWS.iter().any(|(name, of_row, parts)| *name == provider && *of_row == param && has_part(model, parts))
}

#[inline(never)]
fn has_part(model: &str, parts: &str) -> bool {
    parts.split(' ').any(|part| model.contains(part))
}

#[cfg(test)]
mod tests {
    use super::{NO_REASONERS, REASONERS, REASONING, ROWS};
    use crate::providers::ChatParams;
    use crate::providers::lookup;

    fn drops(model: &str, param: &str, drop_params: bool) -> bool {
        let (provider, name) = model.split_once('/').unwrap();
        let provider = lookup::find(provider).unwrap().name;
        ChatParams::new(provider, model, None, drop_params, &[]).drops(name, param, false)
    }

    #[test]
    fn each_row_is_of_a_provider_and_no_part_is_in_every_name() {
        for name in ROWS.iter().map(|(provider, _, _)| *provider).chain(REASONING.split(' ')) {
            assert!(lookup::find(name).is_some_and(|found| found.name == name), "{name}");
        }
        for parts in ROWS.iter().map(|(_, _, parts)| *parts).chain([REASONERS, NO_REASONERS]) {
            assert!(parts.split(' ').all(|part| part.len() >= 3), "{parts}");
        }
    }

    #[test]
    fn drop_params_drops_the_reasoning_effort_of_models_that_do_not_reason() {
        for model in [
            "groq/llama-3.3-70b-versatile",
            "cerebras/llama3.1-8b",
            "mistral/codestral-latest",
            "mistral/mistral-large-latest",
            "mistral/mistral-medium-2508",
            "mistral/magistral-medium-latest",
            "deepinfra/meta-llama/Llama-3.3-70B-Instruct",
            "fireworks_ai/accounts/fireworks/models/llama-v3p3-70b-instruct",
            "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
            "together_ai/Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8",
            "xai/grok-4.20-non-reasoning-latest",
            "xai/grok-4-fast-reasoning",
            "moonshot/kimi-k2-0905-preview",
            "minimax/MiniMax-M2.5",
            "perplexity/sonar",
            "novita/meta-llama/llama-3.3-70b-instruct",
            "huggingface/meta-llama/Llama-3.3-70B-Instruct",
            "azure_ai/Llama-3.3-70B-Instruct",
            "groq/unheard-of",
        ] {
            assert!(drops(model, "reasoning_effort", true), "{model}");
            assert!(!drops(model, "reasoning_effort", false), "{model}");
        }
        for model in [
            "groq/openai/gpt-oss-120b",
            "groq/qwen/qwen3-32b",
            "cerebras/qwen-3-32b",
            "mistral/mistral-small-latest",
            "mistral/mistral-medium-3-5",
            "deepinfra/deepseek-ai/DeepSeek-V3.1",
            "fireworks_ai/accounts/fireworks/models/glm-4p6",
            "together_ai/zai-org/GLM-4.6",
            "xai/grok-4.3",
            "xai/grok-3-mini",
            "moonshot/kimi-k2.6",
            "moonshot/kimi-k2-thinking",
            "perplexity/sonar-reasoning-pro",
            "poe/gpt-5",
            "aihubmix/o3",
            "dashscope/qwen-max",
            "deepseek/deepseek-chat",
            "ollama/llama3",
            "wandb/unheard-of",
            "azure_ai/gpt-5.4",
            "azure_ai/our-o3-mini",
            "azure/prod",
            "openai/mine",
            "openrouter/meta-llama/llama-3.3-70b",
            "hosted_vllm/llama",
        ] {
            assert!(!drops(model, "reasoning_effort", true), "{model}");
        }
    }

    #[test]
    fn drop_params_drops_what_groks_of_a_version_refuse() {
        for (model, stop, frequency_penalty) in [
            ("xai/grok-4.3", true, true),
            ("xai/grok-4.20-non-reasoning-latest", true, true),
            ("xai/grok-code-fast-1", true, true),
            ("xai/grok-3-mini", true, false),
            ("xai/grok-3", false, false),
            ("xai/grok-build-latest", false, false),
            ("azure_ai/grok-4.3", true, false),
            ("azure_ai/grok-3", false, false),
        ] {
            assert_eq!(drops(model, "stop", true), stop, "{model}");
            assert_eq!(drops(model, "frequency_penalty", true), frequency_penalty, "{model}");
            for param in ["presence_penalty", "temperature", "seed"] {
                assert!(!drops(model, param, true), "{model} {param}");
            }
            assert!(!drops(model, "stop", false), "{model} without drop_params");
        }
    }

    #[test]
    fn moonshots_models_that_reason_get_no_temperature() {
        for (model, dropped) in [
            ("moonshot/kimi-k2.6", true),
            ("moonshot/kimi-k3", true),
            ("moonshot/kimi-k2-0905-preview", false),
            ("moonshot/moonshot-v1-8k", false),
            ("fireworks_ai/accounts/fireworks/models/kimi-k2p6", false),
        ] {
            assert_eq!(drops(model, "temperature", false), dropped, "{model}");
            assert_eq!(drops(model, "temperature", true), dropped, "{model} with drop_params");
        }
        let allowed = ["temperature".to_owned()];
        let params = ChatParams::new("moonshot", "moonshot/kimi-k3", None, false, &allowed);
        assert!(!params.drops("kimi-k3", "temperature", false));
    }
}
