//! Where the programs are that are measured.

use std::path::PathBuf;

use clap::Args;

/// Arguments that name them.
#[derive(Debug, Args)]
pub struct Programs {
    #[arg(long, default_value = ".tools/envoy/bin/envoy")]
    pub envoy: PathBuf,
    /// The folder in which other gateways are installed
    #[arg(long, default_value = ".tools/peers")]
    pub peers_in: PathBuf,
    /// The build of llm-balancer
    #[arg(long, default_value = "target/release/llm-balancer")]
    pub product: PathBuf,
}
