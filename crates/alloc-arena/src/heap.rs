//! An arena whose blocks come back one by one as well: free lists over the chunks.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};

use alloc_core::sync::atomic::AtomicPtr;
use alloc_core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use alloc_core::{AllocError, Allocator};

use crate::classes::{CLASS_COUNT, Class};
use crate::in_arena::DefaultBacking;
use crate::{Arena, Reset};

/// What a freed block of a class holds: the next one.
struct Free {
    next: *mut Free,
}

/// What a block holds that another thread freed.
struct Sent {
    next: *mut Sent,
    class: Class,
}

/// What stands before a block that is too large for the classes, or aligned to more: a block of the
/// backing by itself.
struct Large {
    newer: Cell<Option<NonNull<Large>>>,
    older: Cell<Option<NonNull<Large>>>,
    /// The layout of the backing's block, in which this stands right before the client's.
    layout: Layout,
}

/// An arena with individual free: blocks of up to 32 KiB come from free lists, one for each size class,
/// over the chunks of an [`Arena`]; larger ones from the backing. All of it goes at once at
/// [`reset`](Self::reset) or drop.
///
/// One thread allocates. A value that another thread shall free goes into a [`SendBox`].
///
/// ```
/// use alloc_arena::{HeapArena, Reset};
/// use alloc_core::AllocatorExt;
///
/// let mut heap = HeapArena::new();
/// for round in 0..1000u64 {
///     let text = heap.print(format_args!("round {round}"))?;
///     let kept = heap.create(round)?; // behind the text
///     drop(text);
///     drop(kept);
/// }
/// assert!(heap.reserved() < 2000, "the same two blocks again and again");
/// heap.reset(Reset::RetainCapacity);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
pub struct HeapArena<A: Allocator = DefaultBacking> {
    /// By class, the free blocks; invariant: each is a block of the arena with the class's size, in one list
    /// once, and nobody else's.
    free: [Cell<*mut Free>; CLASS_COUNT],
    /// Blocks that other threads freed, and of what class.
    sent: AtomicPtr<Sent>,
    /// The newest large block; invariant: the list holds each live one once.
    large: Cell<Option<NonNull<Large>>>,
    arena: Arena<A>,
}

// SAFETY: all blocks are reached through this heap, and go where it goes; the backing may by the bound.
// The `SendBox`es of other threads borrow it, so it does not go while there are any.
unsafe impl<A: Allocator + Send> Send for HeapArena<A> {}

#[cfg(feature = "alloc")]
impl HeapArena {
    alloc_core::__const_unless_loom! {
        /// Makes one over the program's own allocator. Takes no memory before the first request.
        #[must_use]
        pub fn new() -> Self {
            Self::over(Arena::new())
        }
    }
}

#[cfg(feature = "alloc")]
impl Default for HeapArena {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Allocator> HeapArena<A> {
    alloc_core::__const_unless_loom! {
        /// Makes one of an arena, which may be warm.
        pub fn over(arena: Arena<A>) -> Self {
            Self {
                free: [const { Cell::new(ptr::null_mut()) }; CLASS_COUNT],
                sent: AtomicPtr::new(ptr::null_mut()),
                large: Cell::new(None),
                arena,
            }
        }
    }

    /// Returns how many bytes of the backing the chunks and the large blocks have, headers included.
    pub fn reserved(&self) -> usize {
        self.arena.reserved()
    }

    /// Changes how many bytes of the backing there may be, as [`Arena::set_limit`]: of chunks and large blocks
    /// together.
    pub fn set_limit(&self, bytes: usize) {
        self.arena.set_limit(bytes);
    }

    /// Takes every block back, as [`Arena::reset`]; large ones go to the backing.
    pub fn reset(&mut self, mode: Reset) -> bool {
        self.free_large();
        for list in &self.free {
            list.set(ptr::null_mut());
        }
        // Relaxed: the unique borrow orders it after whatever other threads did.
        self.sent.store(ptr::null_mut(), Relaxed);
        self.arena.reset(mode)
    }

