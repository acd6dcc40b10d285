//! Size classes and the geometry of slabs. Numbers only.
#![forbid(unsafe_code)]

/// Length of a unit in bytes: what a chunk is cut into, and what every slab is made of.
pub(crate) const UNIT_LEN: usize = 16 << 10;
/// Length and alignment of a chunk in bytes: what the heap asks the system for.
pub(crate) const CHUNK_LEN: usize = 4 << 20;
/// Units of a chunk.
pub(crate) const UNIT_COUNT: usize = CHUNK_LEN / UNIT_LEN;
/// Bytes behind each block, at least, that hold the canary.
pub(crate) const CANARY_LEN_MIN: usize = 8;
/// Slot size of the smallest class in bytes.
pub(crate) const SLOT_SIZE_MIN: usize = 32;
/// Slot size of the largest class in bytes; what does not fit gets a slab of its own.
pub(crate) const SLOT_SIZE_MAX: usize = 16 << 10;
/// Up to this slot size in bytes a slab's first slot is its redzone, so that slots are aligned as their
/// size is. Where slots are larger that would cost too much: see [`lead`].
const ALIGNED_SLOT_SIZE_MAX: usize = 4096;
/// The redzone before the first of larger slots in bytes.
const LEAD_OF_LARGE_SLOTS: usize = 64;
/// Blocks that need more bytes than this get a mapping of their own.
pub(crate) const LARGE_LEN_MAX: usize = 1 << 20;
/// Alignment of every slot in bytes.
pub(crate) const ALIGN_MIN: usize = 16;

/// Number of size classes: 32 to 128 in steps of 16, then four to a doubling.
pub(crate) const CLASS_COUNT: usize = 35;

/// Slot size of each class in bytes.
pub(crate) const SLOT_SIZES: [u32; CLASS_COUNT] = {
    let mut sizes = [0; CLASS_COUNT];
    let (mut index, mut size, mut step) = (0, SLOT_SIZE_MIN as u32, 16);
    while index < CLASS_COUNT {
        sizes[index] = size;
        size += step;
        if step * 8 == size && 128 <= size {
            step *= 2;
        }
        index += 1;
    }
    sizes
};

/// Class of each slot size, by 16 bytes, rounded up.
const CLASS_BY_SIXTEENTH: [u8; SLOT_SIZE_MAX / 16 + 1] = {
    let mut table = [0; SLOT_SIZE_MAX / 16 + 1];
    let (mut index, mut class) = (0, 0);
    while index < table.len() {
        if (SLOT_SIZES[class] as usize) < index * 16 {
            class += 1;
        }
        table[index] = class as u8;
        index += 1;
    }
    table
};

/// Returns the class whose slots hold `size` bytes and a canary at `align`, or `None` if the block
/// needs a slab of its own.
#[inline]
pub(crate) const fn class_of(size: usize, align: usize) -> Option<usize> {
    if SLOT_SIZE_MAX - CANARY_LEN_MIN < size || ALIGNED_SLOT_SIZE_MAX < align {
        return None;
    }
    let mut class = CLASS_BY_SIXTEENTH[(size + CANARY_LEN_MIN).div_ceil(16)] as usize;
    if ALIGN_MIN < align {
        if ALIGNED_SLOT_SIZE_MAX - CANARY_LEN_MIN < size {
            return None;
        }
        // Slot `i` lies at a multiple of the slot size from a unit's start, so the slot is aligned
        // if the slot size is. Every power of two from 32 to 4096 is a class.
        while !(SLOT_SIZES[class] as usize).is_multiple_of(align) {
            class += 1;
        }
    }
    Some(class)
}

/// Returns how many bytes lie before the first slot of a slab: its redzone.
#[inline]
pub(crate) const fn lead(slot_size: usize) -> usize {
    if slot_size <= ALIGNED_SLOT_SIZE_MAX { slot_size } else { LEAD_OF_LARGE_SLOTS }
}

/// Returns the length in bytes of a slab of slots of `slot_size` bytes.
///
/// Small, so that a slab is soon all free and its pages can go; large enough that its slots'
/// metadata fills the better part of a page.
#[inline]
pub(crate) const fn slab_len(slot_size: usize) -> usize {
    if slot_size <= 128 {
        UNIT_LEN
    } else if slot_size <= 512 {
        2 * UNIT_LEN
    } else {
        4 * UNIT_LEN
    }
}

/// Returns how many blocks a slab holds, behind its redzone.
#[inline]
pub(crate) const fn slot_count(slot_size: usize) -> usize {
    (slab_len(slot_size) - lead(slot_size)) / slot_size
}

/// The most blocks that a slab holds for each of its units.
pub(crate) const SLOT_COUNT_MAX: usize = UNIT_LEN / SLOT_SIZE_MIN;

