//! The loop around a running Envoy: start, reload, drain, stop.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpStream;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use llm_balancer_config::{Config, Finding, Secret, names};

use super::admin::StatKind;
use super::environment::with_all_variables;
use super::envoy_process::{self, Exit};
use super::file_watcher::FileWatcher;
use super::file_xds::PushError;
use super::reload_status::{ReloadErrorReason, ReloadStatus};
use super::revisions::Revisions;
use super::runtime_folder::RuntimeFolder;
use super::signals::{Signal, SignalQueue};
use super::{banner, config_diff, drain};
use crate::cli::ServeArgs;
use crate::render::{Options, Resources, deregistration, proxy_for_tunnels, proxy_variables};
use crate::support::colors::{GREEN, RED};
use crate::support::command_error::CommandError;
use crate::support::config_file::{self, ConfigFile, LoadedConfig};
use crate::support::messages::message;
use crate::support::{ca_bundle, listen};

/// Between two polls of a starting Envoy, which needs some tenths of a second.
const POLL: Duration = Duration::from_millis(10);
/// Between two removals of idle revisions.
const REMOVAL: Duration = Duration::from_secs(1);
/// The longest time to deregister: a new listener whose filter reads the file, three ticks of it of
/// 50 ms, and calls to Redis. With few deployments it takes half a second.
const DEREGISTRATION: Duration = Duration::from_secs(2);
/// Between two tries to serve files that failed for a reason which may pass.
const RETRY: Duration = Duration::from_secs(5);
/// Counts listeners that Envoy could not open, and serves without: another process took the port
/// meanwhile.
const FAILED_LISTENERS: &str = "listener_manager.listener_create_failure";

/// Why the files are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// SIGHUP.
    Signal,
    /// They have changed.
    Files,
    /// They were not served for a reason that may have passed.
    Retry,
}

/// Why the newest version of the files is not served.
#[derive(Debug)]
struct ReloadError {
    reason: ReloadErrorReason,
    /// What the log says.
    failure: CommandError,
}

/// The error of a step that fails for this reason.
fn because(reason: ReloadErrorReason) -> impl Fn(CommandError) -> ReloadError {
    move |failure| ReloadError { reason, failure }
}

/// The newest version of the files, where an older one is served.
#[derive(Debug)]
pub(crate) struct NotServed {
    /// What the log says about it.
    reason: String,
    /// When the same files are tried again; `None` for never.
    retry_at: Option<Instant>,
}

/// A running Envoy and what it serves.
#[derive(Debug)]
pub(crate) struct Supervisor<'a> {
    pub(crate) args: &'a ServeArgs,
    pub(crate) folder: &'a RuntimeFolder,
    /// The newest configuration that Envoy has accepted, and its options.
    pub(crate) served: LoadedConfig,
    pub(crate) options: Options,
    /// Credentials of forward proxies in Envoy's environment.
    pub(crate) variables: BTreeMap<&'static str, Secret>,
    pub(crate) signals: SignalQueue,
    pub(crate) revisions: Revisions,
    pub(crate) watcher: FileWatcher,
    /// `None` while the newest version of the files is served.
    pub(crate) not_served: Option<NotServed>,
    pub(crate) status: ReloadStatus,
    /// The findings that were printed last.
    pub(crate) findings: Vec<Finding>,
    pub(crate) child: Child,
}

