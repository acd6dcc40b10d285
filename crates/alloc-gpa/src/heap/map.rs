//! From an address to the chunk that holds it: one table for the whole process.
//!
//! ```text
//!   address  47        35 34        22 21                0
//!            [ root index | leaf index | offset in chunk  ]
//!   ROOT[4096] -> leaf[8192] -> chunk (or null)
//! ```
//!
//! Look-ups take no lock and touch no memory but the table's. Leaves are mapped when they are first
//! needed and never go away.

use core::ptr;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicUsize};

use super::chunk::Chunk;
use super::classes::CHUNK_LEN;
use crate::sys::pages;

const ADDR_BITS: u32 = 47;
const CHUNK_BITS: u32 = CHUNK_LEN.trailing_zeros();
const LEAF_BITS: u32 = 13;
const LEAF_COUNT: usize = 1 << LEAF_BITS;
const ROOT_COUNT: usize = 1 << (ADDR_BITS - CHUNK_BITS - LEAF_BITS);

/// One entry for each chunk-sized range of addresses.
#[repr(transparent)]
struct Leaf([AtomicPtr<Chunk>; LEAF_COUNT]);

static ROOT: [AtomicPtr<Leaf>; ROOT_COUNT] =
    [const { AtomicPtr::new(ptr::null_mut()) }; ROOT_COUNT];

/// Returns the chunk whose range of addresses holds `addr`, or null.
#[inline]
pub(crate) fn lookup(addr: usize) -> *mut Chunk {
    let Some(root) = ROOT.get(addr >> (CHUNK_BITS + LEAF_BITS)) else { return ptr::null_mut() };
    // Acquire: pairs with the AcqRel exchange in `leaf_for`, which publishes a zeroed leaf.
    let leaf = root.load(Acquire);
    // SAFETY: a leaf that was published stays mapped for ever.
    let Some(leaf) = (unsafe { leaf.as_ref() }) else { return ptr::null_mut() };
    // Acquire: pairs with the Release in `set`, which publishes the chunk's header.
    leaf.0[(addr >> CHUNK_BITS) & (LEAF_COUNT - 1)].load(Acquire)
}

/// The range of addresses that all chunks lie in, which only grows: from the lowest to the highest.
static LOWEST: AtomicUsize = AtomicUsize::new(usize::MAX);
static HIGHEST: AtomicUsize = AtomicUsize::new(0);

/// Whether the address lies between the chunks of all heaps: `false` is certain.
#[inline]
pub(crate) fn may_hold(addr: usize) -> bool {
    // Relaxed, both: whoever has a block's address has it from a thread that saw the range with it.
    LOWEST.load(Relaxed) <= addr && addr < HIGHEST.load(Relaxed)
}

/// Enters `chunk` (or null, to take it out) for the range `[addr, addr + len)`, a whole number of
/// chunk-sized ranges. Returns whether the table has room; on `false` nothing is entered.
pub(crate) fn set(addr: usize, len: usize, chunk: *mut Chunk) -> bool {
    let Some(end) = addr.checked_add(len) else { return false };
    if (1 << ADDR_BITS) < end {
        return false;
    }
    // First all leaves, then all entries: a failure leaves nothing half entered.
    let all_there = (addr..end).step_by(CHUNK_LEN).all(|addr| leaf_for(addr).is_some());
    if all_there {
        if !chunk.is_null() {
            // Relaxed: see `may_hold`.
            LOWEST.fetch_min(addr, Relaxed);
            HIGHEST.fetch_max(end, Relaxed);
        }
        for addr in (addr..end).step_by(CHUNK_LEN) {
            if let Some(leaf) = leaf_for(addr) {
                // Release: publishes the chunk's header; pairs with the Acquire in `lookup`.
                leaf.0[(addr >> CHUNK_BITS) & (LEAF_COUNT - 1)].store(chunk, Release);
            }
        }
    }
    all_there
}

/// Returns the leaf for an address below 2^47, mapping it if need be.
fn leaf_for(addr: usize) -> Option<&'static Leaf> {
    let root = &ROOT[addr >> (CHUNK_BITS + LEAF_BITS)];
    // Acquire: as in `lookup`.
    let present = root.load(Acquire);
    // SAFETY: a leaf that was published stays mapped for ever.
    if let Some(leaf) = unsafe { present.as_ref() } {
        return Some(leaf);
    }
    let fresh = pages::map(size_of::<Leaf>())?;
    // AcqRel: publishes the zeroed leaf, or sees the one that another thread published; pairs with
    // itself and with the Acquire in `lookup`.
    match root.compare_exchange(ptr::null_mut(), fresh.cast().as_ptr(), AcqRel, Acquire) {
        // SAFETY: just mapped, zeroed (null pointers are valid entries), never unmapped from now on.
        Ok(_) => Some(unsafe { fresh.cast().as_ref() }),
        Err(winner) => {
            // SAFETY: ours, and nobody has seen it.
            unsafe { pages::unmap(fresh, size_of::<Leaf>()) };
            // SAFETY: published by the winner, never unmapped.
            unsafe { winner.as_ref() }
        }
    }
}
