//! The fallible paths of the fixed allocators and nothing else: the gate looks for panics in what the
//! compiler made of them, and there is to be none.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;

use alloc_core::{Allocator, Layout, NeverAlloc};
use alloc_fixed::{BufferFirst, FixedBuffer, SharedFixedBuffer, TlsfHeap};

/// Takes, resizes and frees blocks of a size and alignment that are known when the program runs.
#[inline(never)]
fn drive<A: Allocator>(alloc: &A, size: usize, align: usize) -> usize {
    let Ok(layout) = Layout::from_size_align(size, align) else { return 0 };
    let (Ok(first), Ok(second)) = (alloc.raw_alloc(layout), alloc.raw_alloc(layout)) else {
        return 1;
    };
    // SAFETY: live, and fits the layout; the new size is not zero and less.
    let resized = unsafe { alloc.raw_resize(second, layout, size / 2 + 1) };
    // SAFETY: live, and fits the layout.
    unsafe { alloc.raw_free(first, layout) };
    if !resized {
        // SAFETY: live, and fits the layout, as it was not resized.
        unsafe { alloc.raw_free(second, layout) };
    }
    2
}

/// What libc's start calls.
#[unsafe(no_mangle)]
extern "C" fn main(argument_count: i32, _: *const *const u8) -> i32 {
    let size = 100 * argument_count.unsigned_abs() as usize;
    let align = 8 << (argument_count & 3);
    let mut bytes = [[MaybeUninit::uninit(); 1024]; 4];
    let [first, second, third, fourth] = &mut bytes;
    let sum = drive(&FixedBuffer::new(first), size, align)
        + drive(&SharedFixedBuffer::new(second), size, align)
        + drive(&TlsfHeap::new(third), size, align)
        + drive(&BufferFirst::new(FixedBuffer::new(fourth), NeverAlloc), size, align);
    i32::from(sum != 8)
}

#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it has no preconditions.
    unsafe { abort() }
}
