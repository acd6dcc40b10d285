//! What the fixed buffer adds to the contract: where blocks lie, what comes back, what is full.

use std::alloc::Layout;
use std::mem::MaybeUninit;

use alloc_core::{AllocError, Allocator, AllocatorExt, Owned, alloc_print};
use alloc_fixed::{FixedBuffer, StackBuffer};
use alloc_testing::RawBlock;

/// A buffer whose first byte is aligned to 4096.
#[repr(align(4096))]
struct Aligned<const LEN: usize>([MaybeUninit<u8>; LEN]);

/// Zig's `reset`: in 8 bytes a second box does not fit; after a reset the same address is used again.
#[test]
fn reset_gives_everything_back() {
    let mut buffer = Aligned([MaybeUninit::uninit(); 8]);
    let mut fixed = FixedBuffer::new(&mut buffer.0);
    let first = fixed.create(7u64).unwrap();
    let addr = Owned::as_ptr(&first).addr();
    assert_eq!(fixed.create(8u64).map(drop), Err(AllocError));
    let _: &mut u64 = Owned::leak(first);
    assert_eq!(fixed.used(), 8, "a leaked block stays");
    fixed.reset();
    assert_eq!((fixed.used(), fixed.remaining()), (0, 8));
    let again = fixed.create(9u64).unwrap();
    assert_eq!(Owned::as_ptr(&again).addr(), addr);
}

/// Zig's `reuse memory on realloc`: the last block grows in place up to the whole buffer and no
/// further; a block below another is moved by a realloc, with its content.
#[test]
fn the_last_block_grows_in_place() {
    let mut buffer = StackBuffer::<10>::new();
    let fixed = FixedBuffer::new(&mut buffer);
    let mut block = RawBlock::new(&fixed, 5, 1).unwrap();
    block.fill(1);
    assert!(block.resize(10));
    assert!(!block.resize(11));
    block.assert_filled(5, 1);
    assert!(block.remap(2), "a remap is a resize");
    block.assert_filled(2, 1);
    assert_eq!(fixed.used(), 2);

    let mut above = RawBlock::new(&fixed, 2, 1).unwrap();
    above.fill(2);
    assert!(!block.resize(3) && !block.remap(3), "something lies above");
    assert!(block.resize(1), "a shrink is always granted");
    assert_eq!(fixed.used(), 4, "and gives nothing back below another block");
    above.assert_filled(2, 2);

    let slice = fixed.alloc_with(2, |i| i as u8).unwrap();
    drop(above);
    let slice = Owned::grow_with(slice, 3, |i| i as u8).map_err(|(_, error)| error).unwrap();
    assert_eq!(*slice, [0, 1, 2]);
}

/// Zig's bug: `alloc(maxInt(usize))` after one allocation panics with an integer overflow there. Here
/// every such request, and every such growth, is refused and changes nothing.
#[test]
fn requests_that_overflow_fail_cleanly() {
    let mut buffer = StackBuffer::<64>::new();
    let fixed = FixedBuffer::new(&mut buffer);
    let mut block = RawBlock::new(&fixed, 3, 1).unwrap();
    block.fill(5);
    for count in [usize::MAX, usize::MAX - 2, isize::MAX as usize, isize::MAX as usize - 1] {
        assert_eq!(fixed.alloc::<u8>(count).map(drop), Err(AllocError), "{count}");
        assert_eq!(fixed.alloc::<u64>(count).map(drop), Err(AllocError), "{count}");
    }
    let size_max = isize::MAX as usize;
    assert!(!block.resize(size_max) && !block.remap(size_max));
    for shift in 12..usize::BITS - 1 {
        let layout = Layout::from_size_align(1, 1 << shift).unwrap();
        if fixed.raw_alloc(layout).is_ok() {
            panic!("64 bytes on the stack hold no multiple of {}", layout.align());
        }
    }
    assert_eq!(fixed.used(), 3);
    block.assert_filled(3, 5);
}

/// Zig gives no padding back, and so stops to recognise the last block. Here boxes of all alignments,
/// freed in reverse, leave the buffer exactly as it was at every step, also with more padding than a
/// byte can tell.
#[test]
fn padding_is_given_back() {
    let mut buffer = Box::new(Aligned([MaybeUninit::uninit(); 1 << 16]));
    let fixed = FixedBuffer::new(&mut buffer.0);
    let requests = [(1, 1), (8, 8), (1, 1), (3, 2), (1, 4096), (7, 1), (16, 256), (1, 1), (1, 512)];
    let mut stack = Vec::new();
    for round in 0..7 {
        for (size, align) in requests {
            let used = fixed.used();
            let mut block = RawBlock::new(&fixed, size, align).unwrap();
            block.fill(round);
            stack.push((used, block));
        }
    }
    assert!(stack.len() <= 64, "as deep as the padding is remembered");
    while let Some((used, block)) = stack.pop() {
        block.assert_filled(block.layout().size(), (stack.len() / requests.len()) as u8);
        drop(block);
        assert_eq!(fixed.used(), used);
    }
    assert_eq!(fixed.used(), 0);
}

