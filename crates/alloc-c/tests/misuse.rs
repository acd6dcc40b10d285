//! What ends the process instead of going on: each in a child of its own.
#![cfg(all(target_os = "linux", not(miri)))]

use std::ffi::c_void;
use std::mem::{self, ManuallyDrop};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::ptr::{self, NonNull};

use alloc_c::{CAllocator, CAllocatorWith, CFunctions, CHandle, CVtable, FreesOnly};
use alloc_core::AllocatorExt;

/// What the child does.
const TASK: &str = "ALLOC_C_MISUSE";

/// A block of bytes beside the boundary that was asked for; it is never used nor freed.
unsafe extern "C" fn askew(_: *mut c_void, _: usize, align: usize) -> *mut c_void {
    ptr::without_provenance_mut(align + 1)
}

unsafe extern "C" fn askew_memalign(align: usize, _: usize) -> *mut c_void {
    ptr::without_provenance_mut(align + 1)
}

unsafe extern "C" fn keep(_: *mut c_void, _: *mut c_void, _: usize, _: usize) {}

static ASKEW: CVtable =
    CVtable { alloc: askew, alloc_zeroed: Some(askew), resize: None, remap: None, free: keep };

static ASKEW_HEAP: CFunctions = CFunctions {
    malloc: libc::malloc,
    calloc: libc::calloc,
    memalign: askew_memalign,
    realloc: libc::realloc,
    free: libc::free,
    usable_size: libc::malloc_usable_size,
};

/// `struct alloc_handle` and `struct alloc_vtable`, as C reads them.
#[repr(C)]
#[derive(Clone, Copy)]
struct Raw {
    context: *mut c_void,
    vtable: *const CVtable,
}

/// C gives a block back, and names this size and alignment.
fn free_as(size: usize, align: usize) {
    let handle = CHandle::new(&CAllocator);
    // SAFETY: the same struct, with public fields.
    let raw = unsafe { mem::transmute::<CHandle<'_>, Raw>(handle) };
    // SAFETY: the handle's table, which is a constant.
    let table = unsafe { &*raw.vtable };
    // SAFETY: as C does it: any size and alignment may be asked for.
    let block = unsafe { (table.alloc)(raw.context, 8, 8) };
    // SAFETY: the block is live. The layout is wrong, which is to end this process before it is used.
    unsafe { (table.free)(raw.context, block, size, align) };
}

/// The child's part; does nothing in an ordinary run.
#[test]
fn child() {
    match std::env::var(TASK).as_deref() {
        Ok("size") => free_as(0, 8),
        Ok("align") => free_as(8, 3),
        Ok("no align") => free_as(8, 0),
        Ok("huge") => free_as(usize::MAX, 8),
        Ok("destructor") => {
            let value = NonNull::from(&5u8);
            // SAFETY: valid, and a constant. That the destructor unwinds is to end this process.
            drop(unsafe { FreesOnly::own(value, || panic!("a destructor that unwinds")) });
        }
        Ok("askew") => {
            // SAFETY: none: it breaks the first promise, which is to end this process.
            let handle = unsafe { CHandle::from_raw_parts(ptr::null_mut(), &ASKEW) };
            let _ = ManuallyDrop::new(handle.alloc::<u64>(5));
        }
        Ok("askew zeroed") => {
            // SAFETY: as above.
            let handle = unsafe { CHandle::from_raw_parts(ptr::null_mut(), &ASKEW) };
            let _ = ManuallyDrop::new(handle.alloc_zeroed::<u64>(5));
        }
        Ok("askew heap") => {
            // SAFETY: as above.
            let heap = unsafe { CAllocatorWith::new(&ASKEW_HEAP) };
            let _ = ManuallyDrop::new(heap.aligned_alloc::<u8, 64>(5));
        }
        _ => return,
    }
    println!("went on");
}

/// Whether the child ended by itself at the place of the misuse, and what it said.
fn run(task: &str) -> (bool, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(TASK, task)
        .output()
        .unwrap();
    let went_on = String::from_utf8_lossy(&output.stdout).contains("went on");
    let is_aborted = output.status.signal() == Some(libc::SIGABRT);
    assert_ne!(is_aborted, went_on, "{task}: {output:?}");
    (is_aborted, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A layout that no block can have ends the process, in every build.
#[test]
fn a_layout_that_no_block_has_is_fatal() {
    for task in ["size", "align", "no align", "huge"] {
        let (is_aborted, text) = run(task);
        assert!(is_aborted && text.contains("no block has these"), "{task}: {text}");
    }
}

/// Nothing unwinds out of an allocator, nor out of the drop of one.
#[test]
fn a_destructor_that_unwinds_is_fatal() {
    let (is_aborted, text) = run("destructor");
    assert!(is_aborted && text.contains("a destructor that unwinds"), "{text}");
}

/// A block that is not aligned as asked is found where checks are compiled in.
#[test]
#[cfg(alloc_check)]
fn a_misaligned_block_is_found_by_checks() {
    for task in ["askew", "askew zeroed", "askew heap"] {
        let (is_aborted, text) = run(task);
        assert!(is_aborted && text.contains("was asked for alignment"), "{task}: {text}");
    }
}
