//! A small deterministic generator, for patterns and choices.
#![forbid(unsafe_code)]

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014): every
/// seed is good, and equal seeds give equal sequences everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 bits.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// Returns a number in `0..end`; `end` is not zero.
    pub(crate) const fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// The period of [`extend_pattern`] in bytes: prime, so that bytes which moved by a power of two
/// are not mistaken for their own.
const PERIOD: usize = 4093;

/// Makes `pattern` `len` bytes long: the bytes it has stay, those it lacks come from `seed` and
/// their index.
pub(crate) fn extend_pattern(pattern: &mut Vec<u8>, seed: u64, len: usize) {
    pattern.truncate(len);
    while pattern.len() < len.min(PERIOD) {
        let index = pattern.len();
        let word = Rng::new(seed ^ (index / 8) as u64).next().to_le_bytes();
        let count = (8 - index % 8).min(len.min(PERIOD) - index);
        pattern.extend_from_slice(&word[index % 8..index % 8 + count]);
    }
    while pattern.len() < len {
        let start = pattern.len() - PERIOD;
        let count = PERIOD.min(len - pattern.len());
        pattern.extend_from_within(start..start + count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Growing in steps, and shrinking between, gives the same bytes as growing at once.
    #[test]
    fn a_pattern_depends_on_seed_and_index_only() {
        let mut whole = Vec::new();
        extend_pattern(&mut whole, 7, 10_000);
        let mut steps = Vec::new();
        for len in [1, 3, 8, 9, 5, 100, 4093, 4094, 4000, 9_000, 10_000] {
            extend_pattern(&mut steps, 7, len);
            assert!(steps == whole[..len], "{len} bytes");
        }
        let mut other = Vec::new();
        extend_pattern(&mut other, 8, 64);
        assert_ne!(other, whole[..64]);
        assert_ne!(whole[..64], whole[4096..4160], "does not repeat page by page");
    }
}
