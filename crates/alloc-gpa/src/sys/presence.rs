//! Which pages have memory behind them, as `/proc/self/pagemap` says (proc(5)).

use crate::sys::pages::PAGE_LEN;
use crate::sys::peek;

/// Pages asked for at once.
const WINDOW: usize = 512;
/// Bits 63 and 62: the page is in memory, or swapped out.
const HAS_MEMORY: usize = 0b11 << 62;

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
        let page = addr / PAGE_LEN;
        if self.count <= page.wrapping_sub(self.first) {
            self.move_to(page);
        }
        let entry = self.entries[..self.count].get(page.wrapping_sub(self.first))?;
        Some(entry & HAS_MEMORY != 0)
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
