//! Where Azure is reached, and how.

use super::*;

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
fn azure_is_reached_through_cloudflare_and_at_endpoints_of_one_model() {
    let base = "https://gateway.ai.cloudflare.com/v1/acct/gw/azure-openai/res/";
    let params = format!("model: azure/gpt-4o, api_base: '{base}', api_version: 2024-06-01, api_key: k");
    let azure = deployment(&params);
    assert_eq!(azure.endpoint.path, "/v1/acct/gw/azure-openai/res/gpt-4o");
    assert_eq!(azure.endpoint.layout, Layout::AzureDeployment);
    assert_eq!(azure.endpoint.query.as_deref(), Some("api-version=2024-06-01"));
    assert_eq!(secret(&azure), "api-key k");
    for host in ["m.eastus2.inference.ai.azure.com", "m.eastus2.models.ai.azure.com"] {
        let base = format!("https://{host}/v1/");
        let azure = deployment(&format!("model: azure/mistral-large-latest, api_base: '{base}', api_key: k"));
        assert_eq!((azure.endpoint.path.as_str(), azure.endpoint.layout), ("/v1", Layout::AzureAi), "{host}");
        assert_eq!(azure.endpoint.query, None, "{host}");
        assert_eq!(secret(&azure), "bearer k", "{host}");
    }
}
