//! The picture of docs/affinity.md: bars for each scenario and policy, as SVG.

use std::fmt::Write as _;

use super::results::Figures;

const LABELS: f64 = 190.0;
const PANEL: f64 = 230.0;
const BAR: f64 = 16.0;
const ROW: f64 = 21.0;
const TITLE: f64 = 46.0;

/// A panel: its title, the figure and its text.
type Panel = (&'static str, fn(&Figures) -> f64, fn(f64) -> String);

const PANELS: [Panel; 4] = [
    ("time to first token, p50 (s)", |figures| figures.median, |value| format!("{value:.3}")),
    ("time to first token, p99 (s)", |figures| figures.high, |value| format!("{value:.2}")),
    ("prompt tokens from the cache (%)", |figures| figures.hits * 100.0, |value| format!("{value:.0}")),
    ("largest load / mean load", |figures| figures.in_flight, |value| format!("{value:.2}")),
];

/// The picture of all figures.
pub fn svg(all: &[Figures]) -> String {
    let mut scenarios: Vec<&str> = Vec::new();
    for figures in all {
        if !scenarios.contains(&&*figures.scenario) {
            scenarios.push(&figures.scenario);
        }
    }
    let (mut body, mut top) = (String::new(), 8.0);
    for scenario in scenarios {
        let rows: Vec<_> = all.iter().filter(|figures| figures.scenario == scenario).collect();
        top += group(&mut body, scenario, &rows, top);
    }
    let width = LABELS + PANEL * PANELS.len() as f64 + 10.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {top}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

/// A scenario's panels; returns their height.
fn group(body: &mut String, scenario: &str, rows: &[&Figures], top: f64) -> f64 {
    text(body, (10.0, top + 18.0), "font-weight=\"bold\" font-size=\"14\"", scenario);
    for (row, figures) in rows.iter().enumerate() {
        let y = top + TITLE + ROW * row as f64 + BAR - 4.0;
        text(body, (LABELS - 8.0, y), "text-anchor=\"end\"", &figures.policy);
    }
    for (column, (title, figure, label)) in PANELS.iter().enumerate() {
        let left = LABELS + PANEL * column as f64;
        text(body, (left, top + TITLE - 8.0), "fill=\"#555\"", title);
        let most = rows.iter().map(|figures| figure(figures)).fold(f64::MIN_POSITIVE, f64::max);
        for (row, figures) in rows.iter().enumerate() {
            let (value, y) = (figure(figures), top + TITLE + ROW * row as f64);
            let width = (PANEL - 65.0) * value / most;
            let colour = if figures.policy.starts_with("affinity") { "#1a7f5a" } else { "#9aa7b5" };
            let _ = writeln!(
                body,
                "<rect x=\"{left}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>"
            );
            text(body, (left + width + 4.0, y + BAR - 4.0), "", &label(value));
        }
    }
    TITLE + ROW * rows.len() as f64 + 14.0
}

fn text(body: &mut String, (x, y): (f64, f64), attributes: &str, text: &str) {
    let _ = writeln!(body, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>");
}

#[cfg(test)]
mod tests {
    use super::{Figures, svg};

    #[test]
    fn every_policy_of_every_scenario_has_a_bar_for_each_figure() {
        let figures = |scenario: &str, policy: &str| Figures {
            scenario: scenario.to_owned(),
            policy: policy.to_owned(),
            median: 0.1,
            high: 1.0,
            hits: 0.5,
            in_flight: 1.1,
            requests: 1.1,
            failures: 0,
        };
        let all = [
            figures("chat", "least-busy"),
            figures("one", "least-busy"),
            figures("chat", "affinity: prefix"),
        ];
        let svg = svg(&all);
        assert_eq!(svg.matches("height=\"16\"").count(), 12);
        assert_eq!(svg.matches(">chat<").count(), 1, "a scenario has one title");
        assert_eq!(svg.matches("#1a7f5a").count(), 4, "affinity stands out");
    }
}
