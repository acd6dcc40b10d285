//! Foreign memory with a destructor.

use core::alloc::Layout;
use core::fmt;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator, Owned};

/// Owns memory that somebody else allocated, and lets go of it by a function of the owner's choice: a
/// mapping, a string that is counted, a buffer of a C library.
///
/// It is the handle of one [`Owned`]: nothing can be allocated from it, and its destructor runs once, when
/// the owner drops, also where the value has no bytes.
///
/// ```
/// use alloc_c::FreesOnly;
/// use alloc_core::Owned;
/// use std::mem::ManuallyDrop;
/// use std::ptr::NonNull;
///
/// // What a C library returned, to be freed by a function of that library.
/// let names = NonNull::from(Box::leak(Box::new(vec!["from elsewhere"])));
/// // SAFETY: a valid vector that nobody else owns; the closure gives its memory back where it came from,
/// // and leaves the vector alone, which the owner drops.
/// let names: Owned<Vec<&str>, _> = unsafe {
///     FreesOnly::own(names, move || drop(Box::from_raw(names.cast::<ManuallyDrop<Vec<&str>>>().as_ptr())))
/// };
/// assert_eq!(names[0], "from elsewhere");
/// ```
///
/// # Drawbacks
///
/// * An owner is as much larger as the closure is; one that knows the pointer has it twice.
/// * Within the block it can shrink, never grow.
pub struct FreesOnly<D: FnOnce()> {
    /// Invariant: taken out by the drop alone.
    destroy: ManuallyDrop<D>,
}

impl<D: FnOnce()> FreesOnly<D> {
    /// Takes ownership of a value whose memory is let go of by `destroy`, after the value was dropped in
    /// place or [moved out](Owned::into_inner).
    ///
    /// # Safety
    ///
    /// * `value` points to a valid `T` that nobody else uses or owns, until `destroy` runs: never, where the
    ///   owner is leaked, and [then](Owned::leak) it is used for as long as `D` lives.
    /// * `destroy` drops no value there, nor looks at one: there is none any more. A `T` without a drop, as
    ///   bytes are, may be read and dropped.
    /// * `destroy` does not unwind: the process ends if it does.
    #[inline]
    pub unsafe fn own<T: ?Sized>(value: NonNull<T>, destroy: D) -> Owned<T, Self> {
        let handle = Self { destroy: ManuallyDrop::new(destroy) };
        // SAFETY: valid and nobody else's (contract). Its block is live until the handle is dropped, and
        // fits its layout as far as this allocator asks: it never looks at one.
        unsafe { Owned::from_raw_parts(value, handle) }
    }
}

impl<D: FnOnce()> Drop for FreesOnly<D> {
    fn drop(&mut self) {
        // SAFETY: this drop runs once, and nobody reaches the field after it.
        let destroy = unsafe { ManuallyDrop::take(&mut self.destroy) };
        run(destroy);
    }
}

/// Runs a closure that must not unwind: one that does ends the process, as nothing leaves an `extern "C"`
/// function.
extern "C" fn run<D: FnOnce()>(destroy: D) {
    destroy();
}

// SAFETY: by number; the one block is that of the owner that `own` made:
// 1 Fit: nothing is allocated; a resize to less leaves what is there.
// 2 Exclusive: nothing is handed out.
// 3 Stable: the block is where it was; it lives until the handle is dropped. There is no clone.
// 4 No unwind: nothing here does; the destructor's own ends the process.
// 5 Hands off: no byte is touched before the destructor runs.
// 6 Kept: a resize does nothing at all.
// 7 Clean failure: nothing happens.
unsafe impl<D: FnOnce()> Allocator for FreesOnly<D> {
    #[inline]
    fn raw_alloc(&self, _: Layout) -> Result<NonNull<u8>, AllocError> {
        Err(AllocError)
    }

    #[inline]
    unsafe fn raw_resize(&self, _: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        new_size <= layout.size()
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        (new_size <= layout.size()).then_some(block)
    }

    /// Does nothing: the destructor runs when the handle drops, which the owner does next.
    #[inline]
    unsafe fn raw_free(&self, _: NonNull<u8>, _: Layout) {}
}

impl<D: FnOnce()> fmt::Debug for FreesOnly<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreesOnly").finish_non_exhaustive()
    }
}