    fn free_large(&mut self) {
        let mut next = self.large.take();
        while let Some(large) = next {
            // SAFETY: the list's entries are live (invariant).
            let Large { older, layout, .. } = unsafe { large.read() };
            next = older.get();
            let base = base_of(large, layout);
            self.arena.discharge(layout.size());
            // SAFETY: a live block of this backing that fits; no part of it is live, for the borrow is
            // unique, and the list is forgotten.
            unsafe { self.arena.backing.raw_free(base, layout) };
        }
    }

    /// Puts a value here that may be dropped, and its memory freed, by another thread.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had, or if the value is larger than 32 KiB or aligned to more
    /// than 16; the value is dropped then.
    pub fn put_send<T: Send>(&self, value: T) -> Result<SendBox<'_, T>, AllocError> {
        let layout = Layout::new::<SendSlot<T>>();
        // A large one would go back to the backing, which may be this thread's alone.
        let Some(class) = Class::of(layout) else { return Err(AllocError) };
        let slot = self.raw_alloc(layout)?.cast::<SendSlot<T>>();
        // SAFETY: the block fits.
        unsafe { slot.write(SendSlot { value }) };
        Ok(SendBox { slot, class, sent: &self.sent, _value: PhantomData })
    }

    /// Puts the blocks that other threads freed into the lists.
    #[cold]
    #[inline(never)]
    fn take_sent(&self) {
        // Acquire: pairs with the Release in `SendBox::drop`: what stands in the blocks, and what was done
        // to their values, has happened.
        let mut next = self.sent.swap(ptr::null_mut(), Acquire);
        while let Some(block) = NonNull::new(next) {
            // SAFETY: written by `SendBox::drop`, and nobody else's since the swap.
            let Sent { next: rest, class } = unsafe { block.read() };
            next = rest;
            self.push(block.cast(), class);
        }
    }

    /// The head of a class's list.
    #[inline]
    fn list(&self, class: Class) -> &Cell<*mut Free> {
        // SAFETY: a class is less than `CLASS_COUNT` (its invariant), which is the length.
        unsafe { self.free.get_unchecked(class.index()) }
    }

    /// Adds a block of a class, which nobody uses, to its list.
    #[inline]
    fn push(&self, block: NonNull<u8>, class: Class) {
        let list = self.list(class);
        let free = block.cast::<Free>();
        // SAFETY: a block of a class has room for a pointer and its alignment, and is nobody else's.
        unsafe { free.write(Free { next: list.get() }) };
        list.set(free.as_ptr());
    }

    /// Takes a block of a class from its list.
    #[inline]
    fn pop(&self, class: Class) -> Option<NonNull<u8>> {
        let list = self.list(class);
        let free = NonNull::new(list.get())?;
        // SAFETY: the list's blocks hold this (invariant).
        list.set(unsafe { free.read() }.next);
        Some(free.cast())
    }

    /// A block of a class, when its list is empty.
    #[cold]
    #[inline(never)]
    fn alloc_class(&self, class: Class) -> Result<NonNull<u8>, AllocError> {
        // Relaxed: whether it is null only; what is behind it is read by `take_sent`.
        if !self.sent.load(Relaxed).is_null() {
            self.take_sent();
            if let Some(block) = self.pop(class) {
                return Ok(block);
            }
        }
        self.arena.raw_alloc(class.layout())
    }

    /// A block of the backing by itself, with its header before it.
    #[cold]
    #[inline(never)]
    fn alloc_large(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let (outer, offset) = large_layout(layout).ok_or(AllocError)?;
        self.arena.charge(outer.size())?;
        let backing = &self.arena.backing;
        let base = backing.raw_alloc(outer).inspect_err(|_| self.arena.discharge(outer.size()))?;
        // SAFETY: within the block, whose size is `offset` and the client's.
        let block = unsafe { base.add(offset) };
        let large = header_of(block);
        let older = self.large.get();
        // SAFETY: the header's bytes lie between base and block, aligned as `large_layout` says.
        unsafe {
            large.write(Large { newer: Cell::new(None), older: Cell::new(older), layout: outer })
        };
        if let Some(older) = older {
            // SAFETY: the list's entries are live (invariant).
            unsafe { older.as_ref() }.newer.set(Some(large));
        }
        self.large.set(Some(large));
        Ok(block)
    }

