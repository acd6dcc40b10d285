//! A wrapper that holds callers to the contract.

use core::alloc::Layout;
use core::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloc_core::{AllocError, Allocator};

use crate::ledger::{Ledger, Misuse};

/// Checks every call that reaches an allocator: no zero sizes, only live blocks, and exactly the
/// layout that each block has. A call that breaks a rule is recorded and never reaches the inner
/// allocator: a request is refused, a free does nothing.
///
/// Zig's `ValidationAllocator` checks sizes and alignments; this one also knows the live blocks.
///
/// ```
/// use alloc_core::{Allocator, AllocatorExt, Layout};
/// use alloc_testing::{Validated, hostile::Backing};
///
/// let backing = Backing::new();
/// let validated = Validated::new(&backing);
/// drop((&validated).create(5));
/// validated.assert_clean();
///
/// let zero = Layout::from_size_align(0, 8).unwrap();
/// assert!(validated.raw_alloc(zero).is_err());
/// assert_eq!(validated.misuses().len(), 1);
/// ```
#[derive(Debug)]
pub struct Validated<A> {
    inner: A,
    on_misuse: OnMisuse,
    ledger: Mutex<Ledger>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnMisuse {
    Record,
    Abort,
}

impl<A: Allocator> Validated<A> {
    /// Wraps `inner`; misuses are recorded, see [`misuses`](Self::misuses).
    pub const fn new(inner: A) -> Self {
        Self { inner, on_misuse: OnMisuse::Record, ledger: Mutex::new(Ledger::new()) }
    }

    /// Wraps `inner`; the first misuse prints itself and aborts the process, so that a debugger
    /// stands at the call.
    pub const fn aborting(inner: A) -> Self {
        Self { inner, on_misuse: OnMisuse::Abort, ledger: Mutex::new(Ledger::new()) }
    }

    /// Returns the misuses seen so far, oldest first.
    #[must_use]
    pub fn misuses(&self) -> Vec<Misuse> {
        self.ledger().misuses.clone()
    }

    /// Returns the number of live blocks.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.ledger().live.len()
    }

    /// Returns the number of bytes in live blocks.
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        self.ledger().live_bytes()
    }

    /// Returns the allocator inside.
    pub const fn inner(&self) -> &A {
        &self.inner
    }

    /// Fails the test if a misuse was seen.
    ///
    /// # Panics
    ///
    /// If there is one; the message lists them.
    #[track_caller]
    pub fn assert_clean(&self) {
        let misuses = self.misuses();
        let lines: Vec<String> = misuses.iter().map(ToString::to_string).collect();
        assert!(misuses.is_empty(), "the allocator was misused:\n  {}", lines.join("\n  "));
    }

    /// Nothing panics while the lock is held, and if it did, the book would still be whole.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the policy says about the misuse that was recorded last.
    fn misused(&self, ledger: &Ledger) {
        if self.on_misuse == OnMisuse::Abort
            && let Some(misuse) = ledger.misuses.last()
        {
            alloc_core::check_failed(format_args!("{misuse}"));
        }
    }

    /// Whether a request for `layout` may go on.
    fn admits(&self, method: &'static str, layout: Layout) -> bool {
        let mut ledger = self.ledger();
        let admitted = ledger.may_alloc(method, layout);
        if !admitted {
            self.misused(&ledger);
        }
        admitted
    }
}

// SAFETY: a call that follows the rules is forwarded to `A`, which keeps 1, 2, 3, 5 and 6 for its
// blocks; the ledger lies outside them. 4: nothing here panics, but for memory that the global
// allocator lacks, which aborts. 7: the ledger changes on success only.
unsafe impl<A: Allocator> Allocator for Validated<A> {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if !self.admits("raw_alloc", layout) {
            return Err(AllocError);
        }
        let block = self.inner.raw_alloc(layout)?;
        self.ledger().live.insert(block.addr().get(), layout);
        Ok(block)
    }

    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if !self.admits("raw_alloc_zeroed", layout) {
            return Err(AllocError);
        }
        let block = self.inner.raw_alloc_zeroed(layout)?;
        self.ledger().live.insert(block.addr().get(), layout);
        Ok(block)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let mut ledger = self.ledger();
        let Some(new_layout) = ledger.may_change("raw_resize", block, layout, new_size) else {
            self.misused(&ledger);
            return false;
        };
        drop(ledger);
        // SAFETY: the ledger says that the block is live, fits `layout`, and that the new layout is
        // valid and not empty.
        let resized = unsafe { self.inner.raw_resize(block, layout, new_size) };
        if resized {
            self.ledger().live.insert(block.addr().get(), new_layout);
        }
        resized
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let mut ledger = self.ledger();
        let Some(new_layout) = ledger.may_change("raw_remap", block, layout, new_size) else {
            self.misused(&ledger);
            return None;
        };
        // Out of the book before the call: once the block has moved, another thread may be given
        // its old address.
        ledger.live.remove(&block.addr().get());
        drop(ledger);
        // SAFETY: as in `raw_resize`.
        let moved = unsafe { self.inner.raw_remap(block, layout, new_size) };
        let (addr, layout) = match moved {
            Some(new_block) => (new_block.addr().get(), new_layout),
            None => (block.addr().get(), layout),
        };
        self.ledger().live.insert(addr, layout);
        moved
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        let mut ledger = self.ledger();
        if !ledger.may_use("raw_free", block, layout) {
            self.misused(&ledger);
            return;
        }
        ledger.live.remove(&block.addr().get());
        drop(ledger);
        // SAFETY: the ledger says that the block is live and fits `layout`; it is out of the book.
        unsafe { self.inner.raw_free(block, layout) };
    }
}

alloc_core::impl_foreign_allocator!(impl[A: Allocator] for Validated<A>);
