//! The table of `status`, which fits into 80 columns.

use std::fmt::Write;

use llm_balancer_config::names;

use super::figures::{Figures, Period};
use crate::support::colors::{BOLD, RED, YELLOW};
use crate::support::listing::{counted, short};

/// Columns of a terminal.
const WIDTH: usize = 80;
/// Columns of the names.
const NAMES: usize = 18;
/// Before notes.
const INDENT: &str = "      ";
/// Stands for unknown, or nothing to measure.
const NONE: &str = "-";

/// One group, or all of them. `None` if there is no such group.
pub(crate) fn table(period: &Period<'_>, only: Option<&str>) -> Option<String> {
    let groups = period.to.groups.keys().filter(|name| only.is_none_or(|only| only == name.as_str()));
    let mut text = String::new();
    for name in groups {
        let (group, members) = period.group(name);
        let is_refused_before = name.is_empty() && group.counted.sum("requests_total", &[]) > 0;
        if members.is_empty() && !is_refused_before && only.is_none() {
            continue;
        }
        let name = if name.is_empty() { "no group" } else { name };
        let line = line(name, 0, &group, "requests_total");
        let _ = writeln!(text, "{BOLD}{line}{BOLD:#}");
        text.push_str(&wrapped(&group_notes(&group)));
        for (id, own) in members {
            let _ = writeln!(text, "{}", self::line(short(id), 2, &own, "attempts_total"));
            text.push_str(&wrapped(&notes(&own)));
        }
    }
    let title =
        format!("{BOLD}{}{BOLD:#}\n", TITLES.map(|(title, width)| format!("{title:>width$}")).concat());
    (!text.is_empty() || only.is_none()).then(|| format!("{}{title}{text}", heading(period)))
}

/// Titles and widths. The names are on the left.
const TITLES: [(&str, usize); 9] = [
    ("group, deployment ", NAMES),
    ("req/s", 6),
    ("share", 8),
    ("busy", 5),
    ("ok", 5),
    ("tok/min", 8),
    ("rpm", 10),
    ("duration", 10),
    ("1st byte", 10),
];

/// What holds for the whole process.
fn heading(period: &Period<'_>) -> String {
    let process = &period.to.process;
    let value = |name: &str| process.get(name).copied();
    let state = match (value("live"), value("state")) {
        (Some(1), Some(0)) => "serving".to_owned(),
        (_, Some(1)) => format!("{YELLOW}draining{YELLOW:#}"),
        _ => format!("{YELLOW}not ready{YELLOW:#}"),
    };
    let revision =
        value("config_revision").map_or_else(|| "unknown".to_owned(), |revision| revision.to_string());
    let uptime = span(value("uptime").unwrap_or_default());
    let workers = value("concurrency").map(|workers| format!(", {}", counted(workers as usize, "worker")));
    let version = period.to.version.as_deref().map(|version| format!(", version {}", printable(version)));
    let over = match period.from {
        None => "since the start".to_owned(),
        Some(_) => format!("over {}", span(period.seconds.round() as u64)),
    };
    format!(
        "{state}, configuration {revision}, up {uptime}{}{}\n{}{}\n{over}; share: of the sends, and by weight, in %; times: p50/p99 in ms\n\n",
        workers.unwrap_or_default(),
        version.unwrap_or_default(),
        not_reloaded(period),
        redis(period)
    )
}

/// Two lines while an older version of the files is served; nothing else.
fn not_reloaded(period: &Period<'_>) -> String {
    let process = &period.to.process;
    if process.get(names::RELOAD_SUCCESSFUL) != Some(&0) {
        return String::new();
    }
    let error = period.to.reload_error.as_ref();
    let location = error.map(|error| error.location.as_str()).filter(|location| !location.is_empty());
    let why = match error.map_or("", |error| error.reason.as_str()) {
        "invalid" => format!("{} is invalid", printable(location.unwrap_or("the file"))),
        "needs_restart" => "the file needs a restart".to_owned(),
        "rejected_by_envoy" => "Envoy rejected the file".to_owned(),
        "unavailable" => "that is not possible now, and is tried again".to_owned(),
        _ => "the log has the reason".to_owned(),
    };
    let read_at = process.get(names::RELOAD_SUCCESS_TIME).copied().unwrap_or_default();
    let age = span(period.now.saturating_sub(read_at));
    format!(
        "{RED}not reloaded{RED:#}: {why}\nserving the file of {age} ago; the log has the error, and llm-balancer check\n"
    )
}

