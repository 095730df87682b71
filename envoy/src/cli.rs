//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::mesh::MeshArgs;

/// LiteLLM's config.yaml, served by Envoy.
#[derive(Debug, Parser)]
#[command(
    name = "llm-balancer",
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "Example: llm-balancer --config config.yaml"
)]
pub struct Cli {
    /// What to do; `serve` may be left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// `serve`, left out.
    #[command(flatten)]
    pub serve: Option<Serve>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run Envoy with the configuration
    #[command(after_help = "Example: llm-balancer serve --config config.yaml --port 4000")]
    Serve(Serve),
    /// Print everything found in the configuration; exit 0 if it can be used, 1 if not
    #[command(after_help = "Example: llm-balancer check --config config.yaml")]
    Check(Check),
    /// Print the configuration as the target understands it
    #[command(after_help = "Example: llm-balancer render --config config.yaml --target envoy --out rendered")]
    Render(Render),
}

/// `serve`
// clap tells by its group whether it is there, and leaves a group without members where there are more arguments to flatten.
#[derive(Args, Debug)]
#[group(args = ["config"])]
pub struct Serve {
    /// LiteLLM's configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where it listens.
    #[command(flatten)]
    pub listen: Listen,
    /// Worker threads of Envoy [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub concurrency: Option<u32>,
    /// The Envoy to run [default: $ENVOY, or the one on PATH, or the one that `make tools` installed]
    #[arg(long, value_name = "PATH")]
    pub envoy: Option<PathBuf>,
    /// What Envoy and the filter log
    #[arg(long, value_name = "LEVEL", default_value = "warning", value_parser = log_levels())]
    pub log_level: String,
}

/// Addresses and ports.
#[derive(Args, Debug)]
pub struct Listen {
    /// Address for clients [default: 0.0.0.0 with a master_key, 127.0.0.1 without]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub host: Option<IpAddr>,
    /// Port for clients
    #[arg(long, default_value_t = 4000)]
    pub port: u16,
    /// Envoy's admin port, with the metrics, on 127.0.0.1
    #[arg(long, value_name = "PORT", default_value_t = 9901)]
    pub admin_port: u16,
    /// Let other machines in though the file sets no master_key
    #[arg(long)]
    pub insecure_no_auth: bool,
}

/// `check`
#[derive(Args, Debug)]
pub struct Check {
    /// LiteLLM's configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// `render`
#[derive(Args, Debug)]
pub struct Render {
    /// LiteLLM's configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// What it is rendered for
    #[arg(long)]
    pub target: Target,
    /// Folder for the rendered files [default: standard output]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Unix socket that Envoy makes on the way to Redis, if the file names one; its folder must be there
    #[arg(long, value_name = "PATH", default_value = "/run/llm-balancer/redis.sock")]
    pub redis_socket: PathBuf,
    /// Where it listens.
    #[command(flatten)]
    pub listen: Listen,
    /// In a mesh.
    #[command(flatten)]
    pub mesh: MeshArgs,
}

/// What a configuration can be rendered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// A bootstrap for Envoy, and the filter
    Envoy,
    /// Kubernetes objects for Istio: a gateway and its EnvoyFilter
    Istio,
    /// Kubernetes objects for Envoy Gateway: a Gateway and its EnvoyPatchPolicy
    EnvoyGateway,
}

fn log_levels() -> PossibleValuesParser {
    ["trace", "debug", "info", "warning", "error", "critical", "off"].into()
}

fn address(text: &str) -> Result<IpAddr, String> {
    let text = if text == "localhost" { "127.0.0.1" } else { text };
    text.parse().map_err(|_| "give an IP address, such as 127.0.0.1 or 0.0.0.0".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_may_be_left_out() {
        let cli = parse("llm-balancer --config x.yaml --port 80").unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.unwrap().listen.port, 80);
        let cli = parse("llm-balancer serve --config x.yaml").unwrap();
        let Some(Command::Serve(serve)) = cli.command else { panic!("not serve") };
        assert_eq!((serve.listen.port, serve.listen.admin_port), (4000, 9901));
    }

    #[test]
    fn check_needs_nothing_of_serve() {
        let cli = parse("llm-balancer check --config x.yaml").unwrap();
        assert!(matches!(cli.command, Some(Command::Check(_))));
        assert!(cli.serve.is_none());
    }

    #[test]
    fn a_host_is_an_address_or_localhost() {
        assert!(parse("llm-balancer --config x.yaml --host localhost").is_ok());
        assert!(parse("llm-balancer --config x.yaml --host ::1").is_ok());
        assert!(parse("llm-balancer --config x.yaml --host example.com").is_err());
    }
}
