//! Limits, retries, fallbacks and the other settings of a file.

use super::*;

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
fn empty_fallbacks_of_the_router_hide_none_of_litellm() {
    for empty in ["[]", "{}", "false"] {
        let router = with_settings(&format!(
            "router_settings: {{fallbacks: {empty}, default_fallbacks: {empty}, \
             context_window_fallbacks: {empty}, content_policy_fallbacks: {empty}, num_retries: 0}}\n\
             litellm_settings: {{fallbacks: [{{g: [g]}}], default_fallbacks: [g], \
             context_window_fallbacks: [{{g: [g]}}], content_policy_fallbacks: [{{g: [g]}}], num_retries: 4}}\n"
        ))
        .router;
        let lists = [router.fallbacks, router.context_window_fallbacks, router.content_policy_fallbacks];
        assert_eq!(lists.map(|list| list.len()), [2, 1, 1], "{empty}");
        assert_eq!(router.num_retries, 0, "zero is a number");
    }
    let unknown = with_params("model: gpt-4o")
        + "router_settings: {fallbacks: []}\nlitellm_settings: {fallbacks: [{g: [nowhere]}]}\n";
    assert!(findings(&unknown).contains("litellm_settings.fallbacks[0].g[0]: unknown group"), "{unknown}");
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
fn gemini_gets_no_parameters_of_its_own_api() {
    let params = "model: gemini/g, api_key: sk-1, top_k: 20, thinking: {type: enabled}, temperature: 1";
    let of_all = "router_settings:\n  default_litellm_params: {safety_settings: [], seed: 7}\n";
    let config = config(&format!("{}{of_all}", with_params(params)));
    let defaults: Vec<_> = config.deployments[0].defaults.iter().map(|member| &*member.key).collect();
    assert_eq!(defaults, ["temperature", "seed"]);
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
fn clients_may_send_the_key_in_a_header_of_the_files() {
    let header = |value: &str| {
        let settings = format!("general_settings: {{litellm_key_header_name: {value}}}\n");
        read("c", &format!("{}{settings}", with_params("model: ollama/m")), &|_| None)
    };
    assert_eq!(header("X-Our-Key").config.unwrap().server.key_header.as_deref(), Some("x-our-key"));
    assert_eq!(header("null").config.unwrap().server.key_header, None);
    for wrong in ["\"x our key\"", "\"x-key:\"", "\"\""] {
        let findings = header(wrong).findings;
        assert!(
            findings.iter().any(|found| found.to_string().contains("invalid name of a header")),
            "{wrong}"
        );
    }
}

#[test]
fn a_reference_has_the_value_of_the_process_and_else_that_of_the_file() {
    let of_file = "environment_variables: {OPENAI_API_KEY: sk-section, KEY: os.environ/OPENAI_API_KEY, LOOP: os.environ/LOOP}\n";
    let key = |params: &str, process: &'static [(&'static str, &'static str)]| {
        let text = format!("{of_file}{}", with_params(params));
        let env = |name: &str| {
            process.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let reading = read("config.yaml", &text, &env);
        let warns = reading.findings.iter().any(|finding| {
            finding.path.starts_with("environment_variables.OPENAI_API_KEY")
                && finding.message.contains("another value")
        });
        let config = reading.config.unwrap();
        assert!(config.env_names.is_sorted());
        let asks = config.env_names.contains(&"OPENAI_API_KEY".to_owned());
        (secret(&config.deployments[0]), warns, asks)
    };
    type Row = (&'static str, &'static [(&'static str, &'static str)], (&'static str, bool, bool));
    let rows: [Row; 6] = [
        ("api_key: os.environ/OPENAI_API_KEY", &[], ("bearer sk-section", false, true)),
        ("api_key: os.environ/KEY, user: os.environ/LOOP", &[], ("bearer sk-section", false, true)),
        (
            "api_key: os.environ/OPENAI_API_KEY",
            &[("OPENAI_API_KEY", "sk-process")],
            ("bearer sk-process", true, true),
        ),
        (
            "api_key: os.environ/OPENAI_API_KEY",
            &[("OPENAI_API_KEY", "sk-section")],
            ("bearer sk-section", false, true),
        ),
        (
            "api_key: os.environ/OPENAI_API_KEY",
            &[("OPENAI_API_KEY", " ")],
            ("bearer sk-section", false, true),
        ),
        // LiteLLM's own variables are looked up after the file has set them.
        ("user: u", &[("OPENAI_API_KEY", "sk-process")], ("bearer sk-section", false, false)),
    ];
    for (params, process, (bearer, warns, asks)) in rows {
        let expected = (bearer.to_owned(), warns, asks);
        assert_eq!(key(&format!("model: gpt-4o, {params}"), process), expected, "{params} {process:?}");
    }
}

#[test]
fn the_files_project_and_location_of_vertex_are_for_deployments_without_their_own() {
    let text = "litellm_settings: {vertex_project: shared, vertex_location: europe-west4}
model_list:
  - {model_name: g, litellm_params: {model: vertex_ai/gemini, api_key: k}}
  - {model_name: g, litellm_params: {model: vertex_ai/gemini, api_key: k, vertex_project: own}}
  - {model_name: g, litellm_params: {model: vertex_ai/gemini, api_key: k, vertex_ai_location: global}}
";
    let config = config(text);
    let paths: Vec<_> = config.deployments.iter().map(|deployment| &*deployment.endpoint.path).collect();
    assert_eq!(
        paths,
        [
            "/v1/projects/shared/locations/europe-west4/endpoints/openapi",
            "/v1/projects/own/locations/europe-west4/endpoints/openapi",
            "/v1/projects/shared/locations/global/endpoints/openapi",
        ]
    );
}

#[test]
fn a_group_of_which_one_deployment_is_skipped_is_served() {
    let text = "llm_balancer: {unsupported_deployments: skip}
model_list:
  - {model_name: g, litellm_params: {model: openai/gpt-4o}}
  - {model_name: g, litellm_params: {model: sagemaker/x}}
";
    let config = config(text);
    assert_eq!((config.deployments.len(), config.skipped_deployments), (1, 1));
    assert!(config.skipped.iter().all(|skipped| &*skipped.name != "g"));
}
