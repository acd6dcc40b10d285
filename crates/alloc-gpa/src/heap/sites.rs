//! Where a heap grows: several places, so that threads do not wait for each other.
//!
//! A thread cuts its slabs at the site of its number. A chunk belongs to the site that made it, and so do
//! its slabs, their records, their history, and the memory that goes from the chunk's retired groups to
//! new ones, whichever thread frees the last block.
//!
//! | atomic | orderings | partner |
//! | --- | --- | --- |
//! | `active` | Relaxed | none: an estimate |
//! | `waiting` | see `sweep` | |
//! | `is_left` | Release to set, AcqRel exchange to take back | each other: which groups were left |

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicU32};

use super::chunk::Chunk;
use super::grow::Growth;
use super::sweep::Waiting;
use crate::lock::{Guard, Lock};
use crate::stack::thread;

/// Sites of a heap.
pub(super) const SITE_COUNT: usize = 8;

/// One place where the heap grows. All zero, but for the growth's index: nothing yet.
#[repr(align(128))]
pub(super) struct Site {
    pub(super) growth: Lock<Growth>,
    /// Retired slabs whose memory waits for their groups.
    pub(super) waiting: Waiting,
    /// Whether groups were ready to be trapped, and nobody could.
    pub(super) is_left: AtomicBool,
}

/// All sites of a heap.
pub(super) struct Sites {
    list: [Site; SITE_COUNT],
    /// How many have a chunk.
    active: AtomicU32,
}

impl Sites {
    /// Tells the growths which they are; once, before the heap is used.
    pub(super) fn number(&self) {
        for (index, site) in (0..).zip(&self.list) {
            site.growth.lock().index = index;
        }
    }

    /// The calling thread's.
    pub(super) fn own(&self) -> &Site {
        self.at(Self::own_index())
    }

    /// Which of the sites is the calling thread's.
    pub(super) fn own_index() -> u8 {
        (thread::current().index() as usize % SITE_COUNT) as u8
    }

    pub(super) fn at(&self, index: u8) -> &Site {
        &self.list[usize::from(index) % SITE_COUNT]
    }

    /// The one that a chunk belongs to.
    pub(super) fn of(&self, chunk: &Chunk) -> &Site {
        self.at(chunk.site)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Site> {
        self.list.iter()
    }

    /// All locks, in the order in which whoever needs several takes them.
    pub(super) fn locks(&self) -> [&Lock<Growth>; SITE_COUNT] {
        self.list.each_ref().map(|site| &site.growth)
    }

    /// Each growth whose lock can be had.
    pub(super) fn growths(&self) -> impl Iterator<Item = Guard<'_, Growth>> {
        self.iter().filter_map(|site| site.growth.lock_or_give_up())
    }

    /// How many sites have a chunk: between them the memory is shared that the heap may keep.
    pub(super) fn active_count(&self) -> usize {
        self.active.load(Relaxed).max(1) as usize
    }

    /// Whether threads grow the heap at several sites: a change of the address space stops them all.
    pub(super) fn is_shared(&self) -> bool {
        1 < self.active.load(Relaxed)
    }

    /// Counts a site that has its first chunk.
    pub(super) fn count_active(&self) {
        self.active.fetch_add(1, Relaxed);
    }
}
