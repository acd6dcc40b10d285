//! Runs of zeros and ones in a map of bits: arithmetic on words.
#![forbid(unsafe_code)]

/// Bits in a word.
pub(crate) const WORD: usize = 64;

/// Returns the bits of word `word` that lie in `start..start + len`.
const fn mask(word: usize, start: usize, len: usize) -> u64 {
    let (first, last) = (word * WORD, word * WORD + WORD);
    let from = if start < first { first } else { start };
    let to = if last < start + len { last } else { start + len };
    if to <= from {
        return 0;
    }
    let count = to - from;
    let ones = if count == WORD { u64::MAX } else { (1 << count) - 1 };
    ones << (from - first)
}

/// Returns the start of the first run of `len` zeros among the first `count` bits; `len` is not zero.
///
/// Words full of ones are passed over whole.
pub(crate) fn find_zeros(
    word_at: impl Fn(usize) -> u64,
    count: usize,
    len: usize,
) -> Option<usize> {
    let (mut start, mut at) = (0, 0);
    while at < count {
        let bit = at % WORD;
        let rest = word_at(at / WORD) >> bit;
        let left = WORD - bit;
        // What was shifted in at the top is not of this word.
        let zeros = (rest.trailing_zeros() as usize).min(left).min(count - at);
        if len <= at + zeros - start {
            return Some(start);
        }
        if zeros == left || at + zeros == count {
            at += zeros;
            continue;
        }
        let ones = ((!(rest >> zeros)).trailing_zeros() as usize).min(left - zeros);
        at += zeros + ones;
        start = at;
    }
    None
}

/// Calls `change` for each word that `start..start + len` touches, with the bits in it.
pub(crate) fn for_each_word(start: usize, len: usize, mut change: impl FnMut(usize, u64)) {
    if len == 0 {
        return;
    }
    for word in start / WORD..=(start + len - 1) / WORD {
        change(word, mask(word, start, len));
    }
}

/// Whether all bits of `start..start + len` are ones.
pub(crate) fn all_ones(word_at: impl Fn(usize) -> u64, start: usize, len: usize) -> bool {
    let mut all = true;
    for_each_word(start, len, |word, bits| all &= word_at(word) & bits == bits);
    all
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn words_of(bits: &[bool]) -> Vec<u64> {
        bits.chunks(WORD)
            .map(|bits| bits.iter().rev().fold(0, |word, bit| word << 1 | u64::from(*bit)))
            .collect()
    }

    /// Goal: the first run is found, also across words and at the very end. Method: a search bit by
    /// bit, for maps around the length of one and two words with every pair of borders of one hole.
    #[test]
    fn runs_are_found_as_by_a_search() {
        for count in [1usize, 5, 63, 64, 65, 127, 128, 129] {
            for from in 0..count {
                for to in from..=count {
                    let bits: Vec<bool> = (0..count).map(|bit| bit < from || to <= bit).collect();
                    let words = words_of(&bits);
                    for len in [1, 2, to - from, to - from + 1, 64, 65] {
                        let found = (0..(count + 1).saturating_sub(len))
                            .find(|start| bits[*start..start + len].iter().all(|bit| !bit));
                        let found = found.filter(|_| len != 0);
                        if len != 0 {
                            assert_eq!(
                                find_zeros(|word| words[word], count, len),
                                found,
                                "{count} {from} {to} {len}"
                            );
                        }
                    }
                }
            }
        }
    }

    /// Two holes, the first too small.
    #[test]
    fn a_small_hole_is_passed_over() {
        for gap in 1..130 {
            let bits: Vec<bool> = (0..300).map(|bit| bit == gap || bit > 260).collect();
            let words = words_of(&bits);
            let found = find_zeros(|word| words[word], 300, gap + 1);
            assert_eq!(found, (2 * gap + 2 <= 261).then_some(gap + 1), "{gap}");
        }
    }

    #[test]
    fn ranges_are_changed_bit_by_bit() {
        for start in 0..130 {
            for len in 0..130 {
                let mut words = [0u64; 5];
                for_each_word(start, len, |word, bits| words[word] |= bits);
                let ones: usize = words.iter().map(|word| word.count_ones() as usize).sum();
                assert_eq!(ones, len);
                assert!(all_ones(|word| words[word], start, len));
                assert!(!all_ones(|word| words[word], start, len + 1));
                assert!(start == 0 || !all_ones(|word| words[word], start - 1, len + 1));
            }
        }
    }
}
