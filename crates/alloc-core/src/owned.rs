//! The owner of one block, and the value in it.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop, MaybeUninit};
use core::pin::Pin;
use core::ptr::{self, NonNull};

use crate::Allocator;
use crate::block::FreeOnDrop;

mod into_iter;
mod slice;
mod convert;
mod traits;
#[cfg(feature = "std")]
mod io;

pub use convert::CloneIn;
pub use into_iter::IntoIter;
pub(crate) use into_iter::into_iter;

/// Owns a value in memory of the allocator behind `A`, and frees both on drop.
///
/// It is what the verbs return: the pointer and the handle together, so that no value can be freed
/// through another allocator. Dropping it is `defer allocator.free(x)`; [`free`] and [`destroy`] do
/// the same for those who like to see it.
///
/// Two words for `Owned<T, &A>`, three for `Owned<T, &dyn Allocator>`, one for a zero-sized
/// allocator; a length more for slices.
///
/// [`free`]: crate::AllocatorExt::free
/// [`destroy`]: crate::AllocatorExt::destroy
///
/// What must not happen does not compile. A use after the free:
///
/// ```compile_fail,E0382
/// # use alloc_core::{AllocatorExt, FromGlobal};
/// let heap = FromGlobal::new(std::alloc::System);
/// let single = heap.create(42).unwrap();
/// heap.destroy(single);
/// println!("{single}");
/// ```
///
/// An owner, or what was leaked from it, that outlives its allocator:
///
/// ```compile_fail,E0597
/// # use alloc_core::{AllocatorExt, Counting, FromGlobal};
/// let single = {
///     let gpa = Counting::new(FromGlobal::new(std::alloc::System));
///     gpa.create(42).unwrap()
/// };
/// ```
///
/// ```compile_fail,E0505
/// # use alloc_core::{AllocatorExt, Counting, FromGlobal, Owned};
/// let gpa = Counting::new(FromGlobal::new(std::alloc::System));
/// let leaked = Owned::leak(gpa.create(42).unwrap());
/// drop(gpa);
/// *leaked = 43;
/// ```
///
/// # Invariants
///
/// 1. `ptr` points to a valid `T`, which this owner alone may reach.
/// 2. If the value's size is not zero, `ptr` is a live block of `alloc` that fits
///    `Layout::for_value(&*ptr)`. Otherwise it is dangling and aligned, and the allocator does not
///    know it.
#[must_use = "an `Owned` frees its memory when it is dropped, which is at once if it is not used"]
pub struct Owned<T: ?Sized, A: Allocator> {
    ptr: NonNull<T>,
    alloc: A,
    _owns: PhantomData<T>,
}

// SAFETY: an `Owned` is its value and its handle (invariant 1); sending it sends both.
unsafe impl<T: ?Sized + Send, A: Allocator + Send> Send for Owned<T, A> {}
// SAFETY: a shared `Owned` gives out `&T` and `&A` only.
unsafe impl<T: ?Sized + Sync, A: Allocator + Sync> Sync for Owned<T, A> {}

impl<T: ?Sized, A: Allocator> Owned<T, A> {
    /// Takes ownership of a value and its block.
    ///
    /// # Safety
    ///
    /// * `ptr` points to a valid `T` that nobody else uses or owns.
    /// * If the size of the value is not zero, `ptr` is a live block of the allocator behind
    ///   `alloc` and fits `Layout::for_value(&*ptr)`; and nothing invalidates it while the owner
    ///   lives.
    #[inline]
    pub const unsafe fn from_raw_parts(ptr: NonNull<T>, alloc: A) -> Self {
        Self { ptr, alloc, _owns: PhantomData }
    }

    /// Gives up ownership: the caller frees the block and drops the value, or leaks them.
    #[inline]
    pub fn into_raw_parts(this: Self) -> (NonNull<T>, A) {
        let this = ManuallyDrop::new(this);
        // SAFETY: `this` is never used again nor dropped, so the handle is moved out once.
        (this.ptr, unsafe { ptr::read(&raw const this.alloc) })
    }

    /// Gives up ownership for good: the value lives as long as its allocator may be borrowed, and
    /// is never dropped or freed by this library.
    #[inline]
    pub fn leak<'a>(this: Self) -> &'a mut T
    where
        A: 'a,
    {
        let this = ManuallyDrop::new(this);
        // SAFETY: invariant 1: a valid value that nobody else reaches, now or later. The block stays
        // live for `'a`: the handle lives that long, is not dropped, and by promise 3 (Stable) no
        // safe call through a shared handle invalidates a block.
        unsafe { &mut *this.ptr.as_ptr() }
    }

