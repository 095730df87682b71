//! The table: figures of all rows under a load, each beside plain Envoy in the same rounds.

use crate::load::{Load, Sample};
use crate::run::{Measured, Table};
use crate::statistics::{Mean, median, ratios, reference};
use crate::subject::Row;

/// New connections to the provider for each request.
const MOST_OF_CHATS: f64 = 0.1;
/// Every round of streams ends with streams that are cut, and so does their connection.
const MOST_OF_STREAMS: f64 = 0.5;

/// The table's first two lines.
pub const HEADER: &str = "\
| load | what | CPU us | x plain | p50 ms | p99 ms | requests/s | x plain | MB |
|---|---|---|---|---|---|---|---|---|";

/// The rows of a load.
pub fn rows(load: Load, workers: usize, table: &Table) -> Vec<String> {
    let load = label(load, workers);
    let [first, second] = &table.plain;
    let (cpu, rate) = (references(table, |sample| sample.cpu), references(table, |sample| sample.rate));
    // The reference beside itself: what two identical processes differ by.
    let itself = (column(first, |sample| sample.cpu), column(second, |sample| sample.cpu));
    let itself = Mean::of(&ratios(&itself.0, &itself.1));
    let plain = Measured {
        row: first.row.clone(),
        samples: first.samples.iter().chain(&second.samples).copied().collect(),
        memory: first.memory,
        problem: first.problem.clone().or(second.problem.clone()),
    };
    let of_plain = line(&load, &plain, itself, None);
    let rest = table.rows.iter().map(|row| {
        let more_cpu = Mean::of(&ratios(&column(row, |sample| sample.cpu), &cpu));
        let more_rate = Mean::of(&ratios(&column(row, |sample| sample.rate), &rate));
        line(&load, row, more_cpu, more_rate)
    });
    std::iter::once(of_plain).chain(rest).collect()
}

/// What a reader of the table has to know: failures, and connections that are not kept.
pub fn warnings(load: Load, workers: usize, table: &Table) -> Vec<String> {
    let all = table.plain.iter().chain(&table.rows);
    let most = if load.streams() { MOST_OF_STREAMS } else { MOST_OF_CHATS };
    let warn = |row: &Measured| {
        let name = format!("{}, {}", label(load, workers), row.row.name());
        let samples = || row.samples.iter().flatten();
        let sum = |value: fn(&Sample) -> f64| samples().map(value).sum::<f64>();
        let (requests, failed) = (sum(|sample| sample.requests), sum(|sample| sample.failed as f64));
        let connections = sum(|sample| sample.connections as f64);
        let problem = row.problem.as_ref().map(|problem| format!("{name}: {problem}"));
        let failed = (failed > 0.0).then(|| format!("{name}: {failed:.0} of {requests:.0} requests failed"));
        let opened = (connections > requests * most).then(|| {
            format!("{name}: {connections:.0} new connections for {requests:.0} requests: they are not kept, and the figures are those of connecting")
        });
        [problem, failed, opened].into_iter().flatten()
    };
    all.flat_map(warn).collect()
}

/// Other builds of the product beside the first one, in the same rounds.
pub fn builds(load: Load, workers: usize, table: &Table) -> Vec<String> {
    let builds = || {
        table.rows.iter().filter_map(|row| match &row.row {
            Row::Product(scenario, name, _) => Some((scenario, name, row)),
            _ => None,
        })
    };
    let beside = |(scenario, name, row): (_, &String, &Measured)| {
        let (_, first_name, first) = builds().find(|(first, ..)| *first == scenario)?;
        let ratio = ratios(&column(row, |sample| sample.cpu), &column(first, |sample| sample.cpu));
        let load = label(load, workers);
        let ratio = Mean::of(&ratio).filter(|_| name != first_name)?;
        Some(format!("{load}: CPU of {}, x {}: {}", row.row.name(), first.row.name(), ratio_text(ratio)))
    };
    builds().filter_map(beside).collect()
}

fn label(load: Load, workers: usize) -> String {
    let load = load.words();
    if workers == 1 { load.to_owned() } else { format!("{load}, {workers} workers") }
}

fn column(row: &Measured, value: fn(&Sample) -> f64) -> Vec<Option<f64>> {
    row.samples.iter().map(|sample| sample.as_ref().map(value)).collect()
}

fn references(table: &Table, value: fn(&Sample) -> f64) -> Vec<Option<f64>> {
    let [first, second] = &table.plain;
    reference(&column(first, value), &column(second, value))
}