fn redis(period: &Period<'_>) -> String {
    let value = |name: &str| period.to.process.get(name).copied();
    let is_on = |mode| value(mode) == Some(1);
    // Both are 0 after a reload that has removed Redis.
    if !is_on("redis_mode/shared") && !is_on("redis_mode/local") {
        return "no Redis".to_owned();
    }
    if is_on("redis_mode/local") || value("redis_up") == Some(0) {
        return format!("{RED}Redis is down{RED:#}: this instance keeps to its share of the limits");
    }
    let instances = value("instances").map(|instances| counted(instances as usize, "instance"));
    format!("Redis: limits shared by {}", instances.as_deref().unwrap_or("an unknown number of instances"))
}

fn line(name: &str, indent: usize, own: &Figures, metric: &str) -> String {
    let is_group = indent == 0;
    let share = if is_group { String::new() } else { share(own) };
    let in_flight = own.counted.gauges.get("in_flight").copied().unwrap_or_default();
    let cells = [
        rate(own.rate(metric)),
        share,
        in_flight.to_string(),
        own.success(metric).map_or_else(|| NONE.to_owned(), percent),
        compact(own.tokens_per_minute()),
        usage(own, "requests"),
        times(own, "duration"),
        times(own, "time_to_first_byte"),
    ];
    let widths = TITLES.iter().skip(1).map(|(_, width)| *width);
    let cells: String = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
    let room = NAMES.saturating_sub(indent);
    let name = printable(name);
    let line = match name.chars().count() {
        short if short <= room => format!("{:indent$}{name:room$}{cells}", ""),
        // A long name has a line of its own.
        _ => format!("{:indent$}{name}\n{:NAMES$}{cells}", "", ""),
    };
    line.trim_end().to_owned()
}

/// Names of the file cannot control the terminal.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// `66/75`: of the sends, and by weight.
fn share(own: &Figures) -> String {
    let whole =
        |part: Option<f64>| part.map_or_else(|| NONE.to_owned(), |part| format!("{:.0}", part * 100.0));
    match own.counted.weight {
        None => whole(own.share()),
        weight => format!("{}/{}", whole(own.share()), whole(weight)),
    }
}

fn usage(own: &Figures, of: &str) -> String {
    own.usage(of).map_or_else(
        || NONE.to_owned(),
        |(used, limit)| format!("{}/{}", compact(used as f64), compact(limit as f64)),
    )
}

/// `131/965`
fn times(own: &Figures, histogram: &str) -> String {
    let quantile = |q| own.quantile(histogram, q).map(milliseconds);
    match (quantile(0.5), quantile(0.99)) {
        (Some(half), Some(most)) => format!("{half}/{most}"),
        _ => NONE.to_owned(),
    }
}

fn milliseconds(value: f64) -> String {
    if value < 10_000.0 { format!("{value:.0}") } else { format!("{:.0}s", value / 1000.0) }
}

fn rate(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { compact(value) }
}

/// `1234`, `123k`, `12M`
fn compact(value: f64) -> String {
    match value {
        value if value < 10_000.0 => format!("{value:.0}"),
        value if value < 10_000_000.0 => format!("{:.0}k", value / 1000.0),
        value => format!("{:.0}M", value / 1_000_000.0),
    }
}

/// Never 100 while something failed.
fn percent(part: f64) -> String {
    match part * 100.0 {
        percent if percent > 99.9 && percent < 100.0 => "99.9".to_owned(),
        percent if percent == 0.0 || percent == 100.0 => format!("{percent:.0}"),
        percent => format!("{percent:.1}"),
    }
}

