//! What C's heap adds to the contract: usable sizes, realloc, blocks that change hands.

use std::alloc::Layout;
use std::ffi::c_void;
use std::ptr::NonNull;

use alloc_c::{CAllocator, CAllocatorWith, CFunctions};
use alloc_core::{AllocError, Allocator, AllocatorExt, Owned, UnsizedFree};
use alloc_testing::RawBlock;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// Windows' C library has no other alignments that `free` takes.
const ALIGNS: [usize; 4] = if cfg!(windows) { [1, 2, 4, 8] } else { [1, 16, 64, 4096] };

/// Alignments from 1 to 16 MiB, with sizes below, at and above each; those up to 1 MiB are used to the last
/// byte.
#[test]
fn any_alignment_is_met() {
    for shift in 0..=if cfg!(windows) { 3 } else { 24 } {
        let align = 1 << shift;
        for size in [1, 3, 8, align, align + 1] {
            let mut block = RawBlock::new(CAllocator, size, align).unwrap();
            assert!(block.addr().is_multiple_of(align), "{:?}", block.layout());
            let zeroed = RawBlock::new_zeroed(CAllocator, size, align).unwrap();
            assert!(zeroed.addr().is_multiple_of(align));
            if size <= 1 << 20 {
                block.fill(1);
                block.assert_filled(size, 1);
                assert!(zeroed.bytes().iter().all(|&byte| byte == 0));
            }
        }
    }
}

/// A resize is granted up to the usable size and not a byte further; all of it can be used.
#[test]
fn resize_up_to_the_usable_size() {
    for size in [1, 5, 24, 25, 100, 1000, 100_000, 1 << 20] {
        for align in ALIGNS {
            let mut block = RawBlock::new(CAllocator, size, align).unwrap();
            block.fill(3);
            // SAFETY: live.
            let usable = unsafe { CAllocator.usable_size(block.as_ptr()) };
            assert!(size <= usable);
            assert!(!block.resize(usable + 1), "{size} {align} {usable}");
            assert!(block.resize(usable));
            block.assert_filled(size, 3);
            block.fill(4);
            block.assert_filled(usable, 4);
            assert!(block.resize(1), "a shrink is always granted");
            block.assert_filled(1, 4);
        }
    }
}

/// A remap keeps content and alignment; above `max_align_t` it does not go through realloc.
#[test]
#[cfg(not(windows))]
fn remap_keeps_content_and_alignment() {
    for align in [1, 2, 8, 16] {
        let mut block = RawBlock::new(CAllocator, 100, align).unwrap();
        block.fill(5);
        assert!(block.remap(1 << 20));
        block.assert_filled(100, 5);
        assert!(block.addr().is_multiple_of(align));
        assert!(block.remap(1), "also to less than the alignment");
        block.assert_filled(1, 5);
        assert!(block.addr().is_multiple_of(align));
    }
    for align in [32, 64, 4096] {
        let mut block = RawBlock::new(CAllocator, 100, align).unwrap();
        let addr = block.addr();
        block.fill(6);
        assert!(!block.remap(1 << 20), "copying is as cheap");
        assert!(block.remap(50));
        assert_eq!(block.addr(), addr);
        block.assert_filled(50, 6);
    }
}

/// Sizes that no address space holds are errors, and a refused growth changes nothing.
#[test]
fn huge_requests_fail_cleanly() {
    let size_max = isize::MAX as usize;
    for size in [size_max, size_max - 15, 1 << (usize::BITS - 2)] {
        assert_eq!(CAllocator.raw_alloc(layout(size, 1)), Err(AllocError), "{size}");
        assert_eq!(CAllocator.raw_alloc_zeroed(layout(size, 1)), Err(AllocError), "{size}");
        let mut block = RawBlock::new(CAllocator, 100, 1).unwrap();
        block.fill(7);
        assert!(!block.resize(size) && !block.remap(size));
        block.assert_filled(100, 7);
        // SAFETY: live, and the size is not zero.
        let moved = unsafe { CAllocator.realloc_unsized(block.as_ptr(), layout(size, 1)) };
        assert_eq!(moved, Err(AllocError));
        block.assert_filled(100, 7);
    }
    assert_eq!(CAllocator.raw_alloc(layout(size_max - 4095, 4096)), Err(AllocError));
    assert_eq!(CAllocator.raw_alloc(layout(64, 1 << (usize::BITS - 2))), Err(AllocError));
}

