//! Environment variables that LiteLLM looks up by itself, one by one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of a test")]

use std::time::Duration;

use llm_balancer_config::{Config, Credential, Reading, Severity, Tls, read};

fn reading(text: &str, variables: &[(&str, &str)]) -> Reading {
    let lookup =
        |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    read("config.yaml", text, &lookup)
}

/// One deployment with these litellm_params, and sections.
fn config_with(params: &str, sections: &str, variables: &[(&str, &str)]) -> Config {
    let text = format!("model_list:\n- {{model_name: g, litellm_params: {{{params}}}}}\n{sections}\n");
    let reading = reading(&text, variables);
    reading.config.unwrap_or_else(|| panic!("{:?}", reading.findings))
}

fn config(params: &str, variables: &[(&str, &str)]) -> Config {
    config_with(params, "", variables)
}

/// litellm_params, variables, and the base.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[test]
fn a_base_comes_from_the_variable_of_its_provider_unless_the_file_has_one() {
    let table: [Row<'_>; 18] = [
        ("model: openai/m, api_key: k", &[("OPENAI_API_BASE", "https://x/v1")], "https://x/v1"),
        (
            "model: gpt-4o, api_key: k",
            &[("OPENAI_API_BASE", "https://x/v1"), ("OPENAI_BASE_URL", "https://y/v1")],
            "https://y/v1",
        ),
        (
            "model: openai/m, api_key: k, api_base: 'https://file/v1'",
            &[("OPENAI_BASE_URL", "https://y/v1")],
            "https://file/v1",
        ),
        ("model: openai/m, api_key: k", &[("OPENAI_BASE_URL", "")], "https://api.openai.com/v1"),
        ("model: azure/d, api_key: k, api_version: v", &[("AZURE_API_BASE", "https://a")], "https://a"),
        ("model: anthropic/claude, api_key: k", &[("ANTHROPIC_API_BASE", "https://x")], "https://x"),
        ("model: anthropic/claude, api_key: k", &[("ANTHROPIC_BASE_URL", "https://x")], "https://x"),
        ("model: ollama/llama3", &[("OLLAMA_API_BASE", "http://gpu:11434")], "http://gpu:11434"),
        ("model: ollama_chat/llama3", &[("OLLAMA_API_BASE", "http://gpu:11434")], "http://gpu:11434"),
        ("model: gemini/pro, api_key: k", &[("GEMINI_API_BASE", "https://x/v1beta")], "https://x/v1beta"),
        ("model: litellm_proxy/g, api_key: k", &[("LITELLM_PROXY_API_BASE", "https://x")], "https://x"),
        ("model: databricks/m, api_key: k", &[("DATABRICKS_API_BASE", "https://x/e")], "https://x/e"),
        ("model: groq/m, api_key: k", &[("GROQ_API_BASE", "https://x/v1")], "https://x/v1"),
        ("model: mistral/m, api_key: k", &[("MISTRAL_AZURE_API_BASE", "https://x")], "https://x"),
        (
            "model: vertex_ai/gemini, api_key: k",
            &[("VERTEXAI_PROJECT", "p"), ("VERTEXAI_LOCATION", "eu"), ("VERTEXAI_API_BASE", "https://psc")],
            "https://psc",
        ),
        (
            "model: vertex_ai/gemini, api_key: k",
            &[("VERTEX_PROJECT", "p"), ("VERTEX_LOCATION", "europe-west4")],
            "https://europe-west4-aiplatform.googleapis.com",
        ),
        (
            "model: bedrock/openai.gpt-oss-20b-1:0",
            &[("AWS_DEFAULT_REGION", "eu-central-1"), ("AWS_BEARER_TOKEN_BEDROCK", "k")],
            "https://bedrock-runtime.eu-central-1.amazonaws.com",
        ),
        (
            "model: bedrock/openai.gpt-oss-20b-1:0",
            &[("AWS_BEDROCK_RUNTIME_ENDPOINT", "https://vpce"), ("AWS_BEARER_TOKEN_BEDROCK", "k")],
            "https://vpce",
        ),
    ];
    for (params, variables, shown) in table {
        let config = config(params, variables);
        assert_eq!(config.deployments[0].endpoint.display_url, shown, "{params} {variables:?}");
        // The filter gets the variable too.
        for (name, _) in variables {
            let needed = !params.contains("api_base");
            assert!(!needed || config.env_names.iter().any(|known| known == name), "{name}");
        }
    }
}

