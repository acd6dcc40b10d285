//! Handles between C and Rust, and memory that is only ever freed.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::rc::Rc;

use alloc_c::{CAllocator, CHandle, CVtable, FreesOnly, RawCAllocator};
use alloc_core::{AllocError, Allocator, AllocatorExt, Counting, Owned};
use alloc_fixed::FixedBuffer;
use alloc_testing::RawBlock;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// Goal: there and back again changes nothing. Method: a fixed buffer by way of C's table: where blocks lie,
/// what grows in place, and when it is full.
#[test]
fn a_round_trip_over_a_fixed_buffer() {
    let mut memory = [MaybeUninit::uninit(); 1024];
    let fixed = FixedBuffer::new(&mut memory);
    let handle = CHandle::new(&fixed);
    let mut first = RawBlock::new(handle, 100, 8).unwrap();
    assert!(first.resize(200), "the last block grows in place, through the table");
    first.fill(1);
    let second = handle.alloc_fill(100, 2u8).unwrap();
    assert!(fixed.owns_slice(&raw const *second) && fixed.owns_ptr(first.as_ptr().as_ptr()));
    assert!(!first.resize(201), "it is no longer the last");
    first.assert_filled(200, 1);
    assert!(handle.alloc::<u8>(1024).is_err());
    let erased: &dyn Allocator = &fixed;
    drop(CHandle::new(&erased).dupe_str("erased").unwrap());
    assert_eq!(size_of::<CHandle<'_>>(), 2 * size_of::<usize>());
    assert_eq!(size_of::<Option<CHandle<'_>>>(), 2 * size_of::<usize>());
}

/// What a table may leave out is done without it.
#[test]
fn a_table_of_two_functions_is_enough() {
    unsafe extern "C" fn alloc(context: *mut c_void, size: usize, align: usize) -> *mut c_void {
        // SAFETY: the count that the handle was made with.
        let count = unsafe { &*context.cast::<Cell<usize>>() };
        count.set(count.get() + 1);
        let block = CAllocator.raw_alloc(layout(size, align));
        block.map_or(ptr::null_mut(), |block| block.as_ptr().cast())
    }
    unsafe extern "C" fn free(context: *mut c_void, block: *mut c_void, size: usize, align: usize) {
        // SAFETY: the count that the handle was made with.
        let count = unsafe { &*context.cast::<Cell<usize>>() };
        count.set(count.get() - 1);
        // SAFETY: live, with this layout: the caller's contract.
        unsafe { CAllocator.raw_free(NonNull::new(block.cast()).unwrap(), layout(size, align)) };
    }
    let vtable = CVtable { alloc, alloc_zeroed: None, resize: None, remap: None, free };
    let count = Cell::new(0usize);
    let context = ptr::from_ref(&count).cast_mut().cast();
    // SAFETY: malloc's own promises; the count outlives the handle.
    let handle = unsafe { CHandle::from_raw_parts(context, &vtable) };
    let zeros = handle.alloc_zeroed::<u64>(100).unwrap();
    assert!(zeros.iter().all(|zero| *zero == 0));
    let mut block = RawBlock::new(handle, 100, 8).unwrap();
    assert!(!block.resize(50) && !block.remap(200));
    assert_eq!(count.get(), 2);
    let grown = Owned::grow_with(handle.alloc_fill(3, 5u8).unwrap(), 1000, |_| 6);
    assert_eq!(grown.map_err(|(_, error)| error).unwrap()[..4], [5, 5, 5, 6]);
    drop((zeros, block));
    assert_eq!(count.get(), 0);
}

/// Alignments that malloc has by itself are served, larger ones refused; C may take the blocks over.
#[test]
fn the_raw_heap_refuses_large_alignments() {
    let max = 2 * size_of::<usize>();
    for shift in 0..12 {
        let align = 1 << shift;
        let block = RawBlock::new(RawCAllocator, 100, align);
        assert_eq!(block.is_ok(), align <= max, "{align}");
        assert_eq!(RawBlock::new_zeroed(RawCAllocator, 100, align).is_ok(), align <= max);
    }
    let (block, _) = Owned::into_raw_parts(RawCAllocator.create(5u64).unwrap());
    // SAFETY: a live block of malloc, which realloc takes over.
    let moved = unsafe { libc::realloc(block.as_ptr().cast(), 1000) };
    // SAFETY: live, and `realloc` kept the value.
    assert_eq!(unsafe { moved.cast::<u64>().read() }, 5);
    // SAFETY: live.
    unsafe { libc::free(moved) };
}

/// A destructor runs once, after the value's own drop, whatever becomes of the owner.
#[test]
fn a_destructor_runs_once() {
    type Log = Rc<RefCell<Vec<&'static str>>>;
    struct Noted(Log);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.borrow_mut().push("value");
        }
    }
    let log = Log::default();
    let own = || {
        let place = CAllocator.create(Noted(log.clone())).unwrap();
        let (place, _) = Owned::into_raw_parts(place);
        let log = log.clone();
        let destroy = move || {
            log.borrow_mut().push("memory");
            // SAFETY: it came from there with this layout, and its value is gone.
            unsafe { CAllocator.raw_free(place.cast(), Layout::new::<Noted>()) };
        };
        // SAFETY: a valid value that nobody else owns, freed where it came from.
        unsafe { FreesOnly::own(place, destroy) }
    };
    drop(own());
    assert_eq!(log.take(), ["value", "memory"]);
    let inner = Owned::into_inner(own());
    assert_eq!(log.take(), ["memory"]);
    drop(inner);
    assert_eq!(log.take(), ["value"]);
    let (value, handle) = Owned::into_raw_parts(own());
    // SAFETY: the value is this test's now, and its memory is there until the handle goes.
    unsafe { value.drop_in_place() };
    assert_eq!(log.take(), ["value"]);
    drop(handle);
    assert_eq!(log.take(), ["memory"], "who takes it apart has the destructor");
}

/// A string without bytes is let go of as well; nothing is allocated from such a handle, and it shrinks.
#[test]
fn memory_of_others_has_no_minimum() {
    let released = Cell::new(0);
    let release = || released.set(released.get() + 1);
    for text in ["", "counted elsewhere"] {
        // SAFETY: a valid string; nothing of it is freed.
        drop(unsafe { FreesOnly::own(NonNull::from(text), release) });
    }
    assert_eq!(released.get(), 2);
    let mut bytes = [1u8, 2, 3, 4];
    // SAFETY: valid, and borrowed for as long.
    let slice = unsafe { FreesOnly::own(NonNull::from(&mut bytes[..]), release) };
    assert_eq!(Owned::allocator(&slice).raw_alloc(layout(1, 1)), Err(AllocError));
    let slice = Owned::shrink(slice, 2).map_err(|(_, error)| error).unwrap();
    assert_eq!(*slice, [1, 2]);
    drop(slice);
    assert_eq!((released.get(), bytes), (3, [1, 2, 3, 4]));
}

/// A handle counts through the wrapper it was made of.
#[test]
fn wrappers_are_seen_through_a_handle() {
    let counting = Counting::new(CAllocator);
    let handle = CHandle::new(&counting);
    let block = handle.alloc_fill(10, 1u64).unwrap();
    assert_eq!(counting.counts().live_bytes, 80);
    drop(block);
    assert_eq!(counting.counts().live_blocks, 0);
}
