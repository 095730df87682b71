//! `status`: what a running balancer does, as a table.

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::Agent;

use crate::cli::StatusArgs;
use crate::status::{Period, Scrape, table};
use crate::support::colors::RED;
use crate::support::command_error::CommandError;
use crate::support::http_client::agent;
use crate::support::listing::id_list;
use crate::support::standard_output::print;
use crate::support::version;

/// The metrics of ten thousand deployments take two seconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Between two scrapes of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// The time that `--watch` shows.
const WATCHED: Duration = Duration::from_secs(60);
/// What is read: our own metrics, and a few of the process.
const METRICS: &str = r"^((wasm|dynamicmodules)custom\.|server\.(live|state|uptime|concurrency)$)";
/// Groups that an error lists, at most.
const MAX_GROUPS: usize = 20;
/// Moves the cursor home and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// A scrape, and when it was made.
struct Timed {
    at: Instant,
    scrape: Scrape,
}

/// Prints to standard output, once or until Ctrl-C.
pub(super) fn status(args: &StatusArgs) -> Result<ExitCode, CommandError> {
    let (agent, url) = (agent(TIMEOUT), url(&args.metrics));
    let first = read(&agent, &url)?;
    if args.watch {
        return watch(args, &agent, &url, first);
    }
    let shown = show(&Period::since_start(&first.scrape, now()), args)?;
    print(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows what happened in the last minute, as far as it was watched.
fn watch(args: &StatusArgs, agent: &Agent, url: &str, first: Timed) -> Result<ExitCode, CommandError> {
    let mut shown = show(&Period::since_start(&first.scrape, now()), args)?;
    let mut last_answer = first.at;
    let mut scrapes = vec![first];
    // In place of what is on the terminal; below it elsewhere.
    let clear = if stdout().is_terminal() { CLEAR } else { "" };
    while print(&format!("{clear}{shown}\n"))? {
        sleep(WATCH_INTERVAL);
        match read(agent, url) {
            Err(failure) => {
                let silent = last_answer.elapsed().as_secs();
                shown = format!("{RED}gone for {silent} s{RED:#}: {failure}\n");
            }
            Ok(newest) => {
                last_answer = newest.at;
                scrapes.retain(|earlier| {
                    newest.at.duration_since(earlier.at) <= WATCHED
                        && !newest.scrape.is_of_another_process(&earlier.scrape)
                });
                let from = scrapes.first();
                let since_start = Period::since_start(&newest.scrape, now());
                let seconds = from.map(|from| newest.at.duration_since(from.at).as_secs_f64());
                let period = match (from, seconds) {
                    (Some(from), Some(seconds)) => {
                        Period { from: Some(&from.scrape), seconds, ..since_start }
                    }
                    _ => since_start,
                };
                // A reload may bring the group back.
                shown = show(&period, args).unwrap_or_else(|failure| format!("{RED}{failure}{RED:#}\n"));
                scrapes.push(newest);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(period: &Period<'_>, args: &StatusArgs) -> Result<String, CommandError> {
    let group = args.group.as_deref();
    table(period, group).ok_or_else(|| no_group(group.unwrap_or_default(), &period.to.group_names()))
}

/// The error for a group that the balancer does not have.
fn no_group(name: &str, groups: &[&str]) -> CommandError {
    CommandError::Io(match groups {
        [] => format!("no group {name:?}: the balancer has none"),
        groups => format!("no group {name:?}: expected {}", id_list(groups, MAX_GROUPS)),
    })
}

/// The address of the metrics, from the address of the page, its port, or the metrics.
fn url(given: &str) -> String {
    let origin = given.trim_end_matches('/');
    let origin =
        origin.strip_suffix("/stats/prometheus").or(origin.strip_suffix("/metrics")).unwrap_or(origin);
    let scheme = if origin.contains("://") { "" } else { "http://" };
    let filter = utf8_percent_encode(METRICS, NON_ALPHANUMERIC);
    format!("{scheme}{origin}/stats/prometheus?filter={filter}")
}

fn read(agent: &Agent, url: &str) -> Result<Timed, CommandError> {
    let shown = url.split('?').next().unwrap_or_default();
    let no_answer = |error| {
        CommandError::Io(format!(
            "no answer from {shown}: {error}; serve prints the address of its status page, --metrics names another"
        ))
    };
    let mut answer = agent.get(url).call().map_err(no_answer)?;
    if !answer.status().is_success() {
        return Err(CommandError::Io(format!("{shown} answers with status {}", answer.status().as_u16())));
    }
    let version = answer.headers().get(version::HEADER).and_then(|version| version.to_str().ok());
    let version = version.map(str::to_owned);
    let body = answer.body_mut().with_config().limit(MAX_BYTES).read_to_string().map_err(no_answer)?;
    let scrape = Scrape::parse(&body);
    let scrape = scrape.ok_or_else(|| {
        CommandError::Io(format!(
            "{shown} has no metrics of a balancer; --metrics needs the address of the status page that serve prints"
        ))
    })?;
    #[expect(clippy::disallowed_methods, reason = "the program shows real time")]
    let at = Instant::now();
    Ok(Timed { at, scrape: scrape.of_version(version.as_deref()) })
}

/// Ten thousand deployments have 50 MB of metrics.
const MAX_BYTES: u64 = 500_000_000;

/// Seconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "the program shows real time")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_not_there_is_answered_by_those_that_are() {
        let text = "envoy_server_uptime{} 1\n\
                    llm_balancer_deployment_info{group=\"gpt-4o\",deployment=\"a\"} 1\n\
                    llm_balancer_deployment_info{group=\"claude\",deployment=\"b\"} 1\n\
                    llm_balancer_requests_total{group=\"\",outcome=\"refused\"} 1\n";
        let scrape = Scrape::parse(text).unwrap();
        let message = "no group \"x\": expected claude, gpt-4o";
        assert_eq!(no_group("x", &scrape.group_names()), CommandError::Io(message.to_owned()));
        assert_eq!(no_group("x", &[]), CommandError::Io("no group \"x\": the balancer has none".to_owned()));
    }

    #[test]
    fn the_address_is_that_of_the_page_its_port_or_the_metrics() {
        for given in [
            "http://127.0.0.1:9902",
            "http://127.0.0.1:9902/",
            "127.0.0.1:9902",
            "http://127.0.0.1:9902/metrics",
            "http://127.0.0.1:9902/stats/prometheus",
        ] {
            let url = url(given);
            let filter = url.strip_prefix("http://127.0.0.1:9902/stats/prometheus?filter=%5E%28%28wasm%7C");
            assert!(filter.is_some(), "{given}: {url}");
        }
    }
}
