//! Arithmetic on chunks: where a block goes, how long a chunk is. No pointers, no memory.
#![forbid(unsafe_code)]

/// The length of a first chunk in bytes: small enough for a short-lived arena, and together with the
/// 16 bytes that common allocators keep for themselves no more than a quarter of a page. Under Miri so
/// small that short tests need several chunks.
pub(crate) const CHUNK_LEN_FIRST: usize = if cfg!(miri) { 128 } else { 1024 - 16 };

/// Chunks end at least this many bytes before the end of the address space, so that a small request
/// behind a cursor does not wrap. No system hands out the page at that end.
pub(crate) const SMALL_MAX: usize = 4096;

/// How long the chunks are that an arena asks its backing for. Lengths are in bytes and hold the
/// arena's header of three words. Whatever the rule, a request that needs a longer chunk gets one of
/// exactly the length it needs.
///
/// ```
/// use alloc_arena::{Arena, Growth};
///
/// let arena = Arena::new().with_growth(Growth::fixed(64 << 10));
/// arena.put(5u8)?;
/// assert_eq!(arena.reserved(), 64 << 10);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    rule: Rule,
    len_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Geometric { first: usize, percent: u32 },
    Fixed(usize),
    Exact,
}

impl Default for Growth {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Growth {
    /// Half as much again as the chunk before; the first has about a kilobyte.
    pub const DEFAULT: Self = Self::geometric(CHUNK_LEN_FIRST, 150);

    /// The first chunk has `first` bytes, each further one `percent` of the one before: the number of
    /// chunks grows with the logarithm of what is in them.
    #[must_use]
    pub const fn geometric(first: usize, percent: u32) -> Self {
        Self { rule: Rule::Geometric { first, percent }, len_max: usize::MAX }
    }

    /// Every chunk has `len` bytes.
    #[must_use]
    pub const fn fixed(len: usize) -> Self {
        Self { rule: Rule::Fixed(len), len_max: usize::MAX }
    }

    /// No chunk has a byte more than the request needs that it is made for: one chunk for each block,
    /// unless the backing makes chunks longer where they are.
    #[must_use]
    pub const fn exact() -> Self {
        Self { rule: Rule::Exact, len_max: usize::MAX }
    }

    /// The same rule, but no chunk is made longer than `len` bytes, unless a request needs it. One that the
    /// backing makes longer where it is grows past that by what the request lacks.
    #[must_use]
    pub const fn at_most(self, len: usize) -> Self {
        Self { len_max: len, ..self }
    }

    /// Returns the length to ask for when the newest chunk has `len` bytes (0: there is none) and at
    /// least `needed` are.
    pub(crate) const fn chunk_len(self, len: usize, needed: usize) -> usize {
        let next = match self.rule {
            Rule::Geometric { first, .. } if len == 0 => first,
            Rule::Geometric { percent, .. } => percent_of(len, percent),
            Rule::Fixed(len) => len,
            Rule::Exact => 0,
        };
        let next = if self.len_max < next { self.len_max } else { next };
        if next < needed { needed } else { next }
    }

