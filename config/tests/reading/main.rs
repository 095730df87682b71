//! The configuration of a file, as the router and the generator see it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

mod azure;
mod deployments;
mod listings;
mod messages;
mod paths;
mod providers;
mod redis;
mod settings;

use std::io;
use std::time::Duration;

use llm_balancer_config::{
    Config, Credential, Deployment, Layout, Reading, Severity, Strategy, Target, Tls, Wire, infer_provider,
    load, read,
};

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "OPENAI_API_KEY" => "sk-openai",
        "AZURE_API_KEY" => "azure-key",
        "AZURE_API_BASE" => "https://acme.openai.azure.com/",
        "CLOUDFLARE_ACCOUNT_ID" => "acme",
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
        Some(Credential::Token(token)) => format!("token {}", token.reveal()),
    }
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
        other => Err(io::Error::new(io::ErrorKind::NotFound, format!("no file {other}"))),
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
    let unread = load("c.yaml", &|_| Err(io::Error::other("permission denied")), &environment);
    assert!(unread.reading.config.is_none());
}

#[test]
fn the_same_warning_about_many_deployments_is_said_once() {
    let item = "  - model_name: g\n    litellm_params:\n      model: gpt-4o\n      itpm: 1\n      seed: ";
    let items: String = (0..9).map(|seed| format!("{item}{seed}\n")).collect();
    let said = findings(&format!("model_list:\n{items}"));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("config.yaml:5: warning: model_list[0].litellm_params.itpm"), "{said}");
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
    let text = include_str!("../../examples/quickstart.yaml");
    let env = |name: &str| name.contains("API_KEY").then(|| "key-of-a-fake-provider".to_owned());
    let reading = read("quickstart.yaml", text, &env);
    assert_eq!(reading.config.unwrap().deployments.len(), 3);
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
}

#[test]
fn drop_params_may_be_set_in_the_file_in_its_defaults_and_in_the_environment() {
    let drops = |settings: &str, value: Option<&str>| {
        let text = format!(
            "model_list:\n- {{model_name: g, litellm_params: {{model: openai/gpt-5, api_key: os.environ/KEY}}}}\n{settings}"
        );
        let lookup = |name: &str| match name {
            "KEY" => Some("k".to_owned()),
            "LITELLM_DROP_PARAMS" => value.map(str::to_owned),
            _ => None,
        };
        let reading = llm_balancer_config::read("config.yaml", &text, &lookup);
        assert!(reading.findings.is_empty(), "{:?}", reading.findings);
        reading.config.unwrap().deployments[0].chat_params.drops("gpt-5", "temperature", false)
    };
    let file = "litellm_settings: {drop_params: true}";
    let off = "litellm_settings: {drop_params: false}";
    let default = "router_settings: {default_litellm_params: {drop_params: true}}";
    for (settings, variable, expected) in [
        ("", None, false),
        (file, None, true),
        (default, None, true),
        ("", Some("True"), true),
        ("", Some("False"), false),
        (off, Some("True"), false),
    ] {
        assert_eq!(drops(settings, variable), expected, "{settings} {variable:?}");
    }
}
