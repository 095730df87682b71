//! Randomness, as an argument of every decision that needs it.

/// A source of random bits. The filter seeds one per VM; tests script theirs.
pub trait Random {
    /// The next 64 bits, uniformly distributed.
    fn bits(&mut self) -> u64;

    /// A number in `[0, 1)`.
    fn fraction(&mut self) -> f64 {
        fraction(self.bits())
    }

    /// An index below `count`; 0 if `count` is 0.
    fn below(&mut self, count: usize) -> usize {
        let index = (self.fraction() * count as f64) as usize;
        index.min(count.saturating_sub(1))
    }
}

/// Random bits as a number in `[0, 1)`, as precise as a double can be.
pub(crate) fn fraction(bits: u64) -> f64 {
    // 53 bits fit a double exactly; 2^-53 puts them below one.
    (bits >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// SplitMix64 (Steele, Lea and Flood, 2014): eight bytes of state, passes BigCrush, no dependency.
#[derive(Clone, Debug)]
pub struct SplitMix(u64);

impl SplitMix {
    /// Starts from any seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Random for SplitMix {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scripted(u64);

    impl Random for Scripted {
        fn bits(&mut self) -> u64 {
            self.0
        }
    }

    #[test]
    fn every_index_can_be_drawn_and_none_beyond() {
        assert_eq!(Scripted(0).below(3), 0);
        assert_eq!(Scripted(u64::MAX).below(3), 2);
        assert_eq!(Scripted(u64::MAX).below(0), 0);
        assert!(Scripted(u64::MAX).fraction() < 1.0);
    }
}
