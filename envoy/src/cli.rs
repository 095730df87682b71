//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// What every help ends with.
const EXIT_CODES: &str = "Exit codes:
  0  done; of serve: it was told to end
  1  the configuration is refused, or something on this machine is in the way (a port in use, no Envoy)
  2  the command line is wrong, or a file that it names cannot be read
  n  of serve: Envoy has ended by itself with this code, 128 and the number of the signal where one killed it";

const EXAMPLES: &str = "Examples:
  llm-balancer --config config.yaml             serve it on 127.0.0.1:4000
  llm-balancer check --config config.yaml       say what there is to say about it
  llm-balancer serve --help                     all about serving";

const SERVE_EXAMPLES: &str = "Examples:
  llm-balancer serve --config config.yaml --port 8080
  llm-balancer serve --config config.yaml --host 0.0.0.0          with a master_key in the file
  llm-balancer serve --config config.yaml --drain-timeout 120     give answers two minutes to end
  kill -HUP PID                                                   read the file now; it is watched anyway
  kill PID                                                        end when what is in flight has ended; twice: end now";

const CHECK_EXAMPLES: &str = "Examples:
  llm-balancer check --config config.yaml
  llm-balancer check --config config.yaml --color always | less -R";

const HEALTH_EXAMPLES: &str = "Examples:
  llm-balancer health --port 4000          a container's health check";

const RENDER_EXAMPLES: &str = "Examples:
  llm-balancer render --config config.yaml --target envoy > bootstrap.yaml
  llm-balancer render --config config.yaml --target envoy --out rendered && envoy --config-path rendered/bootstrap.yaml";

const COMPLETIONS_EXAMPLES: &str = "Examples:
  llm-balancer completions bash > ~/.local/share/bash-completion/completions/llm-balancer
  llm-balancer completions zsh > ~/.zfunc/_llm-balancer
  llm-balancer completions fish > ~/.config/fish/completions/llm-balancer.fish";

fn help(examples: &str) -> String {
    format!("{examples}\n\n{EXIT_CODES}")
}

/// LiteLLM's config.yaml, served by Envoy.
#[derive(Debug, Parser)]
#[command(
    name = "llm-balancer",
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = help(EXAMPLES)
)]
pub struct Cli {
    /// What to do; `serve` may be left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// `serve`, left out.
    #[command(flatten)]
    pub serve: Option<ServeArgs>,
    /// Colours: where a terminal shows them and NO_COLOR is not set, everywhere, or nowhere
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub color: Color,
}

/// Where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On terminals
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run Envoy with the configuration, and with what becomes of it
    #[command(after_help = help(SERVE_EXAMPLES))]
    Serve(ServeArgs),
    /// Print everything found in the configuration; exit 0 if it can be used, 1 if not
    #[command(after_help = help(CHECK_EXAMPLES))]
    Check(CheckArgs),
    /// Ask the balancer on this machine whether it lives
    #[command(after_help = help(HEALTH_EXAMPLES))]
    Health(HealthArgs),
    /// Print the configuration as the target understands it
    #[command(after_help = help(RENDER_EXAMPLES))]
    Render(RenderArgs),
    /// Print what makes a shell complete this command
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
// clap tells by its group whether it is there, and leaves a group without members where there are more arguments to flatten.
#[derive(Args, Debug)]
#[group(args = ["config"])]
pub struct ServeArgs {
    /// LiteLLM's configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where it listens.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Worker threads of Envoy [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub concurrency: Option<u32>,
    /// The Envoy to run [default: $ENVOY, or the one on PATH, or the one that `make tools` installed]
    #[arg(long, value_name = "PATH")]
    pub envoy: Option<PathBuf>,
    /// After SIGTERM, how long requests in flight may take to end
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    pub drain_timeout: u32,
    /// After SIGTERM, how long new connections are still let in while readiness says 503, for load balancers that take
    /// their time; part of the drain timeout
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub drain_delay: u32,
    /// What Envoy and the filter log
    #[arg(long, value_name = "LEVEL", default_value = "warning", value_parser = log_levels())]
    pub log_level: String,
}

/// Addresses and ports.
#[derive(Args, Debug)]
pub struct ListenArgs {
    /// Address for clients [default: 0.0.0.0 with a master_key, 127.0.0.1 without]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub host: Option<IpAddr>,
    /// Port for clients
    #[arg(long, default_value_t = 4000)]
    pub port: u16,
    /// Envoy's admin port, with the metrics, on 127.0.0.1
    #[arg(long, value_name = "PORT", default_value_t = 9901)]
    pub admin_port: u16,
    /// Port for metrics (GET /metrics, /stats/prometheus, /ready) on the address for clients [default: none]
    #[arg(long, value_name = "PORT")]
    pub metrics_port: Option<u16>,
    /// Let other machines in though the file sets no master_key
    #[arg(long)]
    pub insecure_no_auth: bool,
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
    /// Where it listens for clients
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = address)]
    pub host: IpAddr,
    /// Its port for clients
    #[arg(long, default_value_t = 4000)]
    pub port: u16,
}

/// `render`
#[derive(Args, Debug)]
pub struct RenderArgs {
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
    pub listen: ListenArgs,
    /// In a mesh.
    #[command(flatten)]
    pub mesh: MeshArgs,
}

/// Options of `render` for Istio and Envoy Gateway.
#[derive(Args, Debug)]
#[command(next_help_heading = "In a mesh (--target istio, --target envoy-gateway)")]
pub struct MeshArgs {
    /// Namespace of everything that is rendered
    #[arg(long, value_name = "NAME", default_value = "llm-balancer")]
    pub namespace: String,
    /// Envoy Gateway: namespace of Envoy's pods, which its own is unless it runs in gateway namespace mode
    #[arg(long, value_name = "NAME", default_value = "envoy-gateway-system")]
    pub pods_namespace: String,
    /// Host that the gateway answers to, may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub hostname: Vec<String>,
    /// Secret with the certificate; HTTPS on port 443 instead of HTTP on 80
    #[arg(long, value_name = "NAME")]
    pub tls_secret: Option<String>,
    /// The filter's image with its digest, as `make image-wasm` packs it [default: the filter goes into a ConfigMap]
    #[arg(long, value_name = "oci://IMAGE@sha256:DIGEST")]
    pub filter_image: Option<String>,
    /// What the gateway lets us add
    #[arg(long, value_enum, default_value_t)]
    pub profile: Profile,
}

/// How the filter gets into somebody else's Envoy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Behind an internal listener, once per attempt: everything works
    #[default]
    TwoHop,
    /// On the gateway's own listener, once per request: a retry stays with the deployment
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
    fn colours_may_be_asked_for_anywhere() {
        for line in
            ["llm-balancer --color never --config x.yaml", "llm-balancer check --config x.yaml --color never"]
        {
            assert_eq!(parse(line).unwrap().color, Color::Never, "{line}");
        }
    }

    #[test]
    fn every_command_has_examples_and_says_its_exit_codes() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let help = command.render_help().to_string();
            assert!(help.contains("Examples:\n  llm-balancer ") && help.contains("Exit codes:"), "{help}");
        }
    }

    #[test]
    fn shells_complete_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "llm-balancer", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in ["serve", "check", "render", "completions", "drain-timeout"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
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
