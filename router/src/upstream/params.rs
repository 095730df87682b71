//! The parameters that the file sets for a deployment, and their precedence.

use llm_balancer_config::{Deployment, Member};

/// A parameter's JSON text among those of the file.
pub(super) fn find<'a>(params: &'a [Member], name: &str) -> Option<&'a str> {
    params.iter().find(|member| member.key == name).map(|member| member.json.as_str())
}

/// The value that goes to the provider, unless it is null: that of the deployment's extra_body,
/// else the client's, else that of the deployment's defaults.
pub(super) fn effective<'a>(
    name: &str,
    client: Option<&'a str>,
    deployment: &'a Deployment,
) -> Option<&'a str> {
    let value = find(&deployment.extra_body, name).or(client).or_else(|| find(&deployment.defaults, name));
    value.filter(|value| *value != "null")
}
