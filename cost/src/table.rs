//! The costs of all scenarios as text: a line for each figure, a column for each scenario.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::scenario::Scenario;
use crate::tally::{HostCalls, Tally};

/// Figures by line and column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    columns: Vec<String>,
    lines: Vec<(String, Vec<u64>)>,
}

/// The line whose figures may differ a little.
const INSTRUCTIONS: &str = "instructions";

/// Percent by which instructions may differ: they change with any change of the code, and with the
/// compiler.
const SLACK: u64 = 2;

impl Table {
    /// What the test compares.
    pub fn of(measured: &[(Scenario, Tally)]) -> Self {
        let mut table = Self::with_columns(measured);
        let mut line = |name: &str, figure: &dyn Fn(&Tally) -> u64| {
            table.lines.push((name.to_owned(), measured.iter().map(|(_, tally)| figure(tally)).collect()));
        };
        line("callbacks", &Tally::callbacks);
        line("allocations for the host", &Tally::allocations);
        line("bytes into the VM", &Tally::bytes_in);
        line("bytes out of the VM", &Tally::bytes_out);
        line(INSTRUCTIONS, &Tally::instructions);
        line("host calls", &Tally::calls);
        let calls = |tally: &Tally, name: &str| tally.host_calls.get(name).map_or(0, |of| of.calls);
        for name in names(measured, |tally| tally.host_calls.keys()) {
            line(&format!("- {name}"), &|tally| calls(tally, &name));
        }
        table
    }

    fn with_columns(measured: &[(Scenario, Tally)]) -> Self {
        let columns = measured.iter().map(|(scenario, _)| scenario.name().to_owned()).collect();
        Self { columns, lines: Vec::new() }
    }

    /// Reads what [`Table`]'s text is.
    ///
    /// # Panics
    ///
    /// Panics if the text is no table.
    pub fn read(text: &str) -> Self {
        let mut lines = text.lines().filter(|line| !line.is_empty()).map(|line| {
            let (name, figures) = line.split_at(NAME);
            (name.trim().to_owned(), figures.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        });
        let (_, columns) = lines.next().expect("a line of names");
        let number = |figure: String| figure.parse().expect("a number");
        let lines = lines.map(|(name, figures)| (name, figures.into_iter().map(number).collect())).collect();
        Self { columns, lines }
    }

    /// In words, where `measured` differs from these figures.
    pub fn differences(&self, measured: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let names: BTreeSet<_> = self.lines.iter().chain(&measured.lines).map(|(name, _)| name).collect();
        for name in names {
            for column in &measured.columns {
                let (old, new) = (self.figure(name, column), measured.figure(name, column));
                let slack = if name == INSTRUCTIONS { old * SLACK / 100 } else { 0 };
                if old.abs_diff(new) > slack {
                    let verb = if new > old { "grew" } else { "shrank" };
                    found.push(format!("{column}: {name} {verb} from {old} to {new}"));
                }
            }
        }
        found
    }

    /// 0 where there is none.
    fn figure(&self, name: &str, column: &str) -> u64 {
        let column = self.columns.iter().position(|other| other == column);
        let line = self.lines.iter().find(|(other, _)| other == name);
        line.zip(column).and_then(|((_, figures), at)| figures.get(at)).copied().unwrap_or_default()
    }
}

/// Width of the names, and of a figure.
const NAME: usize = 34;
const FIGURE: usize = 11;

impl std::fmt::Display for Table {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:NAME$}", "")?;
        self.columns.iter().try_for_each(|column| write!(out, "{column:>FIGURE$}"))?;
        for (name, figures) in &self.lines {
            write!(out, "\n{name:NAME$}")?;
            figures.iter().try_for_each(|figure| write!(out, "{figure:>FIGURE$}"))?;
        }
        writeln!(out)
    }
}

/// One direction of copies.
type Bytes = fn(&HostCalls) -> u64;

/// Instructions by callback, and bytes by host call: for people who look for what to improve.
pub fn details(measured: &[(Scenario, Tally)]) -> String {
    let mut instructions = Table::with_columns(measured);
    for name in names(measured, |tally| tally.entries.keys()) {
        let figure = |tally: &Tally| tally.entries.get(&name).map_or(0, |of| of.instructions);
        let figures = measured.iter().map(|(_, tally)| figure(tally)).collect();
        instructions.lines.push((name, figures));
    }
    let mut bytes = Table::with_columns(measured);
    let figure = |tally: &Tally, name: &str, of: Bytes| tally.host_calls.get(name).map_or(0, of);
    let directions: [(&str, Bytes); 2] = [("in", |of| of.bytes_in), ("out", |of| of.bytes_out)];
    for name in names(measured, |tally| tally.host_calls.keys()) {
        for (direction, of) in directions {
            let figures: Vec<_> = measured.iter().map(|(_, tally)| figure(tally, &name, of)).collect();
            if figures.iter().any(|figure| *figure > 0) {
                bytes.lines.push((format!("{name} {direction}"), figures));
            }
        }
    }
    let mut text = String::new();
    let _ = write!(text, "Instructions by callback\n{instructions}\nBytes by host call\n{bytes}");
    text
}

/// The functions of one scenario that run most instructions themselves.
pub fn functions(tally: &Tally) -> String {
    const MOST: usize = 40;
    let mut functions: Vec<_> = tally.functions.iter().filter(|(_, count)| **count > 0).collect();
    functions.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    functions.iter().take(MOST).map(|(name, count)| format!("{count:>FIGURE$}  {name}\n")).collect()
}

/// Names that any scenario has, in order.
fn names<'a, I: Iterator<Item = &'a String>>(
    measured: &'a [(Scenario, Tally)],
    of: impl Fn(&'a Tally) -> I,
) -> BTreeSet<String> {
    measured.iter().flat_map(|(_, tally)| of(tally)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "                                         chat     stream
instructions                            10000      20000
host calls                                 18         20
";

    fn changed(from: &str, to: &str) -> Vec<String> {
        let new = OLD.replace(from, to);
        Table::read(OLD).differences(&Table::read(&new))
    }

    #[test]
    fn a_table_reads_what_it_writes() {
        assert_eq!(Table::read(OLD).to_string(), OLD);
    }

    #[test]
    fn counts_may_neither_grow_nor_shrink() {
        assert_eq!(changed("18", "19"), ["chat: host calls grew from 18 to 19"]);
        assert_eq!(changed("18", "17"), ["chat: host calls shrank from 18 to 17"]);
        assert_eq!(changed("18", "18"), Vec::<String>::new());
    }

    #[test]
    fn a_line_that_is_new_or_gone_differs() {
        assert_eq!(changed("host calls", "more calls").len(), 4);
    }

    #[test]
    fn instructions_may_differ_by_two_percent() {
        assert_eq!(changed("20000", "20400"), Vec::<String>::new());
        assert_eq!(changed("20000", "20401"), ["stream: instructions grew from 20000 to 20401"]);
        assert_eq!(changed("20000", "19599"), ["stream: instructions shrank from 20000 to 19599"]);
    }
}
