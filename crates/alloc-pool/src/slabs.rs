//! The slabs of a pool: blocks of its backing, in two lists. They know the layout of the slots, not their
//! type: what drops them has no say in what the slots may hold.

use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

use crate::growth::{self, SlabLayout};

/// What a slab begins with.
struct Header {
    /// The slab that came before.
    older: Option<NonNull<Header>>,
    /// Number of slots.
    count: usize,
}

/// The slots of a slab: from `first` on so many, one after the other. One at least.
pub(crate) struct Fresh {
    pub(crate) first: NonNull<u8>,
    pub(crate) count: usize,
}

/// All slabs of one pool, and the backing that they come from.
pub(crate) struct Slabs<A: Allocator> {
    /// What a slot is; the same for all of them. Not without bytes.
    slot: Layout,
    /// The newest slab in use. Invariant 1 of the crate.
    newest: Cell<Option<NonNull<Header>>>,
    /// Slabs without a block, kept by a reset or made by preheating.
    spare: Cell<Option<NonNull<Header>>>,
    pub(crate) backing: A,
}

// SAFETY: the slabs are blocks of the backing, reached through this value alone, and go where it goes; the
// backing may be sent by the bound.
unsafe impl<A: Allocator + Send> Send for Slabs<A> {}

/// How many slots the slabs of one of the two lists have.
fn count_of(list: &Cell<Option<NonNull<Header>>>) -> usize {
    let mut sum = 0;
    let mut next = list.get();
    while let Some(slab) = next {
        // SAFETY: invariant 1: slabs of the lists are live and begin with their header.
        let header = unsafe { slab.as_ref() };
        sum += header.count;
        next = header.older;
    }
    sum
}

impl<A: Allocator> Slabs<A> {
    pub(crate) const fn new(slot: Layout, backing: A) -> Self {
        Self { slot, newest: Cell::new(None), spare: Cell::new(None), backing }
    }

    /// Returns how many slots all slabs have together.
    pub(crate) fn capacity(&self) -> usize {
        count_of(&self.newest) + count_of(&self.spare)
    }

    /// Returns how many slots the slabs in use have.
    pub(crate) fn in_use(&self) -> usize {
        count_of(&self.newest)
    }

    /// Adds a slab of `count` slots to the spare ones.
    pub(crate) fn add_spare(&self, count: usize) -> Result<(), AllocError> {
        let slab = self.new_slab(count)?;
        // SAFETY: just made; in no list.
        unsafe { link(slab, &self.spare) };
        Ok(())
    }

    /// Makes a slab the newest in use, and returns its slots: a spare one, else a new one; as large as the
    /// pool likes, or where the backing refuses that, for one value.
    pub(crate) fn next(&self) -> Result<Fresh, AllocError> {
        let slab = match self.spare.get() {
            Some(slab) => {
                // SAFETY: invariant 1.
                self.spare.set(unsafe { slab.as_ref() }.older);
                slab
            }
            None => {
                // SAFETY: invariant 1.
                let newest = self.newest.get().map_or(0, |slab| unsafe { slab.as_ref() }.count);
                let count = growth::next_count(newest, self.slot.size());
                self.new_slab(count).or_else(|_| self.new_slab(1))?
            }
        };
        // SAFETY: it was just made, or taken out of the list of spare ones.
        unsafe { link(slab, &self.newest) };
        // SAFETY: invariant 1.
        let count = unsafe { slab.as_ref() }.count;
        let offset = self.layout_of(count).slots;
        // SAFETY: the slab has this layout: its slots begin there.
        let first = unsafe { slab.cast::<u8>().add(offset) };
        Ok(Fresh { first, count })
    }

    /// Makes every slab a spare one. No slot is in use, nor in a list of the pool.
    pub(crate) fn spare_all(&mut self) {
        let mut next = self.newest.take();
        while let Some(slab) = next {
            // SAFETY: invariant 1.
            next = unsafe { slab.as_ref() }.older;
            // SAFETY: taken out of the list of slabs in use.
            unsafe { link(slab, &self.spare) };
        }
    }

    /// Gives spare slabs back to the backing, so that at most `count` slots are left together with those of the
    /// slabs in use. May be called in the middle of a call of the backing.
    pub(crate) fn shrink_to(&self, count: usize) {
        let mut room = count.saturating_sub(self.in_use());
        let mut next = self.spare.take();
        while let Some(slab) = next {
            // SAFETY: invariant 1.
            let header = unsafe { slab.as_ref() };
            next = header.older;
            if let Some(left) = room.checked_sub(header.count) {
                room = left;
                // SAFETY: taken out of the list of spare slabs.
                unsafe { link(slab, &self.spare) };
                continue;
            }
            let layout = self.layout_of(header.count).layout;
            // SAFETY: a live block of the backing (invariant 1) of this layout, by which it was made; it is in no
            // list any more, and no slot of a spare slab is in use.
            unsafe { self.backing.raw_free(slab.cast(), layout) };
        }
    }

    /// Gives every slab back to the backing. No slot is in use, nor in a list of the pool.
    pub(crate) fn free_all(&mut self) {
        for list in [&self.newest, &self.spare] {
            let mut next = list.take();
            while let Some(slab) = next {
                // SAFETY: invariant 1.
                let header = unsafe { slab.as_ref() };
                next = header.older;
                let layout = self.layout_of(header.count).layout;
                // SAFETY: a live block of the backing (invariant 1) of this layout, by which it was
                // made; it is in no list any more, and no slot of it is in use (unique borrow).
                unsafe { self.backing.raw_free(slab.cast(), layout) };
            }
        }
    }

    /// The layout of a slab that exists.
    fn layout_of(&self, count: usize) -> SlabLayout {
        match growth::slab(Layout::new::<Header>(), self.slot, count) {
            Some(slab) => slab,
            // Its memory was allocated with this very layout. Were it not so, a size that the backing
            // did not hand out would be worse than the end of the process.
            None => alloc_core::check_failed(format_args!("a slab of {count} slots has no layout")),
        }
    }

    /// Gets a slab from the backing; it is in no list yet.
    fn new_slab(&self, count: usize) -> Result<NonNull<Header>, AllocError> {
        let slab = growth::slab(Layout::new::<Header>(), self.slot, count).ok_or(AllocError)?;
        let header = self.backing.raw_alloc(slab.layout)?.cast::<Header>();
        // SAFETY: a block of the slab's layout, which begins with a header and is aligned for it.
        unsafe { header.write(Header { older: None, count }) };
        Ok(header)
    }
}

/// Gives all slabs back.
impl<A: Allocator> Drop for Slabs<A> {
    fn drop(&mut self) {
        self.free_all();
    }
}

/// Puts a slab at the head of a list.
///
/// # Safety
///
/// It is a live slab in no list, and the list is of the same pool.
unsafe fn link(slab: NonNull<Header>, list: &Cell<Option<NonNull<Header>>>) {
    // SAFETY: a slab begins with its header (contract).
    let older = unsafe { &raw mut (*slab.as_ptr()).older };
    // SAFETY: as above; nobody has a reference to it.
    unsafe { older.write(list.get()) };
    list.set(Some(slab));
}
