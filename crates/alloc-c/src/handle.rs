//! The contract as a table of C functions, in both directions: `include/alloc.h`.

use core::alloc::Layout;
use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use alloc_core::{AllocError, Allocator};

/// What an allocator does, as C sees it: `struct alloc_vtable` of `alloc.h`, which says what each
/// function promises.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CVtable {
    /// Returns a block, or null.
    pub alloc: unsafe extern "C" fn(context: *mut c_void, size: usize, align: usize) -> *mut c_void,
    /// The same, all bytes zero. `None`: [`alloc`](Self::alloc), and a fill.
    pub alloc_zeroed: Option<
        unsafe extern "C" fn(context: *mut c_void, size: usize, align: usize) -> *mut c_void,
    >,
    /// Changes a block's size in place; returns whether it did. `None`: it cannot.
    pub resize: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            block: *mut c_void,
            size: usize,
            align: usize,
            new_size: usize,
        ) -> bool,
    >,
    /// Changes a block's size and may move it; null: it did not. `None`: it cannot.
    pub remap: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            block: *mut c_void,
            size: usize,
            align: usize,
            new_size: usize,
        ) -> *mut c_void,
    >,
    /// Takes a block back.
    pub free:
        unsafe extern "C" fn(context: *mut c_void, block: *mut c_void, size: usize, align: usize),
}

/// An allocator between C and Rust: `struct alloc_handle` of `alloc.h`. Two words, `Copy`.
///
/// [`new`](Self::new) makes one of any allocator of ours, to be given to C. One that C made is an
/// [`Allocator`] here: every verb works on it.
///
/// ```
/// use alloc_c::{CAllocator, CHandle};
/// use alloc_core::AllocatorExt;
///
/// /// To be called from C: `void greet(struct alloc_handle)`.
/// extern "C" fn greet(gpa: CHandle<'_>) {
///     let text = gpa.dupe_z(c"hello").expect("there is memory");
///     assert_eq!(&*text, c"hello");
/// }
///
/// greet(CHandle::new(&CAllocator));
/// ```
///
/// A handle from C has a table: to receive one whose `vtable` is null is undefined behaviour, as for every
/// reference. Where there may be none, C says so by a parameter of its own.
///
/// Cost: an indirect call for each operation, as through `&dyn Allocator`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CHandle<'a> {
    context: *mut c_void,
    /// Invariant: the functions keep what `alloc.h` says, called with `context`, for `'a`.
    vtable: &'a CVtable,
    _allocator: PhantomData<&'a ()>,
}

impl<'a> CHandle<'a> {
    /// Makes a handle for C of an allocator; of an erased one by another reference: `&&dyn Allocator`.
    ///
    /// What C must keep to is in `alloc.h`: it says sizes and alignments truly, and calls from threads that
    /// the allocator is for.
    #[inline]
    pub const fn new<A: Allocator>(alloc: &'a A) -> Self {
        // The functions make a shared reference of it again, and nothing else.
        let context = ptr::from_ref(alloc).cast_mut().cast();
        Self { context, vtable: &const { Thunks::<A>::VTABLE }, _allocator: PhantomData }
    }

    /// Makes a handle of its parts, as C does.
    ///
    /// # Safety
    ///
    /// For as long as the handle and its copies are used, the functions called with `context` keep what
    /// `alloc.h` says of them, that is, the promises of [`Allocator`].
    #[inline]
    pub const unsafe fn from_raw_parts(context: *mut c_void, vtable: &'a CVtable) -> Self {
        Self { context, vtable, _allocator: PhantomData }
    }
}

impl fmt::Debug for CHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CHandle").field("context", &self.context).finish_non_exhaustive()
    }
}

// SAFETY: by number, on the invariant of `vtable`, and so on what `alloc.h` asks of C:
// 1 Fit: `alloc` returns `size` bytes at a multiple of `align`; a resize or remap says so too.
// 2 Exclusive: blocks are disjoint, and nothing of theirs is kept here.
// 3 Stable: copies mean the same context; only `remap` and `free` take a block.
// 4 No unwind: C functions do not, and nothing here panics.
// 5 Hands off: `alloc.h`'s own promise.
// 6 Kept: the same.
// 7 Clean failure: a null pointer means that nothing was allocated.
unsafe impl Allocator for CHandle<'_> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        // SAFETY: the context that belongs to the table (invariant); a layout's size and alignment.
        let block = unsafe { (self.vtable.alloc)(self.context, layout.size(), layout.align()) };
        given(block, layout).ok_or(AllocError)
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let Some(alloc_zeroed) = self.vtable.alloc_zeroed else {
            let block = self.raw_alloc(layout)?;
            // SAFETY: promise 1: writable for the layout's size.
            unsafe { block.write_bytes(0, layout.size()) };
            return Ok(block);
        };
        // SAFETY: the context that belongs to the table (invariant); a layout's size and alignment.
        let block = unsafe { alloc_zeroed(self.context, layout.size(), layout.align()) };
        given(block, layout).ok_or(AllocError)
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let Some(resize) = self.vtable.resize else { return false };
        let (block, size, align) = (block.as_ptr().cast(), layout.size(), layout.align());
        // SAFETY: the context that belongs to the table (invariant); a live block with the size and
        // alignment it has, and a size that is not zero (contract).
        unsafe { resize(self.context, block, size, align, new_size) }
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let Some(remap) = self.vtable.remap else {
            // SAFETY: the caller keeps the same contract towards `raw_resize`.
            return unsafe { self.raw_resize(block, layout, new_size) }.then_some(block);
        };
        let (block, size, align) = (block.as_ptr().cast(), layout.size(), layout.align());
        // SAFETY: as in `raw_resize`; the caller forgets the old address on `Some`.
        given(unsafe { remap(self.context, block, size, align, new_size) }, layout)
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        let (block, size, align) = (block.as_ptr().cast(), layout.size(), layout.align());
        // SAFETY: the context that belongs to the table (invariant); a live block with the size and
        // alignment it has (contract).
        unsafe { (self.vtable.free)(self.context, block, size, align) };
    }
}

