//! Which calls fail.
#![forbid(unsafe_code)]

use core::fmt;

use crate::rng::Rng;
use alloc_gpa::counted;

/// Which calls fail. Calls are counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Fail {
    /// None.
    #[default]
    Never,
    /// The one with this index and all later ones: memory has run out for good.
    From(usize),
    /// The one with this index alone: the clean-up after it gets its memory.
    Only(usize),
    /// The two with these indices: the second in what the code does about the first.
    Pair(usize, usize),
    /// Each time the last of so many calls: with 3 those with the indices 2, 5, 8.
    Every(usize),
    /// Each with a probability of `rate`, between 0 and 1. Use [`seed()`](crate::seed()) to have the
    /// seed of the run; it is told with each failure.
    Randomly {
        /// The probability, kept to 2^-53.
        rate: f64,
        /// The seed: equal seeds fail the same indices, whatever else the program draws.
        seed: u64,
    },
    /// Those that ask for so many bytes, or for more.
    SizeAtLeast(usize),
    /// Those that ask for just so many bytes.
    Size(usize),
}

impl Fail {
    /// Panics if the rule means nothing.
    pub(crate) fn check(self) {
        match self {
            Self::Randomly { rate, .. } => {
                assert!((0.0..=1.0).contains(&rate), "the rate {rate} is not between 0 and 1");
            }
            Self::Every(period) => assert!(period != 0, "no call is the last of none"),
            Self::Pair(first, second) => {
                assert!(first < second, "the pair {first} and {second} is not in order");
            }
            _ => {}
        }
    }

    /// Whether the call with this index fails, which asks for `size` bytes.
    pub(crate) fn hits(self, index: usize, size: usize) -> bool {
        match self {
            Self::Never => false,
            Self::From(first) => first <= index,
            Self::Only(only) => index == only,
            Self::Pair(first, second) => index == first || index == second,
            Self::Every(period) => (index + 1).is_multiple_of(period),
            Self::Randomly { rate, seed } => draw(seed, index) < rate,
            Self::SizeAtLeast(bound) => bound <= size,
            Self::Size(exact) => exact == size,
        }
    }
}

/// The number in `0..1` that a seed gives an index. It is no state, so which calls fail does not depend
/// on which thread came first.
fn draw(seed: u64, index: usize) -> f64 {
    // Drawn twice: seeds that follow each other shall not give sequences that do.
    let mut rng = Rng::new(Rng::new(seed).next().wrapping_add(index as u64));
    // The top 53 bits, each of which an `f64` holds exactly.
    (rng.next() >> 11) as f64 / (1_u64 << 53) as f64
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::From(index) => write!(f, "from {index} on"),
            Self::Only(index) => write!(f, "only {index}"),
            Self::Pair(first, second) => write!(f, "{first} and {second}"),
            Self::Every(period) => write!(f, "the last of each {period}"),
            Self::Randomly { rate, seed } => write!(f, "randomly, rate {rate}, seed {seed:#x}"),
            Self::SizeAtLeast(bound) => write!(f, "{} or more", counted(*bound, "byte")),
            Self::Size(exact) => write!(f, "{}", counted(*exact, "byte")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate is exact: over a million draws within three standard deviations, for each of some
    /// rates and seeds. Deterministic, as the seeds are fixed.
    #[test]
    fn the_rate_is_exact() {
        const DRAWS: usize = 1_000_000;
        for (rate, seed) in [(0.5, 1), (0.05, 2), (0.001, 3), (0.25, 0xC0_FFEE)] {
            let rule = Fail::Randomly { rate, seed };
            let hits = (0..DRAWS).filter(|index| rule.hits(*index, 1)).count() as f64;
            let sigma = (DRAWS as f64 * rate * (1.0 - rate)).sqrt();
            let off = hits - DRAWS as f64 * rate;
            assert!(off.abs() <= 3.0 * sigma, "{rate}: {hits} hits, {off} off, sigma {sigma}");
        }
        let always = Fail::Randomly { rate: 1.0, seed: 5 };
        let never = Fail::Randomly { rate: 0.0, seed: 5 };
        assert!((0..10_000).all(|index| always.hits(index, 1) && !never.hits(index, 1)));
    }
}
