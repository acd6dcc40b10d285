//! Numbers that look random and are the same on every run.

/// The generator splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
/// 2014).
pub(crate) struct Numbers(u64);

impl Numbers {
    /// A generator that starts at `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number in `0..limit`; `limit` is not zero and far below 2^64.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // The high word of the product spreads over `0..limit` without a division.
        ((u128::from(z ^ (z >> 31)) * limit as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_below_the_limit_and_repeat() {
        let list = || {
            let mut numbers = Numbers::new(7);
            (0..1000).map(|_| numbers.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(list(), list());
        assert!((0..10).all(|digit| list().contains(&digit)));
        assert!(list().iter().all(|digit| *digit < 10));
    }
}
