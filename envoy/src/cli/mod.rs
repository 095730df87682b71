//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::render::Hops;
use crate::support::kubernetes_names;

/// The end of every help.
const EXIT_CODES: &str = "Exit codes:
  0  success
  1  the configuration is refused, this machine is not ready, or a balancer gives no answer
  2  invalid command line, or a file that it names cannot be read";

/// What `serve` has beside them.
const SERVE_EXIT_CODES: &str =
    "  n  serve: Envoy exited by itself with this code, or with 128 plus the signal that killed it";

const EXAMPLES: &str = "Examples:
  llm-balancer --config config.yaml             serve it on port 4000
  llm-balancer check --config config.yaml       print all findings about it
  llm-balancer serve --help                     print all options of serving";

const SERVE_EXAMPLES: &str = "Examples:
  llm-balancer serve --config config.yaml --port 8080
  llm-balancer serve --config config.yaml --host 0.0.0.0          needs a master_key in the file
  llm-balancer serve --config config.yaml --drain-timeout 120     give requests in flight two minutes
  kill -HUP PID                                                   re-read the file now, not when its change is noticed
  kill PID                                                        drain, then stop; twice: stop at once";

const CHECK_EXAMPLES: &str = "Examples:
  llm-balancer check --config config.yaml
  llm-balancer check --config config.yaml --color always | less -R";

const HEALTH_EXAMPLES: &str = "Examples:
  llm-balancer health --port 4000          health check of a container";

const STATUS_EXAMPLES: &str = "Examples:
  llm-balancer status                                     since the start
  llm-balancer status --watch --group gpt-4o              one group in the last minute, until Ctrl-C
  llm-balancer status --metrics http://10.0.0.7:9902      on another machine";

const RENDER_EXAMPLES: &str = "Examples:
  llm-balancer render --config config.yaml --target envoy > bootstrap.yaml
  llm-balancer render --config config.yaml --target envoy --out rendered && envoy --config-path rendered/bootstrap.yaml --file-flush-interval-msec 1000";

const COMPLETIONS_EXAMPLES: &str = "Examples:
  llm-balancer completions bash > ~/.local/share/bash-completion/completions/llm-balancer
  llm-balancer completions zsh > ~/.zfunc/_llm-balancer
  llm-balancer completions fish > ~/.config/fish/completions/llm-balancer.fish";

/// The default.
pub(crate) const LOG_LEVEL: &str = "warning";
const LOG_LEVELS: [&str; 7] = ["trace", "debug", "info", "warning", "error", "critical", "off"];

fn help(examples: &str) -> String {
    format!("{examples}\n\n{EXIT_CODES}")
}

fn serve_help(examples: &str) -> String {
    format!("{}\n{SERVE_EXIT_CODES}", help(examples))
}

/// LiteLLM's config.yaml, served by Envoy.
#[derive(Debug, Parser)]
#[command(
    name = "llm-balancer",
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = serve_help(EXAMPLES)
)]
pub struct Cli {
    /// The command; `serve` if there is none.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The options of `serve`, without the command.
    #[command(flatten)]
    pub serve: Option<ServeArgs>,
    /// When to color the output; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub color: ColorChoice,
}

/// The command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run Envoy with the configuration, and reload it when it changes
    #[command(after_help = serve_help(SERVE_EXAMPLES))]
    Serve(ServeArgs),
    /// Print all findings about the configuration; exit 0 if it is usable, 1 if not
    #[command(after_help = help(CHECK_EXAMPLES))]
    Check(CheckArgs),
    /// Ask a balancer whether it is alive
    #[command(after_help = help(HEALTH_EXAMPLES))]
    Health(HealthArgs),
    /// Print what a running balancer does: traffic, limits, cooldowns, errors
    #[command(after_help = help(STATUS_EXAMPLES))]
    Status(StatusArgs),
    /// Render the configuration for an Envoy or a mesh of your own
    #[command(after_help = help(RENDER_EXAMPLES))]
    Render(RenderArgs),
    /// Print a completion script for a shell
    #[command(after_help = help(COMPLETIONS_EXAMPLES))]
    Completions(CompletionsArgs),
}

/// `completions`
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// `serve`
// Named members, since clap leaves the group of a struct empty that flattens another.
#[derive(Args, Debug)]
#[group(args = ["config"])]
pub struct ServeArgs {
    /// LiteLLM's configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Addresses and ports.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Worker threads of Envoy [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub concurrency: Option<u32>,
    /// The Envoy to run [default: $ENVOY, else envoy on PATH, else the one that `make envoy`
    /// installed]
    #[arg(long, value_name = "PATH")]
    pub envoy: Option<PathBuf>,
    /// What runs the filter: WebAssembly, or Envoy itself with less CPU, which loads it as a dynamic
    /// module
    #[arg(long, value_name = "RUNTIME", value_enum, default_value_t)]
    pub runtime: RuntimeChoice,
    /// After SIGTERM: time for the requests in flight
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    pub drain_timeout: u32,
    /// After SIGTERM: time in which readiness answers 503 and new connections are still accepted,
    /// for load balancers that are slow to notice; part of the drain timeout, and shorter
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub drain_delay: u32,
    /// Log level of Envoy and the filter
    #[arg(long, value_name = "LEVEL", default_value = LOG_LEVEL, value_parser = LOG_LEVELS)]
    pub log_level: String,
}