/// Deeper than 64 blocks padding is lost, never more than that: nothing overlaps, a reset has it all.
#[test]
fn padding_below_64_blocks_is_lost_until_reset() {
    let mut buffer = Aligned([MaybeUninit::uninit(); 4096]);
    let mut fixed = FixedBuffer::new(&mut buffer.0);
    let mut stack: Vec<_> = (0..100)
        .map(|i| RawBlock::new(&fixed, 1, if i % 2 == 0 { 1 } else { 8 }).unwrap())
        .collect();
    let used_at_36 = stack[36].addr() - stack[0].addr();
    while let Some(block) = stack.pop() {
        drop(block);
    }
    drop(stack);
    assert!(fixed.used() <= used_at_36, "{} {used_at_36}", fixed.used());
    fixed.reset();
    assert_eq!(fixed.used(), 0);
}

/// Blocks that are freed out of order stay, and what is above them still comes back with its padding.
#[test]
fn out_of_order_frees_keep_the_rest_right() {
    let mut buffer = Aligned([MaybeUninit::uninit(); 256]);
    let fixed = FixedBuffer::new(&mut buffer.0);
    let a = RawBlock::new(&fixed, 1, 1).unwrap();
    let b = RawBlock::new(&fixed, 1, 8).unwrap();
    let c = RawBlock::new(&fixed, 1, 16).unwrap();
    drop(b);
    assert_eq!(fixed.used(), 17, "not the last");
    drop(c);
    assert_eq!(fixed.used(), 9, "the last, and its padding");
    let d = RawBlock::new(&fixed, 1, 32).unwrap();
    drop(a);
    assert_eq!(fixed.used(), 33);
    drop(d);
    assert_eq!(fixed.used(), 9, "what was freed out of order comes back with a reset only");
}

/// Every alignment up to 2 MiB in a buffer of 4 MiB, at an odd start.
#[test]
fn alignments_up_to_2_mib() {
    let mut buffer = Vec::with_capacity(4 << 20);
    let fixed = FixedBuffer::new(&mut buffer.spare_capacity_mut()[1..]);
    for shift in 0..=21 {
        let mut block = RawBlock::new(&fixed, 3, 1 << shift).unwrap();
        assert!(block.addr().is_multiple_of(1 << shift));
        block.fill(shift);
        block.assert_filled(3, shift);
        drop(block);
        assert_eq!(fixed.used(), 0);
    }
}

/// The last byte can be handed out; an empty buffer has none.
#[test]
fn exact_fit() {
    let mut buffer = StackBuffer::<7>::new();
    let fixed = FixedBuffer::new(&mut buffer);
    let block = RawBlock::new(&fixed, 7, 1).unwrap();
    assert_eq!(fixed.remaining(), 0);
    assert!(RawBlock::new(&fixed, 1, 1).is_err());
    drop(block);
    let empty = FixedBuffer::new(&mut []);
    assert!(RawBlock::new(&empty, 1, 1).is_err());
    assert!(empty.create(()).is_ok(), "zero bytes need no memory");
}

#[test]
fn owns_and_is_last() {
    let mut buffer = StackBuffer::<16>::new();
    let range = buffer.as_ptr().cast::<u8>()..buffer.as_ptr_range().end.cast::<u8>();
    let fixed = FixedBuffer::new(&mut buffer);
    let first = fixed.alloc_fill(4, 1u8).unwrap();
    let last = fixed.alloc_fill(4, 2u8).unwrap();
    assert!(fixed.is_last(&raw const *last));
    assert!(!fixed.is_last(&raw const *first));
    assert!(fixed.owns_slice(&raw const *first));
    assert!(fixed.owns_ptr(range.start));
    assert!(!fixed.owns_ptr(range.end), "one past the end");
    assert!(!fixed.owns_ptr(range.start.wrapping_sub(1)));
    let elsewhere = [0u8; 4];
    assert!(!fixed.owns_slice(&raw const elsewhere));
    let whole = std::ptr::slice_from_raw_parts(range.start, 16);
    assert!(fixed.owns_slice(whole));
    assert!(!fixed.owns_slice(std::ptr::slice_from_raw_parts(range.start, 17)));
    assert!(!fixed.owns_slice(std::ptr::slice_from_raw_parts(range.start, usize::MAX)));
    drop(last);
    assert!(fixed.is_last(&raw const *first));
}

/// The owner of the bytes reads them again, whatever was written into them and however the call ended.
#[test]
fn borrowed_bytes_keep_values() {
    let mut bytes = [1u8; 32];
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    FixedBuffer::with_bytes(&mut bytes, |fixed| {
        let pair = fixed.create((1u8, 2u32)).unwrap();
        Owned::leak(fixed.create(MaybeUninit::<u64>::uninit()).unwrap());
        drop(pair);
    });
    assert!(sum(&bytes) <= 32 * 255);
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        FixedBuffer::with_bytes(&mut bytes, |fixed| {
            Owned::leak(fixed.create(MaybeUninit::<u64>::uninit()).unwrap());
            panic!("while blocks are there");
        })
    }));
    assert!(unwound.is_err() && sum(&bytes) <= 32 * 255);
}

