//! A heap whose memory comes and goes at its end, beside a record of what it was given.

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use alloc_core::AllocatorExt;
use alloc_fixed::{StackBuffer, StaticBytes, TlsfHeap};
use alloc_testing::RawBlock;

mod common;

use common::Rng;

const LEN: usize = 16 << 10;
/// What nobody has written to.
const UNTOUCHED: u8 = 0x77;

/// Random requests while the end goes up and down: blocks keep their bytes, the invariants hold, and what is
/// not lent to the heap is not written to.
#[test]
fn the_end_goes_up_and_down() {
    for seed in 0..if cfg!(miri) { 2 } else { 10 } {
        let mut numbers = Rng::new(seed);
        let mut memory = [MaybeUninit::new(UNTOUCHED); LEN];
        let base = NonNull::from(&mut memory).cast::<u8>();
        let first = base.as_ptr();
        let mut lent = 100 + numbers.below(1000);
        // SAFETY: a part of the array, which is used through `base` alone.
        let heap = unsafe { TlsfHeap::from_raw_parts(base, lent) };
        let mut live: Vec<(RawBlock<&TlsfHeap<'_>>, u8)> = Vec::new();
        for round in 0..if cfg!(miri) { 40 } else { 120 } {
            match numbers.below(8) {
                0 => {
                    let before = heap.capacity();
                    let end = (lent + numbers.below(3000)).min(LEN);
                    // SAFETY: bytes of the array, which `base` leads to, and which are not used otherwise.
                    let moved = unsafe { heap.extend(first.wrapping_add(end)) };
                    assert_eq!(moved, before < heap.capacity());
                    assert!(heap.capacity() - before <= end - lent + 16);
                    lent = end;
                }
                1 => {
                    let wish = numbers.below(LEN + 100);
                    let wish = if wish < 2000 {
                        ptr::null()
                    } else {
                        first.wrapping_add(wish).cast_const()
                    };
                    let before = heap.capacity();
                    let end = heap.truncate(wish);
                    assert!(heap.capacity() <= before);
                    assert!(
                        live.iter()
                            .all(|(block, _)| block.addr() + block.layout().size() <= end.addr())
                    );
                    let kept = end.addr() - first.addr();
                    let slack = wish.addr().min(first.addr() + lent).checked_sub(end.addr());
                    assert!(slack.is_none_or(|slack| slack < 16), "{slack:?} left out");
                    for byte in kept..lent {
                        // SAFETY: in the array; the heap has given it back.
                        unsafe { first.wrapping_add(byte).write(UNTOUCHED) };
                    }
                    lent = kept;
                }
                2..5 if !live.is_empty() => {
                    let (block, fill) = live.swap_remove(numbers.below(live.len()));
                    block.assert_filled(block.layout().size(), fill);
                }
                _ => {
                    let size = 1 + numbers.below(600);
                    let Ok(mut block) = RawBlock::new(&heap, size, 1 << numbers.below(7)) else {
                        assert!(
                            heap.stats().largest < size + 2 * 64 + 32,
                            "{size} of {:?}",
                            heap.stats()
                        );
                        continue;
                    };
                    block.fill(round as u8);
                    live.push((block, round as u8));
                }
            }
            heap.check_invariants();
            for byte in lent..LEN {
                // SAFETY: in the array, initialised.
                let found = unsafe { first.wrapping_add(byte).read() };
                assert_eq!(found, UNTOUCHED, "byte {byte}, lent {lent}");
            }
        }
    }
}

/// A block at the end of a full heap grows in place into what was added.
#[test]
fn the_last_block_grows_into_what_comes() {
    let mut memory = [MaybeUninit::<u8>::uninit(); 4096];
    let base = NonNull::from(&mut memory).cast::<u8>();
    // SAFETY: a part of the array, which is used through `base` alone.
    let heap = unsafe { TlsfHeap::from_raw_parts(base, 1024) };
    let mut block = heap.alloc::<u8>(900).unwrap();
    let place = block.as_ptr();
    assert!(!heap.resize(&mut block, 3000), "no room");
    // SAFETY: the rest of the array.
    assert!(unsafe { heap.extend(base.as_ptr().wrapping_add(4096)) });
    assert!(heap.resize(&mut block, 3000), "room behind it");
    assert_eq!(block.as_ptr(), place);
    // Backwards, by less than a chunk, and the same again: nothing.
    for end in [0, 2000, 4096] {
        // SAFETY: it is the array, as before.
        assert!(!unsafe { heap.extend(base.as_ptr().wrapping_add(end)) });
    }
}

/// Without memory there is no end to move.
#[test]
fn a_heap_without_memory_stays_so() {
    static BYTES: StaticBytes<1024> = StaticBytes::new();
    let mut none = StackBuffer::<8>::new();
    let heap = TlsfHeap::new(&mut none);
    heap.truncate(ptr::null());
    assert!(heap.capacity() == 0 && heap.create(1u8).is_err());
    let mut memory = [MaybeUninit::<u8>::uninit(); 100];
    let base = NonNull::from(&mut memory).cast::<u8>();
    // SAFETY: no bytes of the array, then all.
    let empty = unsafe { TlsfHeap::from_raw_parts(base, 0) };
    // SAFETY: as above.
    assert!(!unsafe { empty.extend(base.as_ptr().wrapping_add(100)) });
    let later = TlsfHeap::over(&BYTES);
    later.truncate(ptr::null());
    assert!(later.create(1u8).is_ok(), "the bytes were not taken before");
}
