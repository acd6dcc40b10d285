//! The rules, over every heap that the family may serve.

use core::ffi::c_void;
use core::ptr;

use alloc_c::CAllocator;
use alloc_core::{NeverAlloc, UnsizedFree};
use alloc_gpa::{Check, Gpa};

use super::*;
use crate::checked::Checked;
use crate::glibc::GLIBC;

/// A value that no function here gives `errno`.
const MARK: c_int = 4242;

impl Served for Gpa {}
impl Served for CAllocator {}

/// Runs a test over the heaps; an explicit one must have every block back in the end.
macro_rules! over_all_heaps {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let gpa = Gpa::builder().quiet().build();
            rules::$name(&gpa);
            assert_eq!(gpa.deinit(), Check::Ok);
            rules::$name(&CAllocator);
            rules::$name(&GLIBC);
            rules::$name(&Checked::MALLOC);
        }
    )*};
}

over_all_heaps! {
    blocks_are_aligned_whatever_their_size
    no_bytes_are_a_block_of_their_own
    errno_is_untouched_by_success
    errno_is_enomem_after_a_failure
    calloc_is_zero_and_checks_its_product
    realloc_has_three_meanings
    a_failed_realloc_changes_nothing
    aligned_blocks_may_be_reallocated
    alignments_have_three_rules
    pages_are_whole
    all_usable_bytes_are_the_owners
    sized_frees_say_what_was_asked_for
}

/// Writes all bytes of a block and returns it.
fn filled(block: *mut c_void, size: usize, byte: u8) -> *mut c_void {
    assert!(!block.is_null());
    // SAFETY: a live block of at least that size.
    unsafe { block.cast::<u8>().write_bytes(byte, size) };
    block
}

fn holds(block: *mut c_void, size: usize, byte: u8) -> bool {
    // SAFETY: a live block of at least that size, written before.
    let bytes = unsafe { core::slice::from_raw_parts(block.cast::<u8>(), size) };
    bytes.iter().all(|other| *other == byte)
}

fn release<A: Served>(heap: &A, block: *mut c_void) {
    // SAFETY: null or live: each test gives back what it has got, once.
    unsafe { free(heap, block) };
}

/// `reallocarray`, which is `realloc` if `count` is 1.
fn resized<A: Served>(heap: &A, block: *mut c_void, count: usize, size: usize) -> *mut c_void {
    match count {
        // SAFETY: null or live: each test goes on with what this returns.
        1 => unsafe { realloc(heap, block, size) },
        // SAFETY: as above.
        _ => unsafe { reallocarray(heap, block, count, size) },
    }
}

mod rules {
    use super::*;

    pub(super) fn blocks_are_aligned_whatever_their_size<A: Served>(heap: &A) {
        for size in [1, 2, 7, 8, 15, 16, 17, 100, 4095, 4096, 100_000, 3 << 20] {
            let blocks = [malloc(heap, size), calloc(heap, 1, size), calloc(heap, size, 1)];
            for block in blocks {
                assert_eq!(block.addr() % ALIGN_MIN, 0);
                release(heap, filled(block, size, 1));
            }
        }
    }

    pub(super) fn no_bytes_are_a_block_of_their_own<A: Served>(heap: &A) {
        let mut place = ptr::null_mut();
        // SAFETY: a live place.
        assert_eq!(unsafe { posix_memalign(heap, &raw mut place, 64, 0) }, 0);
        let blocks = [
            malloc(heap, 0),
            malloc(heap, 0),
            calloc(heap, 0, 0),
            calloc(heap, 0, 9),
            aligned_alloc(heap, 64, 0),
            memalign(heap, 64, 0),
            valloc(heap, 0),
            pvalloc(heap, 0),
            // SAFETY: null may be reallocated.
            unsafe { realloc(heap, ptr::null_mut(), 0) },
            place,
        ];
        for (index, block) in blocks.iter().enumerate() {
            assert!(!block.is_null());
            assert!(!blocks[..index].contains(block));
        }
        blocks.into_iter().for_each(|block| release(heap, block));
    }

    pub(super) fn errno_is_untouched_by_success<A: Served>(heap: &A) {
        errno::set(MARK);
        let large = malloc(heap, 64 << 20);
        let zeroed = calloc(heap, 1000, 1000);
        // SAFETY: live.
        let moved = unsafe { realloc(heap, zeroed, 3_000_000) };
        let aligned = memalign(heap, 1 << 16, 100);
        for block in [large, moved, aligned, ptr::null_mut()] {
            release(heap, block);
        }
        // SAFETY: null has no bytes.
        assert_eq!(unsafe { usable_size(heap, ptr::null_mut()) }, 0);
        assert_eq!(errno::get(), MARK);
    }