    /// Gives a large block back.
    ///
    /// # Safety
    ///
    /// A live block that `alloc_large` returned.
    #[cold]
    #[inline(never)]
    unsafe fn free_one_large(&self, block: NonNull<u8>) {
        let large = header_of(block);
        // SAFETY: live (contract).
        let Large { newer, older, layout } = unsafe { large.read() };
        let (newer, older) = (newer.get(), older.get());
        match newer {
            // SAFETY: the list's entries are live (invariant).
            Some(newer) => unsafe { newer.as_ref() }.older.set(older),
            None => self.large.set(older),
        }
        if let Some(older) = older {
            // SAFETY: as above.
            unsafe { older.as_ref() }.newer.set(newer);
        }
        self.arena.discharge(layout.size());
        // SAFETY: a live block of this backing that fits; it is in no list any more.
        unsafe { self.arena.backing.raw_free(base_of(large, layout), layout) };
    }

    /// Changes a large block's size where it is; returns whether the backing did it.
    ///
    /// # Safety
    ///
    /// As [`free_one_large`](Self::free_one_large), and `new` is a layout of its alignment that is large.
    #[cold]
    #[inline(never)]
    unsafe fn resize_large(&self, block: NonNull<u8>, new: Layout) -> bool {
        let Some((outer, _)) = large_layout(new) else { return false };
        let large = header_of(block);
        // SAFETY: live (contract).
        let old = unsafe { large.read() };
        let base = base_of(large, old.layout);
        let more = outer.size().saturating_sub(old.layout.size());
        if self.arena.charge(more).is_err() {
            return false;
        }
        // SAFETY: a live block of this backing that fits; the new size is not zero and makes a layout.
        if !unsafe { self.arena.backing.raw_resize(base, old.layout, outer.size()) } {
            self.arena.discharge(more);
            return false;
        }
        self.arena.discharge(old.layout.size().saturating_sub(outer.size()));
        // SAFETY: as above; it is where it was.
        unsafe { large.write(Large { layout: outer, ..old }) };
        true
    }
}

/// The layout of a large block with its header, and where in it the client's part starts.
fn large_layout(layout: Layout) -> Option<(Layout, usize)> {
    let (outer, offset) = Layout::new::<Large>().extend(layout).ok()?;
    Some((outer, offset))
}

/// The header before a large block. The block is aligned at least as the header, whose size is a multiple of
/// that.
const fn header_of(block: NonNull<u8>) -> NonNull<Large> {
    // SAFETY: `alloc_large` put the header there, within the same block of the backing.
    unsafe { block.cast::<Large>().sub(1) }
}

/// Where the backing's block starts.
fn base_of(large: NonNull<Large>, outer: Layout) -> NonNull<u8> {
    // The offset of the client's part is the header's size, rounded up to the alignment.
    let before = size_of::<Large>().next_multiple_of(outer.align()) - size_of::<Large>();
    // SAFETY: the block starts that far before the header.
    unsafe { large.cast::<u8>().sub(before) }
}