/// Returns the number to multiply an offset with, instead of dividing by `slot_size`; see
/// [`divide`].
#[inline]
pub(crate) const fn reciprocal(slot_size: u32) -> u32 {
    ((1u64 << 32).div_ceil(slot_size as u64)) as u32
}

/// Returns `offset / slot_size` for an offset inside a slab of several slots (below 64 KiB), given
/// `reciprocal(slot_size)`.
#[inline]
pub(crate) const fn divide(offset: usize, reciprocal: u32) -> usize {
    ((offset as u64).wrapping_mul(reciprocal as u64) >> 32) as usize
}

/// Where a block of its own lies: `lead` bytes after the start of its slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Large {
    /// Redzone before the block in bytes; 0 if the alignment is larger than a unit.
    pub(crate) lead: usize,
    /// Length of the slab in bytes: redzone, block, canary, rounded up to whole pages.
    pub(crate) len: usize,
}

/// Returns the geometry of a block of its own, or `None` if no address space can hold it.
pub(crate) const fn large(size: usize, align: usize) -> Option<Large> {
    const PAGE_LEN: usize = 4096;
    let lead = if align <= ALIGN_MIN {
        ALIGN_MIN
    } else if align <= UNIT_LEN {
        align
    } else {
        0
    };
    if (isize::MAX as usize) / 2 < size || (1 << 46) < align {
        return None;
    }
    let len = (lead + size + CANARY_LEN_MIN).next_multiple_of(PAGE_LEN);
    Some(Large { lead, len })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes rise, every slot is 16-aligned, the ends are right, and each power of two is a class.
    #[test]
    fn slot_sizes_are_what_the_docs_say() {
        assert_eq!(SLOT_SIZES[0] as usize, SLOT_SIZE_MIN);
        assert_eq!(SLOT_SIZES[CLASS_COUNT - 1] as usize, SLOT_SIZE_MAX);
        assert!(SLOT_SIZES.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(SLOT_SIZES.iter().all(|size| size.is_multiple_of(16)));
        assert!(SLOT_SIZES.windows(2).all(|p| p[1] <= 128 || p[1] * 4 <= p[0] * 5), "25 % steps");
        for log2 in 5..=12 {
            assert!(SLOT_SIZES.contains(&(1 << log2)));
        }
    }

    /// For every size and alignment: the slot holds the block and its canary, is aligned, and no
    /// smaller class would do.
    #[test]
    fn class_of_is_the_smallest_that_fits() {
        for align_log2 in 0..=13 {
            let align = 1usize << align_log2;
            for size in 1..=SLOT_SIZE_MAX + 1 {
                let fits = |slot: usize| {
                    size + CANARY_LEN_MIN <= slot
                        && (align <= 16 || slot <= 4096 && slot.is_multiple_of(align))
                };
                let expected = SLOT_SIZES
                    .iter()
                    .position(|slot| fits(*slot as usize))
                    .filter(|_| align <= 4096);
                assert_eq!(class_of(size, align), expected, "size {size} align {align}");
            }
        }
    }

    /// Division by multiplication is exact for every offset of every class.
    #[test]
    fn divide_is_exact() {
        for slot_size in SLOT_SIZES {
            for offset in 0..slab_len(slot_size as usize) {
                let expected = offset / slot_size as usize;
                assert_eq!(divide(offset, reciprocal(slot_size)), expected);
            }
        }
    }

    #[test]
    fn slabs_hold_their_slots_and_metadata_fits_the_stride() {
        for slot_size in SLOT_SIZES.map(|size| size as usize) {
            let units = slab_len(slot_size) / UNIT_LEN;
            let end = lead(slot_size) + slot_count(slot_size) * slot_size;
            assert!(end <= slab_len(slot_size) && slab_len(slot_size) < end + slot_size);
            assert!(3 <= slot_count(slot_size));
            assert!(16 <= lead(slot_size) && lead(slot_size).is_multiple_of(16));
            assert!(slot_count(slot_size) <= SLOT_COUNT_MAX * units);
        }
    }

    #[test]
    fn large_blocks_have_room_and_never_wrap() {
        assert_eq!(large(5000, 1), Some(Large { lead: 16, len: 8192 }));
        assert_eq!(large(8192 - 16 - 8, 8), Some(Large { lead: 16, len: 8192 }));
        assert_eq!(large(8192 - 16 - 7, 8), Some(Large { lead: 16, len: 12288 }));
        assert_eq!(large(4096, 4096), Some(Large { lead: 4096, len: 12288 }));
        assert_eq!(large(4096, 1 << 20).map(|l| l.lead), Some(0));
        assert_eq!(large(usize::MAX, 1), None);
        assert_eq!(large(isize::MAX as usize, 1), None);
    }
}
