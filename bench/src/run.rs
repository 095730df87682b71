//! One load against all processes: rounds in random order, each process once in every round.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::load::{Load, Sample};
use crate::machine::{self, Processors};
use crate::process::Process;
use crate::provider::Provider;
use crate::streams::Streams;
use crate::subject::{Row, Scenario, Setting, Subject, envoy, free_port};
use crate::{bootstrap, http};

/// Until the provider listens.
const START: Duration = Duration::from_secs(10);

const ONE_PROCESSOR: &str = "this machine has one processor, and the load needs one of its own: CPU times of \
    processes that share a processor with their load cannot be compared";

/// What is the same for all loads of a run.
#[derive(Debug)]
pub struct Plan<'a> {
    pub envoy: &'a Path,
    pub peers_in: &'a Path,
    pub strategy: &'a str,
    pub rounds: usize,
    /// All that may be used.
    pub processors: &'a [usize],
}

/// The figures of a row.
#[derive(Debug)]
pub struct Measured {
    pub row: Row,
    /// By round; `None` where a round failed.
    pub samples: Vec<Option<Sample>>,
    /// Bytes after the last round.
    pub memory: u64,
    /// Why there are no figures, or not all.
    pub problem: Option<String>,
}

/// Two processes of plain Envoy, and the rows beside them.
#[derive(Debug)]
pub struct Table {
    pub plain: [Measured; 2],
    pub rows: Vec<Measured>,
}

impl Plan<'_> {
    /// Measures the rows under a load, each with so many workers.
    pub fn run(&self, load: Load, workers: usize, rows: &[Row]) -> Result<Table, Box<dyn Error>> {
        let processors = Processors::divide(self.processors, workers).ok_or(ONE_PROCESSOR)?;
        machine::pin(&processors.load)?;
        let folder = tempfile::tempdir()?;
        let provider = self.provider(load, folder.path(), &processors)?;
        let setting = Setting {
            envoy: self.envoy,
            peers_in: self.peers_in,
            strategy: self.strategy,
            folder: folder.path(),
            load,
            workers,
            processors: &processors,
            provider: provider.port(),
        };
        let plain = || Row::Envoy(Scenario::Plain);
        let all = [plain(), plain()].into_iter().chain(rows.iter().cloned());
        let mut measured: Vec<Running> =
            all.enumerate().map(|(number, row)| Running::start(&setting, number, row, &provider)).collect();
        for _ in 0..self.rounds {
            // Whatever disturbs a place in the order disturbs all rows alike.
            let mut order: Vec<_> = measured.iter_mut().collect();
            fastrand::shuffle(&mut order);
            order.into_iter().for_each(|running| running.round(&setting, &provider));
        }
        let mut rows = measured.into_iter().map(Running::finish);
        let plain = rows.next().zip(rows.next()).ok_or("no reference")?;
        Ok(Table { plain: plain.into(), rows: rows.collect() })
    }

    fn provider(
        &self,
        load: Load,
        folder: &Path,
        processors: &Processors,
    ) -> Result<Provider, Box<dyn Error>> {
        let (port, admin_port) = (free_port(), free_port());
        if load.streams() {
            return Ok(Provider::Streams { port, streams: Streams::serve(port)? });
        }
        let folder = folder.join("provider");
        fs::create_dir(&folder)?;
        let bootstrap = bootstrap::provider(port, admin_port);
        let command = envoy(self.envoy, &folder, &bootstrap, processors.load.len())?;
        let mut process = Process::start(command, &folder.join("log"), &processors.load, &processors.load)?;
        let started = Instant::now();
        while http::get(admin_port, "/ready").is_err() {
            if !process.runs() || started.elapsed() > START {
                return Err(format!("the provider does not start: {}", process.last_words()).into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(Provider::Envoy { port, admin_port, _process: process })
    }
}

/// A row while it is measured.
#[derive(Debug)]
struct Running {
    row: Row,
    subject: Option<Subject>,
    samples: Vec<Option<Sample>>,
    problem: Option<String>,
}

impl Running {
    fn start(setting: &Setting, number: usize, row: Row, provider: &Provider) -> Self {
        let started = setting.start(&row, number).and_then(|subject| {
            setting.load.warm_up(&subject, provider, setting.processors.load.len())?;
            Ok(subject)
        });
        let (subject, problem) = match started {
            Ok(subject) => (Some(subject), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { row, subject, samples: Vec::new(), problem }
    }

    fn round(&mut self, setting: &Setting, provider: &Provider) {
        let Some(subject) = &self.subject else { return };
        let sample = setting.load.measure(subject, provider, setting.processors.load.len());
        self.samples.push(match sample {
            Ok(sample) if sample.requests > 0.0 => Some(sample),
            Ok(_) => None,
            Err(error) => {
                self.problem = Some(error.to_string());
                None
            }
        });
    }

    fn finish(self) -> Measured {
        let memory = self.subject.map_or(0, |subject| subject.process.memory());
        Measured { row: self.row, samples: self.samples, memory, problem: self.problem }
    }
}
