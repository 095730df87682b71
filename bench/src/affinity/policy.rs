//! What selects a worker: the product by its strategies and affinities, and vllm-router by its
//! policies.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Arguments, MODEL};
use crate::peers::python;
use crate::subject::free_port;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// llm-balancer, simple-shuffle
    SimpleShuffle,
    /// llm-balancer, least-busy
    LeastBusy,
    /// llm-balancer, latency-based-routing
    LatencyBased,
    /// llm-balancer with `affinity: prefix`
    Prefix,
    /// llm-balancer with `session_affinity`
    Session,
    /// vllm-router with the policy cache_aware
    CacheAware,
    /// vllm-router with the policy consistent_hash, by the conversation's id in a header
    ConsistentHash,
}

impl Policy {
    pub fn name(self) -> &'static str {
        match self {
            Self::SimpleShuffle => "simple-shuffle",
            Self::LeastBusy => "least-busy",
            Self::LatencyBased => "latency-based-routing",
            Self::Prefix => "affinity: prefix",
            Self::Session => "session_affinity",
            Self::CacheAware => "vllm-router cache_aware",
            Self::ConsistentHash => "vllm-router consistent_hash",
        }
    }

    /// The command that serves on `port` with these workers.
    ///
    /// # Errors
    ///
    /// If it is not installed.
    pub fn command(
        self,
        arguments: &Arguments,
        folder: &Path,
        port: u16,
        workers: &[u16],
    ) -> Result<Command, Box<dyn Error>> {
        match self {
            Self::CacheAware => vllm_router(arguments, "cache_aware", port, workers),
            Self::ConsistentHash => vllm_router(arguments, "consistent_hash", port, workers),
            _ => {
                let file = folder.join("config.yaml");
                fs::write(&file, self.configuration(workers).to_string())?;
                let mut command = Command::new(&arguments.programs.product);
                command.args(["serve", "--config"]).arg(&file);
                command.args(["--port", &port.to_string(), "--admin-port", &free_port().to_string()]);
                command.args(["--concurrency", &arguments.workers.to_string()]);
                command.env("ENVOY", &arguments.programs.envoy);
                Ok(command)
            }
        }
    }

    /// The product's file.
    fn configuration(self, workers: &[u16]) -> Value {
        let strategy = match self {
            Self::LeastBusy => "least-busy",
            Self::LatencyBased => "latency-based-routing",
            _ => "simple-shuffle",
        };
        let deployment = |(n, port): (usize, &u16)| {
            let mut parameters = json!({
                "model": format!("openai/{MODEL}"), "api_base": format!("http://127.0.0.1:{port}/v1"), "api_key": "k",
            });
            if self == Self::Prefix {
                parameters["llm_balancer"] = json!({"affinity": "prefix"});
            }
            json!({"model_name": MODEL, "litellm_params": parameters, "model_info": {"id": format!("gpu-{n}")}})
        };
        let deployments: Vec<_> = workers.iter().enumerate().map(deployment).collect();
        let mut settings = json!({"routing_strategy": strategy});
        if self == Self::Session {
            settings["optional_pre_call_checks"] = json!(["session_affinity"]);
        }
        json!({"model_list": deployments, "router_settings": settings})
    }
}

fn vllm_router(
    arguments: &Arguments,
    policy: &str,
    port: u16,
    workers: &[u16],
) -> Result<Command, Box<dyn Error>> {
    let installed = arguments.programs.peers_in.join("vllm-router");
    if !installed.is_dir() {
        return Err("vllm-router is not installed".into());
    }
    let mut command = python(&installed, "vllm-router");
    command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--policy", policy]);
    command.args(["--prometheus-port", &free_port().to_string(), "--log-level", "error", "--worker-urls"]);
    command.args(workers.iter().map(|port| format!("http://127.0.0.1:{port}")));
    Ok(command)
}