/// Goal: a scope gives back what it took, and nothing else; meanwhile the outer allocator is full.
/// Method: blocks outside and inside, nested, by return and by unwinding.
#[test]
fn scopes_give_back() {
    let mut stack = StackBuffer::<256>::new();
    let fixed = FixedBuffer::new(&mut stack);
    let first = fixed.create(1u8).unwrap();
    let padded = fixed.create(2u64).unwrap();
    let used = fixed.used();
    fixed.scope(|inner| {
        let a = inner.alloc_fill(3, 7u8).unwrap();
        assert!(fixed.create(0u8).is_err(), "what is free is lent");
        inner.scope(|innermost| assert_eq!(*innermost.create(a[0]).unwrap(), 7));
        assert_eq!(inner.used(), 3);
    });
    assert_eq!(fixed.used(), used);
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fixed.scope(|inner| {
            Owned::leak(inner.create(5u32).unwrap());
            panic!("in a scope");
        })
    }));
    assert!(unwound.is_err());
    assert_eq!(fixed.used(), used);
    drop(padded);
    drop(first);
    assert_eq!(fixed.used(), 0, "the padding is still known");
}

/// A free of an outer block inside a scope changes nothing, and the buffer stays sound: also if the
/// scope has no room at all.
#[test]
fn frees_of_outer_blocks_in_a_scope() {
    for len in [24, 16] {
        let mut buffer = Aligned([MaybeUninit::uninit(); 24]);
        let fixed = FixedBuffer::new(&mut buffer.0[..len]);
        let small = RawBlock::new(&fixed, 1, 1).unwrap();
        let last = RawBlock::new(&fixed, 8, 8).unwrap();
        fixed.scope(|inner| {
            drop(last);
            let mut block = RawBlock::new(&*inner, 1, 1);
            assert_eq!(block.is_ok(), len == 24);
            let mut outer = RawBlock::new(&fixed, 8, 8);
            assert_eq!(outer.is_ok(), len == 16, "freed as the last one, since nothing is lent");
            if let Ok(block) = &mut block {
                block.fill(1);
                block.assert_filled(1, 1);
            }
            if let Ok(outer) = &mut outer {
                outer.fill(2);
            }
        });
        drop(small);
        assert!(fixed.used() <= 16);
    }
}

/// A rewind goes back, never forward, and forgets what it does not know.
#[test]
fn checkpoints_go_back_only() {
    let mut stack = StackBuffer::<64>::new();
    let mut fixed = FixedBuffer::new(&mut stack);
    Owned::leak(fixed.create(1u8).unwrap());
    let early = fixed.checkpoint();
    Owned::leak(fixed.create(2u64).unwrap());
    let late = fixed.checkpoint();
    assert!(fixed.rewind(early));
    assert_eq!(fixed.used(), 1);
    assert!(!fixed.rewind(late), "what is beyond is not known any more");
    assert_eq!(fixed.used(), 1);
    assert!(fixed.rewind(early));
    fixed.reset();
    assert!(!fixed.rewind(early));
}

/// The reference document's example: messages are formatted into the same stack buffer, one after the
/// other. What silently read Bob's text there, using the first message after making the second, does
/// not compile here (E0499).
#[test]
fn reference_format_message() {
    fn format_message<'a>(
        fixed: &'a mut FixedBuffer<'_>,
        name: &str,
        value: i32,
    ) -> Result<Owned<str, &'a FixedBuffer<'a>>, AllocError> {
        fixed.reset();
        alloc_print!(&*fixed, "User: {name}, Score: {value}")
    }
    let mut stack = StackBuffer::<256>::new();
    let mut fixed = FixedBuffer::new(&mut stack);
    let first = format_message(&mut fixed, "Alice", 100).unwrap();
    assert_eq!(&*first, "User: Alice, Score: 100");
    let addr = first.as_ptr().addr();
    drop(first);
    let second = format_message(&mut fixed, "Bob", 200).unwrap();
    assert_eq!(&*second, "User: Bob, Score: 200");
    assert_eq!(second.as_ptr().addr(), addr, "the same memory");
}

/// A buffer that is too small is an error, and what was there is untouched.
#[test]
fn a_message_that_does_not_fit_is_an_error() {
    let mut stack = StackBuffer::<10>::new();
    let fixed = FixedBuffer::new(&mut stack);
    assert_eq!(alloc_print!(&fixed, "User: {}", "Alice").map(drop), Err(AllocError));
    assert_eq!(fixed.used(), 0);
    assert_eq!(&*alloc_print!(&fixed, "{}", "0123456789").unwrap(), "0123456789");
}

/// It can be sent to another thread, with its buffer; sharing does not compile (its doc says so).
#[test]
fn it_can_be_sent() {
    let mut stack = StackBuffer::<64>::new();
    let fixed = FixedBuffer::new(&mut stack);
    std::thread::scope(|scope| {
        scope.spawn(move || assert_eq!(*fixed.create(5).unwrap(), 5));
    });
}
