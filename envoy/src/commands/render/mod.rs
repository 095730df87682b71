//! `render`: a bootstrap for an Envoy that the operator runs, or Kubernetes objects for a gateway.

use std::process::ExitCode;

use crate::cli::{MeshArgs, Profile, RenderArgs, Target};
use crate::render::mesh::{envoy_gateway, istio};
use crate::support::config_file::{ConfigFile, LoadedConfig};
use crate::support::failure::Failure;

mod envoy;
mod mesh;
mod output;

/// Writes all files into the folder of `--out`, or prints the YAML to standard output.
pub(super) fn render(args: &RenderArgs) -> Result<ExitCode, Failure> {
    let LoadedConfig { config, text, .. } = ConfigFile::read(&args.config)?.accept()?;
    match args.target {
        Target::Envoy => {
            refuse_mesh_options(&args.mesh)?;
            envoy::render(args, &config, &text)?;
        }
        Target::Istio => mesh::render(args, &config, &text, istio::objects)?,
        Target::EnvoyGateway => mesh::render(args, &config, &text, envoy_gateway::objects)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `--target envoy` has no use for an option that only gateways have.
fn refuse_mesh_options(args: &MeshArgs) -> Result<(), Failure> {
    let options = [
        ("--profile single-hop", args.profile == Profile::SingleHop),
        ("--hostname", !args.hostname.is_empty()),
        ("--tls-secret", args.tls_secret.is_some()),
        ("--filter-image", args.filter_image.is_some()),
    ];
    match options.iter().find(|(_, is_set)| *is_set) {
        None => Ok(()),
        Some((option, _)) => {
            Err(Failure::Usage(format!("{option} needs --target istio or --target envoy-gateway")))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn options_of_a_mesh_need_a_mesh() {
        let refusal = |options: &str| {
            let line = format!("llm-balancer render --config x.yaml --target envoy {options}");
            let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
            let Some(Command::Render(args)) = cli.command else { panic!("not render") };
            refuse_mesh_options(&args.mesh)
        };
        assert_eq!(refusal(""), Ok(()));
        for options in ["--profile single-hop", "--hostname x", "--tls-secret x", "--filter-image x"] {
            assert!(matches!(refusal(options), Err(Failure::Usage(_))), "{options}");
        }
    }
}
