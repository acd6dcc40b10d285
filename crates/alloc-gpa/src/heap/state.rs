//! The state of a slot in one word, so that one exchange decides who frees a block.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

/// What a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Never handed out.
    Unused = 0,
    /// A live block.
    Live = 1,
    /// A live block that its owner is resizing right now.
    Resizing = 2,
    /// A block that one thread is freeing right now.
    Freeing = 3,
    /// Freed for ever: the address is never handed out again.
    Freed = 4,
}

/// State (8 bits), log2 of the alignment (8 bits), fork epoch (16 bits).
///
/// ```text
///   Unused -> Live <-> Resizing
///              |
///              v
///            Freeing -> Freed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateWord(u32);

impl StateWord {
    /// A live block with an alignment of `align` bytes, allocated in fork epoch `epoch`.
    #[inline]
    pub(crate) const fn live(align: usize, epoch: u16) -> Self {
        Self(State::Live as u32 | align.trailing_zeros() << 8 | (epoch as u32) << 16)
    }

    /// Reads a word.
    #[inline]
    pub(crate) fn load(word: &AtomicU32, order: Ordering) -> Self {
        Self(word.load(order))
    }

    /// The same block in another state.
    #[inline]
    pub(crate) const fn with(self, state: State) -> Self {
        Self(self.0 & !0xff | state as u32)
    }

    /// Puts `new` in place of `self`; returns whether the word still was `self`.
    #[inline]
    pub(crate) fn exchange(
        self,
        word: &AtomicU32,
        new: Self,
        success: Ordering,
        failure: Ordering,
    ) -> Result<(), Self> {
        word.compare_exchange(self.0, new.0, success, failure).map(drop).map_err(Self)
    }

    /// Writes the word.
    #[inline]
    pub(crate) fn store(self, word: &AtomicU32, order: Ordering) {
        word.store(self.0, order);
    }

    #[inline]
    pub(crate) const fn state(self) -> State {
        match self.0 & 0xff {
            0 => State::Unused,
            1 => State::Live,
            2 => State::Resizing,
            3 => State::Freeing,
            _ => State::Freed,
        }
    }

    #[inline]
    pub(crate) const fn is_unused(self) -> bool {
        self.0 & 0xff == State::Unused as u32
    }

    #[inline]
    pub(crate) const fn is_live(self) -> bool {
        self.0 & 0xff == State::Live as u32
    }

    /// Whether the block is live, or being resized, which is live too.
    #[inline]
    pub(crate) const fn is_allocated(self) -> bool {
        matches!(self.state(), State::Live | State::Resizing)
    }

    /// The alignment that the block was requested with, in bytes.
    #[inline]
    pub(crate) const fn align(self) -> usize {
        1 << ((self.0 >> 8 & 0xff) & 63)
    }

    /// The fork epoch that the block was allocated in.
    #[inline]
    pub(crate) const fn epoch(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_every_state() {
        for log2 in 0..47 {
            for epoch in [0, 1, 7, u16::MAX] {
                let live = StateWord::live(1 << log2, epoch);
                for state in [State::Live, State::Resizing, State::Freeing, State::Freed] {
                    let word = live.with(state);
                    assert_eq!(
                        (word.state(), word.align(), word.epoch()),
                        (state, 1 << log2, epoch)
                    );
                }
            }
        }
        assert!(StateWord::load(&AtomicU32::new(0), Ordering::Relaxed).is_unused());
    }
}
