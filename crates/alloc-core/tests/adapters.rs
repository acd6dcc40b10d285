//! Allocators of others behind our contract, and ours as the process's.
#![cfg_attr(gated_allocator, feature(allocator_api))]

mod common;

use alloc_core::{AllocatorExt, AsGlobal, Counting, FromGlobal, FromGlobalRef, Layout, Owned};
use common::{GROWTHS, Ledger};
use core::alloc::GlobalAlloc;
use core::cell::{Cell, UnsafeCell};
use core::hint::black_box;
use core::ptr;
use std::alloc::System;

#[global_allocator]
static HEAP: AsGlobal<Counting<FromGlobal<System>>> =
    AsGlobal::new(Counting::new(FromGlobal::new(System)));

/// The process's containers come from our allocator, through every method of `GlobalAlloc`.
#[test]
fn serves_the_process() {
    let before = HEAP.get().counts().total_blocks;
    let mut numbers: Vec<u64> = (0..1000).collect();
    numbers.truncate(3);
    numbers.shrink_to_fit();
    let zeros = vec![0u8; 100_000];
    assert!(numbers == [0, 1, 2] && zeros.iter().all(|&byte| byte == 0));
    assert!(before + 2 <= HEAP.get().counts().total_blocks);
}

/// Growth, shrinking and failure of `GlobalAlloc`'s methods over every kind of allocator.
#[test]
fn as_global_keeps_the_contract_of_global_alloc() {
    for growth in GROWTHS {
        let global = AsGlobal::new(Ledger::with_growth(growth));
        let layout = Layout::from_size_align(10, 32).unwrap();
        // SAFETY: the size is not zero.
        let block = unsafe { global.alloc_zeroed(layout) };
        assert!(block.addr().is_multiple_of(32));
        // SAFETY: a live block with that layout.
        let block = unsafe { global.realloc(block, layout, 1000) };
        let layout = Layout::from_size_align(1000, 32).unwrap();
        // SAFETY: the block has 1000 bytes, of which the first ten were zero and were kept.
        assert_eq!(unsafe { block.cast::<[u8; 10]>().read() }, [0; 10], "{growth:?}");
        global.get().allowed.set(0);
        // SAFETY: a live block with that layout.
        assert!(unsafe { global.realloc(block, layout, 5000) }.is_null(), "{growth:?}");
        // SAFETY: the size is not zero.
        assert!(unsafe { global.alloc(layout) }.is_null());
        // SAFETY: still a live block with that layout.
        unsafe { global.dealloc(block, layout) };
    }
}

/// A `GlobalAlloc` whose blocks lie in itself: it must not move, so it goes by reference.
struct Inline {
    bytes: UnsafeCell<[u8; 64]>,
    end: Cell<usize>,
}

// SAFETY: hands out disjoint, aligned parts of its own bytes, and null when they do not suffice.
unsafe impl GlobalAlloc for Inline {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.end.get().next_multiple_of(layout.align());
        if 16 < layout.align() || 64 < start + layout.size() {
            return ptr::null_mut();
        }
        self.end.set(start + layout.size());
        // SAFETY: `start` lies inside the 64 bytes.
        unsafe { self.bytes.get().cast::<u8>().add(start) }
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[test]
fn from_global_ref_serves_one_with_state() {
    let inline = Inline { bytes: UnsafeCell::new([1; 64]), end: Cell::new(0) };
    let alloc = FromGlobalRef::new(&inline);
    let text = alloc.dupe_str("inline").unwrap();
    let range = inline.bytes.get().addr()..inline.bytes.get().addr() + 64;
    assert!(range.contains(&text.as_ptr().addr()));
    let zeros = alloc.alloc_zeroed::<u8>(8).unwrap();
    let zeros = Owned::grow_fill(zeros, 16, 7).unwrap();
    assert_eq!((zeros[7], zeros[8], zeros.len()), (0, 7, 16));
    assert!(alloc.alloc::<u8>(64).is_err());
}

/// The same test for each kind of allocator of others.
#[allow(dead_code, reason = "without any foreign trait")]
fn grows_and_shrinks(alloc: impl alloc_core::Allocator + Copy) {
    let slice = alloc.alloc_zeroed::<u16>(3).unwrap();
    let slice = Owned::grow_fill(slice, 5000, 9).unwrap();
    let slice = Owned::shrink(slice, 4).unwrap();
    assert_eq!(*slice, [0, 0, 0, 9]);
    let mut raw = alloc.alloc::<u16>(3).unwrap();
    assert!(alloc.resize(&mut raw, 3) && !alloc.resize(&mut raw, 4));
    // Miri stops at a request that its own machine cannot serve. A block that nobody sees a compiler may
    // leave out, and then the request succeeds.
    assert!(cfg!(miri) || black_box(alloc.alloc::<u8>(isize::MAX as usize)).is_err());
    let aligned = alloc.aligned_alloc::<u8, 4096>(10).unwrap();
    assert!(aligned.as_ptr().addr().is_multiple_of(4096));
}

#[test]
fn from_global_keeps_the_contract() {
    grows_and_shrinks(FromGlobal::new(System));
}

#[cfg(feature = "allocator-api2-02")]
mod api2_02 {
    use super::grows_and_shrinks;
    use alloc_core::{AllocatorExt, FromApi2V02, Layout};
    use allocator_api2_02::alloc::{AllocError, Allocator, Global};
    use core::ptr::NonNull;