/// C's `realloc` without a layout: content kept, and the alignment that is asked for, whichever the
/// block had.
#[test]
#[cfg(not(windows))]
fn realloc_unsized_meets_the_new_alignment() {
    for (old_align, new_align) in [(1, 1), (1, 16), (16, 4096), (4096, 1), (4096, 64)] {
        for new_size in [1, 50, 5000] {
            let mut block = RawBlock::new(CAllocator, 200, old_align).unwrap();
            block.fill(8);
            let expected = block.bytes()[..new_size.min(200)].to_vec();
            let (old, _, _) = block.into_raw_parts();
            let new_layout = layout(new_size, new_align);
            // SAFETY: live, given up above; the size is not zero.
            let new = unsafe { CAllocator.realloc_unsized(old, new_layout) }.unwrap();
            assert!(new.addr().get().is_multiple_of(new_align));
            let kept = NonNull::slice_from_raw_parts(new, expected.len());
            // SAFETY: the block spans at least these bytes, which the old block had.
            assert_eq!(unsafe { kept.as_ref() }, expected);
            // SAFETY: live.
            unsafe { CAllocator.free_unsized(new) };
        }
    }
}

/// Invariant 1: what C allocated is freed here, and the other way round, whatever the alignment.
#[test]
fn blocks_change_hands() {
    // SAFETY: any size may be asked for.
    let from_c = NonNull::new(unsafe { malloc(100) }).unwrap().cast::<u8>();
    // SAFETY: live, and aligned for every layout up to `max_align_t`.
    unsafe { CAllocator.raw_free(from_c, layout(100, 16)) };
    for align in ALIGNS {
        let to_c = CAllocator.raw_alloc(layout(100, align)).unwrap();
        // SAFETY: a live block of C's heap (invariant 1).
        unsafe { free(to_c.as_ptr().cast()) };
    }
    assert!(CAllocator.owns(from_c.as_ptr()) && !CAllocator.owns(std::ptr::null()));
}

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
}

/// The handles stay small, and both cross threads.
#[test]
fn handles_are_small_and_thread_safe() {
    fn thread_safe<T: Send + Sync + Copy>(_: T) -> usize {
        size_of::<T>()
    }
    assert_eq!(thread_safe(CAllocator), 0);
    assert_eq!(size_of::<Owned<u64, CAllocator>>(), size_of::<usize>());
    assert_eq!(size_of::<CAllocatorWith>(), size_of::<usize>());
    let _: fn(CAllocatorWith) -> usize = thread_safe;
    let block = CAllocator.alloc_fill(1000, 9u8).unwrap();
    std::thread::spawn(move || assert!(block.iter().all(|&byte| byte == 9))).join().unwrap();
}

/// A table's functions are called, each for its own purpose, and nothing else is.
#[test]
#[cfg(target_os = "linux")]
fn a_table_is_what_is_called() {
    use std::sync::Mutex;
    static CALLS: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    /// Wraps a function of C so that it notes its name.
    macro_rules! noted {
        ($($name:ident, $inner:path, ($($arg:ident: $type:ty),*) $(-> $result:ty)?;)+) => {
            $(unsafe extern "C" fn $name($($arg: $type),*) $(-> $result)? {
                CALLS.lock().unwrap().push(stringify!($name));
                // SAFETY: the caller keeps the same contract.
                unsafe { $inner($($arg),*) }
            })+
        };
    }
    noted! {
        my_malloc, libc::malloc, (size: usize) -> *mut c_void;
        my_calloc, libc::calloc, (count: usize, size: usize) -> *mut c_void;
        my_memalign, libc::memalign, (align: usize, size: usize) -> *mut c_void;
        my_realloc, libc::realloc, (block: *mut c_void, size: usize) -> *mut c_void;
        my_free, libc::free, (block: *mut c_void);
        my_usable_size, libc::malloc_usable_size, (block: *mut c_void) -> usize;
    }
    static TABLE: CFunctions = CFunctions {
        malloc: my_malloc,
        calloc: my_calloc,
        memalign: my_memalign,
        realloc: my_realloc,
        free: my_free,
        usable_size: my_usable_size,
    };
    // SAFETY: they pass everything on to the C library.
    let heap = unsafe { CAllocatorWith::new(&TABLE) };
    let mut block = RawBlock::new(heap, 10, 1).unwrap();
    assert!(block.remap(100));
    assert!(block.resize(99), "a shrink asks nobody");
    assert!(!block.resize(1 << 20));
    drop(block);
    let (plain, _, _) = RawBlock::new(heap, 10, 1).unwrap().into_raw_parts();
    // SAFETY: live, given up above; the size is not zero.
    let aligned = unsafe { heap.realloc_unsized(plain, layout(20, 64)) }.unwrap();
    // SAFETY: live.
    unsafe { heap.free_unsized(aligned) };
    drop(RawBlock::new_zeroed(heap, 10, 1).unwrap());
    drop(RawBlock::new_zeroed(heap, 10, 64).unwrap());
    assert_eq!(
        *CALLS.lock().unwrap(),
        [
            "my_malloc",
            "my_realloc",
            "my_usable_size",
            "my_free",
            "my_malloc",
            "my_memalign",
            "my_usable_size",
            "my_free",
            "my_free",
            "my_calloc",
            "my_free",
            "my_memalign",
            "my_free"
        ]
    );
}