fn notes(own: &Figures) -> Vec<String> {
    let mut notes = Vec::new();
    match own.cools_for() {
        Some(0) => notes.push(format!("{YELLOW}cooling down{YELLOW:#}")),
        Some(left) => notes.push(format!("{YELLOW}cooling down{YELLOW:#} for {}", span(left))),
        None => {}
    }
    let is_full = |of| own.usage(of).is_some_and(|(used, limit)| used >= limit);
    if is_full("requests") || is_full("tokens") {
        notes.push(format!("{RED}limit reached{RED:#}"));
    }
    if own.usage("tokens").is_some() {
        notes.push(format!("tpm {}", usage(own, "tokens")));
    }
    notes.extend(named(own, "failures_total", ""));
    let total = |metric| own.counted.sum(metric, &[]);
    notes.extend((total("retries_total") > 0).then(|| format!("{} retried", total("retries_total"))));
    notes.extend(
        (total("cooldowns_total") > 0).then(|| counted(total("cooldowns_total") as usize, "cooldown")),
    );
    notes
}

fn group_notes(own: &Figures) -> Vec<String> {
    let retries = own.counted.sum("retries_total", &[]);
    let mut notes: Vec<_> =
        (retries > 0).then(|| counted_as(retries, "retry", "retries")).into_iter().collect();
    notes.extend(named(own, "refusals_total", "refused: "));
    notes.extend(named(own, "fallbacks_total", "-> "));
    notes
}

