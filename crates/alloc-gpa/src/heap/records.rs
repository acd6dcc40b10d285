//! Memory for the records of slots: dense, out of the blocks' reach, and used again.
//!
//! ```text
//!   region (mapped)  | extent of 64 KiB | extent | ...
//!   extent           | header | slots of slab A | slots of slab B | ...      cut off in order
//! ```
//!
//! Slabs that are made one after the other have their records side by side, and are forgotten at
//! about the same time: then the whole extent is used again. A record that was given up is at no
//! time unmapped: who still looks at it (the second free of a block of long ago) finds out by asking
//! the slab once more whether it still has those records.

use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::chunk::Slot;
use super::classes::SLOT_COUNT_MAX;
use crate::sys::pages;

/// Length and alignment of an extent in bytes.
const EXTENT_LEN: usize = 64 << 10;
/// Length of the first region in bytes: a small program needs no more.
const REGION_LEN_FIRST: usize = 256 << 10;
/// Length of further regions, which take huge pages where the system has them.
const REGION_LEN: usize = 2 << 20;
/// Extents without a record that keep their memory.
const SPARE_COUNT_MAX: usize = 8;

/// What an extent begins with. All zero: no records.
#[repr(C, align(64))]
struct Extent {
    /// Slabs whose records lie here, and one more while further ones may be cut off.
    users: u32,
    /// Whether its memory was given back.
    is_empty: bool,
    /// The next spare extent.
    next: *mut Extent,
}

/// What a region begins with, behind the header of its first extent's.
#[repr(C, align(64))]
struct Region {
    older: *mut Region,
    len: usize,
}

const HEADER_LEN: usize = size_of::<Extent>() + size_of::<Region>();
const _: () = assert!(HEADER_LEN + SLOT_COUNT_MAX * size_of::<Slot>() <= EXTENT_LEN);
const _: () = assert!(align_of::<Slot>() <= 64);

/// The records of a site's slabs; under its growth lock. All zero: none.
pub(super) struct Records {
    /// The extent that records are cut from, or null, and how much of it is cut off.
    current: *mut Extent,
    used: usize,
    spare: *mut Extent,
    spare_count: usize,
    /// The rest of the newest region: first extent, and bytes.
    rest: *mut u8,
    rest_len: usize,
    /// Extents with records, and of them those whose memory is there.
    extent_count: usize,
}

// SAFETY: the pointers lead to mappings of the heap's own; the lock guards them.
unsafe impl Send for Records {}

/// The regions of a heap: newest first. All zero: none.
pub(super) struct Regions(AtomicPtr<Region>);

impl Records {
    /// Cuts off records for `count` slots, none of them handed out.
    pub(super) fn take(&mut self, count: usize, regions: &Regions) -> Option<NonNull<Slot>> {
        let len = count * size_of::<Slot>();
        if self.current.is_null() || EXTENT_LEN < self.used + len {
            let fresh = self.extent(regions)?;
            let full = core::mem::replace(&mut self.current, fresh);
            self.used = HEADER_LEN;
            // SAFETY: a live extent of ours, under the lock.
            unsafe { (*fresh).users = 1 };
            if let Some(full) = NonNull::new(full) {
                self.leave(full);
            }
        }
        // SAFETY: `used + len` is at most the extent's length.
        let start = unsafe { self.current.cast::<u8>().add(self.used) }.cast::<Slot>();
        self.used += len;
        // SAFETY: a live extent of ours, under the lock.
        unsafe { (*self.current).users += 1 };
        for index in 0..count {
            // SAFETY: inside what was just cut off.
            let slot = unsafe { start.add(index) };
            // SAFETY: mapped, aligned (the header and slots are multiples of 16), only atomics.
            // Relaxed: published with the slab. Who finds it through an old slab asks that again.
            unsafe { &*slot }.state.store(0, Relaxed);
        }
        NonNull::new(start)
    }

    /// Takes records back: they are used again.
    pub(super) fn give(&mut self, slots: NonNull<Slot>) {
        let into = slots.addr().get() & (EXTENT_LEN - 1);
        // SAFETY: the records lie in an extent, which begins at a multiple of its length.
        let extent = unsafe { slots.cast::<u8>().sub(into) }.cast::<Extent>();
        self.leave(extent);
    }

    /// Bytes of memory that records take.
    pub(super) fn resident_len(&self) -> usize {
        (self.extent_count + self.spare_count.min(SPARE_COUNT_MAX)) * EXTENT_LEN
    }

    /// Counts one user of an extent less; an extent without users is spare.
    fn leave(&mut self, extent: NonNull<Extent>) {
        let at = extent.as_ptr();
        // SAFETY: a live extent of ours, under the lock: nobody else refers to its header.
        let header = unsafe { &mut *at };
        header.users -= 1;
        if header.users != 0 {
            return;
        }
        self.extent_count -= 1;
        header.is_empty = SPARE_COUNT_MAX <= self.spare_count;
        if header.is_empty {
            // SAFETY: the header takes less than a page.
            let body = unsafe { extent.cast::<u8>().add(pages::PAGE_LEN) };
            // SAFETY: no slab has records here; zero is a valid record for who still looks.
            unsafe { pages::discard(body, EXTENT_LEN - pages::PAGE_LEN) };
        }
        header.next = core::mem::replace(&mut self.spare, at);
        self.spare_count += 1;
    }

