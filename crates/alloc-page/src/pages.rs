//! Arithmetic on lengths of pages. No pointers, no memory.
#![forbid(unsafe_code)]

use core::alloc::Layout;
use core::ops::Range;

/// The smallest page of any system that this crate has a file for: an alignment of at most this many
/// bytes needs no look at the real one.
pub(crate) const PAGE_LEN_MIN: usize = 4096;

/// Rounds `size` up to whole pages; all in bytes, `page` a power of two.
///
/// Returns `None` for a size of zero and for a length above `isize::MAX`, which no block can have.
/// Otherwise `size <= len < size + page`, and `len` is a multiple of `page`.
#[inline]
pub(crate) const fn round_up(size: usize, page: usize) -> Option<usize> {
    // Powers of two: no division.
    let len = size.wrapping_add(page - 1) & !(page - 1);
    if 0 < len && size <= len && len <= isize::MAX as usize { Some(len) } else { None }
}

/// A range of whole pages that is to be mapped so that a place in it is aligned.
///
/// `len` and `lead` are multiples of the page size, `lead <= len`; `align` is a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Of the whole range, in bytes.
    pub(crate) len: usize,
    /// Bytes of it before the place that is aligned.
    pub(crate) lead: usize,
    /// What the address of that place is a multiple of.
    pub(crate) align: usize,
}

impl Place {
    /// Returns how many bytes must be mapped so that the range fits in aligned, wherever the mapping
    /// begins: the range itself, if a page's alignment is enough.
    ///
    /// Returns `None` if that exceeds `isize::MAX`.
    #[inline]
    pub(crate) const fn over_len(self, page: usize) -> Option<usize> {
        // A mapping begins at a page boundary, so at most `align - page` bytes lie before the first
        // multiple of `align`.
        match self.len.checked_add(self.align.saturating_sub(page)) {
            Some(total) if total <= isize::MAX as usize => Some(total),
            _ => None,
        }
    }

    /// Cuts the range out of a mapping of `total` bytes at `addr`, which is a multiple of the page size;
    /// `total` is [`over_len`](Self::over_len).
    ///
    /// `head + len + tail == total`, and `addr + head + lead` is a multiple of `align`.
    #[inline]
    pub(crate) const fn cut(self, addr: usize, total: usize) -> Cut {
        let head = addr.wrapping_add(self.lead).wrapping_neg() & (self.align - 1);
        Cut { head, tail: total - self.len - head }
    }
}

/// What is cut off a mapping that was made too long, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) head: usize,
    pub(crate) tail: usize,
}

/// Which end of a block between guards touches its guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// How a block lies between two guard pages: `offset` bytes into a body of whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fenced {
    /// Of the body in bytes, a multiple of the page size.
    pub(crate) body: usize,
    pub(crate) offset: usize,
}

impl Fenced {
    /// Returns where a block of a layout lies; `None` for no bytes, or if no address space holds it.
    ///
    /// `offset + size <= body`; and `offset` is a multiple of the alignment, or where that exceeds a page,
    /// zero. On the right less than an alignment is left behind the block, on the left nothing before it.
    pub(crate) fn of(layout: Layout, page: usize, side: Side) -> Option<Self> {
        match side {
            Side::Left => Some(Self { body: round_up(layout.size(), page)?, offset: 0 }),
            Side::Right => {
                // No overflow: a layout's size, rounded up to its alignment, is one of a layout.
                let padded = layout.size().next_multiple_of(layout.align());
                let body = round_up(padded, page)?;
                Some(Self { body, offset: body - padded })
            }
        }
    }

    /// The length of the body and its guards.
    pub(crate) fn total(self, page: usize) -> Option<usize> {
        self.body.checked_add(2 * page).filter(|total| *total <= isize::MAX as usize)
    }
}

/// The pages that hold any byte of `range`, in bytes; empty if the range is.
///
/// Returns `None` if the range is none, or ends behind `len`, a multiple of `page`.
pub(crate) fn around(range: Range<usize>, len: usize, page: usize) -> Option<Range<usize>> {
    if range.end < range.start || len < range.end {
        return None;
    }
    if range.is_empty() {
        return Some(range.start..range.start);
    }
    // No overflow: the end is at most `len`, which is a multiple of `page` itself.
    Some((range.start & !(page - 1))..range.end.next_multiple_of(page))
}

/// The pages that lie in `range` whole, in bytes; maybe none.
///
/// Returns `None` if the range is none, or ends behind `len`.
pub(crate) fn inside(range: Range<usize>, len: usize, page: usize) -> Option<Range<usize>> {
    if range.end < range.start || len < range.end {
        return None;
    }
    let end = range.end & !(page - 1);
    match range.start.checked_next_multiple_of(page) {
        Some(start) if start < end => Some(start..end),
        _ => Some(end..end),
    }
}