fn counted_as(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `rate limit 3`
fn named(own: &Figures, metric: &str, prefix: &str) -> Vec<String> {
    let is_name = metric == "fallbacks_total";
    let words = |label: &str| if is_name { printable(label) } else { label.replace('_', " ") };
    own.counted.counts(metric).map(|(label, count)| format!("{prefix}{} {count}", words(label))).collect()
}

/// Lines of notes behind an indent; nothing without notes.
fn wrapped(notes: &[String]) -> String {
    let mut lines = vec![String::new()];
    for note in notes {
        let columns = |text: &str| anstream::adapter::strip_str(text).to_string().chars().count();
        let is_full = |line: &&mut String| {
            INDENT.len().saturating_add(columns(line)).saturating_add(columns(note)).saturating_add(2) > WIDTH
        };
        match lines.last_mut().filter(|line| !line.is_empty()) {
            Some(line) if !is_full(&line) => *line = format!("{line}, {note}"),
            Some(_) => lines.push(note.clone()),
            None => lines = vec![note.clone()],
        }
    }
    lines.iter().filter(|line| !line.is_empty()).map(|line| format!("{INDENT}{line}\n")).collect()
}

/// `2 h 13 min`
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Scrape;

    const D: &str = "{group=\"gpt-4o\",deployment=";

    fn shown(text: &str, only: Option<&str>) -> Option<String> {
        shown_of(text, only, None)
    }

    fn shown_of(text: &str, only: Option<&str>, version: Option<&str>) -> Option<String> {
        let text = format!(
            "envoy_server_uptime{{}} 7980\nenvoy_server_live{{}} 1\nenvoy_server_state{{}} 0\nenvoy_server_concurrency{{}} 2\nllm_balancer_config_revision{{}} 3\n{text}"
        );
        let scrape = Scrape::parse(&text).unwrap().of_version(version);
        let table = table(&Period { from: None, to: &scrape, seconds: 10.0, now: 100 }, only)?;
        Some(anstream::adapter::strip_str(&table).to_string())
    }

    #[test]
    fn redis_is_absent_where_neither_mode_is_on() {
        for (shared, local, up, instances, expected) in [
            (1, 0, 1, 2, "Redis: limits shared by 2 instances"),
            (0, 1, 0, 2, "Redis is down: this instance keeps to its share of the limits"),
            (0, 0, 0, 0, "no Redis"),
        ] {
            let text = format!(
                "llm_balancer_redis_mode{{mode=\"shared\"}} {shared}
llm_balancer_redis_mode{{mode=\"local\"}} {local}
llm_balancer_redis_up{{}} {up}
llm_balancer_instances{{}} {instances}\n"
            );
            let table = shown(&text, None).unwrap();
            assert_eq!(table.lines().nth(1), Some(expected), "{table}");
        }
    }

    #[test]
    fn a_file_that_is_not_served_is_named_with_its_first_error() {
        let text = |successful: u8, labels: &str| {
            format!(
                "llm_balancer_config_last_reload_successful{{}} {successful}
llm_balancer_config_last_reload_success_timestamp_seconds{{}} 40
llm_balancer_config_reload_error_info{{reason=\"invalid\",location=\"old.yaml:3\"}} 0
llm_balancer_config_reload_error_info{{{labels}}} {}\n",
                u8::from(successful == 0)
            )
        };
        for (labels, expected) in [
            ("reason=\"invalid\",location=\"config.yaml:12\"", "config.yaml:12 is invalid"),
            ("reason=\"needs_restart\"", "the file needs a restart"),
            ("reason=\"rejected_by_envoy\"", "Envoy rejected the file"),
            ("reason=\"unavailable\"", "that is not possible now, and is tried again"),
        ] {
            let table = shown(&text(0, labels), None).unwrap();
            let lines: Vec<_> = table.lines().collect();
            assert_eq!(lines[1], format!("not reloaded: {expected}"), "{table}");
            let served = "serving the file of 1 min 0 s ago; the log has the error, and llm-balancer check";
            assert_eq!(lines[2..4], [served, "no Redis"], "{table}");
            assert!(served.len() <= WIDTH);
            assert!(!shown(&text(1, labels), None).unwrap().contains("not reloaded"), "{labels}");
        }
    }

    #[test]
    fn the_table_has_groups_deployments_and_what_went_wrong() {
        let text = format!(
            "llm_balancer_deployment_info{D}\"eu\",weight=\"0.7500\"}} 1
llm_balancer_deployment_info{D}\"us\",weight=\"0.2500\"}} 1
llm_balancer_attempts_total{D}\"eu\",outcome=\"success\",status=\"200\"}} 60
llm_balancer_attempts_total{D}\"us\",outcome=\"success\",status=\"200\"}} 20
llm_balancer_attempts_total{D}\"us\",outcome=\"rate_limited\",status=\"429\"}} 10
llm_balancer_failures_total{D}\"us\",class=\"rate_limit\"}} 10
llm_balancer_retries_total{D}\"us\"}} 9
llm_balancer_cooldowns_total{D}\"us\"}} 1
llm_balancer_cooling_down{D}\"us\"}} 1
llm_balancer_cooldown_end_timestamp_seconds{D}\"us\"}} 112
llm_balancer_in_flight{D}\"eu\"}} 3
llm_balancer_limit_requests{D}\"eu\"}} 60
llm_balancer_remaining_requests{D}\"eu\"}} 0
llm_balancer_limit_tokens{D}\"us\"}} 40000
llm_balancer_remaining_tokens{D}\"us\"}} 39784
llm_balancer_requests_total{{group=\"gpt-4o\",outcome=\"success\",status=\"200\"}} 80
llm_balancer_requests_total{{group=\"gpt-4o\",outcome=\"refused\",status=\"429\"}} 1
llm_balancer_refusals_total{{group=\"gpt-4o\",reason=\"over_limit\"}} 1
llm_balancer_fallbacks_total{{group=\"gpt-4o\",target=\"claude\"}} 2\n"
        );
        let expected = "serving, configuration 3, up 2 h 13 min, 2 workers
no Redis
since the start; share: of the sends, and by weight, in %; times: p50/p99 in ms

group, deployment  req/s   share busy   ok tok/min       rpm  duration  1st byte
gpt-4o               8.1            3 98.8       0         -         -         -
      9 retries, refused: over limit 1, -> claude 2
  eu                 6.0   67/75    3  100       0     60/60         -         -
      limit reached
  us                 3.0   33/25    0 66.7       0         -         -         -
      cooling down for 12 s, tpm 216/40k, rate limit 10, 9 retried, 1 cooldown
";
        assert_eq!(shown(&text, None).unwrap(), expected);
        assert_eq!(shown(&text, Some("gpt-4o")).unwrap(), expected);
        assert_eq!(shown(&text, Some("other")), None);
        let with_version = shown_of(&text, None, Some("1.2.3"));
        assert_eq!(with_version.unwrap(), expected.replace("2 workers\n", "2 workers, version 1.2.3\n"));
        assert!(expected.lines().all(|line| line.len() <= WIDTH));
    }

    #[test]
    fn a_name_cannot_control_the_terminal_and_a_long_one_breaks_no_column() {
        let name = "e\u{1b}[2J-a-name-that-is-too-long";
        let text = format!("llm_balancer_deployment_info{D}\"{name}\"}} 1\n");
        let shown = shown(&text, None).unwrap();
        let expected = "  e?[2J-a-name-that-is-too-long\n                     0.0       -    0    -       0";
        assert!(shown.contains(expected), "{shown}");
    }
}