    /// Takes an extent without records.
    fn extent(&mut self, regions: &Regions) -> Option<*mut Extent> {
        // SAFETY: null, or a spare extent of ours, under the lock.
        if let Some(spare) = unsafe { self.spare.as_mut() } {
            self.spare = spare.next;
            self.spare_count -= 1;
            self.extent_count += 1;
            return Some(spare);
        }
        if self.rest_len < EXTENT_LEN {
            let (start, len) = regions.add()?;
            (self.rest, self.rest_len) = (start.as_ptr(), len);
        }
        let fresh = self.rest.cast::<Extent>();
        // SAFETY: at most the end of the region.
        self.rest = unsafe { self.rest.add(EXTENT_LEN) };
        self.rest_len -= EXTENT_LEN;
        self.extent_count += 1;
        Some(fresh)
    }
}

impl Regions {
    /// Maps one more region; start and length.
    fn add(&self) -> Option<(NonNull<u8>, usize)> {
        // Relaxed: what is there is only passed on.
        let mut older = self.0.load(Relaxed);
        let len = if older.is_null() { REGION_LEN_FIRST } else { REGION_LEN };
        let regular = pages::map_aligned(len, len).map(|start| (start, len));
        let small = || pages::map_aligned(EXTENT_LEN, EXTENT_LEN).map(|start| (start, EXTENT_LEN));
        let (start, len) = regular.or_else(small)?;
        if len == REGION_LEN {
            // SAFETY: just mapped, with that length.
            unsafe { pages::prefer_huge(start, len) };
        }
        // SAFETY: the region is longer than both headers.
        let header = unsafe { start.add(size_of::<Extent>()) }.cast::<Region>();
        loop {
            // SAFETY: fresh memory, aligned to 64, which nobody has seen.
            unsafe { header.write(Region { older, len }) };
            // Release: publishes the header, and passes on the older ones, as all are entered by
            // exchanges; pairs with the Acquire in `for_each`.
            match self.0.compare_exchange_weak(older, header.as_ptr(), Release, Relaxed) {
                Ok(_) => return Some((start, len)),
                Err(now) => older = now,
            }
        }
    }

    /// Calls `visit` with start and length of every region.
    pub(super) fn for_each(&self, mut visit: impl FnMut(NonNull<u8>, usize)) {
        // Acquire: pairs with the Release in `add`.
        let mut next = self.0.load(Acquire);
        while let Some(header) = NonNull::new(next) {
            // SAFETY: a published region stays mapped while the heap does; it is not written again.
            let Region { older, len } = unsafe { header.read() };
            next = older;
            // SAFETY: the header stands behind an extent's at the start of the region.
            visit(unsafe { header.cast::<u8>().sub(size_of::<Extent>()) }, len);
        }
    }

    /// Gives all regions back to the system.
    ///
    /// # Safety
    ///
    /// Nobody uses a record of the heap any more.
    pub(super) unsafe fn unmap(&self) {
        // SAFETY: mapped in `add` with that length; unused by this function's contract.
        self.for_each(|start, len| unsafe { pages::unmap(start, len) });
        // Relaxed: nobody else uses the heap.
        self.0.store(ptr::null_mut(), Relaxed);
    }
}

impl Clone for Region {
    fn clone(&self) -> Self {
        *self
    }
}
impl Copy for Region {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn records() -> (Records, Regions) {
        let null = ptr::null_mut();
        let records = Records {
            current: null,
            used: 0,
            spare: null,
            spare_count: 0,
            rest: null.cast(),
            rest_len: 0,
            extent_count: 0,
        };
        (records, Regions(AtomicPtr::new(null.cast())))
    }

    /// Records never overlap while they are in use, are blank when they are taken, and memory is used
    /// again: as much is given back as taken, and only a bounded amount is mapped.
    #[test]
    fn records_are_exclusive_blank_and_used_again() {
        let (mut records, regions) = records();
        let mut in_use = std::collections::VecDeque::new();
        let mut random = 1usize;
        for _ in 0..20_000 {
            random = random * 16_807 % 0x7fff_ffff;
            let count = 1 + random % SLOT_COUNT_MAX;
            let start = records.take(count, &regions).expect("memory");
            for index in 0..count {
                // SAFETY: inside what was taken.
                let slot = unsafe { start.add(index) };
                // SAFETY: as above; atomics only.
                let state = &unsafe { slot.as_ref() }.state;
                assert_eq!(state.swap(7, Relaxed), 0);
            }
            in_use.push_back((start, count));
            if 100 < in_use.len() {
                let (start, count) = in_use.pop_front().expect("not empty");
                for index in 0..count {
                    // SAFETY: inside what was taken.
                    let slot = unsafe { start.add(index) };
                    // SAFETY: as above; atomics only.
                    assert_eq!(unsafe { slot.as_ref() }.state.load(Relaxed), 7, "nobody else's");
                }
                records.give(start);
            }
        }
        let mut mapped = 0;
        regions.for_each(|_, len| mapped += len);
        assert!(mapped <= 4 << 20, "{mapped}");
        assert!(records.resident_len() <= mapped);
        in_use.drain(..).for_each(|(start, _)| records.give(start));
        assert_eq!(records.extent_count, 1, "the one that records are cut from");
        // SAFETY: nothing is used any more.
        unsafe { regions.unmap() };
    }
}
