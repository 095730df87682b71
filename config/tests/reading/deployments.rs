//! What a deployment has beside its address.

use super::*;

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
fn a_stored_credential_fills_in_what_the_deployment_does_not_set() {
    let text = "credential_list:
  - credential_name: azure
    credential_values: {api_key: os.environ/AZURE_API_KEY, api_base: 'https://x.com', api_version: 2024-10-21}
model_list:
  - model_name: g
    litellm_params: {model: azure/gpt-4o, litellm_credential_name: azure, api_base: 'https://own.com'}
  - model_name: g
    litellm_params: {model: azure/gpt-4o, litellm_credential_name: azure, api_key: null}
";
    let config = config(text);
    let hosts: Vec<_> = config.deployments.iter().map(|deployment| &*deployment.endpoint.host).collect();
    assert_eq!(hosts, ["own.com", "x.com"]);
    for deployment in &config.deployments {
        assert_eq!(secret(deployment), "api-key azure-key");
        assert_eq!(deployment.endpoint.query.as_deref(), Some("api-version=2024-10-21"));
        assert!(deployment.public_params.iter().all(|member| member.key != "api_version"));
    }
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
fn databricks_gets_no_user_agent_in_the_body() {
    let params =
        "model: databricks/m, api_base: 'https://x.com/serving-endpoints', api_key: k, user_agent: a/1";
    assert_eq!(deployment(params).defaults, []);
}
