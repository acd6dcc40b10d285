//! An allocator that keeps a ledger of every block, for the tests of this crate.
#![allow(dead_code, reason = "each test file uses a part of it")]

use alloc_core::{AllocError, Allocator, Layout, forward, impl_foreign_allocator};
use std::alloc::{alloc, dealloc};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::Location;
use std::ptr::NonNull;

/// How a [`Ledger`] answers `raw_resize` and `raw_remap`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Growth {
    /// Refuses both.
    Never,
    /// Resizes in place up to the room that every block has behind it, and remaps the same way.
    InPlace,
    /// Refuses to resize; a remap always moves.
    Moves,
}

/// Allocates from the system, and knows every live block with its layout. Every violation of the
/// contract by a caller is a fault that fails the test when the ledger is dropped, and so is a
/// block that was never freed.
pub(crate) struct Ledger {
    growth: Growth,
    /// Live blocks: the layout their owner knows, and the one the system knows.
    live: RefCell<HashMap<usize, (Layout, Layout)>>,
    faults: RefCell<Vec<String>>,
    /// Allocations that still succeed, remaps included.
    pub(crate) allowed: Cell<usize>,
    /// Calls that reached the allocator, whatever came of them.
    pub(crate) calls: Cell<usize>,
    /// The callers' places, one a call.
    pub(crate) sites: RefCell<Vec<&'static Location<'static>>>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self::with_growth(Growth::Never)
    }

    pub(crate) fn with_growth(growth: Growth) -> Self {
        Self {
            growth,
            live: RefCell::default(),
            faults: RefCell::default(),
            allowed: Cell::new(usize::MAX),
            calls: Cell::new(0),
            sites: RefCell::default(),
        }
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live.borrow().len()
    }

    pub(crate) fn live_bytes(&self) -> usize {
        self.live.borrow().values().map(|(layout, _)| layout.size()).sum()
    }

    /// Whether exactly this block is live here.
    pub(crate) fn has(&self, address: usize, size: usize) -> bool {
        self.live.borrow().get(&address).is_some_and(|(layout, _)| layout.size() == size)
    }

    /// Panics if a caller broke the contract so far.
    pub(crate) fn assert_no_fault(&self) {
        assert_eq!(*self.faults.borrow(), [] as [String; 0]);
    }

    fn fault(&self, text: String) {
        self.faults.borrow_mut().push(text);
    }

    fn take(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if layout.size() == 0 {
            self.fault(format!("zero bytes were asked for: {layout:?}"));
            return Err(AllocError);
        }
        let allowed = self.allowed.get().checked_sub(1).ok_or(AllocError)?;
        let room = if self.growth == Growth::InPlace { 4 } else { 1 };
        let size = layout.size().checked_mul(room).ok_or(AllocError)?;
        let real = Layout::from_size_align(size, layout.align()).map_err(|_| AllocError)?;
        if real.size() > 1 << 30 {
            return Err(AllocError);
        }
        // SAFETY: the size is not zero.
        let block = NonNull::new(unsafe { alloc(real) }).ok_or(AllocError)?;
        // SAFETY: the block has `size` bytes.
        unsafe { block.write_bytes(0xAA, size) };
        self.allowed.set(allowed);
        self.live.borrow_mut().insert(block.addr().get(), (layout, real));
        Ok(block)
    }

    fn give(&self, block: NonNull<u8>, layout: Layout) {
        match self.live.borrow_mut().remove(&block.addr().get()) {
            None => self.fault(format!("{block:?} is not live here, at a free of {layout:?}")),
            Some((known, real)) => {
                if known != layout {
                    self.fault(format!("{known:?} freed as {layout:?}"));
                }
                // SAFETY: the block has that many bytes, and nobody owns it any more.
                unsafe { block.write_bytes(0xDD, real.size()) };
                // SAFETY: it came from `alloc` with this layout.
                unsafe { dealloc(block.as_ptr(), real) };
            }
        }
    }

    /// Whether the block is live and fits, and the new size is a legal one.
    fn checked(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> Option<Layout> {
        let known = self.live.borrow().get(&block.addr().get()).copied();
        match known {
            Some((known, real)) if known == layout && new_size != 0 => return Some(real),
            _ => self.fault(format!("{block:?}: {known:?} resized as {layout:?} to {new_size}")),
        }
        None
    }

    #[track_caller]
    fn call(&self) {
        self.calls.set(self.calls.get() + 1);
        self.sites.borrow_mut().push(Location::caller());
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_no_fault();
            assert_eq!(*self.live.borrow(), HashMap::new(), "leaked blocks");
        }
    }
}

// SAFETY: blocks are the system's own (1, 2), found by address (3); faults are recorded, not thrown
// (4), except at the drop, which ends a test; the content is written before the block is handed out
// and after it came back (5); a remap copies (6); counts change after success (7).
unsafe impl Allocator for Ledger {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        self.call();
        self.take(layout)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        self.call();
        let Some(real) = self.checked(block, layout, new_size) else { return false };
        if self.growth != Growth::InPlace || real.size() < new_size {
            return false;
        }
        let new = Layout::from_size_align(new_size, layout.align()).unwrap();
        self.live.borrow_mut().insert(block.addr().get(), (new, real));
        true
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        self.call();
        self.checked(block, layout, new_size)?;
        match self.growth {
            Growth::Never => None,
            // SAFETY: this method's contract.
            Growth::InPlace => unsafe { self.raw_resize(block, layout, new_size) }.then_some(block),
            Growth::Moves => {
                let new = Layout::from_size_align(new_size, layout.align()).ok()?;
                let moved = self.take(new).ok()?;
                let count = layout.size().min(new_size);
                // SAFETY: both blocks have that many bytes and are distinct.
                unsafe { moved.copy_from_nonoverlapping(block, count) };
                self.give(block, layout);
                Some(moved)
            }
        }
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        self.call();
        self.give(block, layout);
    }
}

impl_foreign_allocator!(impl[] for Ledger);

pub(crate) const GROWTHS: [Growth; 3] = [Growth::Never, Growth::InPlace, Growth::Moves];

/// A wrapper whose bound stands in a `where` clause, which the macro takes as well.
pub(crate) struct Wrapped<A>(pub(crate) A);

// SAFETY: 1 to 7 are kept by forwarding to `A`, which keeps them.
unsafe impl<A: Allocator> Allocator for Wrapped<A> {
    forward!(self.0);
}

impl_foreign_allocator!(impl[A] for Wrapped<A> where A: Allocator);
