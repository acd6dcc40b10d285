//! The state of a slot in one word, so that one exchange decides who frees a block.
#![forbid(unsafe_code)]

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{self, AcqRel, Acquire, Release};
#[cfg(not(loom))]
use core::sync::atomic::fence;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::AtomicU32;
#[cfg(loom)]
use loom::sync::atomic::fence;

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

/// Which functions a block belongs to: those that gave it, and that take it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// `malloc` and its relatives, and everything in Rust.
    #[default]
    Malloc = 0,
    /// C++'s `operator new`.
    New = 1,
    /// C++'s `operator new[]`.
    NewArray = 2,
    /// Of a freed block only: its bytes were moved to another by `realloc`.
    Moved = 3,
}

impl Origin {
    /// The origin that the lowest two bits say.
    #[inline]
    pub(crate) const fn of_bits(bits: u32) -> Self {
        match bits & 0b11 {
            0 => Self::Malloc,
            1 => Self::New,
            2 => Self::NewArray,
            _ => Self::Moved,
        }
    }

    /// What gives such blocks, in words.
    pub(crate) const fn giver(self) -> &'static str {
        match self {
            Self::Malloc | Self::Moved => "malloc",
            Self::New => "operator new",
            Self::NewArray => "operator new[]",
        }
    }

    /// What takes such blocks back, in words.
    pub(crate) const fn taker(self) -> &'static str {
        match self {
            Self::Malloc => "free",
            Self::New => "operator delete",
            Self::NewArray => "operator delete[]",
            Self::Moved => "realloc",
        }
    }
}

/// State (4 bits), turn of the records (4 bits), log2 of the alignment (6 bits), origin (2 bits), fork
/// epoch (16 bits).
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

    /// The same block of another origin.
    #[inline]
    pub(crate) const fn of(self, origin: Origin) -> Self {
        Self(self.0 & !(0b11 << 14) | (origin as u32) << 14)
    }

    /// Which functions the block belongs to.
    #[inline]
    pub(crate) const fn origin(self) -> Origin {
        Origin::of_bits(self.0 >> 14)
    }

    /// The same block in records that are used for the `turn`th time, as far as four bits tell.
    #[inline]
    pub(crate) const fn at_turn(self, turn: u8) -> Self {
        Self(self.0 & !0xf0 | (turn as u32 & 0xf) << 4)
    }

    /// What [`at_turn`](Self::at_turn) set.
    #[inline]
    pub(crate) const fn turn(self) -> u8 {
        (self.0 >> 4 & 0xf) as u8
    }

    /// Reads a word, and with `Acquire` sees what its writer published.
    #[inline]
    pub(crate) fn load(word: &AtomicU32, order: Ordering) -> Self {
        Self(word.load(order))
    }

    /// The same block in another state.
    #[inline]
    pub(crate) const fn with(self, state: State) -> Self {
        Self(self.0 & !0xf | state as u32)
    }

    /// Takes a live block out of the hands of all others: from `self`, which is live, to `Freeing` or
    /// `Resizing`. Of several threads that try, one gets the new word; the others get what they met.
    ///
    /// The winner sees what the last resize wrote; a loser that meets `Freed` sees the winner's
    /// record of the free.
    #[inline]
    pub(crate) fn begin(self, word: &AtomicU32, state: State) -> Result<Self, Self> {
        let new = self.with(state);
        // AcqRel, Acquire: pair with the Release in `publish`.
        match word.compare_exchange(self.0, new.0, AcqRel, Acquire) {
            Ok(_) => {
                // Release: who sees what is written from here on, and then an Acquire fence, sees this state, too, or a
                // later one; pairs with the fence in `BlockRef::is_still`.
                fence(Release);
                Ok(new)
            }
            Err(now) => Err(Self(now)),
        }
    }

    /// Writes the word, and with it publishes what this thread wrote to the slot and its record.
    #[inline]
    pub(crate) fn publish(self, word: &AtomicU32) {
        // Release: pairs with the AcqRel and Acquire in `begin` and in `load`.
        word.store(self.0, Release);
    }

    #[inline]
    pub(crate) const fn state(self) -> State {
        match self.0 & 0xf {
            0 => State::Unused,
            1 => State::Live,
            2 => State::Resizing,
            3 => State::Freeing,
            _ => State::Freed,
        }
    }

    #[inline]
    pub(crate) const fn is_unused(self) -> bool {
        self.0 & 0xf == State::Unused as u32
    }

    #[inline]
    pub(crate) const fn is_live(self) -> bool {
        self.0 & 0xf == State::Live as u32
    }

    /// Whether the block is live, in records of this turn, and of this origin, and if one is said, of
    /// this alignment, by its logarithm; its fork epoch may be any.
    #[inline]
    pub(crate) const fn is_live_as(self, turn: u8, align: Option<u8>, origin: Origin) -> bool {
        let expected = State::Live as u32 | (turn as u32) << 4 | (origin as u32) << 14;
        let (expected, mask) = match align {
            Some(align) => (expected | (align as u32) << 8, 0xffff),
            None => (expected, 0xc0ff),
        };
        (self.0 ^ expected) & mask == 0
    }

    /// Whether the block is live, or being resized, which is live too.
    #[inline]
    pub(crate) const fn is_allocated(self) -> bool {
        matches!(self.state(), State::Live | State::Resizing)
    }

    /// The alignment that the block was requested with, in bytes.
    #[inline]
    pub(crate) const fn align(self) -> usize {
        1 << self.align_log2()
    }

    /// Log2 of that.
    #[inline]
    pub(crate) const fn align_log2(self) -> u8 {
        (self.0 >> 8 & 63) as u8
    }

    /// The fork epoch that the block was allocated in.
    #[inline]
    pub(crate) const fn epoch(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_every_state() {
        for log2 in 0..47 {
            for epoch in [0, 1, 7, u16::MAX] {
                let live = StateWord::live(1 << log2, epoch).at_turn(7).at_turn(epoch as u8 & 15);
                assert_eq!(live.turn(), epoch as u8 & 15);
                for origin in [Origin::NewArray, Origin::Moved, Origin::New, Origin::Malloc] {
                    let word = live.of(Origin::Moved).of(origin);
                    assert_eq!(
                        (word.state(), word.align(), word.epoch(), word.origin()),
                        (State::Live, 1 << log2, epoch, origin)
                    );
                }
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
