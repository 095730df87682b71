//! The product: its configuration, as a user would have it, and its command line.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::load::MODEL;
use crate::provider::ADDRESSES;
use crate::subject::{Setting, free_port};

/// What clients send. LiteLLM's proxy refuses keys that are short or well known.
const MASTER_KEY: &str = "sk-2d8f1c07e5b94a63b0c7d91e4f52a86837c1d0e9f4b25a68";

/// What differs between the rows of the product.
#[derive(Clone, Copy, Debug)]
pub struct Configuration {
    pub deployments: usize,
    /// rpm and tpm, far above the load.
    pub limits: bool,
    pub redis: bool,
}

impl Configuration {
    /// The file, for this provider and this Redis.
    pub fn text(&self, provider: u16, redis: Option<u16>, strategy: &str) -> String {
        let deployments = (0..self.deployments).zip(ADDRESSES.iter().cycle());
        let models: Vec<_> = deployments.map(|(n, ip)| self.deployment(n, ip, provider)).collect();
        let mut router = json!({"routing_strategy": strategy, "num_retries": 2});
        if let Some(port) = redis {
            router["redis_host"] = json!("127.0.0.1");
            router["redis_port"] = json!(port);
        }
        json!({
            "model_list": models,
            "router_settings": router,
            "general_settings": {"master_key": MASTER_KEY},
        })
        .to_string()
    }

    fn deployment(&self, n: usize, ip: &str, provider: u16) -> Value {
        let mut parameters = json!({
            "model": format!("openai/d{n}"),
            "api_base": format!("http://{ip}:{provider}/v1"),
            "api_key": format!("sk-d{n}"),
        });
        if self.limits {
            parameters["rpm"] = json!(100_000_000);
            parameters["tpm"] = json!(100_000_000_000_u64);
        }
        json!({"model_name": MODEL, "litellm_params": parameters, "model_info": {"id": format!("d{n}")}})
    }
}

/// The headers of every client: those of OpenAI's SDK that matter.
pub fn headers() -> Vec<(String, String)> {
    let headers = [("content-type", "application/json"), ("authorization", &format!("Bearer {MASTER_KEY}"))];
    headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// `llm-balancer serve`.
pub fn command(setting: &Setting, program: &Path, file: &Path, port: u16) -> Command {
    let mut command = Command::new(program);
    command.args(["serve", "--config"]).arg(file);
    command.args(["--port", &port.to_string(), "--admin-port", &free_port().to_string()]);
    command.args(["--concurrency", &setting.workers.to_string()]).env("ENVOY", setting.envoy);
    command
}
