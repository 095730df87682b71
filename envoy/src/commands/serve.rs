//! `serve`: checks the configuration and the machine, starts Envoy, and supervises it.

use std::path::Path;
use std::process::{Command, ExitCode};

use llm_balancer_config::{Config, names};
use serde_json::json;

use crate::cli::{LOG_LEVEL, ServeArgs};
use crate::render::{
    FilterSource, Options, Resources, Revision, Runtime, dynamic_module, gauges, live_bootstrap,
    proxy_variables,
};
use crate::serve::admin::Admin;
use crate::serve::environment::with_all_variables;
use crate::serve::file_watcher::FileWatcher;
use crate::serve::file_xds::FileXds;
use crate::serve::reload_status::ReloadStatus;
use crate::serve::revisions::Revisions;
use crate::serve::runtime_folder::RuntimeFolder;
use crate::serve::signals::SignalQueue;
use crate::serve::supervisor::Supervisor;
use crate::serve::{connections, envoy_binary, envoy_process, ports, runtime_choice};
use crate::support::command_error::CommandError;
use crate::support::config_file::ConfigFile;
use crate::support::{ca_bundle, embedded_filter, files, listen};

const FILTER: &str = "filter.wasm";
const BOOTSTRAP: &str = "bootstrap.json";

/// Serves until Envoy ends or a signal ends it. The exit code is Envoy's.
pub(super) fn serve(args: &ServeArgs) -> Result<ExitCode, CommandError> {
    check_drain(args)?;
    // Before there is anything to clean up.
    let signals =
        SignalQueue::new().map_err(|error| CommandError::Io(format!("cannot handle signals: {error}")))?;
    let file = ConfigFile::read(&args.config)?;
    let (watcher, findings) = (FileWatcher::new(file.files.clone()), file.loaded.reading.findings.len());
    let served = with_all_variables(file.accept()?);
    let warnings = findings.saturating_add(usize::from(connections::warn()));
    let config = &served.config;
    let envoy = envoy_binary::find(args.envoy.as_deref())?;
    let folder = RuntimeFolder::new()?;
    let runtime = runtime_choice::choose(args.runtime, &envoy, &folder)?;
    let options = options(args, runtime, config, &folder)?;
    write_bootstrap(config, &options, &folder)?;
    let admin = Admin::new(options.admin_port, runtime, signals.stop.clone());
    let xds = FileXds::new(admin, folder.path(), options.hops);
    let first =
        Resources::new(Revision::FIRST, config, &served.parsed, &options).map_err(CommandError::Io)?;
    let revisions = Revisions::first(xds, first).map_err(CommandError::Io)?;
    let mut status = ReloadStatus::new(gauges::file(folder.path()));
    status.write(config, &options).map_err(CommandError::Io)?;
    let variables = proxy_variables(config);
    let mut command = command(&envoy.path, &folder.file(BOOTSTRAP), args);
    if runtime == Runtime::Module {
        command.env(dynamic_module::SEARCH_PATH, folder.path());
    }
    command.envs(variables.iter().map(|(name, value)| (name, value.reveal())));
    let child = envoy_process::spawn(command)
        .map_err(|error| CommandError::Io(format!("cannot run {}: {error}", envoy.path.display())))?;
    let started_with = options.clone();
    let supervisor = Supervisor {
        args,
        folder: &folder,
        served,
        options,
        variables,
        signals,
        revisions,
        watcher,
        not_served: None,
        status,
        findings: Vec::new(),
        child,
    };
    let failed = match supervisor.run(warnings) {
        Ok(code) => return Ok(ExitCode::from(code)),
        Err(failure) => failure,
    };
    match failed {
        // Envoy's own words for it name a file of this program.
        CommandError::EnvoyExited(_) => envoy.runs_filters(&started_with, folder.path()).and(Err(failed)),
        _ => Err(failed),
    }
}