    #[test]
    fn from_api2_v02_keeps_the_contract() {
        grows_and_shrinks(FromApi2V02::new(Global));
        grows_and_shrinks(FromApi2V02::new(&Global));
    }

    /// Aborts the test unless `grow` grows and `shrink` shrinks, as its contract asks.
    struct Strict;
    // SAFETY: it is `Global`, and checks.
    unsafe impl Allocator for Strict {
        fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            Global.allocate(layout)
        }
        unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
            // SAFETY: the same contract.
            unsafe { Global.deallocate(block, layout) };
        }
        unsafe fn grow(
            &self,
            block: NonNull<u8>,
            old: Layout,
            new: Layout,
        ) -> Result<NonNull<[u8]>, AllocError> {
            assert!(old.size() <= new.size(), "grow from {old:?} to {new:?}");
            // SAFETY: the same contract.
            unsafe { Global.grow(block, old, new) }
        }
        unsafe fn shrink(
            &self,
            block: NonNull<u8>,
            old: Layout,
            new: Layout,
        ) -> Result<NonNull<[u8]>, AllocError> {
            assert!(new.size() <= old.size(), "shrink from {old:?} to {new:?}");
            // SAFETY: the same contract.
            unsafe { Global.shrink(block, old, new) }
        }
    }

    #[test]
    fn from_api2_v02_grows_by_grow_and_shrinks_by_shrink() {
        let alloc = FromApi2V02::new(&Strict);
        for (old, new) in [(1, 2), (2, 1), (10, 1000), (1000, 10), (500, 1000), (1000, 500)] {
            let block = alloc.alloc::<u8>(old).unwrap();
            assert_eq!(alloc.remap(block, new).map(|block| block.len()).ok(), Some(new));
        }
    }

    struct Unwinds;
    // SAFETY: it never hands out a block.
    unsafe impl Allocator for Unwinds {
        fn allocate(&self, _: Layout) -> Result<NonNull<[u8]>, AllocError> {
            panic!("this unwinds")
        }
        unsafe fn deallocate(&self, _: NonNull<u8>, _: Layout) {}
    }

    /// An allocator that unwinds ends the process (promise 4): in a child, which is this test.
    #[test]
    #[cfg_attr(miri, ignore = "Miri starts no processes")]
    fn an_allocator_that_unwinds_aborts() {
        if std::env::var_os("ALLOC_CORE_TEST_UNWIND").is_some() {
            let caught = std::panic::catch_unwind(|| drop(FromApi2V02::new(Unwinds).create(1)));
            println!("caught: {}", caught.is_err());
            return;
        }
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "api2_02::an_allocator_that_unwinds_aborts", "--nocapture"])
            .env("ALLOC_CORE_TEST_UNWIND", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{text}");
        assert!(text.contains("this unwinds"), "{text}");
        assert!(text.contains("an allocator of another crate unwound"), "{text}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("caught"), "{text}");
    }
}

#[cfg(feature = "allocator-api2-04")]
#[test]
fn from_api2_v04_keeps_the_contract() {
    grows_and_shrinks(alloc_core::FromApi2V04::new(allocator_api2_04::alloc::Global));
}

#[cfg(any(std_allocator, gated_allocator))]
#[test]
fn from_std_keeps_the_contract() {
    grows_and_shrinks(&alloc_core::FromStd::new(std::alloc::Global));
}