// SAFETY: by number:
// 1 Fit: a class's size and alignment are those of the layout at least; large blocks are made to fit.
// 2 Exclusive: a block is taken off its list, or fresh from the arena; headers lie outside.
// 3 Stable: blocks are in chunks and in blocks of the backing; they go at `reset` and drop alone.
// 4 No unwind: classes index arrays of their number; arena and backing do not unwind.
// 5 Hands off: only free blocks and headers are written.
// 6 Kept: a resize within a class changes nothing; a large block's is the backing's.
// 7 Clean failure: nothing is changed before what may fail.
unsafe impl<A: Allocator> Allocator for HeapArena<A> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        match Class::of(layout) {
            Some(class) => match self.pop(class) {
                Some(block) => Ok(block),
                None => self.alloc_class(class),
            },
            None => self.alloc_large(layout),
        }
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let Ok(new) = Layout::from_size_align(new_size, layout.align()) else { return false };
        match (Class::of(layout), Class::of(new)) {
            (Some(old), Some(new)) => old == new,
            // SAFETY: the caller's promise: a live block, which is large.
            (None, None) => unsafe { self.resize_large(block, new) },
            _ => false,
        }
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller keeps the same contract towards `raw_resize`.
        let resized = unsafe { self.raw_resize(block, layout, new_size) };
        resized.then_some(block)
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        match Class::of(layout) {
            Some(class) => self.push(block, class),
            // SAFETY: the caller's promise: a live block, which is large.
            None => unsafe { self.free_one_large(block) },
        }
    }
}

alloc_core::impl_foreign_allocator!(impl[A: Allocator] for HeapArena<A>);

/// Gives everything back.
impl<A: Allocator> Drop for HeapArena<A> {
    fn drop(&mut self) {
        self.free_large();
    }
}

impl<A: Allocator> fmt::Debug for HeapArena<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeapArena").field(&self.arena).finish()
    }
}

/// A value in a block that has room for [`Sent`].
#[repr(C, align(16))]
struct SendSlot<T> {
    value: T,
}

/// Owns a value in a [`HeapArena`], and can be sent to another thread: dropped there, it hands the memory
/// back to the heap without a lock. Made by [`HeapArena::put_send`].
///
/// ```
/// use alloc_arena::HeapArena;
///
/// let heap = HeapArena::new();
/// std::thread::scope(|threads| {
///     for text in ["one", "two"] {
///         let text = heap.put_send(text.to_string()).unwrap();
///         threads.spawn(move || assert_eq!(text.len(), 3)); // freed there
///     }
/// });
/// ```
pub struct SendBox<'h, T> {
    /// Invariant: a live block of the heap of `sent`, of this class, that holds a valid value; nobody
    /// else's.
    slot: NonNull<SendSlot<T>>,
    class: Class,
    sent: &'h AtomicPtr<Sent>,
    _value: PhantomData<T>,
}

// SAFETY: it is its value, which may be sent by the bound; the block goes back by an atomic operation.
unsafe impl<T: Send> Send for SendBox<'_, T> {}
// SAFETY: a shared one gives out `&T` only.
unsafe impl<T: Sync> Sync for SendBox<'_, T> {}

impl<T> Deref for SendBox<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: valid (invariant).
        &unsafe { self.slot.as_ref() }.value
    }
}

impl<T> DerefMut for SendBox<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: valid, and nobody else's (invariant).
        &mut unsafe { self.slot.as_mut() }.value
    }
}

impl<T> Drop for SendBox<'_, T> {
    fn drop(&mut self) {
        /// Hands the block back, also if the value's drop panicked.
        struct Give<'h>(NonNull<Sent>, Class, &'h AtomicPtr<Sent>);

        impl Drop for Give<'_> {
            fn drop(&mut self) {
                let Self(block, class, sent) = self;
                // Relaxed: the pointer is only stored until the exchange.
                let mut next = sent.load(Relaxed);
                loop {
                    // SAFETY: a block of a class has room for it and its alignment; the value is gone.
                    unsafe { block.write(Sent { next, class: *class }) };
                    // Release: what stands in the block, and what was done to the value, happens before
                    // the heap takes it. Pairs with the Acquire in `take_sent`.
                    // Relaxed: on failure the pointer is only stored.
                    match sent.compare_exchange_weak(next, block.as_ptr(), Release, Relaxed) {
                        Ok(_) => return,
                        Err(now) => next = now,
                    }
                }
            }
        }

        let _give = Give(self.slot.cast(), self.class, self.sent);
        // SAFETY: valid, and not used again (invariant).
        unsafe { self.slot.drop_in_place() };
    }
}

impl<T: fmt::Debug> fmt::Debug for SendBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
