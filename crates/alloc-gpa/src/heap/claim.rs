//! What a caller says of a block that it gives back or resizes, and whether it is so.
#![forbid(unsafe_code)]

use core::alloc::Layout;

use super::classes::SLOT_SIZE_MAX;
use super::state::{Origin, StateWord};

/// The bit that says that a size is said.
const SAYS_SIZE: u32 = 1 << 10;
/// No alignment is said.
const NO_ALIGN: u8 = u8::MAX;
/// The alignment in bytes that `operator new` gives without being asked.
const ALIGN_USUAL: usize = 16;

/// What a caller says of a block: its size and alignment if it says them, and the functions that it
/// belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    size: usize,
    /// Log2 of the alignment (8 bits), the origin (2 bits), and whether a size is said (1 bit). Two fields
    /// stay in registers, three do not; and what is known where the claim is made is not asked again.
    what: u32,
}

impl Claim {
    /// As `free`: nothing is said.
    pub(crate) const NONE: Self = Self::by(Origin::Malloc, None, None);

    /// As a function that takes blocks of `origin` back, with what it is told of them.
    #[inline]
    pub(crate) const fn by(origin: Origin, size: Option<usize>, align: Option<usize>) -> Self {
        let (size, says_size) = match size {
            Some(size) => (size, SAYS_SIZE),
            None => (0, 0),
        };
        let align = match align {
            Some(align) => align.trailing_zeros() as u8,
            None => NO_ALIGN,
        };
        Self { size, what: align as u32 | (origin as u32) << 8 | says_size }
    }

    /// As Rust's allocators: a layout, if one is said.
    #[inline]
    pub(crate) const fn of(layout: Option<Layout>) -> Self {
        match layout {
            Some(layout) => Self::by(Origin::Malloc, Some(layout.size()), Some(layout.align())),
            None => Self::NONE,
        }
    }

    /// The functions that the block shall belong to.
    #[inline]
    pub(crate) const fn origin(self) -> Origin {
        Origin::of_bits(self.what >> 8)
    }

    /// Log2 of the alignment that is said.
    #[inline]
    const fn align_log2(self) -> Option<u8> {
        match self.what as u8 {
            NO_ALIGN => None,
            log2 => Some(log2),
        }
    }

    /// Whether no size is said.
    #[inline]
    pub(crate) const fn says_no_size(self) -> bool {
        self.what & SAYS_SIZE == 0
    }

    /// The size that is said.
    #[inline]
    pub(crate) fn size(self) -> Option<usize> {
        (!self.says_no_size()).then_some(self.size)
    }

    /// The alignment that is said.
    pub(crate) fn align(self) -> Option<usize> {
        self.align_log2().map(|log2| 1 << log2)
    }

    /// Size and alignment as a finding holds them: 0 for what is not said; `None` if nothing is.
    pub(crate) fn values(self) -> Option<(usize, usize)> {
        match (self.size(), self.align()) {
            (None, None) => None,
            (size, align) => Some((size.unwrap_or(0), align.unwrap_or(0))),
        }
    }

    /// Whether a live block of `size` bytes is what the claim says.
    #[inline]
    pub(crate) fn fits(self, size: usize, word: StateWord) -> bool {
        self.is_of_family(word)
            && (self.says_no_size() || self.size == size)
            && self.align_log2().is_none_or(|log2| log2 == word.align_log2())
    }

    /// The same in one, of a block that is live, in records of this turn, and belongs to no part of the
    /// program; `extent` is what its record holds.
    #[inline]
    pub(crate) fn fits_live(self, extent: usize, word: StateWord, turn: u8) -> bool {
        word.is_live_as(turn, self.align_log2(), self.origin())
            && extent <= SLOT_SIZE_MAX
            && (self.says_no_size() || self.size == extent)
            && !self.lacks_align(word)
    }

    /// Whether the function takes blocks of such an origin back. In C++ a block that was asked for
    /// with an alignment is another family's than one that was not.
    #[inline]
    pub(crate) fn is_of_family(self, word: StateWord) -> bool {
        self.origin() == word.origin() && !self.lacks_align(word)
    }

    /// Whether the form of `operator delete` without an alignment met a block that has one.
    #[inline]
    pub(crate) fn lacks_align(self, word: StateWord) -> bool {
        !matches!(self.origin(), Origin::Malloc)
            && self.align_log2().is_none()
            && ALIGN_USUAL < word.align()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn claims_are_compared() {
        let of = |align, origin| StateWord::live(align, 0).of(origin);
        let (malloc, new) = (of(64, Origin::Malloc), of(16, Origin::New));
        assert!(Claim::NONE.fits(7, malloc));
        assert!(!Claim::NONE.fits(7, new));
        let layout = Layout::from_size_align(7, 64).expect("a layout");
        assert!(Claim::of(Some(layout)).fits(7, malloc));
        assert!(!Claim::of(Some(layout)).fits(8, malloc));
        assert!(!Claim::of(Some(layout)).fits(7, of(32, Origin::Malloc)));
        assert!(Claim::by(Origin::New, None, None).fits(7, new));
        assert!(!Claim::by(Origin::NewArray, None, None).fits(7, new));
        assert!(Claim::by(Origin::New, Some(7), None).fits(7, new));
        assert!(!Claim::by(Origin::New, Some(8), None).fits(7, new));
        assert!(Claim::by(Origin::New, None, Some(16)).fits(7, new));
        let wide = of(64, Origin::New);
        assert!(Claim::by(Origin::New, None, Some(64)).fits(7, wide));
        assert!(!Claim::by(Origin::New, None, Some(32)).fits(7, wide));
        assert!(Claim::by(Origin::New, None, Some(32)).is_of_family(wide));
        assert!(!Claim::by(Origin::New, None, None).is_of_family(wide));
    }

    #[test]
    fn what_is_not_said_is_zero() {
        assert_eq!(Claim::NONE.values(), None);
        assert_eq!(Claim::by(Origin::New, Some(0), None).values(), Some((0, 0)));
        assert_eq!(Claim::by(Origin::New, None, Some(64)).values(), Some((0, 64)));
    }
}
