//! What is added to the address of a provider, as LiteLLM adds it.

use super::*;

#[test]
fn the_path_of_a_provider_is_added_where_the_file_leaves_it_out() {
    for (params, url) in [
        ("model: nadir/auto", "https://api.getnadir.com/v1"),
        ("model: maritalk/sabia-3", "https://chat.maritaca.ai/api"),
        ("model: bigmodel/glm-4.6", "https://open.bigmodel.cn/api/paas/v4"),
        ("model: bigmodel/m, api_base: 'https://open.bigmodel.cn'", "https://open.bigmodel.cn/api/paas/v4"),
        ("model: gradient_ai/llama3.3-70b", "https://inference.do-ai.run/v1"),
        ("model: gradient_ai/m, api_base: 'https://inference.do-ai.run'", "https://inference.do-ai.run/v1"),
        ("model: gradient_ai/m, api_base: 'https://a.agents.do-ai.run'", "https://a.agents.do-ai.run/api/v1"),
    ] {
        let deployment = deployment(&format!("{params}, api_key: k"));
        let endpoint = &deployment.endpoint;
        assert_eq!(format!("https://{}{}", endpoint.authority, endpoint.path), url, "{params}");
        assert_eq!(secret(&deployment), "bearer k", "{params}");
    }
}
