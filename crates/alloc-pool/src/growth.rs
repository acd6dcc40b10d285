//! Arithmetic on slabs: how many slots the next one has, and where they lie. No pointers, no memory.
#![forbid(unsafe_code)]

use core::alloc::Layout;

/// Slots of a first slab: enough to be worth a call of the backing. Under Miri few, so that short tests
/// need several slabs.
pub(crate) const COUNT_FIRST: usize = if cfg!(miri) { 2 } else { 16 };
/// A slab stops growing at this many bytes: more saves no calls worth counting, and may stay unused.
const LEN_MAX: usize = 64 << 10;

/// A slab: a header, then slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlabLayout {
    /// Of the whole slab.
    pub(crate) layout: Layout,
    /// Offset of the first slot in bytes.
    pub(crate) slots: usize,
}

/// Returns the layout of a slab with `count` slots behind a header; `None` if no memory can hold it.
///
/// On `Some`, `slots` is a multiple of the slot's alignment and not below the header's size, and `count`
/// slots of `slot.size()` bytes, which is a multiple of the slot's alignment, end where the slab does.
pub(crate) fn slab(header: Layout, slot: Layout, count: usize) -> Option<SlabLayout> {
    let all = Layout::from_size_align(slot.size().checked_mul(count)?, slot.align()).ok()?;
    let (layout, slots) = header.extend(all).ok()?;
    Some(SlabLayout { layout, slots })
}

/// Returns how many slots the slab after one of `newest` (0: there is none) has: twice as many, as long
/// as that is no more than [`LEN_MAX`] bytes; one at least.
pub(crate) const fn next_count(newest: usize, slot_size: usize) -> usize {
    // No slot is empty, which the compiler does not know: a plain division could panic.
    let most = match LEN_MAX.checked_div(slot_size) {
        Some(0) | None => 1,
        Some(most) => most,
    };
    if newest == 0 {
        return if COUNT_FIRST <= most { COUNT_FIRST } else { most };
    }
    let twice = newest.saturating_mul(2);
    if twice <= most {
        twice
    } else if newest < most {
        most
    } else {
        newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_grow_until_they_are_long() {
        assert_eq!(next_count(0, 8), COUNT_FIRST);
        assert_eq!(next_count(16, 8), 32);
        assert_eq!(next_count(5000, 8), 8192);
        assert_eq!(next_count(8192, 8), 8192);
        // Large values: no more at once than a slab may be long.
        assert_eq!(next_count(0, LEN_MAX), 1);
        assert_eq!(next_count(0, LEN_MAX / 3), 3.min(COUNT_FIRST));
        assert_eq!(next_count(0, 1 << 20), 1);
        assert_eq!(next_count(1, 1 << 20), 1);
        // A slab whose size the caller chose is not made smaller.
        assert_eq!(next_count(10_000, 8), 10_000);
        assert_eq!(next_count(16, 1 << 20), 16);
        assert_eq!(next_count(usize::MAX, 1), usize::MAX);
    }

    #[test]
    fn slots_lie_behind_the_header() {
        let header = Layout::from_size_align(24, 8).unwrap();
        for (size, align) in [(8, 8), (16, 16), (64, 64), (24, 8), (4096, 4096)] {
            let slot = Layout::from_size_align(size, align).unwrap();
            for count in [1, 2, 1000] {
                let slab = slab(header, slot, count).unwrap();
                assert!(header.size() <= slab.slots && slab.slots.is_multiple_of(align));
                assert_eq!(slab.slots + size * count, slab.layout.size());
                assert_eq!(slab.layout.align(), align.max(8));
            }
            assert_eq!(super::slab(header, slot, usize::MAX / size + 1), None);
            assert_eq!(super::slab(header, slot, isize::MAX as usize / size), None);
        }
    }
}
