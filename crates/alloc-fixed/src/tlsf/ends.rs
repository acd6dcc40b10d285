//! Where the heap ends: memory that comes and goes behind it.

use core::ptr::NonNull;

use super::bins::{CHUNK_LEN_MAX, GRANULE};
use super::{NOWHERE, TlsfHeap};

impl TlsfHeap<'_> {
    /// Makes a heap of any memory, of which more may follow: [`extend`](Self::extend).
    ///
    /// # Safety
    ///
    /// The `len` bytes at `base` are one allocated object or a part of it, valid for reads and writes for as
    /// long as the heap or a block of it is used, and nobody else uses them for that long.
    pub unsafe fn from_raw_parts(base: NonNull<u8>, len: usize) -> Self {
        let heap = Self::empty();
        // SAFETY: the same contract; the heap has no buffer yet.
        unsafe { heap.settle_in(base, len) };
        heap
    }

    /// Moves the end of the heap up to `end`, or as near to it as chunks go; whether it moved. Constant: the
    /// bytes go to the top, and a block at its end can grow into them.
    ///
    /// For memory that is reserved at once and committed as it is needed. A heap that never had memory stays so, and
    /// none has more than 16 GiB (2 GiB on 32 bits).
    ///
    /// ```
    /// use core::mem::MaybeUninit;
    /// use core::ptr::NonNull;
    ///
    /// use alloc_core::AllocatorExt;
    /// use alloc_fixed::TlsfHeap;
    ///
    /// let mut memory = [MaybeUninit::<u8>::uninit(); 4096];
    /// let base = NonNull::from(&mut memory).cast::<u8>();
    /// // SAFETY: a quarter of the array, which is used in no other way.
    /// let heap = unsafe { TlsfHeap::from_raw_parts(base, 1024) };
    /// assert!(heap.alloc::<u8>(2000).is_err());
    /// // SAFETY: the rest of the array, to which `base` leads as well.
    /// assert!(unsafe { heap.extend(base.as_ptr().wrapping_add(4096)) });
    /// assert!(heap.alloc::<u8>(2000).is_ok());
    /// ```
    ///
    /// # Safety
    ///
    /// * The heap was made by [`from_raw_parts`](Self::from_raw_parts).
    /// * What was promised there of `base` and `len` holds for all bytes from that `base` to `end`, as one
    ///   object, which that `base` was derived from with the right to reach it; but for bytes that no block is
    ///   in, it ends when [`truncate`](Self::truncate) gives them back.
    pub unsafe fn extend(&self, end: *const u8) -> bool {
        let (capacity, old) = (self.capacity(), self.end.get());
        let Some(more) = end.addr().checked_sub(old.addr()) else { return false };
        let more = more.min(CHUNK_LEN_MAX.saturating_sub(capacity)) & !(GRANULE - 1);
        if self.base.get() == NOWHERE || more == 0 {
            return false;
        }
        // SAFETY: the heap has a buffer, and so many bytes behind its end are of the same object (contract).
        self.end.set(unsafe { old.after(more) });
        true
    }

    /// Moves the end of the heap down to `end`, but not into a block or a hole between blocks. Returns where
    /// it is then: what is from there on the heap does not use any more. Constant. With a null pointer it
    /// gives back all that there is to give.
    ///
    /// ```
    /// use alloc_core::AllocatorExt;
    /// use alloc_fixed::{StackBuffer, TlsfHeap};
    ///
    /// let mut stack = StackBuffer::<4096>::new();
    /// let heap = TlsfHeap::new(&mut stack);
    /// let block = heap.dupe(b"kept")?;
    /// let end = heap.truncate(core::ptr::null());
    /// assert!(block.as_ptr() < end && heap.capacity() < 100);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    pub fn truncate(&self, end: *const u8) -> *const u8 {
        let top = self.top.get();
        let kept = end.addr().saturating_sub(top.addr()) & !(GRANULE - 1);
        if kept < self.room() {
            // SAFETY: so many bytes lie between the top and the end (T3).
            self.end.set(unsafe { top.after(kept) });
        }
        self.end.get().addr_of().as_ptr()
    }
}