impl Supervisor<'_> {
    /// Serves until Envoy exits, and returns its exit code. `warnings` are those of the start.
    pub(crate) fn run(mut self, warnings: usize) -> Result<u8, CommandError> {
        let lost = |error: io::Error| CommandError::Io(format!("cannot wait for Envoy: {error}"));
        let exit = if self.start(warnings)? { self.serve().map_err(lost)? } else { Exit::Stopped };
        let status = self.child.wait().map_err(lost)?;
        if exit == Exit::Unexpected {
            report_exit(status);
        }
        Ok(envoy_process::exit_code(status, exit))
    }

    /// Waits until Envoy serves. Returns false if a signal stops it before.
    fn start(&mut self, warnings: usize) -> Result<bool, CommandError> {
        let address = listen::from_here(self.options.listen);
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                report_exit(status);
                return Err(CommandError::EnvoyExited(envoy_process::exit_code(status, Exit::Unexpected)));
            }
            match self.is_initialized() {
                Err(failure) => {
                    let _ = drain::stop(&mut self.child);
                    return Err(failure);
                }
                Ok(true) if TcpStream::connect_timeout(&address, POLL).is_ok() => {
                    banner::print(&self.served.config, &self.options, &self.args.config, warnings);
                    return Ok(true);
                }
                Ok(_) => {}
            }
            if matches!(self.signals.next(POLL), Some(Signal::Stop | Signal::StopNow)) {
                // `run` waits for the exit, and reports an error of that.
                let _ = drain::stop(&mut self.child);
                return Ok(false);
            }
        }
    }

    /// Whether Envoy has accepted its first configuration.
    fn is_initialized(&self) -> Result<bool, CommandError> {
        let xds = &self.revisions.xds;
        match xds.admin.is_ready().then(|| xds.initial_ack()).flatten() {
            None => Ok(false),
            Some(Err(reason)) => Err(CommandError::Io(format!("Envoy rejected the configuration: {reason}"))),
            Some(Ok(()))
                if xds.admin.number(StatKind::Counter, FAILED_LISTENERS).is_some_and(|count| count > 0) =>
            {
                Err(CommandError::Io(format!(
                    "cannot listen on {}: address in use; stop the process that listens on it, or choose another --port",
                    self.options.listen
                )))
            }
            Some(Ok(())) => Ok(true),
        }
    }

    /// Serves until Envoy exits. The exit of an Envoy that ends while it drains is unexpected.
    fn serve(&mut self) -> io::Result<Exit> {
        let mut removed = drain::now();
        while self.child.try_wait()?.is_none() {
            match self.signals.next(self.watcher.interval()) {
                Some(Signal::Reload) => self.reload(Cause::Signal),
                Some(Signal::Stop) => {
                    self.revisions.refuse_readiness();
                    let admin = &self.revisions.xds.admin;
                    if drain::drain(&mut self.child, admin, &self.signals, self.args)? {
                        self.deregister();
                    }
                    return drain::stop(&mut self.child);
                }
                Some(Signal::StopNow) => return drain::stop(&mut self.child),
                Some(Signal::Child) => {}
                None => {
                    if self.watcher.has_changed() {
                        self.reload(Cause::Files);
                    } else if self.is_retry_due() {
                        self.reload(Cause::Retry);
                    }
                    if drain::now().saturating_duration_since(removed) >= REMOVAL {
                        removed = drain::now();
                        self.revisions.remove_idle();
                        self.publish_status();
                    }
                }
            }
        }
        Ok(Exit::Unexpected)
    }

    /// Has the filter remove this instance from Redis, so that the others need not reserve a share
    /// of the limits for it.
    fn deregister(&mut self) {
        let LoadedConfig { config, parsed, .. } = &self.served;
        if config.redis.is_none() {
            return;
        }
        let revision = self.revisions.newest().next();
        if let Some(listener) = deregistration(revision, config, parsed, &self.options) {
            self.revisions.add_listener(&listener);
            let admin = &self.revisions.xds.admin;
            let is_done = || admin.filter_counter(names::DEREGISTERED).is_some_and(|count| count > 0);
            let began = drain::now();
            let is_over = || drain::now().saturating_duration_since(began) >= DEREGISTRATION;
            while !is_done() && !is_over() {
                if matches!(self.signals.next(POLL), Some(Signal::Stop | Signal::StopNow | Signal::Child)) {
                    return;
                }
            }
        }
    }

    fn is_retry_due(&self) -> bool {
        self.not_served.as_ref().and_then(|files| files.retry_at).is_some_and(|at| drain::now() >= at)
    }

    /// Re-reads the files and serves them, or keeps the previous configuration. A retry is logged if
    /// it ends in another way than the last try.
    fn reload(&mut self, cause: Cause) {
        self.watcher.mark_read();
        let before = self.not_served.take();
        let outcome = self.apply_files(cause);
        match &outcome {
            Ok(_) => self.status.succeeded(),
            Err(error) => self.status.failed(error.reason, &self.findings),
        }
        self.publish_status();
        match outcome {
            Ok(Some(changes)) => {
                let revision = self.revisions.newest();
                message!("llm-balancer: {GREEN}reloaded{GREEN:#} (configuration {revision}): {changes}");
            }
            Ok(None) if before.is_some() => {
                message!("llm-balancer: the files have the served configuration again")
            }
            Ok(None) if cause == Cause::Signal => {
                message!("llm-balancer: not reloaded: the configuration is unchanged")
            }
            Ok(None) => {}
            Err(ReloadError { reason, failure }) => {
                let (retry_at, note) = match reason {
                    ReloadErrorReason::Unavailable => {
                        let note = format!("; trying again every {} s", RETRY.as_secs());
                        (drain::now().checked_add(RETRY), note)
                    }
                    _ => (None, String::new()),
                };
                let reason = failure.to_string();
                if cause != Cause::Retry || before.is_none_or(|before| before.reason != reason) {
                    message!("llm-balancer: {RED}not reloaded{RED:#}: {reason}");
                    message!("llm-balancer: keeping the previous configuration{note}");
                }
                self.not_served = Some(NotServed { reason, retry_at });
            }
        }
    }

    /// Has the metrics say how the last reload ended. What cannot be written is written later.
    fn publish_status(&mut self) {
        let _ = self.status.write(&self.served.config, &self.options);
    }

    /// Switches to what the files say now. Returns the changes, or `None` if the text is the same.
    fn apply_files(&mut self, cause: Cause) -> Result<Option<String>, ReloadError> {
        use ReloadErrorReason::{Invalid, NeedsRestart, RejectedByEnvoy, Unavailable};
        let file = ConfigFile::read(&self.args.config);
        let file = file.map_err(|error| {
            self.findings.clear();
            because(Unavailable)(CommandError::Io(error.message))
        })?;
        self.watcher = FileWatcher::new(file.files.clone());
        self.print_findings(cause, &file);
        let refused = if file.lacks_include { Unavailable } else { Invalid };
        let loaded = file.accept_silently().map_err(because(refused))?;
        if loaded.text == self.served.text {
            return Ok(None);
        }
        let loaded = with_all_variables(loaded);
        let config = &loaded.config;
        let note = self.check_address(config).map_err(because(NeedsRestart))?;
        self.check_proxy_credentials(config).map_err(because(NeedsRestart))?;
        let is_other_proxy = proxy_for_tunnels(config) != proxy_for_tunnels(&self.served.config);
        let options = Options {
            system_cas: ca_bundle::find(config).map_err(because(Unavailable))?,
            redis_socket: self.folder.redis_socket(config).map_err(because(NeedsRestart))?,
            proxy_changes: self.options.proxy_changes.saturating_add(u32::from(is_other_proxy)),
            ..self.options.clone()
        };
        let resources = Resources::new(self.revisions.newest().next(), config, &loaded.parsed, &options);
        let resources = resources.map_err(|error| because(Invalid)(CommandError::Io(error)))?;
        self.revisions.switch(resources).map_err(|error| match error {
            PushError::Rejected(why) => because(RejectedByEnvoy)(CommandError::Io(why)),
            PushError::Unavailable(why) => because(Unavailable)(CommandError::Io(why)),
        })?;
        let changes = config_diff::summary(&self.served.config, config);
        (self.served, self.options) = (loaded, options);
        let changes = if changes.is_empty() { "no effective change".to_owned() } else { changes };
        Ok(Some(format!("{changes}{note}")))
    }

    /// Once for the tries with the same findings.
    fn print_findings(&mut self, cause: Cause, file: &ConfigFile) {
        let reading = &file.loaded.reading;
        if cause == Cause::Retry && reading.findings == self.findings {
            return;
        }
        config_file::print(&reading.findings);
        if !reading.unusable_variables.is_empty() {
            message!("llm-balancer: environment variables are those of the start: restart to use new ones");
        }
        self.findings.clone_from(&reading.findings);
    }

    /// The environment of a running Envoy cannot change.
    fn check_proxy_credentials(&self, config: &Config) -> Result<(), CommandError> {
        let needed = proxy_variables(config);
        if needed.iter().all(|(name, value)| self.variables.get(name) == Some(value)) {
            return Ok(());
        }
        let message =
            "it needs other credentials for a forward proxy than Envoy was started with: restart to use them";
        Err(CommandError::Io(message.to_owned()))
    }

    /// The address stays that of the start. Returns a note if the configuration asks for another
    /// one; an error if the master key is gone and the port is open to other machines.
    fn check_address(&self, config: &Config) -> Result<String, CommandError> {
        let wanted = listen::address(&self.args.listen, config)?.ip();
        let address = self.options.listen.ip();
        if wanted == address {
            return Ok(String::new());
        }
        if config.server.master_key.is_none() && !address.is_loopback() && !self.args.listen.insecure_no_auth
        {
            return Err(CommandError::Io(format!(
                "the file no longer sets general_settings.master_key, and {address} is open to other machines: restart to listen on {wanted}"
            )));
        }
        Ok(format!("; still listening on {address}, restart to listen on {wanted}"))
    }
}

fn report_exit(status: ExitStatus) {
    message!("llm-balancer: Envoy exited unexpectedly ({status}); --log-level info shows more");
}
