//! An Envoy that runs, from its first sign of life to its last: it is given new configurations, and told when to end.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use llm_balancer_config::{Config, Secret};

use super::events::{Event, Events};
use super::file_watcher::{LOOK, Watch};
use super::revisions::Generations;
use super::runtime_folder::RuntimeFolder;
use super::{banner, config_diff, drain, envoy_process};
use crate::cli::Serve;
use crate::render::{Options, Resources, proxy_variables};
use crate::support::colors::{GREEN, RED};
use crate::support::config_file::{self, Usable};
use crate::support::failure::Failure;
use crate::support::{ca_bundle, listen};

/// How often we look whether Envoy serves: a start takes some tenths of a second.
const POLL: Duration = Duration::from_millis(10);
/// Looks between two looks after old configurations.
const TIDY: u32 = 4;

/// Listeners that Envoy could not open, and serves without: somebody was quicker to take the port.
const NOT_LISTENING: &str = "listener_manager.listener_create_failure";

/// What a goodbye takes: a listener, three ticks of 50 ms, and a call to Redis.
const GOODBYE: Duration = Duration::from_millis(500);

/// All that there is to it.
#[derive(Debug)]
pub struct Running<'a> {
    pub args: &'a Serve,
    pub folder: &'a RuntimeFolder,
    /// What is being served, and its text.
    pub config: Config,
    pub text: String,
    /// Warnings about it.
    pub warnings: usize,
    pub options: Options,
    /// What Envoy was started with for forward proxies.
    pub variables: BTreeMap<&'static str, Secret>,
    pub events: Events,
    pub generations: Generations,
    pub watch: Watch,
    pub child: Child,
}

