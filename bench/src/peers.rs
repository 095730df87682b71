//! Other gateways: how each is started on three deployments of the provider.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use serde_json::json;

use crate::product::{self, Configuration};
use crate::provider::ADDRESSES;
use crate::subject::{Setting, free_port};

/// A gateway from a registry. `make bench-peers` installs each into a folder of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    VllmRouter,
    SglangRouter,
    Portkey,
    Litellm,
}

/// A command and the headers of its clients.
type Start = (Command, Vec<(String, String)>);

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Self::VllmRouter => "vllm-router",
            Self::SglangRouter => "sglang-router",
            Self::Portkey => "Portkey",
            Self::Litellm => "LiteLLM",
        }
    }

    fn folder(self, setting: &Setting) -> PathBuf {
        setting.peers_in.join(match self {
            Self::VllmRouter => "vllm-router",
            Self::SglangRouter => "sglang-router",
            Self::Portkey => "portkey",
            Self::Litellm => "litellm",
        })
    }

    /// The command that serves on `port`.
    ///
    /// # Errors
    ///
    /// If it is not installed.
    pub fn command(self, setting: &Setting, folder: &Path, port: u16) -> Result<Start, Box<dyn Error>> {
        if !self.folder(setting).is_dir() {
            return Err("not installed".into());
        }
        let mut command = match self {
            Self::VllmRouter => python(&self.folder(setting), "vllm-router"),
            Self::SglangRouter => python(&self.folder(setting), "sglang-router"),
            Self::Portkey => Command::new("node"),
            Self::Litellm => python(&self.folder(setting), "litellm"),
        };
        command.current_dir(folder);
        let mut headers = product::headers();
        match self {
            Self::SglangRouter => {
                command.arg("launch");
                route_to_workers(&mut command, setting, port);
            }
            Self::VllmRouter => route_to_workers(&mut command, setting, port),
            Self::Portkey => {
                command
                    .arg(self.folder(setting).join("node_modules/@portkey-ai/gateway/build/start-server.js"));
                command.args([&format!("--port={port}"), "--headless"]);
                headers.push(("x-portkey-config".to_owned(), portkey(setting.provider)));
            }
            Self::Litellm => {
                let file = folder.join("config.yaml");
                let few = Configuration { deployments: ADDRESSES.len(), limits: false, redis: false };
                fs::write(&file, few.text(setting.provider, None, setting.strategy))?;
                command.arg("--config").arg(file).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
                command.args(["--num_workers", &setting.workers.to_string()]);
            }
        }
        Ok((command, headers))
    }
}

/// A script that pip has installed with `--target`.
pub fn python(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(folder.join("bin").join(script)).env("PYTHONPATH", folder);
    command
}

/// The options that both routers have.
fn route_to_workers(command: &mut Command, setting: &Setting, port: u16) {
    command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--policy", "power_of_two"]);
    command.args(["--prometheus-port", &free_port().to_string(), "--log-level", "error", "--worker-urls"]);
    command.args(ADDRESSES.map(|ip| format!("http://{ip}:{}", setting.provider)));
}

/// Portkey has no file: every request carries its configuration. Of the addresses of loopback, it
/// accepts only the first as a target.
fn portkey(provider: u16) -> String {
    let host = format!("http://{}:{provider}/v1", ADDRESSES[0]);
    let target = |_| json!({"provider": "openai", "api_key": "sk-d", "custom_host": host});
    json!({"strategy": {"mode": "loadbalance"}, "targets": ADDRESSES.map(target)}).to_string()
}
