//! Colors of findings and messages. `anstream` removes them where the output is no terminal.

use anstyle::{AnsiColor, Color, Style};
use llm_balancer_config::{Finding, Severity};

/// Errors.
pub(crate) const RED: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Red)));
/// Warnings.
pub(crate) const YELLOW: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Yellow)));
/// Success.
pub(crate) const GREEN: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Green)));
/// Places.
pub(crate) const BOLD: Style = Style::new().bold();

/// A finding with its severity in color.
pub(crate) fn colored(finding: &Finding) -> String {
    let line = finding.to_string();
    let (style, word) = match finding.severity {
        Severity::Error => (RED, ": error: "),
        Severity::Warning => (YELLOW, ": warning: "),
    };
    match line.split_once(word) {
        Some((place, rest)) => {
            let word = word.trim_matches([':', ' ']);
            format!("{BOLD}{place}{BOLD:#}: {style}{word}{style:#}: {rest}")
        }
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use llm_balancer_config::read;

    use super::*;

    #[test]
    fn without_its_colors_a_finding_is_the_same() {
        let findings = read("config.yaml", "model_list: []\nfoo: bar\n", &|_| None).findings;
        assert!(!findings.is_empty());
        for finding in findings {
            let colored = colored(&finding);
            assert_ne!(colored, finding.to_string());
            assert_eq!(anstream::adapter::strip_str(&colored).to_string(), finding.to_string());
        }
    }
}
