//! The configuration of a file, as the router and the generator see it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use std::time::Duration;

use llm_balancer_config::{
    Config, Credential, Deployment, Layout, Reading, Severity, Strategy, Target, Tls, infer_provider, load,
    read,
};

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "OPENAI_API_KEY" => "sk-openai",
        "AZURE_API_KEY" => "azure-key",
        "AZURE_API_BASE" => "https://acme.openai.azure.com/",
        "GROQ_API_KEY" => "gsk-groq",
        "AWS_BEARER_TOKEN_BEDROCK" => "bedrock-key",
        "RPM" => "60",
        "YES" => "true",
        "HALF" => "0.5",
        _ => return None,
    };
    Some(value.to_owned())
}

fn reading(text: &str) -> Reading {
    read("config.yaml", text, &environment)
}

fn config(text: &str) -> Config {
    let reading = reading(text);
    let findings: Vec<String> = reading.findings.iter().map(ToString::to_string).collect();
    reading.config.unwrap_or_else(|| panic!("{findings:#?}"))
}

fn findings(text: &str) -> String {
    reading(text).findings.iter().map(|finding| format!("{finding}\n")).collect()
}

/// A file with one deployment of the group `g`.
fn with_params(params: &str) -> String {
    format!("model_list:\n  - model_name: g\n    litellm_params: {{{params}}}\n")
}

fn deployment(params: &str) -> Deployment {
    config(&with_params(params)).deployments.remove(0)
}

/// A file with one valid deployment, and more sections.
fn with_settings(rest: &str) -> Config {
    config(&format!("{}{rest}", with_params("model: gpt-4o")))
}

fn secret(deployment: &Deployment) -> String {
    match &deployment.credential {
        None => "none".to_owned(),
        Some(Credential::Bearer(key)) => format!("bearer {}", key.reveal()),
        Some(Credential::ApiKey(key)) => format!("api-key {}", key.reveal()),
    }
}

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
            "model: meta-llama/Llama-3, api_base: 'https://api.together.ai/v1', api_key: k",
            "together_ai",
            "meta-llama/Llama-3",
            "https://api.together.ai/v1",
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
fn azure_is_reached_by_deployment() {
    let azure = deployment("model: azure/gpt-4o, api_version: 2024-06-01");
    assert_eq!(azure.endpoint.layout, Layout::AzureDeployments);
    assert_eq!(azure.endpoint.query.as_deref(), Some("api-version=2024-06-01"));
    assert_eq!((azure.endpoint.host.as_str(), azure.endpoint.path.as_str()), ("acme.openai.azure.com", ""));
    assert_eq!(secret(&azure), "api-key azure-key");
    let token = deployment("model: azure/gpt-4o, api_base: 'https://x.com/sub/', azure_ad_token: t");
    assert_eq!(token.endpoint.query.as_deref(), Some("api-version=2025-02-01-preview"));
    assert_eq!(token.endpoint.path, "/sub");
    assert_eq!(secret(&token), "bearer t");
}

#[test]
fn a_quoted_number_counts_as_a_number_and_so_does_one_of_the_environment() {
    let deployment = deployment(
        "model: gpt-4o, rpm: '6', tpm: os.environ/RPM, weight: '2.5', timeout: '30', stream_timeout: 1.5, order: '2', \
         temperature: os.environ/HALF, logprobs: os.environ/YES, user: os.environ/RPM, input_cost_per_token: 1e-6",
    );
    assert_eq!((deployment.rpm, deployment.tpm, deployment.weight), (Some(6), Some(60), Some(2.5)));
    assert_eq!(deployment.timeout, Some(Duration::from_secs(30)));
    assert_eq!(deployment.stream_timeout, Some(Duration::from_millis(1500)));
    assert_eq!((deployment.order, deployment.input_cost_per_token), (Some(2), Some(1e-6)));
    let defaults: Vec<_> = deployment.defaults.iter().map(|member| (&*member.key, &*member.json)).collect();
    assert_eq!(defaults, [("temperature", "0.5"), ("logprobs", "true"), ("user", "\"60\"")]);
}

