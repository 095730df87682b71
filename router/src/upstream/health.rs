//! `GET /health`: which deployments are there, asked by listing their models, which costs nobody a token.

use std::fmt::Write as _;

use llm_balancer_config::{Config, Deployment};

use crate::http::headers::Headers;
use crate::http::json::quoted;
use crate::http::route::query_value;
use crate::upstream::headers::push_deployment_headers;
use crate::upstream::paths;

/// How a deployment answered its probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// With this status.
    Answered(u16),
    /// Not at all, or not in time.
    Silent,
}

impl Probed {
    /// A server that does not know the route is there all the same; one that refuses the key is of no use.
    fn is_healthy(self) -> bool {
        match self {
            Self::Answered(status) => status == 501 || (status < 500 && !matches!(status, 401 | 403)),
            Self::Silent => false,
        }
    }
}

/// The deployments to ask: all, or those of `?model=`, a group's name or a litellm model.
pub fn probed(config: &Config, query: &str) -> Vec<usize> {
    let wanted = query_value(query, "model");
    let is_wanted = |deployment: &Deployment| {
        wanted.as_deref().is_none_or(|name| name == &*deployment.group || name == deployment.litellm_model)
    };
    let all = config.deployments.iter().enumerate();
    all.filter(|(_, deployment)| is_wanted(deployment)).map(|(index, _)| index).collect()
}

/// The request that lists a deployment's models.
pub fn probe(deployment: &Deployment) -> Headers {
    let mut headers = Headers::with_capacity(512, 8);
    let path = paths::path(&deployment.endpoint, "/models", &deployment.model);
    push_deployment_headers(&mut headers, deployment, "GET", &path);
    headers
}

/// LiteLLM's answer shape.
pub fn report(config: &Config, results: &[(usize, Probed)]) -> String {
    let mut healthy = Vec::new();
    let mut unhealthy = Vec::new();
    for (index, probed) in results {
        let Some(deployment) = config.deployments.get(*index) else { continue };
        let mut entry = format!(
            r#"{{"model":{},"api_base":{},"model_name":{},"model_id":{}"#,
            quoted(&deployment.litellm_model),
            quoted(&deployment.endpoint.display_url),
            quoted(&deployment.group),
            quoted(&deployment.id)
        );
        match probed {
            _ if probed.is_healthy() => healthy.push(entry + "}"),
            Probed::Answered(status) => {
                let _ = write!(entry, r#","error":"GET models was answered with status {status}"}}"#);
                unhealthy.push(entry);
            }
            Probed::Silent => unhealthy.push(entry + r#","error":"no answer to GET models"}"#),
        }
    }
    format!(
        r#"{{"healthy_endpoints":[{}],"unhealthy_endpoints":[{}],"healthy_count":{},"unhealthy_count":{}}}"#,
        healthy.join(","),
        unhealthy.join(","),
        healthy.len(),
        unhealthy.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_the_route_is_there_and_one_that_refuses_the_key_is_not() {
        for (probed, healthy) in [
            (Probed::Answered(200), true),
            (Probed::Answered(404), true),
            (Probed::Answered(501), true),
            (Probed::Answered(429), true),
            (Probed::Answered(401), false),
            (Probed::Answered(403), false),
            (Probed::Answered(503), false),
            (Probed::Silent, false),
        ] {
            assert_eq!(probed.is_healthy(), healthy, "{probed:?}");
        }
    }
}
