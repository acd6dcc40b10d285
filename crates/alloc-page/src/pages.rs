//! Arithmetic on lengths of pages. No pointers, no memory.
#![forbid(unsafe_code)]

/// Rounds `size` up to whole pages; all in bytes, `page` a power of two.
///
/// Returns `None` for a size of zero and for a length above `isize::MAX`, which no block can have.
/// Otherwise `size <= len < size + page`, and `len` is a multiple of `page`.
#[inline]
pub(crate) const fn round_up(size: usize, page: usize) -> Option<usize> {
    match size.checked_next_multiple_of(page) {
        Some(len) if 0 < len && len <= isize::MAX as usize => Some(len),
        _ => None,
    }
}

/// Returns how many bytes must be mapped so that `len` of them, a multiple of `page`, can start at a
/// multiple of `align`, wherever the mapping begins. `page <= align`, both powers of two.
///
/// Returns `None` if that exceeds `isize::MAX`.
#[inline]
pub(crate) const fn over_len(len: usize, align: usize, page: usize) -> Option<usize> {
    // A mapping begins at a page boundary, so at most `align - page` bytes lie before the first
    // multiple of `align`.
    match len.checked_add(align - page) {
        Some(total) if total <= isize::MAX as usize => Some(total),
        _ => None,
    }
}

/// What is cut off a mapping that was made too long, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) head: usize,
    pub(crate) tail: usize,
}

/// Cuts `len` bytes that start at a multiple of `align` out of a mapping of `total` bytes at `addr`,
/// where `total` is at least [`over_len`].
///
/// `head + len + tail == total`, and `addr + head` is a multiple of `align`.
#[inline]
pub(crate) const fn cut(addr: usize, total: usize, len: usize, align: usize) -> Cut {
    let head = addr.wrapping_neg() & (align - 1);
    Cut { head, tail: total - len - head }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every size up to some pages, against the definition.
    #[test]
    fn round_up_agrees_with_its_definition() {
        for page in [1, 2, 4, 16] {
            assert_eq!(round_up(0, page), None, "no page");
            for size in 1..=70 {
                let len = round_up(size, page).unwrap();
                assert!(
                    size <= len && len < size + page && len.is_multiple_of(page),
                    "{size} {page}"
                );
            }
        }
    }

    /// The sizes at the end of the address space are refused, not wrapped.
    #[test]
    fn round_up_refuses_what_no_block_can_have() {
        let len_max = isize::MAX as usize;
        assert_eq!(round_up(len_max & !4095, 4096), Some(len_max & !4095));
        assert_eq!(round_up((len_max & !4095) + 1, 4096), None);
        assert_eq!(round_up(len_max, 4096), None);
        assert_eq!(round_up(usize::MAX - 1, 4096), None);
        assert_eq!(round_up(usize::MAX, 4096), None);
        assert_eq!(over_len(len_max & !4095, 8192, 4096), None);
        assert_eq!(over_len(4096, 1 << (usize::BITS - 1), 4096), None);
        assert_eq!(over_len(4096, 1 << (usize::BITS - 2), 4096), Some(1 << (usize::BITS - 2)));
    }

    /// Every start, length and alignment within some pages.
    #[test]
    fn cut_agrees_with_its_definition() {
        let page = 4;
        for align in [4, 8, 16, 64] {
            for len in (page..=40).step_by(page) {
                let total = over_len(len, align, page).unwrap();
                for addr in (0..256).step_by(page) {
                    let Cut { head, tail } = cut(addr, total, len, align);
                    assert_eq!(head + len + tail, total);
                    assert_eq!((addr + head) % align, 0);
                    assert!(head < align, "no more than needed");
                    assert!(head % page == 0 && tail % page == 0, "whole pages");
                }
            }
        }
    }
}
