//! What listings show of a deployment.

use super::*;

#[test]
fn listings_show_no_credential_however_deep_it_is_and_no_value_of_a_variable_in_its_place() {
    let deployment = deployment(
        "model: gpt-4o, api_key: sk-1, token: sk-2, default_headers: {X-Team: sk-3}, auth: {bearer: sk-4}, \
         extra_query: {key: sk-5, region: eu}, \
         tools: [{type: mcp, server_label: l, authorization: os.environ/OPENAI_API_KEY, headers: {X-Any: sk-6}}], \
         extra_body: {data_sources: [{type: azure_search, parameters: {index_name: i, authentication: \
         {type: api_key, key: os.environ/AZURE_API_KEY}}}], provider: {X-API-Key: sk-7}, list: [[{apiKey: sk-8}]], \
         db: {connection_string: sk-9}, vault: {tenancy: sk-10, private: sk-11, pem_certificate: sk-12}}",
    );
    let shown: String =
        deployment.public_params.iter().map(|member| format!("{}={} ", member.key, member.json)).collect();
    assert!(
        !shown.contains("sk-") && !shown.contains("azure-key") && !shown.contains("openai-key"),
        "{shown}"
    );
    for rest in [
        r#"extra_query={"region":"eu"}"#,
        r#"tools=[{"type":"mcp","server_label":"l"}]"#,
        r#""data_sources":[{"type":"azure_search","parameters":{"index_name":"i"}}]"#,
        r#""list":[[{}]],"db":{},"vault":{}"#,
    ] {
        assert!(shown.contains(rest), "{shown}");
    }
}

#[test]
fn listings_show_counts_prices_and_groups_whose_names_are_like_those_of_credentials() {
    let params = "model: gpt-4o, max_tokens: 1, stop_token_ids: [2], input_cost_per_token: 3, \
                  default_api_key_rpm_limit: 4, thinking: {budget_tokens: 5, token_count: 6}";
    let info = "max_input_tokens: 7, base_model: m, access_groups: [g], key: k, access: all, \
                nested: {output_cost_per_token: 8, token: sk-1}, token: sk-2";
    let text =
        format!("model_list: [{{model_name: g, litellm_params: {{{params}}}, model_info: {{{info}}}}}]\n");
    let config = config(&text);
    let deployment = &config.deployments[0];
    let members = deployment.public_params.iter().chain(&deployment.info);
    let shown: String = members.map(|member| format!("{}={} ", member.key, member.json)).collect();
    for number in 1..=8 {
        assert!(shown.contains(&number.to_string()), "{number} in {shown}");
    }
    for rest in ["base_model=\"m\"", "access_groups=[\"g\"]", "key=\"k\"", "access=\"all\""] {
        assert!(shown.contains(rest), "{shown}");
    }
    assert!(!shown.contains("sk-"), "{shown}");
}
