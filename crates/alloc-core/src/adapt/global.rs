//! `GlobalAlloc`, both ways.

use core::alloc::{GlobalAlloc, Layout};
use core::mem;
use core::ptr::{self, NonNull};

use crate::{AllocError, Allocator};

/// Makes an allocator of ours fit for `#[global_allocator]`.
///
/// It alone implements [`GlobalAlloc`]: on a type with verbs that would make calls of `alloc` and
/// `realloc` ambiguous.
///
/// ```
/// use alloc_core::{AsGlobal, Counting, FromGlobal};
/// use std::alloc::System;
///
/// #[global_allocator]
/// static HEAP: AsGlobal<Counting<FromGlobal<System>>> =
///     AsGlobal::new(Counting::new(FromGlobal::new(System)));
///
/// let before = HEAP.get().counts().live_bytes;
/// let text = String::from("hello");
/// assert_eq!(HEAP.get().counts().live_bytes, before + 5);
/// # drop(text);
/// ```
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct AsGlobal<A>(A);

impl<A> AsGlobal<A> {
    /// Wraps an allocator.
    #[inline]
    pub const fn new(inner: A) -> Self {
        Self(inner)
    }

    /// Returns the allocator inside.
    #[inline]
    pub const fn get(&self) -> &A {
        &self.0
    }
}

// SAFETY: nothing unwinds (promise 4); blocks fit the layout (1) and are disjoint (2). An error is a
// null pointer; `realloc` keeps the first bytes (6), and the old block if it fails.
unsafe impl<A: Allocator> GlobalAlloc for AsGlobal<A> {
    #[inline]
    #[track_caller]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // The size is not zero by the contract of `GlobalAlloc`.
        self.0.raw_alloc(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline]
    #[track_caller]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.0.raw_alloc_zeroed(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline]
    #[track_caller]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: a block of this allocator is not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: live and with this layout, by the contract of `GlobalAlloc`.
        unsafe { self.0.raw_free(block, layout) };
    }

    #[inline]
    #[track_caller]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: a block of this allocator is not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: by the contract of `GlobalAlloc` the new size makes a valid layout.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: live, with this layout, by the contract of `GlobalAlloc`.
        let moved = unsafe { crate::block::reallocate(&self.0, block, layout, new) };
        moved.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}

/// What [`FromGlobal`] and [`FromGlobalRef`] do, over `&G`.
macro_rules! by_global_alloc {
    ($self:ident => $global:expr) => {
        #[inline]
        fn raw_alloc(&$self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
            if layout.size() == 0 {
                return Err(AllocError);
            }
            // SAFETY: the size is not zero.
            NonNull::new(unsafe { $global.alloc(layout) }).ok_or(AllocError)
        }

        #[inline]
        fn raw_alloc_zeroed(&$self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
            if layout.size() == 0 {
                return Err(AllocError);
            }
            // SAFETY: the size is not zero.
            NonNull::new(unsafe { $global.alloc_zeroed(layout) }).ok_or(AllocError)
        }

        #[inline]
        unsafe fn raw_resize(&$self, _: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
            layout.size() == new_size
        }

        #[inline]
        unsafe fn raw_remap(
            &$self,
            block: NonNull<u8>,
            layout: Layout,
            new_size: usize,
        ) -> Option<NonNull<u8>> {
            // SAFETY: the block is live and fits the layout, the new size is not zero and makes a
            // valid layout: this method's contract.
            NonNull::new(unsafe { $global.realloc(block.as_ptr(), layout, new_size) })
        }

        #[inline]
        unsafe fn raw_free(&$self, block: NonNull<u8>, layout: Layout) {
            // SAFETY: the block is live and fits the layout: this method's contract.
            unsafe { $global.dealloc(block.as_ptr(), layout) };
        }
    };
}