/// The port closes after the delay, and all that is in flight ends with the timeout.
fn check_drain(args: &ServeArgs) -> Result<(), CommandError> {
    let ServeArgs { drain_delay: delay, drain_timeout: timeout, .. } = args;
    if *delay > 0 && delay >= timeout {
        return Err(CommandError::Usage(format!(
            "--drain-delay {delay} leaves no time of --drain-timeout {timeout} for requests in flight: raise the timeout"
        )));
    }
    Ok(())
}

/// Addresses that are free, and files of this run.
fn options(
    args: &ServeArgs,
    runtime: Runtime,
    config: &Config,
    folder: &RuntimeFolder,
) -> Result<Options, CommandError> {
    let address = listen::address(&args.listen, config)?;
    let system_cas = ca_bundle::find(config)?;
    let ports = ports::free(address, args.listen.admin_port(), listen::metrics(&args.listen, address))?;
    Ok(Options {
        listen: ports.clients,
        admin_port: ports.admin,
        metrics: Some(ports.metrics),
        filter: match runtime {
            Runtime::Module => FilterSource::Module,
            Runtime::Wasm => FilterSource::Wasm {
                filter: folder.file(FILTER).display().to_string(),
                hold: json!({"filename": folder.file(names::HOLD_FILE)}),
            },
        },
        hops: args.listen.hops(),
        system_cas,
        redis_socket: folder.redis_socket(config)?,
        proxy_changes: 0,
        max_connections: connections::at_most(),
    })
}

fn write_bootstrap(config: &Config, options: &Options, folder: &RuntimeFolder) -> Result<(), CommandError> {
    let bootstrap = live_bootstrap(config, options, folder.path()).to_string();
    let mut files = filters(options.runtime())?;
    files.push((BOOTSTRAP.to_owned(), bootstrap.as_bytes()));
    files
        .iter()
        .try_for_each(|(name, content)| files::write_private(&folder.file(name), content))
        .map_err(|error| CommandError::Io(format!("cannot write to {}: {error}", folder.path().display())))
}

/// The files that the bootstrap's filters come from.
fn filters(runtime: Runtime) -> Result<Vec<(String, &'static [u8])>, CommandError> {
    Ok(match runtime {
        Runtime::Wasm => vec![
            (FILTER.to_owned(), embedded_filter::bytes()?),
            (names::HOLD_FILE.to_owned(), embedded_filter::hold()?),
        ],
        Runtime::Module => embedded_filter::module()
            .map(|library| (dynamic_module::file_name(), library))
            .into_iter()
            .collect(),
    })
}

fn command(envoy: &Path, bootstrap: &Path, args: &ServeArgs) -> Command {
    let mut command = Command::new(envoy);
    command.arg("--config-path").arg(bootstrap);
    command.args(["--log-level", &args.log_level]);
    if args.log_level == LOG_LEVEL {
        // Three warnings at every start and reload that custom_response is a work in progress.
        command.args(["--component-log-level", "misc:error"]);
    }
    // Hot restart shares memory under a number, which two instances on one machine would have to
    // agree on.
    command.arg("--disable-hot-restart");
    // Flush the access log every second; Envoy's default is ten.
    command.args(["--file-flush-interval-msec", "1000"]);
    // `Revisions` removes a listener only when it is idle, so Envoy need not wait again.
    command.args(["--drain-time-s", "1", "--drain-strategy", "immediate"]);
    if let Some(concurrency) = args.concurrency {
        command.args(["--concurrency", &concurrency.to_string()]);
    }
    command
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_drain_has_time_left_after_its_delay() {
        let check = |options: &str| {
            let line = format!("llm-balancer --config x.yaml {options}");
            check_drain(&Cli::try_parse_from(line.split_whitespace()).unwrap().serve.unwrap())
        };
        for options in ["", "--drain-delay 24", "--drain-timeout 0", "--drain-delay 30 --drain-timeout 31"] {
            assert_eq!(check(options), Ok(()), "{options}");
        }
        for options in ["--drain-delay 25", "--drain-delay 30", "--drain-delay 5 --drain-timeout 5"] {
            assert!(matches!(check(options), Err(CommandError::Usage(_))), "{options}");
        }
    }
}
