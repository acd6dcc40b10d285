//! What ends the process instead of going on: each in a child of its own.
#![cfg(all(unix, not(miri)))]

use std::alloc::Layout;
use std::cell::OnceCell;
use std::mem::MaybeUninit;
use std::process::Command;
use std::ptr::NonNull;

use alloc_core::{AllocError, Allocator, AllocatorExt, NeverAlloc, Owned};
use alloc_fixed::{BufferFirst, FixedBuffer, HeapFirst, TlsfHeap};

/// What the child does.
const TASK: &str = "ALLOC_FIXED_MISUSE";

const LEN: usize = 4096;

/// A buffer that comes later; without one it has no memory.
#[derive(Default)]
struct Later<'buf>(OnceCell<FixedBuffer<'buf>>);

// SAFETY: 1 to 7 as the buffer, which is set once; without it there is no block.
unsafe impl Allocator for Later<'_> {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        self.0.get().ok_or(AllocError)?.raw_alloc(layout)
    }

    unsafe fn raw_resize(&self, _: NonNull<u8>, _: Layout, _: usize) -> bool {
        false
    }

    unsafe fn raw_remap(&self, _: NonNull<u8>, _: Layout, _: usize) -> Option<NonNull<u8>> {
        None
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        if let Some(buffer) = self.0.get() {
            // SAFETY: the caller's contract; only the buffer has handed blocks out.
            unsafe { buffer.raw_free(block, layout) };
        }
    }
}

/// Every step keeps its contract: the fallback gets a block of the first allocator, then both are used.
fn misuse(first: &impl Allocator, whole: &impl Allocator, later: &Later<'_>) {
    // The fallback cannot name the borrow of the allocator that it is a part of, so by a pointer.
    let block = first.alloc::<u8>(LEN / 2).unwrap();
    let bytes: *mut [MaybeUninit<u8>] = Owned::leak(block);
    // SAFETY: leaked, so it is nobody else's; the allocators outlive their use here.
    assert!(later.0.set(FixedBuffer::new(unsafe { &mut *bytes })).is_ok());
    drop(whole.alloc::<u8>(LEN / 3).unwrap());
}

/// The child's part; does nothing in an ordinary run.
#[test]
fn child() {
    let mut memory = [MaybeUninit::uninit(); LEN];
    match std::env::var(TASK).as_deref() {
        Ok("buffer") => {
            let both = BufferFirst::new(FixedBuffer::new(&mut memory), Later::default());
            let filler = both.buffer().alloc::<u8>(LEN / 4);
            misuse(both.buffer(), &both, both.fallback());
            drop(filler);
        }
        Ok("heap") => {
            let both = HeapFirst::new(TlsfHeap::new(&mut memory), Later::default());
            let filler = both.heap().alloc::<u8>(LEN / 4);
            misuse(both.heap(), &both, both.fallback());
            drop(filler);
        }
        _ => return,
    }
    println!("went on");
}

/// Goal: a fallback whose memory is a block of the allocator before it does not have its blocks given back to that
/// one. Method: a child makes such a pair, and ends at the first block that the fallback hands out.
#[test]
fn a_fallback_within_the_first_allocator_is_fatal() {
    for task in ["buffer", "heap"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(TASK, task)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("the fallback took its memory"), "{task}: {output:?}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("went on"), "{task}");
    }
}

/// A fallback without memory is an error as ever.
#[test]
fn a_fallback_that_refuses_is_an_error() {
    let mut memory = [MaybeUninit::uninit(); LEN];
    let both = HeapFirst::new(TlsfHeap::new(&mut memory), Later::default());
    assert!(both.alloc::<u8>(LEN).is_err() && both.alloc_zeroed::<u8>(LEN).is_err());
    let mut memory = [MaybeUninit::uninit(); LEN];
    let both = BufferFirst::new(FixedBuffer::new(&mut memory), NeverAlloc);
    assert!(both.alloc::<u8>(LEN + 1).is_err() && both.alloc_zeroed::<u8>(LEN + 1).is_err());
}
