//! Arithmetic on size classes of the heap arena. No pointers, no memory.
#![forbid(unsafe_code)]

use core::alloc::Layout;

/// The alignment of every block of a class.
pub(crate) const ALIGN: usize = 16;

/// Up to here the classes are multiples of [`ALIGN`], above four to each power of two.
const EVEN_MAX: usize = 256;
const EVEN_COUNT: usize = EVEN_MAX / ALIGN;

/// The largest size that has a class.
pub(crate) const SIZE_MAX: usize = 32 << 10;

/// How many classes there are: four to each doubling from `EVEN_MAX` to `SIZE_MAX`.
pub(crate) const CLASS_COUNT: usize =
    EVEN_COUNT + 4 * (SIZE_MAX.ilog2() - EVEN_MAX.ilog2()) as usize;

/// A size class. Invariant: less than [`CLASS_COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(u8);

impl Class {
    /// Returns the smallest class whose blocks fit a layout, if there is one.
    #[inline]
    pub(crate) const fn of(layout: Layout) -> Option<Self> {
        let size = layout.size();
        if SIZE_MAX < size || ALIGN < layout.align() {
            return None;
        }
        if size <= EVEN_MAX {
            return Some(Self(size.saturating_sub(1).wrapping_div(ALIGN) as u8));
        }
        // Between 2^shift, excluded, and 2^(shift + 1): which quarter.
        let shift = (size - 1).ilog2();
        let quarter = (size - 1) >> (shift - 2) & 3;
        let doublings = (shift - EVEN_MAX.ilog2()) as usize;
        Some(Self((EVEN_COUNT + 4 * doublings + quarter) as u8))
    }

    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns the size of the class's blocks.
    pub(crate) const fn size(self) -> usize {
        let index = self.index();
        if index < EVEN_COUNT {
            return (index + 1) * ALIGN;
        }
        let (doublings, quarter) = ((index - EVEN_COUNT) / 4, (index - EVEN_COUNT) % 4);
        (EVEN_MAX << doublings) / 4 * (5 + quarter)
    }

    /// Returns the layout of the class's blocks.
    pub(crate) const fn layout(self) -> Layout {
        match Layout::from_size_align(self.size(), ALIGN) {
            Ok(layout) => layout,
            // A size of 32 KiB at most makes a layout.
            Err(_) => Layout::new::<u128>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(size: usize, align: usize) -> Option<Class> {
        Class::of(Layout::from_size_align(size, align).unwrap())
    }

    /// Every size has the smallest class that holds it; the classes rise and waste a fifth at most.
    #[test]
    fn every_size_has_the_smallest_class() {
        let all: std::vec::Vec<Class> = (0..CLASS_COUNT).map(|index| Class(index as u8)).collect();
        assert!(all.windows(2).all(|pair| pair[0].size() < pair[1].size()));
        assert_eq!(all[CLASS_COUNT - 1].size(), SIZE_MAX);
        for size in 1..=SIZE_MAX {
            let smallest = all.iter().copied().find(|class| size <= class.size());
            assert_eq!(class(size, 8), smallest, "{size}");
            let class = smallest.unwrap();
            assert_eq!(class.layout().size(), class.size());
            assert!(class.size() - size < ALIGN || class.size() - size <= class.size() / 5);
        }
    }

    #[test]
    fn what_is_large_has_no_class() {
        assert_eq!(class(SIZE_MAX + 1, 1), None);
        assert_eq!(class(1, 32), None);
        assert_eq!(class(16, 16), Some(Class(0)));
    }
}
