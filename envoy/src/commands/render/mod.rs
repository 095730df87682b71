//! `render`: a bootstrap for an Envoy that the operator runs, or Kubernetes objects for a gateway.

use std::process::ExitCode;

use crate::cli::{Render, Target};
use crate::render::mesh::{envoy_gateway, istio};
use crate::support::config_file::{self, Usable};
use crate::support::failure::Failure;

mod envoy;
mod mesh;
mod output;

/// Writes everything that the target needs into a folder, or to standard output what people read.
pub fn render(args: &Render) -> Result<ExitCode, Failure> {
    let Usable { config, text, .. } = config_file::usable(&args.config)?;
    match args.target {
        Target::Envoy => envoy::render(args, &config, &text)?,
        Target::Istio => mesh::render(args, &config, &text, istio::objects)?,
        Target::EnvoyGateway => mesh::render(args, &config, &text, envoy_gateway::objects)?,
    }
    Ok(ExitCode::SUCCESS)
}
