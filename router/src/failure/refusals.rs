//! What deployments have refused: `stream_options`, which the router adds where it, or the file, wants
//! the usage of a stream, and betas of Anthropic's API, which clients name in `anthropic-beta`.
//!
//! A worker learns it from one request, which it sends again without, and remembers it for an hour:
//! the server may be updated. Workers do not share it.

use std::collections::BTreeMap;
use std::time::Duration;

use memchr::memmem;

use crate::hash::hash;

/// How long a refusal is remembered.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// The most that is remembered, of all deployments.
const MOST: usize = 4096;
/// The most bytes of an error between its words around the betas, and the most betas of one.
const MOST_BYTES: usize = 1024;
const MOST_BETAS: usize = 16;

/// What a deployment may refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// The member `stream_options`.
    StreamOptions,
    /// A beta, by the hash of its name.
    Beta(u64),
}

impl Refused {
    /// The beta of this name.
    pub fn beta(name: &str) -> Self {
        Self::Beta(hash(name.as_bytes()))
    }
}

/// The refusals of one worker.
#[derive(Debug, Default)]
pub struct Refusals {
    /// By the index of the deployment, since the Unix epoch.
    refused_at: BTreeMap<(usize, Refused), Duration>,
}

impl Refusals {
    /// The deployment refuses this now.
    pub fn add(&mut self, deployment: usize, refused: Refused, now: Duration) {
        if self.refused_at.len() >= MOST {
            self.refused_at.clear();
        }
        self.refused_at.insert((deployment, refused), now);
    }

    /// Whether the deployment has refused this within the hour. A clock that stepped back ends
    /// that, too.
    pub fn has(&self, deployment: usize, refused: Refused, now: Duration) -> bool {
        let refused_at = self.refused_at.get(&(deployment, refused));
        refused_at.and_then(|at| now.checked_sub(*at)).is_some_and(|since| since < REMEMBERED)
    }
}

/// The betas that an error of Anthropic's API refuses: "Unexpected value(s) `a`, `b` for the
/// `anthropic-beta` header."
pub fn refused_betas(error: &[u8]) -> impl Iterator<Item = &str> {
    betas_of(error)
        .unwrap_or_default()
        .split(|character: char| !is_of_name(character))
        .filter(|name| !name.is_empty())
        .take(MOST_BETAS)
}

fn betas_of(error: &[u8]) -> Option<&str> {
    const BEFORE: &[u8] = b"nexpected value(s) ";
    let start = memmem::find(error, BEFORE)?.saturating_add(BEFORE.len());
    let rest = error.get(start..)?;
    let rest = rest.get(..MOST_BYTES).unwrap_or(rest);
    let end = memmem::find(rest, b" for the `anthropic-beta` header")?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_remembered_for_an_hour() {
        let noon = Duration::from_secs(1_740_000_000);
        let mut refusals = Refusals::default();
        refusals.add(7, Refused::StreamOptions, noon);
        for (deployment, seconds, expected) in
            [(7, 0, true), (7, 3599, true), (7, 3600, false), (8, 0, false)]
        {
            let now = noon.saturating_add(Duration::from_secs(seconds));
            assert_eq!(
                refusals.has(deployment, Refused::StreamOptions, now),
                expected,
                "{deployment} {seconds}"
            );
        }
        assert!(!refusals.has(7, Refused::StreamOptions, Duration::ZERO));
        assert!(!refusals.has(7, Refused::beta("a"), noon));
    }

    #[test]
    fn refusals_of_endless_betas_take_no_endless_memory() {
        let mut refusals = Refusals::default();
        for beta in 0..20_000 {
            refusals.add(0, Refused::Beta(beta), Duration::ZERO);
            assert!(refusals.refused_at.len() <= MOST);
        }
    }

    #[test]
    fn an_error_names_the_betas_that_it_refuses() {
        for (error, expected) in [
            (
                "Unexpected value(s) `a-2025-06-27` for the `anthropic-beta` header. Please ..",
                vec!["a-2025-06-27"],
            ),
            (
                "{\"message\":\"unexpected value(s) `a_1`, `b.2` for the `anthropic-beta` header\"}",
                vec!["a_1", "b.2"],
            ),
            ("Unexpected value(s) `a` for the `other` header", vec![]),
            ("invalid beta flag", vec![]),
            ("Unexpected value(s) ", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(refused_betas(error.as_bytes()).collect::<Vec<_>>(), expected, "{error}");
        }
        let many = format!("Unexpected value(s) {} for the `anthropic-beta` header", "`x`, ".repeat(50));
        assert_eq!(refused_betas(many.as_bytes()).count(), MOST_BETAS);
        let long = many.replace('x', &"x".repeat(100));
        assert_eq!(refused_betas(long.as_bytes()).count(), 0);
    }
}