    /// Returns the handle of the allocator that the memory came from.
    #[inline]
    pub const fn allocator(this: &Self) -> &A {
        &this.alloc
    }

    /// Returns the address of the value, without a reference to it.
    #[inline]
    pub const fn as_ptr(this: &Self) -> *mut T {
        this.ptr.as_ptr()
    }

    /// Pins the value: it will not move until it is dropped.
    ///
    /// It asks for `A: 'static`: memory of an allocator that is only borrowed could be taken back
    /// without a drop of the value (an arena's reset after the owner was leaked), which pinning
    /// forbids.
    ///
    /// ```compile_fail,E0597
    /// # use alloc_core::{AllocatorExt, Counting, FromGlobal, Owned};
    /// let gpa = Counting::new(FromGlobal::new(std::alloc::System));
    /// let pinned = Owned::into_pin(gpa.create(42).unwrap());
    /// ```
    pub fn into_pin(this: Self) -> Pin<Self>
    where
        A: 'static,
    {
        // SAFETY: nothing moves the value out of an `Owned` behind a `Pin` (it derefs to the same
        // place for ever), and its memory is not reused before the value is dropped: the handle is
        // `'static`, so no `&mut` of the allocator can ever exist beside a leaked owner.
        unsafe { Pin::new_unchecked(this) }
    }

    /// The layout that the block fits, if there is one (invariant 2).
    #[inline]
    pub(crate) fn layout(&self) -> Layout {
        Layout::for_value::<T>(self)
    }
}

impl<T, A: Allocator> Owned<T, A> {
    /// Moves the value out and frees its memory.
    #[inline]
    #[track_caller]
    pub fn into_inner(this: Self) -> T {
        // SAFETY: invariant 1: the value is valid; below, the memory is freed without dropping it.
        let value = unsafe { this.ptr.read() };
        this.into_uninit().release();
        value
    }

    /// The same block without its value: freeing it drops nothing.
    #[inline]
    fn into_uninit(self) -> Owned<MaybeUninit<T>, A> {
        let (ptr, alloc) = Self::into_raw_parts(self);
        // SAFETY: `MaybeUninit<T>` has `T`'s layout and any bytes are valid for it.
        unsafe { Owned::from_raw_parts(ptr.cast(), alloc) }
    }
}

impl<T, A: Allocator> Owned<MaybeUninit<T>, A> {
    /// Asserts that the value was written.
    ///
    /// # Safety
    ///
    /// The value is initialised.
    #[inline]
    pub unsafe fn assume_init(self) -> Owned<T, A> {
        let (ptr, alloc) = Self::into_raw_parts(self);
        // SAFETY: initialised by this function's contract; same layout, same block.
        unsafe { Owned::from_raw_parts(ptr.cast(), alloc) }
    }

    /// Writes the value, which makes the owner that of an initialised one.
    #[inline]
    pub fn write(mut self, value: T) -> Owned<T, A> {
        (*self).write(value);
        // SAFETY: written just above.
        unsafe { self.assume_init() }
    }
}

impl<T: ?Sized, A: Allocator> Owned<T, A> {
    /// Drops the value and frees its memory, as the owner's drop does, except that the allocator
    /// sees the caller's place.
    #[inline]
    #[track_caller]
    pub(crate) fn release(self) {
        let layout = self.layout();
        let (ptr, alloc) = Self::into_raw_parts(self);
        // SAFETY: invariant 2 of the owner that was taken apart, which was its last user.
        let block = unsafe { FreeOnDrop::new(&alloc, ptr.cast(), layout) };
        // SAFETY: invariant 1: a valid value, which nobody reaches after this.
        unsafe { ptr.drop_in_place() };
        block.free();
    }
}

impl<T: ?Sized, A: Allocator> Drop for Owned<T, A> {
    #[inline]
    fn drop(&mut self) {
        // The guard frees the block also when the value's drop unwinds.
        // SAFETY: invariant 2: no bytes, or a live block of this allocator that fits the layout. It
        // is dead from here on: the owner is being dropped.
        let _block = unsafe { FreeOnDrop::new(&self.alloc, self.ptr.cast(), self.layout()) };
        if mem::needs_drop::<T>() {
            // SAFETY: invariant 1: a valid value, which nobody reaches after this drop.
            unsafe { self.ptr.drop_in_place() };
        }
    }
}
