//! A Rust library for C programs: it gives them an allocator, and takes theirs. `tests/c/program.c` is such
//! a program.

use alloc_c::{CAllocator, CHandle};
use alloc_core::{AllocError, Allocator, AllocatorExt, Counting, Owned};

/// What C programs get.
static HEAP: Counting<CAllocator> = Counting::new(CAllocator);

/// `struct alloc_handle rust_allocator(void)`.
#[unsafe(no_mangle)]
pub extern "C" fn rust_allocator() -> CHandle<'static> {
    CHandle::new(&HEAP)
}

/// `size_t rust_live_blocks(void)`: how many blocks of that allocator are in use.
#[unsafe(no_mangle)]
pub extern "C" fn rust_live_blocks() -> usize {
    HEAP.counts().live_blocks
}

/// `bool rust_works_with(struct alloc_handle)`: does Rust's work in memory of a C program's own allocator.
#[unsafe(no_mangle)]
pub extern "C" fn rust_works_with(gpa: CHandle<'_>) -> bool {
    work(gpa) == Ok(())
}

/// `bool rust_survives(struct alloc_handle)`: whether an allocator that has no memory left is an error.
#[unsafe(no_mangle)]
pub extern "C" fn rust_survives(gpa: CHandle<'_>) -> bool {
    gpa.dupe_str("no room").map(drop) == Err(AllocError)
}

/// The same work as everywhere: it knows nothing of C.
fn work(gpa: impl Allocator + Copy) -> Result<(), AllocError> {
    let name = gpa.dupe_str("made by Rust")?;
    let numbers = gpa.alloc_with(10, |index| index as u32)?;
    let numbers =
        Owned::grow_with(numbers, 1000, |index| index as u32).map_err(|(_, error)| error)?;
    assert!(numbers.iter().enumerate().all(|(index, number)| index as u32 == *number));
    let page = gpa.aligned_alloc::<u8, 4096>(100)?;
    assert!(page.as_ptr().addr().is_multiple_of(4096));
    let zeros = gpa.alloc_zeroed::<u64>(50)?;
    assert!(zeros.iter().all(|zero| *zero == 0));
    assert_eq!(&*name, "made by Rust");
    Ok(())
}
