//! Means, standard errors and percentiles of a row's rounds.

/// A mean and how far it is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    pub value: f64,
    /// Standard error of the mean; `None` for a single value.
    pub error: Option<f64>,
}

impl Mean {
    /// `None` if there are no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let value = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|one| (one - value).powi(2)).sum();
        let error = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt() / count.sqrt());
        Some(Self { value, error })
    }
}

/// The middle value, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// The ratio of one figure to another in every round that has both.
pub fn ratios(figures: &[Option<f64>], references: &[Option<f64>]) -> Vec<f64> {
    let both =
        figures.iter().zip(references).filter_map(|(figure, reference)| Some(((*figure)?, (*reference)?)));
    both.filter(|(_, reference)| *reference > 0.0).map(|(figure, reference)| figure / reference).collect()
}

/// The mean of two processes of the reference in every round; of one if the other has no figure.
pub fn reference(first: &[Option<f64>], second: &[Option<f64>]) -> Vec<Option<f64>> {
    let mean = |pair| match pair {
        (Some(first), Some(second)) => Some(f64::midpoint(first, second)),
        (one, other) => one.or(other),
    };
    first.iter().zip(second).map(|(first, second)| mean((*first, *second))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Mean, median, ratios, reference};

    #[test]
    fn the_standard_error_is_the_deviation_of_the_sample_over_the_root_of_its_size() {
        // Deviations -3, -1, 1, 3: variance 20 / 3, over 4 values.
        let mean = Mean::of(&[1.0, 3.0, 5.0, 7.0]).unwrap();
        assert_eq!(mean.value, 4.0);
        assert!((mean.error.unwrap() - (20.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_single_round_has_a_mean_without_an_error() {
        assert_eq!(Mean::of(&[2.5]), Some(Mean { value: 2.5, error: None }));
        assert_eq!(Mean::of(&[]), None);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn ratios_pair_the_figures_of_the_same_round_and_skip_rounds_that_lack_one() {
        let figures = [Some(30.0), None, Some(50.0), Some(20.0)];
        let references = [Some(10.0), Some(10.0), None, Some(5.0)];
        assert_eq!(ratios(&figures, &references), [3.0, 4.0]);
    }

    #[test]
    fn the_reference_of_a_round_is_the_mean_of_its_two_processes() {
        let first = [Some(40.0), Some(42.0), None];
        let second = [Some(44.0), None, None];
        assert_eq!(reference(&first, &second), [Some(42.0), Some(42.0), None]);
    }
}