#[test]
fn azures_version_and_key_come_from_its_variables() {
    let variables = [
        ("AZURE_API_BASE", "https://a"),
        ("AZURE_API_VERSION", "2024-10-21"),
        ("AZURE_API_KEY", "second"),
        ("AZURE_OPENAI_API_KEY", "first"),
    ];
    let config = config("model: azure/d", &variables);
    let deployment = &config.deployments[0];
    assert_eq!(deployment.endpoint.query.as_deref(), Some("api-version=2024-10-21"));
    let Some(Credential::ApiKey(key)) = &deployment.credential else { panic!("{deployment:?}") };
    assert_eq!(key.reveal(), "first");
}

#[test]
fn anthropics_key_goes_before_its_token_which_is_no_key() {
    let variables = [("ANTHROPIC_AUTH_TOKEN", "token"), ("ANTHROPIC_API_KEY", "key")];
    let credential =
        |variables: &[_]| config("model: anthropic/m", variables).deployments[0].credential.clone();
    let Some(Credential::Bearer(key)) = credential(&variables) else { panic!("no key") };
    assert_eq!(key.reveal(), "key");
    let Some(Credential::Token(token)) = credential(&variables[..1]) else { panic!("no token") };
    assert_eq!(token.reveal(), "token");
}

#[test]
fn a_key_of_azures_goes_before_mistrals_own() {
    let variables = [("MISTRAL_API_KEY", "second"), ("MISTRAL_AZURE_API_KEY", "first")];
    for (variables, expected) in [(&variables[..], "first"), (&variables[..1], "second")] {
        let config = config("model: mistral/m", variables);
        let Some(Credential::Bearer(key)) = &config.deployments[0].credential else {
            panic!("{variables:?}")
        };
        assert_eq!(key.reveal(), expected);
    }
    let text = "model_list:\n- {model_name: g, litellm_params: {model: mistral/m}}\n";
    let findings = reading(text, &[]).findings;
    assert!(findings.iter().any(|it| it.advice.contains("os.environ/MISTRAL_API_KEY")), "{findings:?}");
}

#[test]
fn an_organization_of_the_environment_that_no_header_can_hold_is_refused_by_its_name() {
    let long = "x".repeat(20_000);
    for organization in ["org\nx-evil: 1", "org\u{1}", "ü", &long] {
        let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_key: k}}\n";
        let reading = reading(text, &[("OPENAI_ORGANIZATION", organization)]);
        let is_refused = reading
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Error && finding.path == "OPENAI_ORGANIZATION");
        assert!(is_refused, "{:?}", reading.findings);
    }
}

#[test]
fn openais_organization_comes_from_the_environment_and_goes_to_openai_only() {
    let organization = |params: &str, variables: &[(&str, &str)]| {
        let config = config(params, variables);
        let mut headers = config.deployments[0].headers.iter();
        headers.find(|(name, _)| name == "openai-organization").map(|(_, value)| value.reveal().to_owned())
    };
    let both = [("OPENAI_ORGANIZATION", "org-1"), ("OPENAI_ORG_ID", "org-2")];
    assert_eq!(organization("model: openai/m, api_key: k", &both).as_deref(), Some("org-1"));
    assert_eq!(organization("model: openai/m, api_key: k", &both[1..]).as_deref(), Some("org-2"));
    let own = "model: openai/m, api_key: k, organization: org-3";
    assert_eq!(organization(own, &both).as_deref(), Some("org-3"));
    assert_eq!(organization("model: groq/m, api_key: k", &both), None);
}

