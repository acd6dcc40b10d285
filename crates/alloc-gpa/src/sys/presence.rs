//! Which pages have memory behind them, and which a forked child has written to, as
//! `/proc/self/pagemap` says (proc(5)).
//!
//! A page that a forked child and its parent have in common was not written to by the child: the kernel
//! copies what is written to. So it leads to nothing that the child has allocated. That holds until the
//! child forks in its turn, and then shares pages of its own.

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use crate::sys::pages::PAGE_LEN;
use crate::sys::peek;

/// Pages asked for at once.
const WINDOW: usize = 512;
/// Bits 63 and 62: the page is in memory, or swapped out.
const HAS_MEMORY: usize = 0b11 << 62;
/// Bit 62: the page is swapped out, or moving.
const IS_SWAPPED: usize = 1 << 62;
/// Bit 56: no other process has the page.
const IS_EXCLUSIVE: usize = 1 << 56;

/// Whether this process is a forked child that has not forked: else it tells nothing that a page is
/// another process's as well.
static IS_LEAF: AtomicBool = AtomicBool::new(false);

/// This process is about to fork.
pub(crate) fn note_parent() {
    // Relaxed, here and below: read long after, mostly by the thread that writes it. Who audits the heap meanwhile, or
    // searches while this thread does not keep still, goes on with what it has read.
    IS_LEAF.store(false, Relaxed);
}

/// This process is a forked child.
pub(crate) fn note_child() {
    IS_LEAF.store(true, Relaxed);
}

/// Whether a page with this entry may have been written to since the process was forked.
pub(crate) const fn may_be_written(entry: usize) -> bool {
    entry & (IS_SWAPPED | IS_EXCLUSIVE) != 0
}

/// Whether pages tell what this process has written since it was forked.
fn tells_own_pages(file: libc::c_int) -> bool {
    // A page that is written to just now: where the kernel does not tell, it is not exclusive.
    let mut entry = core::hint::black_box([0]);
    let page = (&raw const entry).addr() / PAGE_LEN;
    IS_LEAF.load(Relaxed)
        && peek::read_words(file, &mut entry, page) == 1
        && entry[0] & IS_EXCLUSIVE != 0
}

/// A window onto the page map, moved as addresses are asked for: cheapest in rising order.
pub(crate) struct Presence {
    /// The open file, if it could be had.
    file: Option<libc::c_int>,
    entries: [usize; WINDOW],
    /// Number of the page that the window starts with.
    first: usize,
    /// Entries of the window that are valid.
    count: usize,
}

impl Presence {
    pub(crate) fn open() -> Self {
        let file = peek::open_self(c"/proc/thread-self/pagemap");
        Self { file, entries: [0; WINDOW], first: 0, count: 0 }
    }

    /// Whether the page that holds `addr` has memory. Where the system does not tell: `None`.
    pub(crate) fn has_memory(&mut self, addr: usize) -> Option<bool> {
        Some(self.entry(addr / PAGE_LEN)? & HAS_MEMORY != 0)
    }

    /// Whether [`may_be_written`](Self::may_be_written) can be known in this process.
    pub(crate) fn tells_own_pages(&self) -> bool {
        self.file.is_some_and(tells_own_pages)
    }

    /// Whether one of the pages of a range may have been written to since the process was forked.
    pub(crate) fn may_be_written(&mut self, (start, len): (usize, usize)) -> bool {
        let pages = start / PAGE_LEN..(start + len).div_ceil(PAGE_LEN);
        pages.into_iter().any(|page| self.entry(page).is_none_or(may_be_written))
    }

    /// Returns the entry of a page, if the system tells it.
    fn entry(&mut self, page: usize) -> Option<usize> {
        if self.count <= page.wrapping_sub(self.first) {
            self.move_to(page);
        }
        self.entries[..self.count].get(page.wrapping_sub(self.first)).copied()
    }

    fn move_to(&mut self, page: usize) {
        self.first = page;
        self.count = self.file.map_or(0, |file| peek::read_words(file, &mut self.entries, page));
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(file) = self.file {
            peek::close(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::pages;

    #[test]
    fn touched_pages_have_memory_and_others_do_not() {
        let len = 1200 * PAGE_LEN;
        let start = pages::map(len).unwrap();
        for page in [0, 3, 700, 1199] {
            // SAFETY: inside the mapping.
            let at = unsafe { start.add(page * PAGE_LEN + 5) };
            // SAFETY: mapped, ours.
            unsafe { at.write_volatile(1) };
        }
        let mut presence = Presence::open();
        let touched = (0..1200)
            .filter(|page| presence.has_memory(start.addr().get() + page * PAGE_LEN) == Some(true))
            .collect::<std::vec::Vec<_>>();
        // SAFETY: mapped above, unused.
        unsafe { pages::unmap(start, len) };
        // The kernel may give a whole huge page for one touch.
        assert!([0, 3, 700, 1199].iter().all(|page| touched.contains(page)), "{touched:?}");
    }
}
