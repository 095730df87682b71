//! Measurements that are far off the estimate: set aside until another one confirms them.
//!
//! A single one says little: a fast deployment has one slow answer, a slow one a fast answer. Two
//! say that the deployment has changed. A deployment that looks slow gets no requests but probes,
//! so a probe that is far better asks for another one at once, and the second replaces the
//! estimate. One that looks fast gets requests in any case: the first far worse answer is set
//! aside, and a second within ten counts like any other.

use serde::{Deserialize, Serialize};

/// A measurement this many times faster than expected is far better.
const BETTER: f64 = 1.5;
/// One this many times slower is far worse.
const WORSE: f64 = 3.0;
/// For how many measurements a far worse one is remembered.
const REMEMBERED: u8 = 10;

/// What was set aside last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outlier {
    /// Nothing.
    #[default]
    None,
    /// A far better measurement, which the next one confirms or not.
    Better,
    /// A far worse one, this many measurements ago.
    Worse(u8),
    /// Nothing, but the estimate was replaced this many measurements ago.
    Replaced(u8),
}

/// How much a measurement counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Not at all, until another one confirms it.
    SetAside,
    /// As one of many.
    OneOfMany,
    /// It replaces all before it.
    Replaces,
}

impl Outlier {
    /// Compares a measurement with what was expected. `is_rare` says that there was none for a
    /// while: frequent measurements move the estimate as quickly in many small steps.
    pub fn next(self, measured: f64, expected: f64, is_rare: bool) -> (Self, Weight) {
        let is_better = measured * BETTER < expected;
        let is_worse = measured > expected * WORSE;
        match self {
            Self::Better if is_better => (Self::Replaced(0), Weight::Replaces),
            _ if is_better && is_rare => (Self::Better, Weight::SetAside),
            Self::Worse(_) if is_worse => (Self::Worse(0), Weight::OneOfMany),
            _ if is_worse => (Self::Worse(0), Weight::SetAside),
            Self::Worse(ago) if ago < REMEMBERED => (Self::Worse(ago.saturating_add(1)), Weight::OneOfMany),
            Self::Replaced(ago) if ago < REMEMBERED => {
                (Self::Replaced(ago.saturating_add(1)), Weight::OneOfMany)
            }
            _ => (Self::None, Weight::OneOfMany),
        }
    }

    /// How many measurements there were since the estimate was replaced; `None` after ten.
    pub fn young(self) -> Option<u8> {
        match self {
            Self::Replaced(ago) => Some(ago),
            Self::None | Self::Better | Self::Worse(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_better_measurement_after_a_while_replaces_the_estimate_when_another_confirms_it() {
        let (first, weight) = Outlier::None.next(5.0, 500.0, true);
        assert_eq!((first, weight), (Outlier::Better, Weight::SetAside));
        assert_eq!(first.next(6.0, 500.0, false), (Outlier::Replaced(0), Weight::Replaces));
        assert_eq!(first.next(480.0, 500.0, false), (Outlier::None, Weight::OneOfMany), "not confirmed");
        assert_eq!(Outlier::None.next(5.0, 500.0, false), (Outlier::None, Weight::OneOfMany), "frequent");
    }

    #[test]
    fn a_single_far_worse_measurement_counts_for_nothing_and_the_second_of_ten_counts() {
        let (mut outlier, weight) = Outlier::None.next(500.0, 5.0, false);
        assert_eq!(weight, Weight::SetAside);
        for nth in 0..10 {
            assert_eq!(outlier.next(500.0, 5.0, false).1, Weight::OneOfMany, "after {nth}");
            outlier = outlier.next(5.0, 5.0, false).0;
        }
        outlier = outlier.next(5.0, 5.0, false).0;
        assert_eq!(outlier.next(500.0, 5.0, false).1, Weight::SetAside, "the last one is long ago");
    }
}