    pub(super) fn errno_is_enomem_after_a_failure<A: Served>(heap: &A) {
        let too_much = isize::MAX as usize + 1;
        // SAFETY: null may be reallocated.
        let realloc_null = |size| unsafe { realloc(heap, ptr::null_mut(), size) };
        for size in [too_much, usize::MAX, usize::MAX - 15, isize::MAX as usize] {
            let requests: [&dyn Fn() -> *mut c_void; 7] = [
                &|| malloc(heap, size),
                &|| calloc(heap, 1, size),
                &|| realloc_null(size),
                &|| aligned_alloc(heap, 64, size),
                &|| memalign(heap, 64, size),
                &|| valloc(heap, size),
                &|| pvalloc(heap, size),
            ];
            for request in requests {
                errno::set(MARK);
                assert!(request().is_null());
                assert_eq!(errno::get(), libc::ENOMEM);
            }
        }
    }

    pub(super) fn calloc_is_zero_and_checks_its_product<A: Served>(heap: &A) {
        for size in [1, 24, 5000, 1 << 21] {
            // Memory that was used before is zero too.
            release(heap, filled(malloc(heap, size), size, 0xff));
            let block = calloc(heap, size, 1);
            assert!(holds(block, size, 0));
            release(heap, block);
        }
        for (count, size) in [(usize::MAX, 2), (1 << 33, 1 << 33), (1 << 32, 1 << 31)] {
            errno::set(MARK);
            assert!(calloc(heap, count, size).is_null());
            assert_eq!(errno::get(), libc::ENOMEM);
            errno::set(MARK);
            // SAFETY: null may be reallocated.
            assert!(unsafe { reallocarray(heap, ptr::null_mut(), count, size) }.is_null());
            assert_eq!(errno::get(), libc::ENOMEM);
        }
    }

    pub(super) fn realloc_has_three_meanings<A: Served>(heap: &A) {
        errno::set(MARK);
        let mut block = filled(resized(heap, ptr::null_mut(), 1, 10), 10, 7);
        for size in [11, 16, 17, 1000, 100_000, 5 << 20, 50, 10] {
            block = resized(heap, block, 1, size);
            assert!(holds(block, 10, 7), "{size}");
            assert_eq!(block.addr() % ALIGN_MIN, 0);
            // What was behind the kept bytes may be written.
            filled(block, size, 7);
        }
        block = resized(heap, block, 10, 30);
        assert!(holds(block, 10, 7));
        assert!(resized(heap, block, 1, 0).is_null());
        let other = malloc(heap, 5);
        assert!(resized(heap, other, 0, 3).is_null());
        assert_eq!(errno::get(), MARK);
    }

    pub(super) fn a_failed_realloc_changes_nothing<A: Served>(heap: &A) {
        let block = filled(malloc(heap, 300), 300, 9);
        for size in [usize::MAX, isize::MAX as usize + 1, isize::MAX as usize - 15] {
            errno::set(MARK);
            // SAFETY: live; nothing is freed.
            assert!(unsafe { realloc(heap, block, size) }.is_null());
            assert_eq!(errno::get(), libc::ENOMEM);
            assert!(holds(block, 300, 9));
        }
        release(heap, block);
    }

    pub(super) fn aligned_blocks_may_be_reallocated<A: Served>(heap: &A) {
        for align in [32, 4096, 1 << 17] {
            for size in [1, 100, 10_000, 1 << 20] {
                let block = filled(memalign(heap, align, 100), 100, 3);
                assert_eq!(block.addr() % align, 0);
                // SAFETY: live.
                let block = unsafe { realloc(heap, block, size) };
                assert!(holds(block, size.min(100), 3));
                release(heap, block);
            }
        }
    }

    pub(super) fn alignments_have_three_rules<A: Served>(heap: &A) {
        let mut place = ptr::without_provenance_mut(1);
        let mut posix = |align, size| {
            // SAFETY: a live place.
            let result = unsafe { posix_memalign(heap, &raw mut place, align, size) };
            (result, place)
        };
        errno::set(MARK);
        // `posix_memalign` returns the error; neither `errno` nor the place changes.
        for align in [0, 1, 2, 3, 4, 7, 9, 24, 48, usize::MAX] {
            assert_eq!(posix(align, 8), (libc::EINVAL, ptr::without_provenance_mut(1)));
        }
        for (align, size) in [(8, usize::MAX), (4096, isize::MAX as usize), (1 << 62, 1 << 62)] {
            assert_eq!(posix(align, size), (libc::ENOMEM, ptr::without_provenance_mut(1)));
        }
        let (result, block) = posix(8, 24);
        assert_eq!((result, block.addr() % ALIGN_MIN), (0, 0));
        release(heap, filled(block, 24, 1));
        assert_eq!(errno::get(), MARK);

        // `aligned_alloc` sets EINVAL, and takes any power of two.
        for align in [0, 3, 24, usize::MAX] {
            errno::set(MARK);
            assert!(aligned_alloc(heap, align, 8).is_null());
            assert_eq!(errno::get(), libc::EINVAL);
        }
        errno::set(MARK);
        for align in [1, 2, 4, 8, 32, 1 << 16] {
            // The size is no multiple of the alignment.
            let block = filled(aligned_alloc(heap, align, 33), 33, 1);
            assert_eq!(block.addr() % align.max(ALIGN_MIN), 0);
            release(heap, block);
        }
        // `memalign` rounds up, unless there is nothing above.
        for (align, rounded) in [(0, 16), (1, 16), (17, 32), (48, 64), (5000, 8192)] {
            let block = memalign(heap, align, 33);
            assert_eq!(block.addr() % rounded, 0);
            release(heap, block);
        }
        assert_eq!(errno::get(), MARK);
        assert!(memalign(heap, usize::MAX, 1).is_null());
        assert_eq!(errno::get(), libc::EINVAL);
    }

