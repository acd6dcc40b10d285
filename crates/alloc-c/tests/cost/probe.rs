//! One loop three times: over malloc itself, over `CAllocator`, and over the same behind `dyn`.

use std::alloc::Layout;
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr::NonNull;

use alloc_c::{CAllocator, CAllocatorWith, CFunctions};
use alloc_core::Allocator;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut u8;
    fn free(block: *mut u8);
}

/// Where layouts come from: the type, as in all typed code, or memory.
trait Layouts {
    fn get(&self, index: usize) -> Layout;
}

struct OfType;

impl Layouts for OfType {
    #[inline(always)]
    fn get(&self, _: usize) -> Layout {
        Layout::new::<[u64; 8]>()
    }
}

impl Layouts for [Layout; 16] {
    #[inline(always)]
    fn get(&self, index: usize) -> Layout {
        self[index % 16]
    }
}

#[inline(always)]
fn rounds(
    count: usize,
    layouts: &impl Layouts,
    take: impl Fn(Layout) -> Option<NonNull<u8>>,
    give: impl Fn(NonNull<u8>, Layout),
) {
    for index in 0..count {
        let layout = layouts.get(index);
        let Some(block) = take(layout) else { return };
        // SAFETY: just taken, and every layout of the probe holds a byte.
        unsafe { black_box(block).write(1) };
        give(block, layout);
    }
}

/// What a user of malloc does who knows that alignments are small, and looks.
#[inline(always)]
fn direct(count: usize, layouts: &impl Layouts) {
    let take = |layout: Layout| {
        if layout.align() > 16 {
            return None;
        }
        // SAFETY: malloc(3) asks nothing of its caller.
        NonNull::new(unsafe { malloc(layout.size()) })
    };
    // SAFETY: `rounds` gives back each block that `take` had from malloc(3), once.
    rounds(count, layouts, take, |block, _| unsafe { free(block.as_ptr()) });
}

#[inline(always)]
fn ours(count: usize, layouts: &impl Layouts) {
    let take = |layout| CAllocator.raw_alloc(layout).ok();
    // SAFETY: `rounds` gives back each block that `take` took, once, with its layout.
    rounds(count, layouts, take, |block, layout| unsafe { CAllocator.raw_free(block, layout) });
}

#[inline(never)]
fn erased(count: usize, layouts: &impl Layouts) {
    let alloc: &dyn Allocator = black_box(&CAllocator);
    let take = |layout| alloc.raw_alloc(layout).ok();
    // SAFETY: as in `ours`.
    rounds(count, layouts, take, |block, layout| unsafe { alloc.raw_free(block, layout) });
}

/// A typed request, by malloc and free themselves.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn pair_direct() {
    direct(1, &OfType);
}

/// The same by ours.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn pair_ours() {
    ours(1, &OfType);
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn take_erased(alloc: &dyn Allocator, layout: Layout) -> Option<NonNull<u8>> {
    alloc.raw_alloc(layout).ok()
}

/// # Safety
///
/// As `raw_free`.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe fn give_erased(alloc: &dyn Allocator, block: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller keeps the same contract.
    unsafe { alloc.raw_free(block, layout) }
}

/// More than any system has, and nobody looks into it.
fn is_refused() -> bool {
    let layout = Layout::from_size_align(isize::MAX as usize - 100, 8).unwrap();
    let Ok(block) = CAllocator.raw_alloc(layout) else { return true };
    // SAFETY: just taken with this layout.
    unsafe { CAllocator.raw_free(block, layout) };
    false
}

unsafe extern "C" {
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn memalign(align: usize, size: usize) -> *mut c_void;
    fn realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn malloc_usable_size(block: *mut c_void) -> usize;
}

unsafe extern "C" fn take(size: usize) -> *mut c_void {
    // SAFETY: any size may be asked for.
    unsafe { malloc(size) }.cast()
}

unsafe extern "C" fn give(block: *mut c_void) {
    // SAFETY: the caller keeps the same contract.
    unsafe { free(block.cast()) }
}

/// A table that the optimiser sees through.
static FUNCTIONS: CFunctions =
    CFunctions { malloc: take, calloc, memalign, realloc, free: give, usable_size: malloc_usable_size };

/// Takes a block of four bytes less than `N`, lets it grow in place, and returns what lies in the last byte.
#[inline(always)]
fn last_byte_of_grown<const N: u8>(alloc: impl Allocator, align: usize) -> Option<u8> {
    let len = usize::from(N);
    let short = Layout::from_size_align(len - 4, align).ok()?;
    let long = Layout::from_size_align(len, align).ok()?;
    let block = alloc.raw_alloc(short).ok()?;
    // SAFETY: just taken with this layout; a larger size of the same alignment.
    if !unsafe { alloc.raw_resize(block, short, len) } {
        return None;
    }
    for index in 0..N {
        // SAFETY: within the block, which has `N` bytes now.
        let place = unsafe { block.add(usize::from(index)) };
        // SAFETY: as above.
        unsafe { place.write(index + 1) };
    }
    // SAFETY: within the block, as above.
    let last = unsafe { block.add(len - 1) };
    // SAFETY: written above.
    let byte = unsafe { last.read() };
    // SAFETY: live, of this layout since the resize.
    unsafe { alloc.raw_free(block, long) };
    Some(byte)
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if words[1] == "optimised" {
        assert!(is_refused(), "there is not that much memory");
        // SAFETY: the C library's own functions.
        let table = unsafe { CAllocatorWith::new(&FUNCTIONS) };
        let small = [last_byte_of_grown::<24>(CAllocator, 1), last_byte_of_grown::<24>(table, 1)];
        assert_eq!(small, [Some(24); 2], "malloc's blocks of 20 bytes have 24");
        let aligned = [last_byte_of_grown::<104>(CAllocator, 64), last_byte_of_grown::<104>(table, 64)];
        assert_eq!(aligned, [Some(104); 2], "an aligned block of 100 bytes has 104");
        return;
    }
    let count = words[2].parse().unwrap();
    let layouts = black_box([Layout::from_size_align(64, 8).unwrap(); 16]);
    match &*words[1] {
        "direct" => direct(count, &OfType),
        "ours" => ours(count, &OfType),
        "erased" => erased(count, &OfType),
        "direct of memory" => direct(count, &layouts),
        "ours of memory" => ours(count, &layouts),
        other => panic!("no loop is called {other}"),
    }
}