#[test]
fn request_parameters_go_along_and_secrets_stay() {
    let deployment = deployment(
        "model: gpt-4o, api_key: sk-secret, api_base: 'https://x.com/v1', temperature: 0, stop: [a, \"b\\n\"], num_ctx: 4096, \
         thinking: {type: enabled, budget_tokens: 10}, extra_headers: {X-Team: é, Authorization: Bearer sk-other}, \
         extra_body: {top_k: 1, nested: {api_key: sk-third}}, additional_drop_params: [user], rpm: '6', \
         max_tokens: null, vertex_credentials: /gcp.json",
    );
    let defaults: Vec<_> = deployment.defaults.iter().map(|member| (&*member.key, &*member.json)).collect();
    let expected = [
        ("temperature", "0"),
        ("stop", r#"["a","b\n"]"#),
        ("num_ctx", "4096"),
        ("thinking", r#"{"type":"enabled","budget_tokens":10}"#),
    ];
    assert_eq!(defaults, expected);
    let headers: Vec<_> = deployment.headers.iter().map(|(name, value)| (&**name, value.reveal())).collect();
    assert_eq!(headers, [("x-team", "é"), ("authorization", "Bearer sk-other")]);
    assert_eq!(deployment.extra_body.len(), 2);
    assert_eq!(deployment.drop_params, ["user"]);
    let shown: String =
        deployment.public_params.iter().map(|member| format!("{}={} ", member.key, member.json)).collect();
    assert!(shown.starts_with("api_base=\"https://x.com/v1\" rpm=6 "), "{shown}");
    assert!(shown.ends_with("model=\"gpt-4o\" "), "{shown}");
    assert!(!shown.contains("sk-") && !shown.contains("gcp"), "{shown}");
    assert!(!format!("{deployment:?}").contains("sk-secret"));
}

#[test]
fn limits_come_from_the_params_then_the_item_then_the_info() {
    let text = "model_list:
  - model_name: g
    litellm_params: {model: gpt-4o, rpm: 1}
    model_info: {id: a, rpm: 3}
    rpm: 2
  - model_name: g
    litellm_params: {model: gpt-4o}
    rpm: 2
    model_info: {id: b}
  - model_name: g
    litellm_params: {model: gpt-4o}
    model_info: {id: c, rpm: 3, mode: chat, api_key: sk-hidden}
";
    let config = config(text);
    let limits: Vec<_> = config.deployments.iter().map(|it| (it.rpm, it.limits_from_model_info)).collect();
    assert_eq!(limits, [(Some(1), false), (Some(2), false), (Some(3), true)]);
    let info: Vec<_> = config.deployments[2].info.iter().map(|member| member.key.as_str()).collect();
    assert_eq!(info, ["rpm", "mode"]);
}

#[test]
fn a_limit_of_zero_is_unlimited_and_overrides_model_info() {
    let text = with_params("model: gpt-4o, rpm: 0, tpm: 5, max_parallel_requests: 0").replacen(
        "    litellm_params",
        "    model_info: {rpm: 7}\n    litellm_params",
        1,
    );
    let deployment = config(&text).deployments.remove(0);
    assert_eq!((deployment.rpm, deployment.tpm, deployment.max_parallel_requests), (None, Some(5), None));
    assert!(!deployment.limits_from_model_info);
}

#[test]
fn a_fallback_may_change_the_request_on_the_way() {
    let settings = "router_settings:
  fallbacks: [{g: [{model: g, temperature: 0.2, messages: [{role: user, content: Hi}], stop: ~}, {model: g}]}]
  default_fallbacks: [{model: g, max_tokens: 5}]
";
    let router = with_settings(settings).router;
    let [wide, default] = &router.fallbacks[..] else { panic!("{:?}", router.fallbacks) };
    let members = |target: &Target| -> Vec<_> {
        target.overrides.iter().map(|member| format!("{}: {}", member.key, member.json)).collect()
    };
    assert_eq!(
        members(&wide.targets[0]),
        ["temperature: 0.2", r#"messages: [{"role":"user","content":"Hi"}]"#, "stop: null"]
    );
    assert_eq!((&*wide.targets[1].model, wide.targets[1].overrides.len()), ("g", 0));
    assert_eq!((&*default.group, members(&default.targets[0])), ("*", vec!["max_tokens: 5".to_owned()]));
}

#[test]
fn a_routing_group_has_a_strategy_of_its_own_and_a_name_to_ask_for() {
    let settings = "router_settings:
  routing_strategy: cost-based-routing
  model_group_alias: {speedy: fast}
  default_fallbacks: [fast]
  routing_groups:
    - group_name: fast
      models: [g]
      routing_strategy: latency-based-routing
      routing_strategy_args: {ttl: 60}
    - group_name: first-g
      models: [h, g]
      routing_strategy: priority
      model_priorities: {g: 1, h: 2}
";
    let h = "  - model_name: h\n    litellm_params: {model: gpt-4o}\n";
    let router = config(&format!("{}{h}{settings}", with_params("model: gpt-4o"))).router;
    let [fast, first] = &router.routing_groups[..] else { panic!("{:?}", router.routing_groups) };
    assert_eq!((&*fast.name, fast.strategy), ("fast", Strategy::LowestLatency));
    assert_eq!((fast.strategy_args.ttl.as_secs(), fast.priorities.len()), (60, 0));
    assert_eq!(first.strategy, Strategy::LowestCost);
    let priorities: Vec<_> = first.priorities.iter().map(|(model, number)| (&**model, *number)).collect();
    assert_eq!(priorities, [("h", 2), ("g", 1)]);
}

#[test]
fn thresholds_of_failure_come_from_litellms_variables() {
    let thresholds = |env: &dyn Fn(&str) -> Option<String>| {
        let router = read("c", &with_params("model: ollama/m"), env).config.unwrap().router;
        (
            router.failure_threshold,
            router.failure_threshold_requests,
            router.single_deployment_failure_threshold,
        )
    };
    assert_eq!(thresholds(&|_| None), (0.5, 5, 1000));
    let set = |name: &str| match name {
        "DEFAULT_FAILURE_THRESHOLD_PERCENT" => Some("0.25".to_owned()),
        "DEFAULT_FAILURE_THRESHOLD_MINIMUM_REQUESTS" => Some("20".to_owned()),
        "SINGLE_DEPLOYMENT_TRAFFIC_FAILURE_THRESHOLD" => Some("50".to_owned()),
        _ => None,
    };
    assert_eq!(thresholds(&set), (0.25, 20, 50));
    let nonsense = |name: &str| name.contains("FAILURE_THRESHOLD").then(|| "-1".to_owned());
    assert_eq!(thresholds(&nonsense), (0.5, 5, 1000));
}

#[test]
fn a_list_of_organizations_makes_one_deployment_of_each() {
    let config = config(&with_params("model: gpt-4o, organization: [acme, initech]"));
    let [acme, initech] = &config.deployments[..] else { panic!() };
    assert_ne!(acme.id, initech.id);
    assert_ne!(acme.cluster, initech.cluster);
    assert_eq!(acme.headers[0].1.reveal(), "acme");
    let single = deployment("model: gpt-4o, organization: acme");
    assert_eq!(single.id, acme.id, "the id is that of a deployment with this organization alone");
}

#[test]
fn clusters_keep_their_names_when_deployments_change_places() {
    let one = with_params("model: openai/a, api_key: k");
    let other = "  - model_name: g\n    litellm_params: {model: openai/b, api_key: k}\n";
    let names =
        |config: &Config| -> Vec<String> { config.deployments.iter().map(|it| it.cluster.clone()).collect() };
    let first = names(&config(&format!("{one}{other}")));
    let (head, item) = one.split_once('\n').unwrap();
    let mut second = names(&config(&format!("{head}\n{other}{item}")));
    second.reverse();
    assert_eq!(first, second);
}

#[test]
fn the_first_of_several_timeouts_and_retries_counts() {
    let rows = [
        ("", 6000, 3),
        ("router_settings: {timeout: 30, num_retries: 2}\n", 30, 2),
        ("litellm_settings: {request_timeout: 10, num_retries: 1}\n", 10, 1),
        (
            "router_settings: {timeout: 30, num_retries: 0}\nlitellm_settings: {request_timeout: 10, num_retries: 1}\n",
            10,
            0,
        ),
        ("router_settings: {timeout: 30}\nlitellm_settings: {request_timeout: 0}\n", 30, 3),
        ("router_settings: {timeout: 0}\n", 6000, 3),
        ("general_settings: {request_timeout: 7}\n", 7, 3),
    ];
    for (settings, timeout, retries) in rows {
        let router = with_settings(settings).router;
        assert_eq!((router.timeout.as_secs(), router.num_retries), (timeout, retries), "{settings}");
    }
}

#[test]
fn settings_of_the_router_are_read_whole() {
    let router = with_settings(
        "router_settings:
  routing_strategy: usage-based-routing-v2
  routing_strategy_args: {ttl: 60, lowest_latency_buffer: 0.5, max_latency_list_size: 3}
  retry_policy: {RateLimitErrorRetries: 4, DefaultRetries: 0}
  model_group_retry_policy: {g: {TimeoutErrorRetries: 1}}
  allowed_fails_policy: {InternalServerErrorAllowedFails: 9}
  cooldown_time: 0
  allowed_fails: 0
  fallbacks: [{g: [h, i]}]
  default_fallbacks: [g]
  model_group_alias: {h: g, i: {model: g, hidden: True}}
  default_litellm_params: {temperature: 0.1, timeout: 9}
litellm_settings:
  fallbacks: [{other: [g]}]
  content_policy_fallbacks: [{g: [h]}]
general_settings:
  dangerously_allow_mock_testing_request_params: false
llm_balancer: {limits: soft}
",
    )
    .router;
    assert_eq!(router.strategy, Strategy::UsageBased);
    assert_eq!((router.strategy_args.ttl.as_secs(), router.strategy_args.max_latency_list_size), (60, 3));
    assert_eq!((router.retry_policy.rate_limit, router.retry_policy.default), (Some(4), Some(0)));
    assert_eq!(router.group_retry_policy[0].1.timeout, Some(1));
    assert_eq!(router.allowed_fails_policy.internal_server, Some(9));
    assert_eq!((router.cooldown_time.as_secs(), router.allowed_fails), (5, Some(0)));
    let fallbacks: Vec<_> = router.fallbacks.iter().map(|it| (&*it.group, it.targets.len())).collect();
    assert_eq!(fallbacks, [("g", 2), ("*", 1)]);
    assert_eq!(router.content_policy_fallbacks.len(), 1);
    assert!(!router.mock_testing && router.soft_limits);
}

#[test]
fn defaults_of_all_deployments_give_way_to_their_own() {
    let settings = "router_settings:\n  default_litellm_params: {temperature: 0.1, seed: 7, timeout: 9}\n";
    let config = config(&format!("{}{settings}", with_params("model: gpt-4o, temperature: 1")));
    let defaults: Vec<_> = config.deployments[0].defaults.iter().map(|member| &*member.json).collect();
    assert_eq!(defaults, ["1", "7"]);
    assert_eq!(config.deployments[0].timeout, Some(Duration::from_secs(9)));
}

#[test]
fn a_master_key_is_required_wherever_it_is_written() {
    let key = |config: Config| config.server.master_key.map(|key| key.reveal().to_owned());
    let rows = [
        "general_settings: {master_key: os.environ/OPENAI_API_KEY}\n",
        "litellm_settings: {master_key: os.environ/OPENAI_API_KEY}\n",
        "router_settings: {master_key: os.environ/OPENAI_API_KEY}\n",
        "master_key: os.environ/OPENAI_API_KEY\n",
    ];
    for settings in rows {
        assert_eq!(key(with_settings(settings)).as_deref(), Some("sk-openai"), "{settings}");
    }
    assert_eq!(key(with_settings("")), None);
    let env = |name: &str| (name == "LITELLM_MASTER_KEY").then(|| "sk-from-outside".to_owned());
    let outside = read("c", &with_params("model: ollama/m"), &env);
    assert_eq!(key(outside.config.unwrap()).as_deref(), Some("sk-from-outside"));
}

#[test]
fn environment_variables_override_the_process() {
    let text = "environment_variables: {OPENAI_API_KEY: sk-section, KEY: os.environ/OPENAI_API_KEY, LOOP: os.environ/LOOP}\n";
    let config = config(&format!(
        "{text}{}",
        with_params("model: gpt-4o, api_key: os.environ/KEY, user: os.environ/LOOP")
    ));
    assert_eq!(secret(&config.deployments[0]), "bearer sk-section");
    assert!(!config.env_names.contains(&"OPENAI_API_KEY".to_owned()), "the process is not asked for it");
    assert!(config.env_names.contains(&"LOOP".to_owned()));
    assert!(config.env_names.is_sorted());
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
fn a_deployment_of_another_environment_is_left_out_with_its_group() {
    let text = "model_list:
  - model_name: everywhere
    litellm_params: {model: gpt-4o}
  - model_name: production
    litellm_params: {model: openai/gpt-4o}
    model_info: {supported_environments: [production]}
router_settings: {fallbacks: [{everywhere: [production]}]}
";
    assert_eq!(config(text).deployments.len(), 1);
    let env = |name: &str| (name == "LITELLM_ENVIRONMENT").then(|| "production".to_owned());
    assert_eq!(read("c", text, &env).config.unwrap().deployments.len(), 2);
}

#[test]
fn a_merged_document_has_the_configuration_of_its_files() {
    let read_file = |path: &str| {
        match path {
        "conf/config.yaml" => Ok("include: [parts/a.yaml, b.yaml, b.yaml]\nmodel_list:\n- model_name: g\n  litellm_params: {model: gpt-4o, temperature: 1.0e-7, stop: [1.0, 'é\u{2028}', ~], top_p: .5, n: 010}\nlitellm_settings: {num_retries: 1}\n".to_owned()),
        "conf/parts/a.yaml" => Ok("include: [c.yaml]\nmodel_list:\n- model_name: h\n  litellm_params: {model: gpt-4o, api_version: 2024-06-01, rpm: many}\n".to_owned()),
        "conf/parts/c.yaml" => Ok("model_list:\n- model_name: i\n  litellm_params: {model: gpt-4o, extra_body: {x: 1.5e+300, y: .inf}}\n".to_owned()),
        "conf/b.yaml" => Ok("litellm_settings: {num_retries: 4}\n".to_owned()),
        other => Err(format!("no file {other}")),
    }
    };
    let loaded = load("conf/config.yaml", &read_file, &environment);
    let refused: Vec<_> =
        loaded.reading.findings.iter().filter(|it| it.severity == Severity::Error).collect();
    let [refused] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((refused.file.as_str(), refused.line), ("conf/parts/a.yaml", 4), "{refused}");

    let sound = |path: &str| read_file(path).map(|text| text.replace("many", "6"));
    let loaded = load("conf/config.yaml", &sound, &environment);
    let config = loaded.reading.config.unwrap();
    let groups: Vec<_> = config.deployments.iter().map(|it| &*it.group).collect();
    assert_eq!(groups, ["g", "h", "i"]);
    assert_eq!(config.router.num_retries, 4);
    let again = read("merged.yaml", &loaded.text, &environment).config.unwrap();
    assert_eq!(format!("{config:?}"), format!("{again:?}"));
}

#[test]
fn a_file_without_includes_is_unchanged() {
    let text = format!("# a comment\n{}", with_params("model: gpt-4o"));
    let loaded = load("c.yaml", &|_| Ok(text.clone()), &environment);
    assert_eq!(loaded.text, text);
    let unread = load("c.yaml", &|_| Err("permission denied".to_owned()), &environment);
    assert!(unread.reading.config.is_none());
}

#[test]
fn the_same_warning_about_many_deployments_is_said_once() {
    let item =
        "  - model_name: g\n    litellm_params:\n      model: gpt-4o\n      drop_params: true\n      seed: ";
    let items: String = (0..9).map(|seed| format!("{item}{seed}\n")).collect();
    let said = findings(&format!("model_list:\n{items}"));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("config.yaml:5: warning: model_list[0].litellm_params.drop_params"), "{said}");
    assert!(said.contains("(also on lines 10, 15, 20, 25, 30 and 3 more)"), "{said}");
}

#[test]
fn no_finding_shows_a_secret() {
    let text = with_params(
        "model: 'azure/m', api_key: [sk-secret], api_base: 'https://u:sk-secret@x', rpm: sk-secret, sk_secret_key: sk-secret, \
         extra_headers: {x-api-key: \"sk-secret\\n2\"}",
    );
    let said = findings(&format!("{text}general_settings: {{master_key: {{a: sk-secret}}}}\n"));
    assert!(said.lines().count() >= 5, "{said}");
    assert!(!said.contains("sk-secret"), "{said}");
}

#[test]
fn the_quick_start_needs_no_apology() {
    let text = include_str!("../examples/quickstart.yaml");
    let env = |name: &str| name.contains("API_KEY").then(|| "key-of-a-fake-provider".to_owned());
    let reading = read("quickstart.yaml", text, &env);
    assert_eq!(reading.config.unwrap().deployments.len(), 3);
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
}

#[test]
fn bare_names_have_a_provider() {
    assert_eq!(infer_provider("gpt-4o"), Some("openai"));
    assert_eq!(infer_provider("unheard-of"), None);
}

/// The file's Redis with these variables, without its password.
fn redis_with(rest: &str, variables: &[(&str, &str)]) -> Option<String> {
    let text = format!("{}{rest}", with_params("model: gpt-4o, api_key: none"));
    let env =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let Reading { config, findings, .. } = read("config.yaml", &text, &env);
    let redis = config.unwrap_or_else(|| panic!("{findings:#?}")).redis?;
    let llm_balancer_config::Redis { host, port, database, username, password, tls, namespace } = redis;
    let user = username.unwrap_or_default();
    let password = password.map(|password| password.reveal().to_owned()).unwrap_or_default();
    Some(format!("{user}:{password}@{host}:{port}/{database} {tls:?} {namespace}"))
}

#[test]
fn redis_is_found_wherever_real_files_name_it() {
    let cache = "litellm_settings: {cache: true, cache_params: {type: redis";
    let rows = [
        ("router_settings: {redis_host: redis}".to_owned(), ":@redis:6379/0 Off llm-balancer"),
        (
            "router_settings: {redis_host: ::1, redis_port: '6380', redis_db: 2, redis_username: ada, redis_password: os.environ/PW, redis_ssl: true}".to_owned(),
            "ada:word@::1:6380/2 SystemCas llm-balancer",
        ),
        (
            "router_settings: {redis_url: os.environ/URL}".to_owned(),
            "ada:w/rd@redis:6380/1 SystemCas llm-balancer",
        ),
        (
            "router_settings: {redis_host: redis, redis_password: '', redis_ssl: true, redis_ssl_ca_certs: /ca.pem}\nllm_balancer: {redis_namespace: 'prod:a'}".to_owned(),
            ":@redis:6379/0 CaFile(\"/ca.pem\") prod:a",
        ),
        (
            "router_settings: {redis_host: redis}\ngeneral_settings: {redis_port: 1, redis_password: os.environ/PW}".to_owned(),
            ":word@redis:1/0 Off llm-balancer",
        ),
        (
            format!("{cache}, host: redis, port: os.environ/PORT, password: os.environ/PW, ssl: 'True', namespace: litellm.cache}}}}"),
            ":word@redis:6390/0 SystemCas litellm.cache",
        ),
        (format!("{cache}, url: 'redis://cache/3'}}}}"), ":@cache:6379/3 Off llm-balancer"),
        (
            format!("{cache}, host: cache, namespace: x}}}}\nrouter_settings: {{redis_host: redis}}"),
            ":@redis:6379/0 Off llm-balancer",
        ),
    ];
    let variables = [("PW", "word"), ("PORT", "6390"), ("URL", "rediss://ada:w%2Frd@Redis:6380/1")];
    for (rest, expected) in rows {
        assert_eq!(redis_with(&rest, &variables).as_deref(), Some(expected), "{rest}");
    }
}

#[test]
fn the_environment_fills_in_what_the_file_leaves_open_and_switches_nothing_on() {
    let variables = [
        ("REDIS_HOST", "redis"),
        ("REDIS_PORT", "6390"),
        ("REDIS_USERNAME", "ada"),
        ("REDIS_PASSWORD", "word"),
        ("REDIS_SSL", "true"),
    ];
    let all = Some("ada:word@redis:6390/0 SystemCas llm-balancer");
    let rows = [
        ("", None),
        ("router_settings: {num_retries: 1}", None),
        ("litellm_settings: {cache: false, cache_params: {type: redis}}", None),
        ("litellm_settings: {cache: true, cache_params: {type: local}}", None),
        ("litellm_settings: {cache: true, cache_params: {type: redis}}", all),
        ("litellm_settings: {cache: true}", all),
        ("router_settings: {redis_host: os.environ/REDIS_HOST}", all),
        ("router_settings: {redis_port: 6390}", all),
        (
            "router_settings: {redis_host: mine, redis_ssl: false}",
            Some("ada:word@mine:6390/0 Off llm-balancer"),
        ),
        ("router_settings: {redis_url: 'redis://mine'}", Some(":@mine:6379/0 Off llm-balancer")),
    ];
    for (rest, expected) in rows {
        assert_eq!(redis_with(rest, &variables).as_deref(), expected, "{rest}");
    }
    let rest = "litellm_settings: {cache: true, cache_params: {type: redis}}";
    let url = [("REDIS_HOST", "no"), ("REDIS_PASSWORD", "no"), ("REDIS_URL", "redis://:word@redis/4")];
    assert_eq!(redis_with(rest, &url).as_deref(), Some(":word@redis:6379/4 Off llm-balancer"));
}

#[test]
fn variables_that_redis_may_need_are_among_the_names_whether_they_are_set_or_not() {
    let names = with_settings("router_settings: {redis_host: redis}").env_names;
    for name in ["REDIS_PASSWORD", "REDIS_USERNAME", "REDIS_URL"] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
    let names = with_settings("router_settings: {num_retries: 1}").env_names;
    assert!(!names.iter().any(|name| name.starts_with("REDIS")), "{names:?}");
}

#[test]
fn a_password_of_redis_is_never_printed() {
    let rest = "router_settings: {redis_url: 'redis://ada:s3cret@redis'}";
    let redis = with_settings(rest).redis.unwrap();
    assert!(!format!("{redis:?}").contains("s3cret"), "{redis:?}");
    for rest in [
        "router_settings: {redis_url: 'redis://ada:s3cret@redis:s3cret'}",
        "router_settings: {redis_url: 'redis://ada:s3cret@redis/s3cret?s3=1'}",
        "router_settings: {redis_url: 's3cret'}",
        "router_settings: {redis_url: 'http://:s3cret@redis'}",
    ] {
        let text = format!("{}{rest}", with_params("model: gpt-4o"));
        let said = findings(&text);
        assert!(said.contains(": error: ") && !said.contains("s3cret"), "{said}");
    }
}
