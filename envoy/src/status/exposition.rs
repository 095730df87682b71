//! Prometheus' text format, as Envoy writes it.

use std::collections::BTreeMap;

/// One line: a series and its value.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'t> {
    pub(super) name: &'t str,
    pub(super) labels: BTreeMap<&'t str, String>,
    pub(super) value: f64,
}

/// All samples of a text. Lines that are none are passed over.
pub(super) fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample)
}

fn sample(line: &str) -> Option<Sample<'_>> {
    // A label may have blanks and braces in it, a value has none.
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    Some(Sample { name, labels: parse_labels(labels.strip_suffix('}')?)?, value: value.parse().ok()? })
}

/// `group="a",deployment="b"`. An empty label is none, as for Prometheus. A backslash escapes quotes,
/// itself, and `n` for a line break.
fn parse_labels(mut text: &str) -> Option<BTreeMap<&str, String>> {
    let mut labels = BTreeMap::new();
    while let Some((label, rest)) = text.split_once("=\"") {
        let (value, rest) = quoted(rest)?;
        if !value.is_empty() {
            labels.insert(label, value);
        }
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    text.is_empty().then_some(labels)
}

/// The text before the closing quote, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        value.push(match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => '\n',
                escaped => escaped,
            },
            plain => plain,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_series_and_its_value() {
        let text = "# TYPE a counter\na{z=\"\"} 1\nb{x=\"1 {2}\",y=\"\\\"q\\\\\\n\"} 2.5\nc 3\n\nbroken{x=\"1} 4\nd{} five\n";
        let all: Vec<_> = samples(text).map(|sample| (sample.name, sample.labels, sample.value)).collect();
        let labels = |pairs: &[(&'static str, &str)]| -> BTreeMap<&str, String> {
            pairs.iter().map(|(label, value)| (*label, (*value).to_owned())).collect()
        };
        assert_eq!(
            all,
            [
                ("a", labels(&[]), 1.0),
                ("b", labels(&[("x", "1 {2}"), ("y", "\"q\\\n")]), 2.5),
                ("c", labels(&[]), 3.0),
            ]
        );
    }
}
