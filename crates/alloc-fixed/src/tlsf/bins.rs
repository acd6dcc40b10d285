//! Sizes of chunks and the bins they go to: arithmetic on integers.
//!
//! Bins of the first level word hold one size each, all multiples of [`GRANULE`] up to
//! [`SMALL_END`]; above, each power of two is cut into [`CUTS`] classes (two-level segregated fit:
//! Masmano, Ripoll, Crespo, Real, "TLSF: a new dynamic memory allocator for real-time systems", 2004).
#![forbid(unsafe_code)]

/// Bits in a word of the bin map.
pub(super) const WORD_BITS: usize = usize::BITS as usize;

/// The header of a chunk, in bytes: one word.
pub(super) const HEADER_LEN: usize = size_of::<usize>();

/// Every chunk's size is a multiple of this, and every block is aligned to it, in bytes.
pub(super) const GRANULE: usize = 2 * HEADER_LEN;

/// The least chunk: when free it holds header, two links and footer.
pub(super) const CHUNK_LEN_MIN: usize = 4 * HEADER_LEN;

/// Chunks below this size, in bytes, have a bin for exactly their size.
pub(super) const SMALL_END: usize = GRANULE * WORD_BITS;

/// Classes in each power of two from `SMALL_END` on; a power of two itself.
const CUTS: usize = 8;

/// How many powers of two there are from `SMALL_END` on.
const POWERS: usize = 24;

/// Words of the bin map.
pub(super) const WORD_COUNT: usize = 1 + POWERS * CUTS / WORD_BITS;

/// All bins.
pub(super) const BIN_COUNT: usize = WORD_COUNT * WORD_BITS;

/// The largest chunk, in bytes: 16 GiB, or 2 GiB on 32 bits.
pub(super) const CHUNK_LEN_MAX: usize =
    if WORD_BITS == 64 { SMALL_END << POWERS } else { 1 << 31 } - GRANULE;

/// Returns the size of the chunk for a block of `size` bytes, a valid size of a `Layout`.
#[inline]
pub(super) const fn chunk_len(size: usize) -> usize {
    // `size <= isize::MAX`, so the sum does not overflow.
    let len = size.wrapping_add(HEADER_LEN + GRANULE - 1) & !(GRANULE - 1);
    if len < CHUNK_LEN_MIN { CHUNK_LEN_MIN } else { len }
}

/// Returns the bin that holds free chunks of `len` bytes, a multiple of `GRANULE` up to
/// `CHUNK_LEN_MAX`.
#[inline]
pub(super) const fn bin_of(len: usize) -> usize {
    if len < SMALL_END { len / GRANULE } else { large_bin_of(len) }
}

/// The highest bits of a length are a one and its cut.
const CUT_SHIFT: u32 = usize::BITS - 1 - CUTS.ilog2();

/// What is added to a cut, with the one above it, to get the bin of a length without leading zeros.
const BIN_BASE: usize = WORD_BITS + (WORD_BITS - 1 - SMALL_END.ilog2() as usize) * CUTS - CUTS;

/// Returns the bin of `len` bytes, `SMALL_END - 1 <= len`; the one before the first large bin for the
/// least.
#[inline]
pub(super) const fn large_bin_of(len: usize) -> usize {
    let zeros = len.leading_zeros();
    BIN_BASE - zeros as usize * CUTS + (len << zeros >> CUT_SHIFT)
}

/// Returns the first bin all of whose chunks have at least `len` bytes, `SMALL_END <= len`;
/// `BIN_COUNT` or more if there is none.
#[inline]
pub(super) const fn large_bin_from(len: usize) -> usize {
    // The bins after that of one byte less.
    large_bin_of(len - 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bins are in the order of sizes, without a gap, and each small one is of one size.
    #[test]
    fn bins_are_monotonic() {
        let mut last = bin_of(CHUNK_LEN_MIN);
        for len in (CHUNK_LEN_MIN..SMALL_END << 7).step_by(GRANULE) {
            let bin = bin_of(len);
            assert!(bin == last || bin == last + 1, "{len}: {bin} after {last}");
            assert!(SMALL_END <= len || bin * GRANULE == len);
            last = bin;
        }
        assert!(bin_of(CHUNK_LEN_MAX) < BIN_COUNT);
        assert_eq!(bin_of(SMALL_END), WORD_BITS);
    }

    /// A search begins at the first bin whose chunks all fit, and no later.
    #[test]
    fn searches_begin_at_the_first_bin_that_fits() {
        for len in (SMALL_END..SMALL_END << 6).step_by(GRANULE) {
            let from = large_bin_from(len);
            let least = |bin: usize| {
                let (power, cut) = ((bin - WORD_BITS) / CUTS, (bin - WORD_BITS) % CUTS);
                (SMALL_END << power) / CUTS * (CUTS + cut)
            };
            assert!(len <= least(from), "{len}");
            assert!(from == WORD_BITS || least(from - 1) < len, "{len}");
            assert_eq!(bin_of(least(from)), from);
        }
        for len in [CHUNK_LEN_MAX, 1 << 40, isize::MAX as usize, isize::MAX as usize + 4096] {
            assert!(BIN_COUNT <= large_bin_from(len));
        }
    }

    #[test]
    fn chunks_hold_their_blocks() {
        for size in 1..5000 {
            let len = chunk_len(size);
            assert!(size + HEADER_LEN <= len && len.is_multiple_of(GRANULE));
            assert!(len == CHUNK_LEN_MIN || len < size + HEADER_LEN + GRANULE);
        }
        assert!(isize::MAX as usize <= chunk_len(isize::MAX as usize));
    }
}
