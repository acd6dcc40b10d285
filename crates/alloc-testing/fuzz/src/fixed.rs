//! The heaps in a given buffer.

use std::mem::MaybeUninit;

use alloc_fixed::{
    BitmapHeap, BufferFirst, FixedBuffer, MaxHeap, Offset, SharedFixedBuffer, StackBuffer, TlsfHeap,
};
use alloc_testing::RawBlock;
use alloc_testing::conformance::{self, Options};

use super::{backing, choose, passed, settled};

/// Kinds of allocators.
pub const KINDS: u8 = 8;

/// Bytes beside the buffer on both sides, at least one, that nobody may write.
const BESIDE: usize = 16;
const CANARY: u8 = 0x5C;

/// Bytes of a chunk of the bitmap heap.
const CHUNK: usize = 16;

/// Runs a program on one of the heaps.
pub fn run(data: &[u8]) {
    let Some((kind, how, program)) = choose(data, KINDS) else { return };
    // Lengths that are no round numbers, at addresses that are none.
    let len = how * 67 + 1;
    let mut around = vec![MaybeUninit::new(CANARY); len + 2 * BESIDE + 1];
    let range = how % BESIDE + 1..how % BESIDE + 1 + len;
    in_memory(kind, how, program, &mut around[range.clone()]);
    for (index, byte) in around.iter().enumerate().filter(|(index, _)| !range.contains(index)) {
        // SAFETY: it was initialised above, and the heaps were lent the range alone.
        let byte = unsafe { byte.assume_init() };
        assert_eq!(byte, CANARY, "byte {index} was written, and the heap lies in {range:?}");
    }
}

fn in_memory(kind: u8, how: usize, program: &[u8], memory: &mut [MaybeUninit<u8>]) {
    let len = memory.len();
    let options = Options::new().capacity(len);
    match kind {
        0 => {
            let fixed = FixedBuffer::new(memory);
            passed(conformance::run_bytes(program, |case| case.run(&fixed), &options));
        }
        1 => {
            let fixed = SharedFixedBuffer::new(memory);
            passed(conformance::run_bytes(program, |case| case.run(&fixed), &options));
        }
        2 => {
            let heap = TlsfHeap::new(memory);
            passed(conformance::run_bytes(program, |case| case.run(&heap), &options));
            heap.check_invariants();
            assert_eq!(heap.stats().used, 0, "every block was freed");
        }
        3 => {
            let behind = backing(how);
            let first = BufferFirst::new(FixedBuffer::new(memory), &behind);
            let body = |case: &mut conformance::Case<'_>| case.run(first);
            passed(conformance::run_bytes_over(program, &behind, body, &options));
        }
        4 => {
            let mut stack = StackBuffer::<3001>::new();
            let options = Options::new().capacity(3001);
            passed(conformance::run_bytes(program, |case| case.run(stack.fixed()), &options));
        }
        5 => scopes(memory, program),
        6 => bitmap(vec![0xA5; len], program),
        _ => largest(how, program),
    }
}

/// Scopes of one buffer, a part of the program in each: what a scope took comes back.
fn scopes(memory: &mut [MaybeUninit<u8>], program: &[u8]) {
    let options = Options::new().capacity(memory.len());
    let mut fixed = FixedBuffer::new(memory);
    for part in program.chunks(32) {
        let used = fixed.used();
        fixed.scope(|inner| {
            passed(conformance::run_bytes(part, |case| case.run(&*inner), &options));
        });
        assert_eq!(fixed.used(), used, "a scope gives back what it took");
        let checkpoint = fixed.checkpoint();
        let taken = take(&fixed, part);
        assert!(fixed.rewind(checkpoint) && fixed.used() == used, "{taken}");
    }
    fixed.reset();
    assert_eq!(fixed.used(), 0);
}

/// Takes some bytes and gives the owner up, as if its scope were over.
fn take(fixed: &FixedBuffer<'_>, bytes: &[u8]) -> usize {
    let block = RawBlock::new(fixed, bytes.len(), 1);
    block.map_or(0, |block| block.into_raw_parts().1.size())
}

/// The bitmap heap against a list of what was stored; two bytes an operation.
fn bitmap(mut block: Vec<u8>, program: &[u8]) {
    let Some(mut heap) = BitmapHeap::<CHUNK>::format(&mut block) else { return };
    let mut stored: Vec<(Offset<[u8]>, Vec<u8>)> = Vec::new();
    let mut freed = Vec::new();
    for operation in program.chunks_exact(2) {
        let argument = usize::from(operation[1]);
        let chosen = argument.checked_rem(stored.len());
        match (operation[0] % 4, chosen) {
            (0 | 1, _) => {
                let bytes: Vec<u8> = (0..argument).map(|index| (index ^ argument) as u8).collect();
                stored.extend(heap.dupe(&bytes).ok().map(|offset| (offset, bytes)));
            }
            (2, Some(index)) => {
                let (offset, _) = stored.swap_remove(index);
                assert_eq!(heap.free(offset), Ok(()));
                // An offset of no bytes names none: it cannot be stale.
                freed.extend((0 < offset.len()).then_some(offset));
            }
            (3, Some(index)) => {
                let (offset, bytes) = &mut stored[index];
                let there = heap.bytes_mut(*offset).expect("it is stored");
                there.reverse();
                bytes.reverse();
            }
            _ => {}
        }
        for (offset, bytes) in &stored {
            assert_eq!(heap.bytes(*offset), Ok(&bytes[..]));
        }
    }
    // What is in the block is found again, and nothing else; a freed offset may name a block that took
    // its place only after the generations have gone round, which takes longer than this.
    let mut heap = BitmapHeap::<CHUNK>::attach(&mut block).expect("it was formatted");
    for offset in freed {
        assert!(heap.bytes(offset).is_err(), "a freed offset reads bytes");
    }
    for (offset, bytes) in stored {
        assert_eq!(heap.bytes(offset), Ok(&bytes[..]));
        assert_eq!(heap.free(offset), Ok(()));
    }
    assert_eq!(heap.used(), 0);
    // Whatever a block holds, nothing worse than wrong bytes comes of it.
    let mut noise = program.to_vec();
    if let Some(mut heap) = BitmapHeap::<CHUNK>::attach(&mut noise)
        && let Ok(offset) = heap.dupe(b"some bytes")
    {
        let _ = heap.bytes(offset).map(<[u8]>::len);
        let _ = heap.free(offset);
    }
}

/// One buffer that is as large as the largest request; two bytes a request.
fn largest(how: usize, program: &[u8]) {
    let behind = backing(how);
    let mut heap = MaxHeap::new(&behind);
    let mut most = 0;
    for operation in program.chunks_exact(2) {
        let count = usize::from(u16::from_le_bytes([operation[0], operation[1]]));
        let before = heap.capacity();
        let granted = match count % 4 {
            0 => heap.alloc::<u8>(count).map(|items| items.fill(MaybeUninit::new(1))).is_ok(),
            1 => heap.alloc::<u64>(count).map(|items| items.fill(MaybeUninit::new(1))).is_ok(),
            2 => heap.alloc::<u64>(usize::MAX - count).is_ok(),
            _ => {
                heap.clear();
                continue;
            }
        };
        let size = if count % 4 == 0 { count } else { count * 8 };
        assert!(!(granted && count % 4 == 2), "no address space holds it");
        assert!(granted || heap.capacity() == before, "refused, and changed");
        assert!(!granted || size <= heap.capacity(), "{size} bytes in {}", heap.capacity());
        most = most.max(heap.capacity());
    }
    drop(heap);
    settled(&behind);
    assert!(most <= usize::from(u16::MAX) * 8);
}
