//! Windows' `VirtualAlloc`. Compiled for it, not yet run.
//!
//! A reservation is released as a whole or not at all, so a shrink decommits the tail: its memory goes
//! back, its addresses with the block. Nothing grows in place or moves.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use crate::pages;

const MEM_COMMIT: u32 = 0x1000;
const MEM_RESERVE: u32 = 0x2000;
const MEM_DECOMMIT: u32 = 0x4000;
const MEM_RELEASE: u32 = 0x8000;
const PAGE_NOACCESS: u32 = 0x01;
const PAGE_READWRITE: u32 = 0x04;

/// How often an aligned range that was just found free is asked for; another thread may take it.
const ATTEMPT_COUNT: usize = 16;

/// `SYSTEM_INFO` of sysinfoapi.h.
#[repr(C)]
struct SystemInfo {
    processor_architecture: u32,
    page_size: u32,
    minimum_application_address: *mut c_void,
    maximum_application_address: *mut c_void,
    active_processor_mask: usize,
    number_of_processors: u32,
    processor_type: u32,
    allocation_granularity: u32,
    processor_level: u16,
    processor_revision: u16,
}

#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetSystemInfo(info: *mut SystemInfo);
    fn VirtualAlloc(address: *mut c_void, len: usize, kind: u32, protect: u32) -> *mut c_void;
    fn VirtualFree(address: *mut c_void, len: usize, kind: u32) -> i32;
}

pub(crate) fn page_size() -> usize {
    let mut info = core::mem::MaybeUninit::<SystemInfo>::zeroed();
    // SAFETY: it fills the structure.
    unsafe { GetSystemInfo(info.as_mut_ptr()) };
    // SAFETY: numbers and pointers, all of which may be zero; filled just above.
    unsafe { info.assume_init() }.page_size as usize
}

pub(crate) fn map(len: usize) -> Option<NonNull<u8>> {
    virtual_alloc(ptr::null_mut(), len, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE)
}

/// Finds a free range that is large enough, and asks for the aligned part of it.
pub(crate) fn map_aligned(len: usize, align: usize, page: usize) -> Option<NonNull<u8>> {
    let total = pages::over_len(len, align, page)?;
    (0..ATTEMPT_COUNT).find_map(|_| {
        let found = virtual_alloc(ptr::null_mut(), total, MEM_RESERVE, PAGE_NOACCESS)?;
        let head = pages::cut(found.addr().get(), total, len, align).head;
        // SAFETY: a reservation just made, which nobody uses.
        unsafe { unmap(found, total) };
        let wanted = found.as_ptr().wrapping_add(head);
        virtual_alloc(wanted.cast(), len, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE)
    })
}

/// # Safety
///
/// `block` is the start of what `map` or `map_aligned` returned, and nobody uses it any more if the
/// result is `true`.
pub(crate) unsafe fn unmap(block: NonNull<u8>, _: usize) -> bool {
    // SAFETY: the start of a reservation of ours that nobody uses (contract); its length is zero by
    // the rules of MEM_RELEASE.
    0 != unsafe { VirtualFree(block.as_ptr().cast(), 0, MEM_RELEASE) }
}

/// # Safety
///
/// The `len` bytes at `tail` are the last pages of a block mapped by this file, and nobody uses them
/// any more if the result is `true`.
pub(crate) unsafe fn unmap_tail(tail: NonNull<u8>, len: usize) -> bool {
    // SAFETY: whole pages of ours that nobody uses (contract).
    0 != unsafe { VirtualFree(tail.as_ptr().cast(), len, MEM_DECOMMIT) }
}

/// # Safety
///
/// The `len` bytes at `block` are pages mapped by this file, and nobody uses them any more.
#[cold]
pub(crate) unsafe fn discard(block: NonNull<u8>, len: usize) {
    // SAFETY: the same contract.
    unsafe { unmap_tail(block, len) };
}

/// Always `false`: behind a reservation may lie another one.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn extend(_: NonNull<u8>, _: usize, _: usize) -> bool {
    false
}

/// Always `None`: a reservation does not move.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn relocate(_: NonNull<u8>, _: usize, _: usize) -> Option<NonNull<u8>> {
    None
}

fn virtual_alloc(address: *mut c_void, len: usize, kind: u32, protect: u32) -> Option<NonNull<u8>> {
    // SAFETY: it reserves a range that is free, or fails; with MEM_RESERVE no mapping that exists is
    // touched.
    NonNull::new(unsafe { VirtualAlloc(address, len, kind, protect) }.cast())
}