impl Running<'_> {
    /// Serves until Envoy ends, and hands out its exit code.
    pub fn until_the_end(mut self) -> Result<u8, Failure> {
        let lost = |error: std::io::Error| Failure::Machine(format!("Envoy cannot be waited for: {error}"));
        if !self.start()? {
            let status = self.child.wait().map_err(lost)?;
            return Ok(envoy_process::exit_code(status, true));
        }
        let asked = self.serve().map_err(lost)?;
        let status = self.child.wait().map_err(lost)?;
        if !asked {
            say_that_it_ended(status);
        }
        Ok(envoy_process::exit_code(status, asked))
    }

    /// Until Envoy serves; says whether it does, or was told to end before.
    fn start(&mut self) -> Result<bool, Failure> {
        let address = listen::from_here(self.options.listen);
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                say_that_it_ended(status);
                return Err(Failure::Ended(envoy_process::exit_code(status, false)));
            }
            let admin = &self.generations.handing.admin;
            let word = admin.is_ready().then(|| self.generations.handing.first_word()).flatten();
            if let Some(Err(reason)) = word {
                let _ = drain::end(&mut self.child);
                return Err(Failure::Machine(format!("Envoy refuses the configuration: {reason}")));
            }
            if word.is_some() && admin.number(NOT_LISTENING).is_some_and(|count| count > 0) {
                let _ = drain::end(&mut self.child);
                return Err(Failure::Machine(format!(
                    "cannot listen on {}: it is in use",
                    self.options.listen
                )));
            }
            if word.is_some() && TcpStream::connect_timeout(&address, POLL).is_ok() {
                banner::print(&self.config, &self.options, &self.args.config, self.warnings);
                return Ok(true);
            }
            if matches!(self.events.next(POLL), Some(Event::End | Event::EndAtOnce)) {
                // What goes wrong here goes wrong again where it is waited for.
                let _ = drain::end(&mut self.child);
                return Ok(false);
            }
        }
    }

    /// Until Envoy ends; says whether it was told to.
    fn serve(&mut self) -> std::io::Result<bool> {
        let mut looks = 0_u32;
        while self.child.try_wait()?.is_none() {
            match self.events.next(LOOK) {
                Some(Event::Reload) => self.reload(true),
                Some(Event::End) => {
                    self.generations.refuse_readiness();
                    let admin = &self.generations.handing.admin;
                    if drain::drain(&mut self.child, admin, &self.events, self.args)? {
                        self.say_goodbye();
                    }
                    drain::end(&mut self.child)?;
                    return Ok(true);
                }
                Some(Event::EndAtOnce) => {
                    drain::end(&mut self.child)?;
                    return Ok(true);
                }
                Some(Event::Child) => {}
                None => {
                    if self.watch.has_changed() {
                        self.reload(false);
                    }
                    looks = looks.wrapping_add(1);
                    if looks.is_multiple_of(TIDY) {
                        self.generations.tidy();
                    }
                }
            }
        }
        Ok(false)
    }

    /// Lets the filter tell the other instances that they need not keep a share for this one.
    fn say_goodbye(&mut self) {
        if self.config.redis.is_none() {
            return;
        }
        let number = self.generations.next_number();
        if let Some(listener) = Resources::goodbye(number, &self.config, &self.text, &self.options) {
            self.generations.add_listener(&listener);
            std::thread::sleep(GOODBYE);
        }
    }

    /// Reads the files anew, and serves what they say now, if that can be done.
    fn reload(&mut self, asked: bool) {
        self.watch.reading();
        match self.renew() {
            Ok(Some(changes)) => {
                let number = self.generations.newest_number();
                anstream::eprintln!(
                    "llm-balancer: {GREEN}reloaded{GREEN:#} (configuration {number}): {changes}"
                );
            }
            Ok(None) if asked => eprintln!("llm-balancer: nothing to reload: the configuration is the same"),
            Ok(None) => {}
            Err(failure) => {
                anstream::eprintln!("llm-balancer: {RED}not reloaded{RED:#}: {failure}");
                eprintln!("llm-balancer: the configuration from before goes on serving");
            }
        }
    }

    /// What is different, if anything is.
    fn renew(&mut self) -> Result<Option<String>, Failure> {
        let read = config_file::read(&self.args.config)?;
        self.watch.set_files(read.files.clone());
        let unset = read.loaded.reading.findings.iter().any(|finding| finding.message.contains(UNSET));
        let usable = read.usable();
        if unset {
            eprintln!(
                "llm-balancer: variables are those that it was started with; one that was set since needs a restart"
            );
        }
        let Usable { config, text, .. } = usable?;
        if text == self.text {
            return Ok(None);
        }
        let note = self.stays_where_it_is(&config)?;
        self.knows_the_proxy(&config)?;
        let options = Options {
            system_cas: ca_bundle::find(&config)?,
            redis_socket: self.folder.redis_socket(&config)?,
            ..self.options.clone()
        };
        let resources = Resources::new(self.generations.next_number(), &config, &text, &options);
        self.generations
            .switch(resources)
            .map_err(|reason| Failure::Machine(format!("Envoy refuses it: {reason}")))?;
        let changes = config_diff::between(&self.config, &config);
        (self.config, self.text, self.options) = (config, text, options);
        let changes = if changes.is_empty() { "nothing that is served differs".to_owned() } else { changes };
        Ok(Some(format!("{changes}{note}")))
    }

    /// A running process cannot be given another environment.
    fn knows_the_proxy(&self, config: &Config) -> Result<(), Failure> {
        let needed = proxy_variables(config);
        if needed.iter().all(|(name, value)| self.variables.get(name) == Some(value)) {
            return Ok(());
        }
        let message =
            "it names a forward proxy whose user and password Envoy was not started with: restart it";
        Err(Failure::Machine(message.to_owned()))
    }

    /// Addresses are the command line's, and stay; a key that goes must not leave a port open to everybody.
    fn stays_where_it_is(&self, config: &Config) -> Result<String, Failure> {
        let wanted = listen::address(&self.args.listen, config)?.ip();
        let address = self.options.listen.ip();
        if wanted == address {
            return Ok(String::new());
        }
        if config.server.master_key.is_none() && !address.is_loopback() && !self.args.listen.insecure_no_auth
        {
            return Err(Failure::Machine(format!(
                "the file sets no general_settings.master_key any more, and {address} lets other machines in: restart it to listen on {wanted}"
            )));
        }
        Ok(format!("; it goes on listening on {address}, restart it to listen on {wanted}"))
    }
}

/// In a finding about a variable.
const UNSET: &str = "the environment variable ";

fn say_that_it_ended(status: ExitStatus) {
    eprintln!("llm-balancer: Envoy ended by itself, with {status}; --log-level info tells more");
}