/// What runs the filter under `serve`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RuntimeChoice {
    /// The module, if this program has it, Envoy is 1.40 or 1.41, and files in the temporary folder
    /// may be executed; else WebAssembly
    #[default]
    Auto,
    /// WebAssembly
    Wasm,
    /// The module, or an error
    Module,
}

/// Addresses and ports.
#[derive(Args, Debug)]
pub struct ListenArgs {
    /// Address for clients [default: 0.0.0.0 with a master_key, 127.0.0.1 without]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub host: Option<IpAddr>,
    /// Port for clients [default: 4000]
    #[arg(long)]
    pub port: Option<u16>,
    /// Envoy's admin port, with the metrics, on 127.0.0.1 [default: 9901]
    #[arg(long, value_name = "PORT")]
    pub admin_port: Option<u16>,
    /// Port for the status page and the metrics on the address for clients: GET /, /metrics,
    /// /stats/prometheus, /ready [default: of serve, the next port after --admin-port on 127.0.0.1;
    /// of render, none]
    #[arg(long, value_name = "PORT")]
    pub metrics_port: Option<u16>,
    /// Listen for other machines although the file sets no master_key
    #[arg(long, help_heading = None::<&str>)]
    pub insecure_no_auth: bool,
    /// Hops of a first attempt in Envoy: 1, straight to its deployment; 2, through an internal
    /// listener, slower and with fewer of Envoy's extensions (docs/SECURITY.md)
    /// [default: 1; for Istio and Envoy Gateway 2]
    #[arg(long, value_name = "N")]
    pub hops: Option<Hops>,
}

impl ListenArgs {
    /// `--port`
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(4000)
    }

    /// `--admin-port`
    pub(crate) fn admin_port(&self) -> u16 {
        self.admin_port.unwrap_or(9901)
    }

    /// `--hops`
    pub(crate) fn hops(&self) -> Hops {
        self.hops.unwrap_or(Hops::One)
    }
}

/// `check`
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// LiteLLM's configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// `health`
#[derive(Args, Debug)]
pub struct HealthArgs {
    /// Address of the balancer
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = address)]
    pub host: IpAddr,
    /// Port for clients or for metrics; that for clients resets connections above their limit
    #[arg(long, default_value_t = 4000)]
    pub port: u16,
}

/// `status`
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Address of the status page, as serve prints it, or of the metrics
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9902")]
    pub metrics: String,
    /// Refresh every two seconds until Ctrl-C, and show the last minute
    #[arg(long)]
    pub watch: bool,
    /// This group alone
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
}

/// `render`
#[derive(Args, Debug)]
pub struct RenderArgs {
    /// LiteLLM's configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// What to render for
    #[arg(long)]
    pub target: Target,
    /// Folder for the rendered files [default: standard output]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Unix socket to Redis, which Envoy makes if the file names a Redis; its folder must exist
    #[arg(long, value_name = "PATH", default_value = "/run/llm-balancer/redis.sock")]
    pub redis_socket: PathBuf,
    /// Addresses and ports.
    #[command(flatten, next_help_heading = "In an Envoy of your own (--target envoy)")]
    pub listen: ListenArgs,
    /// Options of a mesh.
    #[command(flatten)]
    pub mesh: MeshArgs,
}

/// Options of `render` for Istio and Envoy Gateway.
#[derive(Args, Debug)]
#[command(next_help_heading = "In a mesh (--target istio, --target envoy-gateway)")]
pub struct MeshArgs {
    /// Namespace of all rendered objects [default: llm-balancer]
    #[arg(long, value_name = "NAME", value_parser = kubernetes_names::namespace)]
    pub namespace: Option<String>,
    /// Envoy Gateway: namespace of Envoy's pods; in gateway namespace mode that of the Gateway
    /// [default: envoy-gateway-system]
    #[arg(long, value_name = "NAME", value_parser = kubernetes_names::namespace)]
    pub pods_namespace: Option<String>,
    /// Host that the gateway serves; repeatable [default: all]
    #[arg(long, value_name = "NAME", value_parser = kubernetes_names::hostname)]
    pub hostname: Vec<String>,
    /// Secret with the certificate: serve HTTPS on port 443 instead of HTTP on port 80
    #[arg(long, value_name = "NAME", value_parser = kubernetes_names::object)]
    pub tls_secret: Option<String>,
    /// The filter's image with its digest, see `make image-wasm` [default: the filter is put into a
    /// ConfigMap]
    #[arg(long, value_name = "oci://IMAGE@sha256:DIGEST")]
    pub filter_image: Option<String>,
    /// What the gateway allows to add
    #[arg(long, value_enum, default_value_t)]
    pub profile: Profile,
}

/// Where the filter runs in a gateway's Envoy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Behind an internal listener, once per attempt: all features
    #[default]
    TwoHop,
    /// On the gateway's own listener, once per request: retries stay with the deployment
    SingleHop,
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

fn address(text: &str) -> Result<IpAddr, String> {
    let text = if text == "localhost" { "127.0.0.1" } else { text };
    text.parse().map_err(|_| "expected an IP address, such as 127.0.0.1 or 0.0.0.0".to_owned())
}

#[cfg(test)]
mod tests;
