//! Pages that were trapped and are open again, because the program went on after a finding.
//!
//! What is written there was told of when it was trapped, and is not told once more as damage.

use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;

use crate::sys::pages::{self, PAGE_LEN};

/// Pages that are remembered; of those beyond, damage is told as well.
const PAGE_COUNT_MAX: usize = 1024;

/// The pages' addresses; 0: none. An entry never changes once it is set.
static PAGES: [AtomicUsize; PAGE_COUNT_MAX] = [const { AtomicUsize::new(0) }; PAGE_COUNT_MAX];
/// How many entries were taken.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Opens the page that holds `addr`; returns whether it could.
pub(super) fn reopen(addr: usize) -> bool {
    let page = addr & !(PAGE_LEN - 1);
    let is_open = pages::reopen(page);
    if is_open && !holds(page) {
        // Relaxed: numbers; a page that another thread's audit does not see yet is told twice.
        let index = COUNT.fetch_add(1, Relaxed);
        if let Some(entry) = PAGES.get(index) {
            entry.store(page, Relaxed);
        }
    }
    is_open
}

/// Whether the page of an address was opened again.
pub(crate) fn holds(addr: usize) -> bool {
    let page = addr & !(PAGE_LEN - 1);
    // Relaxed: as in `reopen`.
    let count = COUNT.load(Relaxed).min(PAGE_COUNT_MAX);
    PAGES[..count].iter().any(|entry| entry.load(Relaxed) == page)
}