    /// As [`chunk_len`](Self::chunk_len), for a chunk of `len` bytes that is made longer where it is.
    pub(crate) const fn extended_len(self, len: usize, needed: usize) -> usize {
        let like = match self.rule {
            Rule::Fixed(step) => len.saturating_add(step),
            Rule::Geometric { .. } | Rule::Exact => self.chunk_len(len, needed),
        };
        let like = if self.len_max < like { self.len_max } else { like };
        if like < needed { needed } else { like }
    }
}

/// `percent` hundredths of `len`, or the largest number.
const fn percent_of(len: usize, percent: u32) -> usize {
    let percent = percent as usize;
    // Hundreds and rest apart: a product of `len` itself could overflow where the result does not.
    let hundreds = (len / 100).saturating_mul(percent);
    hundreds.saturating_add((len % 100).saturating_mul(percent) / 100)
}

/// Returns where `size` bytes aligned to `align` start, if they fit between the addresses `cursor` and
/// `limit`. Needs `cursor <= limit <= cursor + isize::MAX`, and that size and alignment make a
/// `Layout`.
///
/// On `Some(start)`, `start` is a multiple of `align`, and `cursor <= start <= start + size <= limit`,
/// none of which wraps.
#[inline(always)]
pub(crate) const fn place(cursor: usize, limit: usize, size: usize, align: usize) -> Option<usize> {
    let start = cursor.wrapping_add(align - 1) & align.wrapping_neg();
    // Less than `align` bytes are skipped, so this lies between `-(align - 1)` and `isize::MAX`: as a
    // signed number it is right, also where `start` wrapped. Negative: the block would start behind
    // the limit.
    let room = limit.wrapping_sub(start).cast_signed();
    // A layout's size is at most `isize::MAX`.
    if size.cast_signed() <= room { Some(start) } else { None }
}

/// As [`place`], for a size that is a multiple of the alignment: returns where the block ends, by one
/// instruction less, and one less that the next block waits for.
#[inline(always)]
pub(crate) const fn place_end(
    cursor: usize,
    limit: usize,
    size: usize,
    align: usize,
) -> Option<usize> {
    // The size goes through the mask unchanged. In a layout, size and `align - 1` make at most `isize::MAX`.
    let end = cursor.wrapping_add(size + (align - 1)) & align.wrapping_neg();
    // So this lies between `-isize::MAX` and `isize::MAX`, and is right as a signed number, also where `end`
    // wrapped. Negative: the block would end behind the limit.
    if limit.wrapping_sub(end).cast_signed() < 0 { None } else { Some(end) }
}

/// As [`place_end`], for small requests: `size + align <= SMALL_MAX`, and `limit <= usize::MAX -
/// SMALL_MAX`. One instruction less.
#[inline(always)]
pub(crate) const fn place_end_small(
    cursor: usize,
    limit: usize,
    size: usize,
    align: usize,
) -> Option<usize> {
    // No wrap, by the needs above.
    let end = cursor.wrapping_add(size + (align - 1)) & align.wrapping_neg();
    if end <= limit { Some(end) } else { None }
}

/// Whether a chunk of `len` bytes at address `addr` ends far enough from the end of the address space.
#[inline]
pub(crate) const fn is_reachable(addr: usize, len: usize) -> bool {
    match addr.checked_add(len) {
        Some(limit) => limit <= usize::MAX - SMALL_MAX,
        None => false,
    }
}

/// Returns the least length of a new chunk that has room for one block, wherever the chunk's address
/// is, when it starts with a header of `header_len` bytes and has alignment `chunk_align`, of which
/// `header_len` is a multiple.
///
/// Returns `None` if that overflows.
#[inline]
pub(crate) const fn fresh_len(
    header_len: usize,
    chunk_align: usize,
    size: usize,
    align: usize,
) -> Option<usize> {
    // The byte behind the header is a multiple of `chunk_align`, so at most this much is skipped.
    let slack = align.saturating_sub(chunk_align);
    match header_len.checked_add(slack) {
        Some(start) => start.checked_add(size),
        None => None,
    }
}

/// Returns the length a chunk would have to grow to, from the offset of its cursor, to have room for
/// one block. `None` if that overflows.
#[inline]
pub(crate) const fn extended_len(
    cursor: usize,
    cursor_offset: usize,
    size: usize,
    align: usize,
) -> Option<usize> {
    match cursor_offset.checked_add(cursor.wrapping_neg() & (align - 1)) {
        Some(start) => start.checked_add(size),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Every address, room and request in a small window, against a search; the short ways agree.
    #[test]
    fn place_agrees_with_a_search() {
        let room_max = if cfg!(miri) { 3 } else { 24 };
        for cursor in 32..=64usize {
            for room in 0..=room_max {
                for size in 1..=room_max + 1 {
                    for align in [1, 2, 4, 8, 16, 32] {
                        let limit = cursor + room;
                        let by_search = (cursor..=limit)
                            .find(|start| start.is_multiple_of(align))
                            .filter(|start| start + size <= limit);
                        assert_eq!(place(cursor, limit, size, align), by_search);
                        if size.is_multiple_of(align) {
                            let end = by_search.map(|start| start + size);
                            assert_eq!(place_end(cursor, limit, size, align), end);
                            assert_eq!(place_end_small(cursor, limit, size, align), end);
                        }
                    }
                }
            }
        }
    }

    /// The ends of the address space: nothing wraps into a fit.
    #[test]
    fn place_at_the_ends_of_the_address_space() {
        let top = usize::MAX - SMALL_MAX;
        let huge = isize::MAX as usize;
        assert_eq!(place(1, 1, 1, 1), None, "no chunk");
        assert_eq!(place(1, 1, 8, 8), None);
        assert_eq!(place(1, 1, huge, 1), None);
        assert_eq!(place(1, 1, 1, 1 << (usize::BITS - 2)), None);
        assert_eq!(place(usize::MAX - 3, usize::MAX, 4, 1), None);
        assert_eq!(place(usize::MAX - 3, usize::MAX, 3, 1), Some(usize::MAX - 3));
        assert_eq!(place(usize::MAX - 3, usize::MAX, 1, 16), None, "the start wraps to 0");
        assert_eq!(place(top, usize::MAX, huge, 1), None);
        assert_eq!(place(100, 100 + huge, huge, 1), Some(100));
        assert_eq!(place(100, 99 + huge, huge, 1), None);
        assert_eq!(place_end(1, 1, huge, 1), None);
        assert_eq!(place_end(1, 1, 1 << (usize::BITS - 2), 1 << (usize::BITS - 2)), None);
        assert_eq!(place_end(usize::MAX - 3, usize::MAX, 4, 1), None, "the end wraps to 0");
        assert_eq!(place_end(usize::MAX - 3, usize::MAX, 3, 1), Some(usize::MAX));
        assert_eq!(place_end(usize::MAX - 3, usize::MAX, 16, 16), None, "the start wraps to 0");
        assert_eq!(place_end(top, usize::MAX, huge, 1), None);
        assert_eq!(place_end(100, 100 + huge, huge, 1), Some(100 + huge));
        assert_eq!(place_end(100, 99 + huge, huge, 1), None);
        for (size, align) in [(SMALL_MAX - 1, 1), (SMALL_MAX / 2, SMALL_MAX / 2), (2048, 2048)] {
            assert_eq!(place_end_small(top, top, size, align), None);
            assert_eq!(place_end_small(top - 1, top, size, align), None);
            assert_eq!(place_end_small(1, 1, size, align), None);
        }
    }

    #[test]
    fn what_ends_at_the_end_is_not_reachable() {
        assert!(is_reachable(4096, 4096));
        assert!(is_reachable(usize::MAX - 3 * SMALL_MAX, 2 * SMALL_MAX));
        assert!(!is_reachable(usize::MAX - 3 * SMALL_MAX, 2 * SMALL_MAX + 1));
        assert!(!is_reachable(usize::MAX, 2));
    }

    /// Whatever address the backing returns, the block fits; and one byte less would not always do.
    #[test]
    fn fresh_len_is_enough_and_tight() {
        let header_len = 24;
        for chunk_align in [1, 4, 8] {
            for size in 1..=if cfg!(miri) { 3 } else { 40 } {
                for align in [1, 2, 8, 16, 64] {
                    let len = fresh_len(header_len, chunk_align, size, align).unwrap();
                    let fits = |len: usize, addr: usize| {
                        place(addr + header_len, addr + len, size, align).is_some()
                    };
                    let addrs: Vec<_> = (64..192).step_by(chunk_align).collect();
                    assert!(addrs.iter().all(|&addr| fits(len, addr)));
                    assert!(!addrs.iter().all(|&addr| fits(len - 1, addr)));
                }
            }
        }
    }

    #[test]
    fn extended_len_is_exact() {
        for addr in 64..96 {
            for cursor_offset in 24..40 {
                for size in 1..=20 {
                    for align in [1, 4, 16] {
                        let cursor = addr + cursor_offset;
                        let len = extended_len(cursor, cursor_offset, size, align).unwrap();
                        assert!(place(cursor, addr + len, size, align).is_some());
                        assert!(place(cursor, addr + len - 1, size, align).is_none());
                    }
                }
            }
        }
    }

    /// Lengths near the end of the address space are refused, never wrapped.
    #[test]
    fn what_overflows_is_none() {
        let (huge, top) = (usize::MAX - 8, 1 << (usize::BITS - 1));
        assert_eq!(fresh_len(24, 8, huge, 1), None);
        assert_eq!(fresh_len(24, 8, usize::MAX / 2, top), None);
        assert_eq!(extended_len(100, 24, huge, 1), None);
        assert_eq!(extended_len(1, 24, usize::MAX / 2, top), None);
        assert_eq!(Growth::DEFAULT.chunk_len(huge, 5), usize::MAX);
        assert_eq!(Growth::fixed(100).extended_len(huge, 5), usize::MAX);
    }

    /// `[first, next, outsized, after an outsized one, extended]` by rule.
    #[test]
    fn lengths_follow_the_rule() {
        let lens = |growth: Growth| {
            [
                growth.chunk_len(0, 100),
                growth.chunk_len(1000, 100),
                growth.chunk_len(1000, 9000),
                growth.chunk_len(9000, 100),
                growth.extended_len(1000, 1100),
            ]
        };
        assert_eq!(lens(Growth::DEFAULT), [CHUNK_LEN_FIRST.max(100), 1500, 9000, 13_500, 1500]);
        assert_eq!(lens(Growth::geometric(64, 200)), [100, 2000, 9000, 18_000, 2000]);
        assert_eq!(lens(Growth::geometric(64, 33)), [100, 330, 9000, 2970, 1100]);
        assert_eq!(lens(Growth::fixed(512)), [512, 512, 9000, 512, 1512]);
        assert_eq!(lens(Growth::exact()), [100, 100, 9000, 100, 1100]);
        assert_eq!(lens(Growth::DEFAULT.at_most(600)), [600, 600, 9000, 600, 1100]);
        assert_eq!(lens(Growth::fixed(512).at_most(200)), [200, 200, 9000, 200, 1100]);
    }

    #[test]
    fn percentages_saturate_only_at_the_end() {
        assert_eq!(percent_of(1, 150), 1);
        assert_eq!(percent_of(199, 150), 298);
        assert_eq!(percent_of(usize::MAX, 100), usize::MAX);
        assert_eq!(percent_of(usize::MAX / 2, 150), usize::MAX / 4 * 3 + 1);
        assert_eq!(percent_of(usize::MAX, u32::MAX), usize::MAX);
    }
}