fn line(load: &str, row: &Measured, more_cpu: Option<Mean>, more_rate: Option<Mean>) -> String {
    let samples = || row.samples.iter().flatten();
    let all = |value: fn(&Sample) -> Option<f64>| samples().filter_map(value).collect::<Vec<_>>();
    let name = row.row.name();
    let Some(cpu) = Mean::of(&all(|sample| Some(sample.cpu))) else {
        let problem = row.problem.as_deref().unwrap_or("no request was answered");
        return format!("| {load} | {name} | {} | | | | | | |", problem.lines().next().unwrap_or_default());
    };
    let milliseconds = |value| median(&all(value)).map_or("-".to_owned(), |ms| format!("{ms:.1}"));
    let rate = Mean::of(&all(|sample| Some(sample.rate))).map_or(0.0, |rate| rate.value);
    format!(
        "| {load} | {name} | {} | {} | {} | {} | {rate:.0} | {} | {:.0} |",
        cpu_text(cpu),
        more_cpu.map(ratio_text).unwrap_or_default(),
        milliseconds(|sample| sample.p50),
        milliseconds(|sample| sample.p99),
        more_rate.map_or("1".to_owned(), |rate| format!("{:.2}", rate.value)),
        row.memory as f64 / f64::from(1 << 20),
    )
}

fn cpu_text(mean: Mean) -> String {
    let error = mean.error.map(|error| format!(" +- {error:.1}")).unwrap_or_default();
    format!("{:.1}{error}", mean.value)
}

fn ratio_text(mean: Mean) -> String {
    let error = mean.error.map(|error| format!(" +- {error:.2}")).unwrap_or_default();
    format!("{:.2}{error}", mean.value)
}

#[cfg(test)]
mod tests {
    use super::{builds, rows, warnings};
    use crate::load::{Load, Sample};
    use crate::run::{Measured, Table};
    use crate::subject::{Row, Scenario};

    fn sample(cpu: f64, rate: f64) -> Option<Sample> {
        let (p50, p99) = (Some(1.0), Some(2.0));
        Some(Sample { requests: rate, cpu, p50, p99, rate, failed: 0, connections: 0 })
    }

    fn measured(row: Row, samples: Vec<Option<Sample>>) -> Measured {
        Measured { row, samples, memory: 50 << 20, problem: None }
    }

    fn build(name: &str) -> Row {
        Row::Product(Scenario::Product, name.to_owned(), "llm-balancer".into())
    }

    fn table() -> Table {
        let plain = |first, second| {
            measured(Row::Envoy(Scenario::Plain), vec![sample(first, 8000.0), sample(second, 8000.0)])
        };
        Table {
            plain: [plain(40.0, 50.0), plain(40.0, 50.0)],
            rows: vec![
                measured(build("llm-balancer"), vec![sample(120.0, 4000.0), sample(100.0, 4000.0)]),
                measured(build("other"), vec![sample(60.0, 4000.0), sample(100.0, 4000.0)]),
            ],
        }
    }

    #[test]
    fn a_row_is_compared_with_plain_envoy_in_the_same_round() {
        // 120 / 40 and 100 / 50, not 110 / 45.
        let lines = rows(Load::Small, 1, &table());
        let expected =
            "| 1 KB | llm-balancer | 110.0 +- 10.0 | 2.50 +- 0.50 | 1.0 | 2.0 | 4000 | 0.50 | 50 |";
        assert_eq!(lines[1], expected);
    }

    #[test]
    fn plain_envoy_is_compared_with_itself() {
        let lines = rows(Load::Small, 4, &table());
        let expected =
            "| 1 KB, 4 workers | plain Envoy | 45.0 +- 2.9 | 1.00 +- 0.00 | 1.0 | 2.0 | 8000 | 1 | 50 |";
        assert_eq!(lines[0], expected);
    }

    #[test]
    fn a_build_is_compared_with_the_first_in_the_same_round() {
        let expected = "SSE: CPU of other, x llm-balancer: 0.75 +- 0.25";
        assert_eq!(builds(Load::Sse, 1, &table()), [expected]);
    }

    #[test]
    fn a_process_that_does_not_start_has_a_row_that_says_so() {
        let mut table = table();
        table.rows[0].samples.clear();
        table.rows[0].problem = Some("does not start: no\nmore".to_owned());
        let lines = rows(Load::Small, 1, &table);
        assert_eq!(lines[1], "| 1 KB | llm-balancer | does not start: no | | | | | | |");
        assert_eq!(warnings(Load::Small, 1, &table), ["1 KB, llm-balancer: does not start: no\nmore"]);
    }

    #[test]
    fn failed_requests_and_connections_that_are_not_kept_are_reported() {
        let mut table = table();
        let one = table.rows[1].samples[0].as_mut().unwrap();
        (one.failed, one.connections) = (3, 4000);
        let [failed, opened] = warnings(Load::Large, 1, &table).try_into().unwrap();
        assert_eq!(failed, "100 KB, other: 3 of 8000 requests failed");
        assert!(opened.starts_with("100 KB, other: 4000 new connections for 8000 requests"), "{opened}");
    }
}
