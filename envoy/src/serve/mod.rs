//! Runs Envoy with the configuration, from the check to the last answer.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use tempfile::TempDir;

use crate::cli::Serve;
use crate::configuration::{self, Usable};
use crate::failure::Failure;
use crate::render::{Files, Options, Resources, forward_proxy, live_bootstrap};
use crate::{cas, files, filter, listen, socket};

mod admin;
mod banner;
mod changes;
mod child;
mod drain;
mod events;
pub mod find;
mod generations;
mod handing;
mod ports;
mod running;
mod watch;

use admin::Admin;
use events::Events;
use generations::Generations;
use handing::Handing;
use running::Running;
use watch::Watch;

/// Serves until Envoy ends or is told to. Its exit code is ours.
pub fn serve(args: &Serve) -> Result<ExitCode, Failure> {
    // Before there is anything to clean up.
    let events = Events::new().map_err(|error| Failure::Machine(format!("no signals: {error}")))?;
    let usable = configuration::usable(&args.config)?;
    let Usable { config, text, warnings, files: read } = usable;
    let watch = Watch::new(read);
    let filter = filter::bytes().map_err(Failure::Machine)?;
    let address = listen::address(&args.listen, &config)?;
    let system_cas = cas::find(&config)?;
    let envoy = find::envoy(args.envoy.as_deref())?;
    let ports = ports::free(address, args.listen.admin_port, listen::metrics(&args.listen, address))?;

    // Removed when it goes out of scope, whatever happens.
    let dir = runtime_folder().map_err(|error| Failure::Machine(format!("no temporary folder: {error}")))?;
    let options = Options {
        listen: ports.clients,
        admin_port: ports.admin,
        metrics: ports.metrics,
        filter: dir.path().join(FILTER).display().to_string(),
        system_cas,
        redis_socket: redis_socket(&config, &dir)?,
    };
    let cannot_write = |error| Failure::Machine(format!("cannot write to {}: {error}", dir.path().display()));
    let found = Files::of(dir.path());
    let bootstrap = live_bootstrap(&config, &options, &found).to_string();
    files::write_private(&dir.path().join(FILTER), filter)
        .and_then(|()| files::write_private(&dir.path().join(BOOTSTRAP), bootstrap.as_bytes()))
        .map_err(|error| cannot_write(error.to_string()))?;
    let handing = Handing::new(Admin::new(ports.admin), found, events.over.clone());
    let first = Resources::new(1, &config, &text, &options);
    let generations = Generations::first(handing, first).map_err(cannot_write)?;

    let mut command = command(&envoy, &dir, args);
    let variables = forward_proxy::variables(&config);
    command.envs(variables.iter().map(|(name, value)| (name, value.reveal())));
    let child = child::spawn(command)
        .map_err(|error| Failure::Machine(format!("cannot run {}: {error}", envoy.display())))?;
    let running = Running {
        args,
        dir: &dir,
        config,
        text,
        warnings,
        options,
        variables,
        events,
        generations,
        watch,
        child,
    };
    running.until_the_end().map(ExitCode::from)
}

const FILTER: &str = "filter.wasm";
const BOOTSTRAP: &str = "bootstrap.json";
const REDIS_SOCKET: &str = "redis.sock";

fn runtime_folder() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("llm-balancer-").permissions(Permissions::from_mode(0o700)).tempdir()
}

/// Where the way to Redis begins, if the configuration needs one.
fn redis_socket(config: &llm_balancer_config::Config, dir: &TempDir) -> Result<String, Failure> {
    socket::path(config, &dir.path().join(REDIS_SOCKET), "set TMPDIR to a shorter one")
}

fn command(envoy: &Path, dir: &TempDir, args: &Serve) -> Command {
    let mut command = Command::new(envoy);
    command.arg("--config-path").arg(dir.path().join(BOOTSTRAP));
    command.args(["--log-level", &args.log_level]);
    // Hot restart shares memory by a number, which two instances on one machine would have to agree on.
    command.arg("--disable-hot-restart");
    // A line of the access log is seen within a second; Envoy's default is ten.
    command.args(["--file-flush-interval-msec", "1000"]);
    // Listeners of old configurations go when nothing passes through them any more, so there is nothing to wait for.
    command.args(["--drain-time-s", "1", "--drain-strategy", "immediate"]);
    if let Some(concurrency) = args.concurrency {
        command.args(["--concurrency", &concurrency.to_string()]);
    }
    command
}