/// A run of addresses that grows by neighbours: what lies side by side is one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Run {
    /// The pages that hold any of `len` bytes at `addr`; `None` for no bytes, or where the addresses end.
    pub(crate) const fn of(addr: usize, len: usize, page: usize) -> Option<Self> {
        if len == 0 {
            return None;
        }
        match addr.checked_add(len) {
            Some(end) => match end.checked_next_multiple_of(page) {
                Some(end) => Some(Self { start: addr & !(page - 1), end }),
                None => None,
            },
            None => None,
        }
    }

    /// Both as one run, if they touch or overlap.
    pub(crate) const fn joined(self, other: Self) -> Option<Self> {
        if self.end < other.start || other.end < self.start {
            return None;
        }
        let start = if self.start < other.start { self.start } else { other.start };
        let end = if self.end < other.end { other.end } else { self.end };
        Some(Self { start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN_MAX: usize = isize::MAX as usize;

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
        assert_eq!(round_up(LEN_MAX & !4095, 4096), Some(LEN_MAX & !4095));
        for size in [(LEN_MAX & !4095) + 1, LEN_MAX, usize::MAX - 4095, usize::MAX - 1, usize::MAX]
        {
            assert_eq!(round_up(size, 4096), None, "{size}");
        }
        let over = |len, align| Place { len, lead: 0, align }.over_len(4096);
        assert_eq!(over(LEN_MAX & !4095, 8192), None);
        assert_eq!(over(8192, 1 << (usize::BITS - 1)), None);
        assert_eq!(over(8192, 16), Some(8192));
        assert_eq!(over(8192, 16384), Some(8192 + 16384 - 4096));
    }

    /// Every place of a mapping, for small pages, lengths and alignments: the place is aligned, and
    /// nothing is lost.
    #[test]
    fn cut_covers_the_mapping() {
        let page = 4;
        for align in [4, 8, 16, 32] {
            for len in [4, 8, 20] {
                for lead in [0, 4] {
                    let place = Place { len, lead, align };
                    let total = place.over_len(page).unwrap();
                    for addr in (0..64).step_by(page) {
                        let Cut { head, tail } = place.cut(addr, total);
                        assert_eq!((addr + head + lead) % align, 0);
                        assert_eq!(head + len + tail, total);
                        assert!(head.is_multiple_of(page) && tail.is_multiple_of(page));
                    }
                }
            }
        }
    }

    /// Every range in a few small pages, against the definition by bytes.
    #[test]
    fn ranges_are_rounded_outwards_and_inwards() {
        let (len, page) = (16, 4);
        for start in 0..=len {
            for end in start..=len {
                let touched = |at: usize| (start..end).any(|byte| byte / page == at / page);
                let whole =
                    |at: usize| (0..page).all(|i| (start..end).contains(&(at / page * page + i)));
                let out = around(start..end, len, page).unwrap();
                let within = inside(start..end, len, page).unwrap();
                for at in 0..len {
                    assert_eq!(out.contains(&at), touched(at), "{start} {end} {at}");
                    assert_eq!(within.contains(&at), whole(at), "{start} {end} {at}");
                }
                assert!(within.is_empty() || within.start.is_multiple_of(page));
            }
        }
        #[expect(clippy::reversed_empty_ranges, reason = "it must be refused")]
        for range in [1..len + 1, len + 1..len + 1, 3..2] {
            assert_eq!(around(range.clone(), len, page), None);
            assert_eq!(inside(range, len, page), None);
        }
    }

    /// Sizes and alignments up to some pages of 4 bytes, against the words.
    #[test]
    fn blocks_lie_against_their_guard() {
        let page = 4;
        for align in [1, 2, 4, 8, 16] {
            for size in 1..40 {
                let layout = Layout::from_size_align(size, align).unwrap();
                for side in [Side::Left, Side::Right] {
                    let Fenced { body, offset } = Fenced::of(layout, page, side).unwrap();
                    assert!(body.is_multiple_of(page) && offset + size <= body);
                    // The body is aligned to `align` where that exceeds a page.
                    assert!(if align <= page { offset.is_multiple_of(align) } else { offset == 0 });
                    match side {
                        Side::Left => assert!(offset == 0 && body - size < page),
                        Side::Right => assert!(body - offset - size < align),
                    }
                }
            }
        }
        let all = Layout::from_size_align(LEN_MAX & !4095, 4096).unwrap();
        assert_eq!(Fenced::of(all, 4096, Side::Right).unwrap().total(4096), None);
    }

    #[test]
    fn runs_join_where_they_touch() {
        let run = |start, end| Run { start, end };
        assert_eq!(Run::of(5, 4, 4), Some(run(4, 12)));
        assert_eq!(Run::of(5, 0, 4), None);
        assert_eq!(Run::of(usize::MAX - 3, 4, 4), None);
        assert_eq!(Run::of(usize::MAX - 9, 8, 4), None);
        assert_eq!(run(4, 8).joined(run(8, 12)), Some(run(4, 12)));
        assert_eq!(run(8, 12).joined(run(4, 8)), Some(run(4, 12)));
        assert_eq!(run(4, 16).joined(run(8, 12)), Some(run(4, 16)));
        assert_eq!(run(4, 8).joined(run(12, 16)), None);
        assert_eq!(run(12, 16).joined(run(4, 8)), None);
    }
}