#[test]
fn the_timeout_of_the_environment_applies_if_no_section_has_one() {
    let variables = [("REQUEST_TIMEOUT", "12.5")];
    let params = "model: openai/m, api_key: k";
    assert_eq!(config(params, &variables).router.timeout, Duration::from_secs_f64(12.5));
    let file = config_with(params, "router_settings: {timeout: 7}", &variables);
    assert_eq!(file.router.timeout, Duration::from_secs(7));
}

#[test]
fn an_invalid_number_of_the_environment_is_reported_by_its_variable() {
    let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_key: k}}\n";
    for variable in ["REQUEST_TIMEOUT", "DEFAULT_COOLDOWN_TIME_SECONDS", "ROUTER_MAX_FALLBACKS"] {
        let reading = reading(text, &[(variable, "10 minutes")]);
        assert!(reading.config.is_some(), "{variable}");
        let told = reading.findings.iter().any(|finding| finding.path == variable);
        assert!(told, "{variable}: {:?}", reading.findings);
    }
}

#[test]
fn ssl_verify_of_the_environment_overrides_the_file_but_not_a_deployment() {
    let tls = |params: &str, sections: &str, value: &str| {
        let params = format!("model: openai/m, api_key: k{params}");
        config_with(&params, sections, &[("SSL_VERIFY", value)]).deployments[0].endpoint.tls.clone()
    };
    assert_eq!(tls("", "litellm_settings: {ssl_verify: /ca.pem}", "False"), Tls::Unverified);
    assert_eq!(tls("", "litellm_settings: {ssl_verify: false}", "true"), Tls::SystemCas);
    assert_eq!(tls("", "litellm_settings: {ssl_verify: false}", ""), Tls::Unverified);
    assert_eq!(tls("", "", "/corporate.pem"), Tls::CaFile("/corporate.pem".to_owned()));
    assert_eq!(tls(", ssl_verify: true", "", "false"), Tls::SystemCas);
    let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_key: k}}\n";
    let findings = reading(text, &[("SSL_VERIFY", "false")]).findings;
    assert!(findings.iter().any(|finding| finding.path == "SSL_VERIFY"), "{findings:?}");
}

#[test]
fn the_first_variable_with_cas_is_used_and_the_file_overrides_the_process() {
    let bundle = |sections: &str, variables: &[(&str, &str)]| {
        config_with("model: openai/m, api_key: k", sections, variables).ca_bundle
    };
    let named = |name: &str, file: &str| Some((name.to_owned(), file.to_owned()));
    let all = [("CURL_CA_BUNDLE", "/c"), ("REQUESTS_CA_BUNDLE", "/b"), ("SSL_CERT_FILE", "/a")];
    assert_eq!(bundle("", &all), named("SSL_CERT_FILE", "/a"));
    assert_eq!(bundle("", &all[..2]), named("REQUESTS_CA_BUNDLE", "/b"));
    assert_eq!(bundle("", &all[..1]), named("CURL_CA_BUNDLE", "/c"));
    assert_eq!(bundle("", &[("SSL_CERT_FILE", " ")]), None);
    let section = "environment_variables: {SSL_CERT_FILE: /mine}";
    assert_eq!(bundle(section, &all), named("SSL_CERT_FILE", "/mine"));
}

#[test]
fn what_was_read_where_the_file_is_silent_is_named() {
    let text =
        "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_base: os.environ/MY_BASE}}\n";
    let variables =
        [("OPENAI_API_KEY", "k"), ("MY_BASE", "https://x/v1"), ("ROUTER_MAX_FALLBACKS", "2"), ("OTHER", "y")];
    assert_eq!(reading(text, &variables).variables, ["OPENAI_API_KEY", "ROUTER_MAX_FALLBACKS"]);
}

#[test]
fn an_invalid_base_of_the_environment_is_reported_by_its_variable() {
    let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_key: k}}\n";
    let reading = reading(text, &[("OPENAI_BASE_URL", "gateway.example/v1")]);
    assert!(reading.config.is_none());
    let mut refused = reading.findings.iter().filter(|finding| finding.severity == Severity::Error);
    assert_eq!(refused.next().unwrap().path, "OPENAI_BASE_URL", "{:?}", reading.findings);
}
