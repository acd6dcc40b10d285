//! The heap that can be moved: every chunk can be had, moves keep everything, stale offsets are errors.

use std::cell::Cell;
use std::collections::HashMap;

use alloc_core::AllocError;
use alloc_fixed::{BitmapHeap, Offset, Plain, StaleOffset};

mod common;

use common::Rng;

/// Bytes for exactly `count` chunks of 16.
fn block(count: usize) -> Vec<u8> {
    vec![0xff; 8 + count.div_ceil(64) * 8 + count * (2 + 16)]
}

/// Goal: maps that end inside a word, at its end, and just behind it hand out each chunk once and none
/// beyond. Method: one chunk at a time, then runs across words that end in the last one.
#[test]
fn every_chunk_and_none_beyond() {
    for count in [1, 2, 63, 64, 65, 127, 128, 129] {
        let mut bytes = block(count);
        let mut heap = BitmapHeap::<16>::format(&mut bytes).unwrap();
        assert_eq!(heap.chunk_count(), count);
        let offsets: Vec<_> = (0..count).map(|i| heap.store(i as u64).unwrap()).collect();
        assert_eq!(heap.alloc(1), Err(AllocError));
        assert_eq!(heap.used(), count);
        for (index, offset) in offsets.iter().enumerate() {
            assert_eq!(heap.load(*offset), Ok(index as u64));
        }
        // All but the first; then one run over the rest.
        for offset in &offsets[1..] {
            heap.free(*offset).unwrap();
        }
        if 1 < count {
            assert_eq!(heap.alloc((count - 1) * 16 + 1), Err(AllocError));
            let run = heap.alloc((count - 1) * 16).unwrap();
            heap.bytes_mut(run).unwrap().fill(7);
            assert_eq!(heap.load(offsets[0]), Ok(0), "the neighbour is untouched");
            heap.free(run).unwrap();
        }
        assert_eq!(heap.used(), 1);
    }
}

/// One byte less than a chunk needs, and lengths that overflow.
#[test]
fn what_does_not_fit_is_refused() {
    let mut bytes = block(1);
    let len = bytes.len();
    assert!(BitmapHeap::<16>::format(&mut bytes[..len - 1]).is_none());
    assert!(BitmapHeap::<16>::format(&mut []).is_none());
    let mut heap = BitmapHeap::<16>::format(&mut bytes).unwrap();
    for len in [17, usize::MAX, isize::MAX as usize, u32::MAX as usize, u32::MAX as usize + 1] {
        assert_eq!(heap.alloc(len), Err(AllocError), "{len}");
    }
    let nothing = heap.dupe(b"").unwrap();
    assert_eq!((heap.bytes(nothing), heap.used()), (Ok(&b""[..]), 0));
    heap.free(nothing).unwrap();
}

/// Goal: random operations agree with a model, whatever address the heap is at. Method: the block is
/// copied elsewhere every few operations, and the old one is overwritten.
#[test]
fn random_operations_across_moves() {
    for seed in 0..if cfg!(miri) { 1 } else { 100 } {
        let mut rng = Rng::new(seed);
        let mut bytes = block(1 + rng.below(200));
        BitmapHeap::<16>::format(&mut bytes).unwrap();
        let mut model: HashMap<u32, (Offset<[u8]>, Vec<u8>)> = HashMap::new();
        let mut dead: Vec<Offset<[u8]>> = Vec::new();
        for step in 0..300u32 {
            if step % 7 == 0 {
                let moved = bytes.clone();
                bytes.fill(0xee);
                bytes = moved;
            }
            let mut heap = BitmapHeap::<16>::attach(&mut bytes).unwrap();
            let keys: Vec<u32> = model.keys().copied().collect();
            if rng.below(3) != 0 || keys.is_empty() {
                let content = vec![step as u8; 1 + rng.below(60)];
                if let Ok(offset) = heap.dupe(&content) {
                    model.insert(step, (offset, content));
                }
            } else {
                let (offset, content) = model.remove(&keys[rng.below(keys.len())]).unwrap();
                assert_eq!(heap.bytes(offset), Ok(&content[..]));
                heap.free(offset).unwrap();
                assert_eq!(heap.free(offset), Err(StaleOffset), "a double free");
                dead.push(offset);
            }
            for (offset, content) in model.values() {
                assert_eq!(heap.bytes(*offset), Ok(&content[..]), "seed {seed} step {step}");
            }
            for offset in &dead {
                assert_eq!(heap.bytes(*offset), Err(StaleOffset), "seed {seed} step {step}");
            }
            let chunks: usize = model.values().map(|(_, content)| content.len().div_ceil(16)).sum();
            assert_eq!(heap.used(), chunks);
        }
    }
}

/// Whatever bytes are taken for a heap, nothing reaches outside them; heaps of other chunks are told.
#[test]
fn any_bytes_are_safe_to_attach_to() {
    let mut bytes = block(8);
    BitmapHeap::<16>::format(&mut bytes).unwrap();
    assert!(BitmapHeap::<32>::attach(&mut bytes).is_none());
    let len = bytes.len();
    assert!(BitmapHeap::<16>::attach(&mut bytes[..len - 1]).is_none(), "cut");
    let mut rng = Rng::new(1);
    for _ in 0..2000 {
        let mut bytes: Vec<u8> = (0..rng.below(200)).map(|_| rng.below(256) as u8).collect();
        if let Some(head) = bytes.first_chunk_mut::<8>() {
            *head = [16, 0, 0, 0, rng.below(12) as u8, 0, 0, 0];
        }
        if let Some(mut heap) = BitmapHeap::<16>::attach(&mut bytes) {
            let offset = heap.alloc(1 + rng.below(100));
            if let Ok(offset) = offset {
                heap.bytes_mut(offset).unwrap().fill(0);
                heap.free(offset).unwrap();
            }
        }
    }
}

/// A value whose bytes are more the second time they are looked at writes no more of them than it took.
#[test]
fn bytes_that_grow_stay_in_their_chunks() {
    #[derive(Clone, Copy)]
    struct Liar;

    struct Bytes(Cell<usize>);

    impl AsRef<[u8]> for Bytes {
        fn as_ref(&self) -> &[u8] {
            let len = self.0.replace(40);
            &[0xee; 40][..len]
        }
    }

    impl TryFrom<&[u8]> for Bytes {
        type Error = ();

        fn try_from(bytes: &[u8]) -> Result<Self, ()> {
            Ok(Self(Cell::new(bytes.len())))
        }
    }

    impl Plain for Liar {
        type Bytes = Bytes;

        fn to_bytes(self) -> Bytes {
            Bytes(Cell::new(16))
        }

        fn from_bytes(_: Bytes) -> Self {
            Self
        }
    }

    let mut bytes = block(3);
    let mut heap = BitmapHeap::<16>::format(&mut bytes).unwrap();
    let first = heap.store(1u64).unwrap();
    let second = heap.store(2u64).unwrap();
    heap.free(first).unwrap();
    assert_eq!(heap.store(Liar).unwrap().len(), 16);
    assert_eq!(heap.load(second), Ok(2));
}