/// A zero-sized [`GlobalAlloc`] behind our contract: the system's allocator, or mimalloc's, or
/// jemalloc's. It is zero-sized itself, so its owners are one word.
///
/// For one with state see [`FromGlobalRef`].
///
/// ```
/// use alloc_core::{AllocatorExt, FromGlobal, Owned};
/// use std::alloc::System;
///
/// let heap = FromGlobal::new(System);
/// let single: Owned<u64, FromGlobal<System>> = heap.create(42)?;
/// assert_eq!(size_of_val(&single), size_of::<usize>());
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// One whose blocks might lie in itself does not compile:
///
/// ```compile_fail
/// # use std::alloc::{GlobalAlloc, Layout};
/// struct Inline([u8; 64]);
/// # unsafe impl GlobalAlloc for Inline {
/// #     unsafe fn alloc(&self, _: Layout) -> *mut u8 { std::ptr::null_mut() }
/// #     unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
/// # }
/// let alloc = alloc_core::FromGlobal::new(Inline([0; 64]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FromGlobal<G>(G);

impl<G: GlobalAlloc> FromGlobal<G> {
    /// Wraps an allocator, which must be zero-sized: [`GlobalAlloc`] does not promise that its
    /// blocks outlive a move of one that is not.
    #[inline]
    pub const fn new(global: G) -> Self {
        const {
            assert!(size_of::<G>() == 0, "use `FromGlobalRef` for an allocator with state");
            assert!(!mem::needs_drop::<G>(), "an allocator's drop might unwind");
        }
        Self(global)
    }
}

impl<G: GlobalAlloc + Default> Default for FromGlobal<G> {
    fn default() -> Self {
        Self::new(G::default())
    }
}

// SAFETY: 1, 2, 5 and 6 are those of `GlobalAlloc`, which forbids to unwind as well (4). 3: a value
// of no bytes holds no block, and cannot be told from its copies. 7: a null pointer means that
// nothing changed.
unsafe impl<G: GlobalAlloc> Allocator for FromGlobal<G> {
    by_global_alloc!(self => self.0);
}

crate::impl_foreign_allocator!(impl[G: GlobalAlloc] for FromGlobal<G>);

/// A [`GlobalAlloc`] behind our contract, by reference: one with state, often a `static`.
#[derive(Debug)]
pub struct FromGlobalRef<'a, G>(&'a G);

impl<G> Clone for FromGlobalRef<'_, G> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<G> Copy for FromGlobalRef<'_, G> {}

impl<'a, G: GlobalAlloc> FromGlobalRef<'a, G> {
    /// Wraps a reference to an allocator.
    #[inline]
    pub const fn new(global: &'a G) -> Self {
        Self(global)
    }
}

// SAFETY: as for `FromGlobal`; 3: the allocator stays where it is while it is borrowed, and a copy
// of the reference means the same one.
unsafe impl<G: GlobalAlloc> Allocator for FromGlobalRef<'_, G> {
    by_global_alloc!(self => self.0);
}

crate::impl_foreign_allocator!(impl['a, G: GlobalAlloc] for FromGlobalRef<'a, G>);

/// The allocator that the program runs on: what `Box` and `Vec` use, chosen by
/// `#[global_allocator]`. Zero-sized, so its owners are one word; thread-safe.
///
/// What is registered as `#[global_allocator]` must not be built on it: it would call itself.
///
/// ```
/// use alloc_core::{AllocatorExt, Global};
///
/// assert_eq!(*Global.create(5)?, 5);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Global;

/// The functions of the `alloc` crate as a [`GlobalAlloc`].
#[cfg(feature = "alloc")]
struct Registered;

// SAFETY: each function is documented to call the same method of the registered global allocator,
// which keeps the contract of the trait.
#[cfg(feature = "alloc")]
unsafe impl GlobalAlloc for Registered {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the same contract.
        unsafe { alloc::alloc::alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the same contract.
        unsafe { alloc::alloc::alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the same contract.
        unsafe { alloc::alloc::dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the same contract.
        unsafe { alloc::alloc::realloc(block, layout, new_size) }
    }
}

// SAFETY: as for `FromGlobal`, over the registered allocator.
#[cfg(feature = "alloc")]
unsafe impl Allocator for Global {
    by_global_alloc!(self => Registered);
}

#[cfg(feature = "alloc")]
crate::impl_foreign_allocator!(impl[] for Global);