/// What a C function gave.
#[inline]
fn given(block: *mut c_void, layout: Layout) -> Option<NonNull<u8>> {
    let align = layout.align();
    alloc_core::check!(
        block.addr().is_multiple_of(align),
        "a C allocator was asked for alignment {align} and gave {block:?}"
    );
    NonNull::new(block.cast())
}

/// The functions that C calls, for an allocator of this type.
struct Thunks<A>(PhantomData<A>);

impl<A: Allocator> Thunks<A> {
    const VTABLE: CVtable = CVtable {
        alloc: alloc::<A>,
        alloc_zeroed: Some(alloc_zeroed::<A>),
        resize: Some(resize::<A>),
        remap: Some(remap::<A>),
        free: free::<A>,
    };
}

/// The layout that C names; `None` if it is none, or of no bytes.
#[inline]
fn layout(size: usize, align: usize) -> Option<Layout> {
    if size == 0 { None } else { Layout::from_size_align(size, align).ok() }
}

/// The layout of a block that exists. C names another one by mistake only, and what would follow is worse
/// than the end of the process.
#[inline]
fn layout_of_block(size: usize, align: usize) -> Layout {
    match layout(size, align) {
        Some(layout) => layout,
        None => alloc_core::check_failed(format_args!(
            "C names a block of {size} bytes, alignment {align}: no block has these"
        )),
    }
}

/// # Safety
///
/// `context` is that of a handle of [`CHandle::new`] for an `A` that lives.
#[inline]
unsafe fn allocator<'a, A>(context: *mut c_void) -> &'a A {
    // SAFETY: made of a `&A` (contract), which lives, and is only ever shared.
    unsafe { &*context.cast_const().cast::<A>() }
}

#[inline]
fn taken(block: Result<NonNull<u8>, AllocError>) -> *mut c_void {
    block.map_or(ptr::null_mut(), |block| block.as_ptr().cast())
}

/// # Safety
///
/// As [`allocator`].
unsafe extern "C" fn alloc<A: Allocator>(
    context: *mut c_void,
    size: usize,
    align: usize,
) -> *mut c_void {
    let Some(layout) = layout(size, align) else { return ptr::null_mut() };
    // SAFETY: this function's own contract.
    taken(unsafe { allocator::<A>(context) }.raw_alloc(layout))
}

/// # Safety
///
/// As [`allocator`].
unsafe extern "C" fn alloc_zeroed<A: Allocator>(
    context: *mut c_void,
    size: usize,
    align: usize,
) -> *mut c_void {
    let Some(layout) = layout(size, align) else { return ptr::null_mut() };
    // SAFETY: this function's own contract.
    taken(unsafe { allocator::<A>(context) }.raw_alloc_zeroed(layout))
}

/// # Safety
///
/// As [`allocator`]; `block` is a live block of it, of this size and alignment.
unsafe extern "C" fn resize<A: Allocator>(
    context: *mut c_void,
    block: *mut c_void,
    size: usize,
    align: usize,
    new_size: usize,
) -> bool {
    let (Some(block), Some(_)) = (NonNull::new(block.cast()), layout(new_size, align)) else {
        return false;
    };
    let layout = layout_of_block(size, align);
    // SAFETY: this function's own contract.
    let allocator = unsafe { allocator::<A>(context) };
    // SAFETY: live and fitting (contract); the new size is not zero and makes a layout.
    unsafe { allocator.raw_resize(block, layout, new_size) }
}

/// # Safety
///
/// As [`resize`].
unsafe extern "C" fn remap<A: Allocator>(
    context: *mut c_void,
    block: *mut c_void,
    size: usize,
    align: usize,
    new_size: usize,
) -> *mut c_void {
    let (Some(block), Some(_)) = (NonNull::new(block.cast()), layout(new_size, align)) else {
        return ptr::null_mut();
    };
    let layout = layout_of_block(size, align);
    // SAFETY: this function's own contract.
    let allocator = unsafe { allocator::<A>(context) };
    // SAFETY: live and fitting (contract); the new size is not zero and makes a layout.
    taken(unsafe { allocator.raw_remap(block, layout, new_size) }.ok_or(AllocError))
}

/// # Safety
///
/// As [`allocator`]; `block` is null, or a live block of it, of this size and alignment.
unsafe extern "C" fn free<A: Allocator>(
    context: *mut c_void,
    block: *mut c_void,
    size: usize,
    align: usize,
) {
    let Some(block) = NonNull::new(block.cast()) else { return };
    let layout = layout_of_block(size, align);
    // SAFETY: this function's own contract.
    let allocator = unsafe { allocator::<A>(context) };
    // SAFETY: live and fitting (contract).
    unsafe { allocator.raw_free(block, layout) };
}

alloc_core::impl_foreign_allocator!(impl['a] for CHandle<'a>);
