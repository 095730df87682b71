//! Findings as people see them: in colour where somebody looks, and the same words everywhere.

use anstyle::{AnsiColor, Color, Style};
use llm_balancer_config::{Finding, Severity};

/// What stops something.
pub const RED: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Red)));
/// What is worth a look.
pub const YELLOW: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Yellow)));
/// What is well.
pub const GREEN: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Green)));
/// Where it is.
pub const BOLD: Style = Style::new().bold();

/// A finding with its severity in colour; `anstream` takes the colours out again where nobody can see them.
pub fn painted(finding: &Finding) -> String {
    let line = finding.to_string();
    let (style, word) = match finding.severity {
        Severity::Refused => (RED, ": refused: "),
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
    fn without_its_colours_a_finding_is_the_same() {
        let findings = read("config.yaml", "model_list: []\nfoo: bar\n", &|_| None).findings;
        assert!(!findings.is_empty());
        for finding in findings {
            let painted = painted(&finding);
            assert_ne!(painted, finding.to_string());
            assert_eq!(anstream::adapter::strip_str(&painted).to_string(), finding.to_string());
        }
    }
}