    pub(super) fn pages_are_whole<A: Served>(heap: &A) {
        let page = page_size();
        let [one, whole] = [valloc(heap, 1), pvalloc(heap, page + 1)];
        assert_eq!((one.addr() % page, whole.addr() % page), (0, 0));
        // SAFETY: live.
        assert!(2 * page <= unsafe { usable_size(heap, whole) });
        release(heap, one);
        release(heap, filled(whole, 2 * page, 1));
        errno::set(MARK);
        assert!(pvalloc(heap, usize::MAX - 1).is_null());
        assert_eq!(errno::get(), libc::ENOMEM);
    }

    pub(super) fn all_usable_bytes_are_the_owners<A: Served>(heap: &A) {
        for size in [1, 20, 1000, 300_000] {
            let block = malloc(heap, size);
            // SAFETY: live.
            let usable = unsafe { usable_size(heap, block) };
            assert!(size <= usable);
            filled(block, usable, 5);
            // SAFETY: live.
            let block = unsafe { realloc(heap, block, usable + 1000) };
            assert!(holds(block, usable, 5));
            release(heap, block);
        }
    }

    pub(super) fn sized_frees_say_what_was_asked_for<A: Served>(heap: &A) {
        errno::set(MARK);
        for size in [0, 1, 16, 1000, 100_000] {
            let requests = [
                (malloc(heap, size), ALIGN_MIN),
                (calloc(heap, size, 1), ALIGN_MIN),
                (aligned_alloc(heap, 8, size), 8),
                (aligned_alloc(heap, 256, size), 256),
                (ptr::null_mut(), 256),
            ];
            for (block, align) in requests {
                // SAFETY: null or live, of that size and alignment, and freed once.
                unsafe { free_told(heap, block, Some(size), Some(align)) };
            }
            // What `realloc` returns has the usual alignment, whatever it had before.
            let block = resized(heap, memalign(heap, 256, 2 * size + 1), 1, size.max(1));
            // SAFETY: live, of that size, and freed once.
            unsafe { free_told(heap, block, Some(size.max(1)), Some(ALIGN_MIN)) };
        }
        assert_eq!(errno::get(), MARK);
    }
}

/// A heap that has nothing: every request fails in the same way, and nothing else happens.
#[test]
fn an_empty_heap_fails_cleanly() {
    /// `NeverAlloc`, which has no blocks whose sizes it could know.
    struct Empty;
    // SAFETY: 1 to 7 are kept by forwarding to `NeverAlloc`, which keeps them.
    unsafe impl alloc_core::Allocator for Empty {
        fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, alloc_core::AllocError> {
            NeverAlloc.raw_alloc(layout)
        }
        unsafe fn raw_resize(&self, _: NonNull<u8>, _: Layout, _: usize) -> bool {
            unreachable!("there are no blocks")
        }
        unsafe fn raw_remap(&self, _: NonNull<u8>, _: Layout, _: usize) -> Option<NonNull<u8>> {
            unreachable!("there are no blocks")
        }
        unsafe fn raw_free(&self, _: NonNull<u8>, _: Layout) {
            unreachable!("there are no blocks")
        }
    }
    // SAFETY: there are no blocks.
    unsafe impl UnsizedFree for Empty {
        unsafe fn usable_size(&self, _: NonNull<u8>) -> usize {
            unreachable!("there are no blocks")
        }
        unsafe fn free_unsized(&self, _: NonNull<u8>) {
            unreachable!("there are no blocks")
        }
        fn owns(&self, _: *const u8) -> bool {
            false
        }
    }
    impl Served for Empty {}
    errno::set(MARK);
    let mut place = ptr::null_mut();
    // SAFETY: a live place.
    assert_eq!(unsafe { posix_memalign(&Empty, &raw mut place, 16, 1) }, libc::ENOMEM);
    release(&Empty, ptr::null_mut());
    assert_eq!((place, errno::get()), (ptr::null_mut(), MARK));
    assert!(calloc(&Empty, 1, 1).is_null());
    assert_eq!(errno::get(), libc::ENOMEM);
}

/// What C's rules say of a size is what the checking heap sees: another one is told.
#[test]
fn a_wrong_size_is_found() {
    let gpa = Gpa::builder().quiet().build();
    let block = malloc(&gpa, 24);
    // SAFETY: live; the checking heap looks at what it is told.
    unsafe { free_told(&gpa, block, Some(32), Some(ALIGN_MIN)) };
    assert!(matches!(gpa.deinit(), Check::Misuse { findings: 1, .. }));
}
