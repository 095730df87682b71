//! The least a file can say, read to the end.

use llm_balancer_config::{Credential, Layout, Tls, read};

#[test]
fn the_documented_example_is_read() {
    let text = "
model_list:
  - model_name: gpt-3.5-turbo
    litellm_params:
      model: azure/gpt-turbo-small-eu
      api_base: https://my-endpoint-europe-berri-992.openai.azure.com/
      api_key: os.environ/AZURE_EU_KEY
      api_version: 2024-06-01
      rpm: 6
  - model_name: gpt-3.5-turbo
    litellm_params:
      model: openai/a-model
      api_base: http://127.0.0.1:9100/a/v1
      api_key: os.environ/KEY
      rpm: '1440'
router_settings:
  model_group_alias: {gpt-4: gpt-3.5-turbo}
  num_retries: 2
  timeout: 30
";
    let env = |name: &str| name.contains("KEY").then(|| format!("sk-{}", name.to_lowercase()));
    let reading = read("config.yaml", text, &env);
    for finding in &reading.findings {
        println!("{finding}");
    }
    let config = reading.config.unwrap();
    let [azure, openai] = &config.deployments[..] else { panic!("{:?}", config.deployments) };
    assert_eq!(azure.endpoint.layout, Layout::AzureDeployments);
    assert_eq!(azure.endpoint.query.as_deref(), Some("api-version=2024-06-01"));
    assert_eq!(azure.endpoint.path, "");
    assert_eq!(azure.endpoint.tls, Tls::SystemCas);
    assert!(matches!(&azure.credential, Some(Credential::ApiKey(key)) if key.reveal() == "sk-azure_eu_key"));
    assert_eq!(openai.endpoint.authority, "127.0.0.1:9100");
    assert_eq!(openai.rpm, Some(1440));
    assert_eq!(&*config.aliases[0].target, "gpt-3.5-turbo");
    assert_eq!(config.router.timeout.as_secs(), 30);
    assert!(config.env_names.contains(&"AZURE_EU_KEY".to_owned()));
}
