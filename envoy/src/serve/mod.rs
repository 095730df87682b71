//! Runs Envoy with the configuration, from the check to the last signal.

use std::env;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use tempfile::TempDir;

use crate::cli::Serve;
use crate::failure::Failure;
use crate::render::{Options, bootstrap};
use crate::{cas, configuration, files, filter, listen, socket};

mod banner;
mod child;
pub mod find;
mod ports;

/// Serves until Envoy ends or is told to. Its exit code is ours.
pub fn serve(args: &Serve) -> Result<ExitCode, Failure> {
    // Before there is anything to clean up.
    let signals = child::signals().map_err(|error| Failure::Machine(format!("no signals: {error}")))?;
    let (config, text) = configuration::usable(&args.config)?;
    let filter = filter::bytes().map_err(Failure::Machine)?;
    let address = listen::address(&args.listen, &config)?;
    let system_cas = cas::find(&config, env::var("SSL_CERT_FILE").ok())?;
    let envoy = find::envoy(args.envoy.as_deref())?;
    let ports = ports::free(address, args.listen.admin_port)?;

    // Removed when it goes out of scope, whatever happens.
    let dir = runtime_folder().map_err(|error| Failure::Machine(format!("no temporary folder: {error}")))?;
    let options = Options {
        listen: ports.clients,
        admin_port: ports.admin,
        filter: dir.path().join(FILTER).display().to_string(),
        system_cas,
        redis_socket: socket::path(&config, &dir.path().join(REDIS_SOCKET), "set TMPDIR to a shorter one")?,
    };
    // JSON: Envoy reads 10,000 deployments in a second, and as YAML in four.
    let bootstrap = bootstrap(&config, &text, &options).to_string();
    let written = files::write_private(&dir.path().join(FILTER), filter)
        .and_then(|()| files::write_private(&dir.path().join(BOOTSTRAP), bootstrap.as_bytes()));
    written
        .map_err(|error| Failure::Machine(format!("cannot write to {}: {error}", dir.path().display())))?;

    let ready = || banner::print(&config, &options);
    child::run(command(&envoy, &dir, args), signals, listen::from_here(options.listen), ready)
        .map_err(|error: io::Error| Failure::Machine(format!("cannot run {}: {error}", envoy.display())))
}

const FILTER: &str = "filter.wasm";
const BOOTSTRAP: &str = "bootstrap.json";
const REDIS_SOCKET: &str = "redis.sock";

fn runtime_folder() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("llm-balancer-").permissions(Permissions::from_mode(0o700)).tempdir()
}

fn command(envoy: &Path, dir: &TempDir, args: &Serve) -> Command {
    let mut command = Command::new(envoy);
    command.arg("--config-path").arg(dir.path().join(BOOTSTRAP));
    command.args(["--log-level", &args.log_level]);
    // Hot restart shares memory by a number, which two instances on one machine would have to agree on.
    command.arg("--disable-hot-restart");
    // A line of the access log is seen within a second; Envoy's default is ten.
    command.args(["--file-flush-interval-msec", "1000"]);
    if let Some(concurrency) = args.concurrency {
        command.args(["--concurrency", &concurrency.to_string()]);
    }
    command
}
