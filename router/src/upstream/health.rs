//! `GET /health`: which deployments respond. A probe lists a deployment's models, which costs no
//! tokens.

use std::fmt::Write as _;

use llm_balancer_config::{Config, Deployment, Wire};

use crate::http::headers::Headers;
use crate::http::json::quoted;
use crate::http::reply::Reply;
use crate::upstream::headers::{push_deployment_headers, push_version};
use crate::upstream::paths;

/// How a deployment responded to its probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// With this status.
    Status(u16),
    /// Not at all, or not in time.
    NoResponse,
}

impl ProbeResult {
    /// A server that lacks the route is healthy; one that refuses the key is not.
    fn is_healthy(self) -> bool {
        match self {
            Self::Status(status) => status == 501 || (status < 500 && !matches!(status, 401 | 403)),
            Self::NoResponse => false,
        }
    }
}

/// The deployments to probe.
#[derive(Debug)]
pub struct ToProbe {
    /// Their indices in the configuration.
    pub deployments: Vec<usize>,
    /// Whether the client named them, by `model` or `model_id`.
    pub is_named: bool,
}

/// The headers of the request that lists a deployment's models.
pub fn probe_headers(deployment: &Deployment) -> Headers {
    let mut headers = Headers::with_capacity(512, 8);
    let path = paths::path(&deployment.endpoint, "/models", &deployment.model);
    if deployment.endpoint.layout.speaks(Wire::Anthropic) {
        push_deployment_headers(&mut headers, deployment, Wire::Anthropic, "GET", &path);
        push_version(&mut headers, deployment);
    } else {
        push_deployment_headers(&mut headers, deployment, Wire::OpenAi, "GET", &path);
    }
    headers
}

/// The response, in LiteLLM's shape. A monitor that names a model reads its status alone.
pub fn report(config: &Config, results: &[(usize, ProbeResult)], is_named: bool) -> Reply {
    let mut healthy = Vec::new();
    let mut unhealthy = Vec::new();
    for (index, result) in results {
        let Some(deployment) = config.deployments.get(*index) else { continue };
        let entry = entry(deployment, *result);
        if result.is_healthy() { healthy.push(entry) } else { unhealthy.push(entry) }
    }
    let status = if is_named && healthy.is_empty() { 503 } else { 200 };
    let body = format!(
        r#"{{"healthy_endpoints":[{}],"unhealthy_endpoints":[{}],"healthy_count":{},"unhealthy_count":{}}}"#,
        healthy.join(","),
        unhealthy.join(","),
        healthy.len(),
        unhealthy.len()
    );
    Reply { status, ..Reply::ok(body) }
}

fn entry(deployment: &Deployment, result: ProbeResult) -> String {
    let mut entry = format!(
        r#"{{"model":{},"api_base":{},"model_name":{},"model_id":{}"#,
        quoted(&deployment.litellm_model),
        quoted(&deployment.endpoint.display_url),
        quoted(&deployment.group),
        quoted(&deployment.id)
    );
    // Writing into memory cannot fail.
    let _ = match result {
        _ if result.is_healthy() => Ok(()),
        ProbeResult::Status(status) => {
            write!(entry, r#","error":"GET models was answered with status {status}""#)
        }
        ProbeResult::NoResponse => write!(entry, r#","error":"no answer to GET models""#),
    };
    entry + "}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_of_anthropics_api_is_probed_with_its_headers() {
        for (params, key, bearer, version) in [
            ("anthropic/m", "k", "", "2023-06-01"),
            ("openai/m", "", "Bearer k", ""),
            ("hosted_vllm/m, llm_balancer: {wire: anthropic}", "k", "Bearer k", "2023-06-01"),
        ] {
            let yaml = format!(
                "model_list:\n- model_name: g\n  litellm_params: {{model: {params}, api_base: 'http://a.test/v1', api_key: k}}\n"
            );
            let config = llm_balancer_config::read("config.yaml", &yaml, &|_| None).config.unwrap();
            let headers = probe_headers(&config.deployments[0]);
            let header = |name| headers.get(name).unwrap_or_default();
            assert_eq!((header(":method"), header(":path")), ("GET", "/v1/models"), "{params}");
            let sent = (header("x-api-key"), header("authorization"), header("anthropic-version"));
            assert_eq!(sent, (key, bearer, version), "{params}");
        }
    }

    #[test]
    fn a_named_model_without_a_healthy_deployment_is_a_503() {
        let yaml = "model_list:\n- model_name: g\n  litellm_params: {model: openai/m, api_key: k}\n";
        let config = llm_balancer_config::read("config.yaml", yaml, &|_| None).config.unwrap();
        let (ok, dead) = ((0, ProbeResult::Status(200)), (0, ProbeResult::NoResponse));
        for (results, is_named, status) in [
            ([ok, dead].as_slice(), true, 200),
            (&[dead], true, 503),
            (&[], true, 503),
            (&[dead], false, 200),
        ] {
            assert_eq!(report(&config, results, is_named).status, status, "{results:?} {is_named}");
        }
    }

    #[test]
    fn a_server_without_the_route_is_healthy_and_one_that_refuses_the_key_is_not() {
        for (result, healthy) in [
            (ProbeResult::Status(200), true),
            (ProbeResult::Status(404), true),
            (ProbeResult::Status(501), true),
            (ProbeResult::Status(429), true),
            (ProbeResult::Status(401), false),
            (ProbeResult::Status(403), false),
            (ProbeResult::Status(503), false),
            (ProbeResult::NoResponse, false),
        ] {
            assert_eq!(result.is_healthy(), healthy, "{result:?}");
        }
    }
}
