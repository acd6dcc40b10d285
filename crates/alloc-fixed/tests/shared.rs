//! What the shared buffer adds to the contract: what comes back, also with many threads.

use std::mem::MaybeUninit;

use alloc_core::{AllocError, AllocatorExt, Owned};
use alloc_fixed::{SharedFixedBuffer, StackBuffer};
use alloc_testing::RawBlock;

/// A buffer whose first byte is aligned to 4096.
#[repr(align(4096))]
struct Aligned<const LEN: usize>([MaybeUninit<u8>; LEN]);

/// As for the buffer of one thread, 24 blocks deep, also with more padding than a byte can tell.
#[test]
fn padding_is_given_back() {
    let mut buffer = Box::new(Aligned([MaybeUninit::uninit(); 1 << 16]));
    let fixed = SharedFixedBuffer::new(&mut buffer.0);
    let requests = [(1, 1), (8, 8), (1, 1), (3, 2), (1, 4096), (7, 1), (16, 256), (1, 512)];
    let mut stack = Vec::new();
    for round in 0..3 {
        for (size, align) in requests {
            let used = fixed.used();
            let mut block = RawBlock::new(&fixed, size, align).unwrap();
            block.fill(round);
            stack.push((used, block));
        }
    }
    assert_eq!(stack.len(), 24);
    while let Some((used, block)) = stack.pop() {
        drop(block);
        let padding_is_known = usize::BITS == 64 || 18 <= stack.len();
        assert!(fixed.used() == used || !padding_is_known);
    }
}

/// Sizes that overflow are refused and change nothing.
#[test]
fn requests_that_overflow_fail_cleanly() {
    let mut stack = StackBuffer::<64>::new();
    let fixed = SharedFixedBuffer::new(&mut stack);
    let mut block = RawBlock::new(&fixed, 3, 1).unwrap();
    for count in [usize::MAX, isize::MAX as usize, isize::MAX as usize - 1] {
        assert_eq!(fixed.alloc::<u8>(count).map(drop), Err(AllocError));
    }
    assert!(!block.resize(isize::MAX as usize) && block.resize(64) && !block.resize(65));
    assert!(block.resize(1));
    assert_eq!(fixed.used(), 1);
    drop(block);
    let mut fixed = fixed;
    Owned::leak(fixed.create(5u64).unwrap());
    fixed.reset();
    assert_eq!(fixed.used(), 0);
}

/// The buffer's own bytes, its end and others.
#[test]
fn owns() {
    let mut bytes = [MaybeUninit::uninit(); 64];
    let base: *const u8 = bytes.as_ptr().cast();
    let slice = |start: usize, len| std::ptr::slice_from_raw_parts(base.wrapping_add(start), len);
    let fixed = SharedFixedBuffer::new(&mut bytes[16..48]);
    assert_eq!(
        [15, 16, 47, 48].map(|at| fixed.owns_ptr(base.wrapping_add(at))),
        [false, true, true, false]
    );
    assert!(fixed.owns_slice(slice(16, 32)) && fixed.owns_slice(slice(48, 0)));
    assert!(!fixed.owns_slice(slice(15, 2)) && !fixed.owns_slice(slice(40, 9)));
    assert!(!fixed.owns_slice(slice(16, usize::MAX >> 1)) && !fixed.owns_slice(slice(49, 0)));
}

/// Goal: threads that take and free at random never share a byte, and the buffer is not used up by
/// them. Method: each fills its blocks and compares.
#[test]
fn threads_share_no_byte() {
    let mut buffer = vec![MaybeUninit::uninit(); 1 << 16];
    let fixed = SharedFixedBuffer::new(&mut buffer);
    let round_count = if cfg!(miri) { 20 } else { 20_000 };
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let fixed = &fixed;
            scope.spawn(move || {
                for round in 0..round_count {
                    let Ok(mut block) = RawBlock::new(fixed, 1 + round % 40, 1 << (round % 4))
                    else {
                        continue;
                    };
                    block.fill(thread);
                    let size = block.layout().size();
                    let grown = block.resize(size + 7);
                    block.assert_filled(size, thread);
                    assert!(!grown || block.layout().size() == size + 7);
                }
            });
        }
    });
    let used = fixed.used();
    assert!(used <= fixed.capacity());
}
