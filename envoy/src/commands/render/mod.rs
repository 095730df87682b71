//! `render`: a bootstrap for an Envoy that the operator runs, or Kubernetes objects for a gateway.

use std::process::ExitCode;

use crate::cli::{ListenArgs, MeshArgs, Profile, RenderArgs, Target};
use crate::render::mesh::{envoy_gateway, istio};
use crate::support::command_error::CommandError;
use crate::support::config_file::{ConfigFile, LoadedConfig};

mod envoy;
mod mesh;
mod output;

/// Writes all files into the folder of `--out`, or prints the YAML to standard output.
pub(super) fn render(args: &RenderArgs) -> Result<ExitCode, CommandError> {
    match args.target {
        Target::Envoy => refuse_mesh_options(&args.mesh)?,
        Target::Istio | Target::EnvoyGateway => {
            refuse_listen_options(&args.listen)?;
            refuse_hops_without_a_listener(args)?;
        }
    }
    if args.target == Target::Istio {
        let options = [("--pods-namespace", args.mesh.pods_namespace.is_some())];
        refuse(&options, "needs --target envoy-gateway: Istio's pods are in the namespace of the gateway")?;
    }
    let LoadedConfig { config, text, parsed } = ConfigFile::read(&args.config)?.accept()?;
    match args.target {
        Target::Envoy => envoy::render(args, &config, &text)?,
        Target::Istio => mesh::render(args, &config, &parsed, istio::objects)?,
        Target::EnvoyGateway => mesh::render(args, &config, &parsed, envoy_gateway::objects)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `--target envoy` has no use for an option that only gateways have.
fn refuse_mesh_options(args: &MeshArgs) -> Result<(), CommandError> {
    let options = [
        ("--profile single-hop", args.profile == Profile::SingleHop),
        ("--namespace", args.namespace.is_some()),
        ("--pods-namespace", args.pods_namespace.is_some()),
        ("--hostname", !args.hostname.is_empty()),
        ("--tls-secret", args.tls_secret.is_some()),
        ("--filter-image", args.filter_image.is_some()),
    ];
    refuse(&options, "needs --target istio or --target envoy-gateway")
}

/// A gateway has addresses and ports of its own.
fn refuse_listen_options(args: &ListenArgs) -> Result<(), CommandError> {
    let options = [
        ("--host", args.host.is_some()),
        ("--port", args.port.is_some()),
        ("--admin-port", args.admin_port.is_some()),
        ("--metrics-port", args.metrics_port.is_some()),
    ];
    refuse(&options, "needs --target envoy: a gateway has addresses and ports of its own")
}

/// The internal listener, where all other hops lead, is what a single hop does without.
fn refuse_hops_without_a_listener(args: &RenderArgs) -> Result<(), CommandError> {
    let is_single = args.mesh.profile == Profile::SingleHop;
    refuse(&[("--hops", is_single && args.listen.hops.is_some())], "needs --profile two-hop, the default")
}

/// An error about the first option that is set.
fn refuse(options: &[(&str, bool)], reason: &str) -> Result<(), CommandError> {
    match options.iter().find(|(_, is_set)| *is_set) {
        None => Ok(()),
        Some((option, _)) => Err(CommandError::Usage(format!("{option} {reason}"))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(target: &str, options: &str) -> RenderArgs {
        let line = format!("llm-balancer render --config x.yaml --target {target} {options}");
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Some(Command::Render(args)) = cli.command else { panic!("not render") };
        args
    }

    #[test]
    fn options_of_a_mesh_need_a_mesh() {
        let refusal = |options: &str| refuse_mesh_options(&args("envoy", options).mesh);
        assert_eq!(refusal(""), Ok(()));
        for options in [
            "--profile single-hop", "--namespace x", "--pods-namespace x", "--hostname x", "--tls-secret x",
            "--filter-image x",
        ] {
            assert!(matches!(refusal(options), Err(CommandError::Usage(_))), "{options}");
        }
    }

    #[test]
    fn hops_need_the_internal_listener() {
        for target in ["istio", "envoy-gateway"] {
            let refusal = |options: &str| refuse_hops_without_a_listener(&args(target, options));
            for accepted in ["", "--hops 1", "--hops 2", "--profile single-hop"] {
                assert_eq!(refusal(accepted), Ok(()), "{accepted}");
            }
            assert!(matches!(refusal("--profile single-hop --hops 1"), Err(CommandError::Usage(_))));
        }
    }

    #[test]
    fn addresses_and_ports_need_an_envoy_of_ones_own() {
        for target in ["istio", "envoy-gateway"] {
            let refusal = |options: &str| refuse_listen_options(&args(target, options).listen);
            assert_eq!(refusal(""), Ok(()));
            assert_eq!(refusal("--insecure-no-auth"), Ok(()), "a mesh without a master key needs it");
            for options in ["--host 127.0.0.1", "--port 4000", "--admin-port 9901", "--metrics-port 9902"] {
                let option = options.split(' ').next().unwrap();
                let refused = refusal(options);
                assert!(
                    matches!(&refused, Err(CommandError::Usage(message)) if message.starts_with(&format!("{option} needs --target envoy:"))),
                    "{refused:?}"
                );
            }
        }
    }
}
