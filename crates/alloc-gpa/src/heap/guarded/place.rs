//! Where guarded blocks lie. Numbers only.
//!
//! ```text
//!  slab   | lead: traps | pages of block 0 | traps | pages of block 1 | traps | ... | traps |
//!  Right           | canary | block: `size` bytes | canary, below the alignment | traps |
//!  Left    | traps | block: `size` bytes | canary to the end of the page | traps |
//! ```
#![forbid(unsafe_code)]

/// Length of a page in bytes.
pub(in crate::heap) const PAGE_LEN: usize = 4096;
/// Blocks of up to this many pages share a slab.
pub(in crate::heap) const PAGE_COUNT_MAX: usize = 16;
/// Units of a slab of several blocks.
pub(in crate::heap) const SLAB_UNITS: usize = 16;
/// Largest alignment of a guarded block in bytes.
pub(in crate::heap) const ALIGN_MAX: usize = 1 << 20;
/// Up to here an alignment may be what `malloc` gives everybody, and not what somebody asked for.
const ALIGN_UNASKED_MAX: usize = 16;

/// At which end of its pages a block lies, as a slab keeps it: 0 is for slabs without guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(in crate::heap) enum Side {
    /// As far at the end as its alignment allows.
    Right = 1,
    /// At the start.
    Left = 2,
    /// At the very end: an alignment that nobody asked for is kept only where the size is a multiple.
    Exact = 3,
}

impl Side {
    /// Reads what a slab keeps; `None` for a slab without guards.
    #[inline]
    pub(in crate::heap) const fn of(number: u32) -> Option<Self> {
        match number {
            0 => None,
            1 => Some(Self::Right),
            2 => Some(Self::Left),
            _ => Some(Self::Exact),
        }
    }

    /// Returns how many bytes lie before a block of `size` bytes in its `pages_len` bytes of pages.
    ///
    /// `size <= pages_len`, a multiple of the page; `align` is a power of two. The result plus `size`
    /// is at most `pages_len`, and the result is a multiple of the alignment that is kept, as far as
    /// the pages start at one.
    pub(in crate::heap) const fn gap(self, pages_len: usize, size: usize, align: usize) -> usize {
        let free = pages_len - size;
        let align = match self {
            Self::Left => return 0,
            Self::Exact if align <= ALIGN_UNASKED_MAX && 0 < size => {
                let of_size = 1 << size.trailing_zeros();
                if of_size < align { of_size } else { align }
            }
            Self::Right | Self::Exact => align,
        };
        free & !(align - 1)
    }
}

/// Returns how many pages a block of `size` bytes has, one at least; `None` if no address space can
/// hold them.
pub(in crate::heap) const fn page_count(size: usize) -> Option<usize> {
    if (isize::MAX as usize) / 2 < size {
        return None;
    }
    let count = size.div_ceil(PAGE_LEN);
    Some(if count == 0 { 1 } else { count })
}

/// Returns the number of blocks of a slab whose blocks have `page_count` pages.
pub(in crate::heap) const fn slot_count(slab_len: usize, page_count: usize) -> usize {
    (slab_len / PAGE_LEN - 1) / (page_count + 1)
}

/// Returns how many bytes lie before the pages of a block that is alone in its slab.
pub(in crate::heap) const fn lead(align: usize) -> usize {
    if align < PAGE_LEN { PAGE_LEN } else { align }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDES: [Side; 3] = [Side::Right, Side::Left, Side::Exact];

    /// For every size up to three pages and every alignment up to a page: the block fits, is aligned,
    /// and lies as far at its end as it can.
    #[test]
    fn blocks_lie_where_they_should() {
        for size in 0..=3 * PAGE_LEN {
            let pages_len = page_count(size).unwrap() * PAGE_LEN;
            assert!(size <= pages_len && pages_len <= (size + PAGE_LEN - 1).max(PAGE_LEN));
            for align in (0..=12).map(|log2| 1 << log2) {
                let [right, left, exact] = SIDES.map(|side| side.gap(pages_len, size, align));
                assert_eq!((left, right % align), (0, 0));
                assert!(right + size <= pages_len && pages_len < right + size + align);
                assert!(right <= exact && exact + size <= pages_len);
                match align {
                    ..=16 if 0 < size => assert_eq!(exact + size, pages_len, "{size} {align}"),
                    _ => assert_eq!(exact, right),
                }
                if size % align == 0 {
                    assert_eq!(exact, right, "nothing is taken from who needs no more");
                }
            }
        }
    }

    #[test]
    fn slabs_hold_their_slots() {
        let slab_len = SLAB_UNITS * crate::heap::classes::UNIT_LEN;
        for pages in 1..=PAGE_COUNT_MAX {
            let count = slot_count(slab_len, pages);
            assert!(1 < count, "one alone is a large block's slab");
            let len = |count: usize| (1 + count * (pages + 1)) * PAGE_LEN;
            assert!(len(count) <= slab_len && slab_len < len(count + 1));
        }
    }

    #[test]
    fn numbers_are_sides() {
        assert_eq!(Side::of(0), None);
        for side in SIDES {
            assert_eq!(Side::of(side as u32), Some(side));
        }
    }

    #[test]
    fn huge_sizes_do_not_wrap() {
        assert_eq!(page_count(usize::MAX), None);
        assert_eq!(page_count(0), Some(1));
        assert_eq!((lead(1), lead(1 << 20)), (PAGE_LEN, 1 << 20));
    }
}
