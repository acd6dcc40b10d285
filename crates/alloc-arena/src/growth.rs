//! Arithmetic on chunks: where a block goes, how long a chunk is. No pointers, no memory.
#![forbid(unsafe_code)]

/// The length of a first chunk in bytes: small enough for a short-lived arena, and together with the
/// 16 bytes that common allocators keep for themselves no more than a quarter of a page. Under Miri so
/// small that short tests need several chunks.
pub(crate) const CHUNK_LEN_FIRST: usize = if cfg!(miri) { 128 } else { 1024 - 16 };

/// Returns how many bytes before the block are skipped, if `size` bytes aligned to `align` fit into
/// the `room` bytes that start at address `cursor`.
///
/// On `Some(padding)`, `cursor + padding` is a multiple of `align`, and `padding + size <= room`.
#[inline]
pub(crate) const fn place(cursor: usize, room: usize, size: usize, align: usize) -> Option<usize> {
    let padding = cursor.wrapping_neg() & (align - 1);
    match padding.checked_add(size) {
        Some(end) if end <= room => Some(padding),
        _ => None,
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

/// Returns the length to ask for when the newest chunk has `len` bytes (0: there is none) and at least
/// `needed` are: half as much again, so that the number of chunks grows with the logarithm of what is
/// in them. A request that needs more gets exactly that.
#[inline]
pub(crate) const fn geometric_len(len: usize, needed: usize) -> usize {
    let next = if len == 0 { CHUNK_LEN_FIRST } else { len.saturating_add(len / 2) };
    if next < needed { needed } else { next }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Every address, room and request in a small window, against a search.
    #[test]
    fn place_agrees_with_a_search() {
        let room_max = if cfg!(miri) { 3 } else { 24 };
        for cursor in 32..=64usize {
            for room in 0..=room_max {
                for size in 1..=room_max + 1 {
                    for align in [1, 2, 4, 8, 16, 32] {
                        let by_search = (0..=room)
                            .find(|padding| (cursor + padding).is_multiple_of(align))
                            .filter(|padding| padding + size <= room);
                        assert_eq!(place(cursor, room, size, align), by_search);
                    }
                }
            }
        }
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
                        place(addr + header_len, len - header_len, size, align).is_some()
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
                        assert!(place(cursor, len - cursor_offset, size, align).is_some());
                        assert!(place(cursor, len - cursor_offset - 1, size, align).is_none());
                    }
                }
            }
        }
    }

    /// Sizes near the end of the address space are refused, never wrapped.
    #[test]
    fn what_overflows_is_none() {
        let (huge, top) = (usize::MAX - 8, 1 << (usize::BITS - 1));
        assert_eq!(place(100, huge, usize::MAX, 16), None);
        assert_eq!(place(1, 100, usize::MAX, top), None);
        assert_eq!(fresh_len(24, 8, huge, 1), None);
        assert_eq!(fresh_len(24, 8, usize::MAX / 2, top), None);
        assert_eq!(extended_len(100, 24, huge, 1), None);
        assert_eq!(extended_len(1, 24, usize::MAX / 2, top), None);
        assert_eq!(geometric_len(huge, 5), usize::MAX);
    }

    #[test]
    fn geometric_len_grows_by_half() {
        assert_eq!(geometric_len(0, 100), CHUNK_LEN_FIRST);
        assert_eq!(geometric_len(0, 10_000), 10_000);
        assert_eq!(geometric_len(1000, 100), 1500);
        assert_eq!(geometric_len(1000, 1501), 1501);
    }
}
