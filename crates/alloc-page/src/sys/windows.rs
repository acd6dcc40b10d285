//! Windows' `VirtualAlloc`. Written for it; compiled and run by the workflow only.
//!
//! A reservation is released as a whole or not at all, so a shrink decommits the tail: its memory goes
//! back, its addresses with the block. Nothing grows in place or moves.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use crate::pages::Place;

const MEM_COMMIT: u32 = 0x1000;
const MEM_RESERVE: u32 = 0x2000;
const MEM_DECOMMIT: u32 = 0x4000;
const MEM_RELEASE: u32 = 0x8000;
const PAGE_NOACCESS: u32 = 0x01;
const PAGE_READWRITE: u32 = 0x04;

/// `ERROR_NOT_SUPPORTED`.
const NOT_SUPPORTED: i32 = 50;

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
    fn VirtualLock(address: *mut c_void, len: usize) -> i32;
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

pub(crate) fn map_placed(place: Place, page: usize) -> Option<NonNull<u8>> {
    place_at(place, page, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE)
}

pub(crate) fn reserve(place: Place, page: usize) -> Option<NonNull<u8>> {
    place_at(place, page, MEM_RESERVE, PAGE_NOACCESS)
}

/// Where a page's alignment is not enough: finds a free range that is large enough, and asks for the
/// aligned part of it.
///
/// A reservation begins at a multiple of 64 KiB (the allocation granularity), whatever address is asked for:
/// a place behind a guard page, which is to be aligned itself, cannot be had.
fn place_at(place: Place, page: usize, kind: u32, protect: u32) -> Option<NonNull<u8>> {
    if place.align <= page {
        return virtual_alloc(ptr::null_mut(), place.len, kind, protect);
    }
    let total = place.over_len(page)?;
    for _ in 0..ATTEMPT_COUNT {
        let found = virtual_alloc(ptr::null_mut(), total, MEM_RESERVE, PAGE_NOACCESS)?;
        let head = place.cut(found.addr().get(), total).head;
        // SAFETY: a reservation just made, which nobody uses.
        unsafe { unmap(found, total) };
        let wanted = found.as_ptr().wrapping_add(head);
        let Some(start) = virtual_alloc(wanted.cast(), place.len, kind, protect) else { continue };
        if start.as_ptr() == wanted {
            return Some(start);
        }
        // It begins before: the address was rounded down.
        // SAFETY: as above.
        unsafe { unmap(start, place.len) };
        return None;
    }
    None
}

/// Locked; Windows' own dumps of a whole process hold it all the same.
pub(crate) fn map_secret(place: Place, page: usize) -> Option<NonNull<u8>> {
    let start = map_placed(place, page)?;
    // SAFETY: it keeps pages in memory, and changes nothing that a program could see.
    if 0 != unsafe { VirtualLock(start.as_ptr().cast(), place.len) } {
        return Some(start);
    }
    // SAFETY: just mapped, and nobody has it.
    unsafe { unmap(start, place.len) };
    None
}

/// # Safety
///
/// `start` is the start of what `map`, `map_placed` or `reserve` returned, and nobody uses it any more if
/// the result is `true`.
pub(crate) unsafe fn unmap(start: NonNull<u8>, _: usize) -> bool {
    // SAFETY: the start of a reservation of ours that nobody uses (contract); its length is zero by
    // the rules of MEM_RELEASE.
    0 != unsafe { VirtualFree(start.as_ptr().cast(), 0, MEM_RELEASE) }
}

/// # Safety
///
/// The `len` bytes at `tail` are the last pages of a block mapped by this file, and nobody uses them
/// any more if the result is `true`.
pub(crate) unsafe fn unmap_tail(tail: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the same contract.
    unsafe { decommit(tail, len) }
}

/// # Safety
///
/// The `len` bytes at `block` are pages mapped by this file, and nobody uses them any more.
#[cold]
pub(crate) unsafe fn discard(block: NonNull<u8>, len: usize) {
    // SAFETY: the same contract.
    unsafe { decommit(block, len) };
}

/// # Safety
///
/// The `len` bytes at `start` are pages of a reservation of this file that is not in use.
pub(crate) unsafe fn commit(start: NonNull<u8>, len: usize) -> bool {
    virtual_alloc(start.as_ptr().cast(), len, MEM_COMMIT, PAGE_READWRITE).is_some()
}

/// # Safety
///
/// The `len` bytes at `start` are committed pages of a reservation of this file, whose content nobody
/// needs.
pub(crate) unsafe fn zero(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the same contract; the pages come back empty.
    let is_gone = unsafe { decommit(start, len) };
    // SAFETY: pages of that reservation.
    is_gone && unsafe { commit(start, len) }
}

/// # Safety
///
/// The `len` bytes at `start` are pages of a reservation of this file that nobody uses.
pub(crate) unsafe fn decommit(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: whole pages of ours that nobody uses (contract).
    0 != unsafe { VirtualFree(start.as_ptr().cast(), len, MEM_DECOMMIT) }
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

/// Always `None`, as `relocate`.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn relocate_placed(
    _: NonNull<u8>,
    _: usize,
    _: Place,
    _: usize,
) -> Option<NonNull<u8>> {
    None
}

/// Always `None`: large pages need a privilege that few processes have.
pub(crate) fn map_huge(_: usize) -> Option<NonNull<u8>> {
    None
}

/// Does nothing: there is no such wish here.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn advise_huge(_: NonNull<u8>, _: usize) {}

/// # Errors
///
/// Always: Windows knows it per process dump, not per page.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn hide_from_dumps(_: NonNull<u8>, _: usize) -> Result<(), i32> {
    Err(NOT_SUPPORTED)
}

/// # Errors
///
/// Always: a process can lock ranges only.
pub(crate) fn lock_all() -> Result<(), i32> {
    Err(NOT_SUPPORTED)
}

/// # Errors
///
/// Always: a job object would be needed, which its creator chooses.
pub(crate) fn limit_address_space(_: usize) -> Result<(), i32> {
    Err(NOT_SUPPORTED)
}

fn virtual_alloc(address: *mut c_void, len: usize, kind: u32, protect: u32) -> Option<NonNull<u8>> {
    // SAFETY: with MEM_RESERVE it takes a range that is free, or fails; with MEM_COMMIT alone it gives
    // memory to pages of a reservation of ours, and leaves those that have some as they are.
    NonNull::new(unsafe { VirtualAlloc(address, len, kind, protect) }.cast())
}
