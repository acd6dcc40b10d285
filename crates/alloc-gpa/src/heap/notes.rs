//! What a heap had to give up, or refuse: each is said once.
#![forbid(unsafe_code)]

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

/// Something that a reader of the report must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Note {
    /// An allocation failed because of `memory_limit`.
    MemoryLimit,
    /// Guards were asked for, and this system has none that this crate could make.
    NoGuards,
    /// `guard_impl=madvise`, and this kernel has no guard markers.
    NoMarkers,
    /// A block or its freed pages could not be guarded: no mapping was to be had.
    GuardsUsedUp,
    /// Freed memory could not be made to trap somewhere.
    NotTrapped,
    /// The system moves no memory to other addresses.
    NotMoved,
    /// The process has nearly as many mappings as it may have.
    Mappings,
    /// Most blocks were not checked.
    Sampled,
}

impl Note {
    /// All notes, by their numbers.
    const ALL: [Self; 8] = [
        Self::MemoryLimit,
        Self::NoGuards,
        Self::NoMarkers,
        Self::GuardsUsedUp,
        Self::NotTrapped,
        Self::NotMoved,
        Self::Mappings,
        Self::Sampled,
    ];

    /// Returns the note's text. It begins with a word that the reader of records may count.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Sampled => "sampled: only the blocks that guard=sampled picked were checked",
            Self::NoGuards => {
                "degraded: no block is guarded: the system's pages are not 4,096 bytes long"
            }
            Self::NoMarkers => {
                "degraded: guards by mprotect: the kernel has no guard markers (Linux 6.13)"
            }
            Self::GuardsUsedUp => {
                "degraded: not every block is guarded: the system grants no more mappings"
            }
            Self::NotTrapped => {
                "degraded: some freed memory could not be made to trap: reads of it are not seen"
            }
            Self::NotMoved => {
                "degraded: the system moves no memory to new addresses: every page is a new one"
            }
            Self::Mappings => {
                "degraded: many mappings: freed memory is guarded by markers, page tables stay"
            }
            Self::MemoryLimit => "limit: allocations failed because memory_limit was reached",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// Which notes apply. All zero: none.
pub(super) struct Notes(AtomicU32);

impl Notes {
    /// Enters a note; returns whether it is new.
    pub(super) fn add(&self, note: Note) -> bool {
        // Relaxed, all here: bits that publish nothing.
        self.0.load(Relaxed) & note.bit() == 0
            && self.0.fetch_or(note.bit(), Relaxed) & note.bit() == 0
    }

    /// Returns the notes that apply.
    pub(super) fn iter(&self) -> impl Iterator<Item = Note> + use<> {
        let bits = self.0.load(Relaxed);
        Note::ALL.into_iter().filter(move |note| bits & note.bit() != 0)
    }

    /// Forgets all: a forked child says for itself what it meets.
    pub(super) fn clear(&self) {
        self.0.store(0, Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_new_once() {
        let notes = Notes(AtomicU32::new(0));
        assert_eq!(notes.iter().count(), 0);
        for (index, note) in Note::ALL.into_iter().enumerate() {
            assert_eq!(note as usize, index);
            assert!(notes.add(note) && !notes.add(note));
        }
        assert!(notes.iter().eq(Note::ALL));
        notes.clear();
        assert!(notes.add(Note::MemoryLimit));
    }
}
