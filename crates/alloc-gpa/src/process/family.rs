//! What the preloaded library asks of the process's heap beyond the contract: which functions a
//! block belongs to, and what was refused before it came here. Not for others.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::AllocError;

use super::ProcessHeap;
use super::start::Start;
use crate::heap::Origin;
use crate::heap::claim::Claim;
use crate::stack::thread;
use crate::sys::errno::KeepErrno;

impl ProcessHeap {
    /// Allocates a block that belongs to the functions of `origin`. A size of zero is one of its
    /// own: the block has an address, and no byte that may be written.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    #[doc(hidden)]
    #[inline]
    pub fn alloc_of(self, layout: Layout, origin: Origin) -> Result<NonNull<u8>, AllocError> {
        Self::alloc_as(layout, origin, Start::Preload)
    }

    /// Frees a block as the functions of `origin` do, with what they are told of it.
    ///
    /// # Safety
    ///
    /// `block` is live if it belongs to the side heap.
    #[doc(hidden)]
    #[inline]
    pub unsafe fn free_by(
        self,
        block: NonNull<u8>,
        origin: Origin,
        size: Option<usize>,
        align: Option<usize>,
    ) {
        Self::free(block, Claim::by(origin, size, align));
    }

    /// Lets a block that was just allocated belong to other functions; nobody else uses it yet.
    #[doc(hidden)]
    pub fn set_origin(self, block: NonNull<u8>, origin: Origin) {
        if let Ok(heap) = Self::heap(Start::Preload) {
            heap.set_origin(block, origin);
        }
    }

    /// Notes that `size` bytes were asked for and refused, as nobody can mean them; `of` is the
    /// product that they are, if they are one.
    #[doc(hidden)]
    #[cold]
    pub fn note_absurd(self, size: usize, align: usize, of: Option<(usize, usize)>) {
        let Some(inside) = thread::enter() else { return };
        let _errno = KeepErrno::new();
        if let Ok(heap) = Self::heap(Start::Preload) {
            heap.tell_absurd(size, align, of, heap.stack(&inside));
        }
    }
}
