//! The general heap beside a model, over one and several buffers: random sequences that shrink to the
//! shortest that fails.
//!
//! Not under Miri, where they take hours; `tlsf.rs` runs there.
#![cfg(not(miri))]

use std::mem::MaybeUninit;

use alloc_fixed::TlsfHeap;
use alloc_testing::RawBlock;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What is done to one of the heaps.
#[derive(Clone, Debug)]
enum Op {
    Take { size: usize, shift: u32 },
    Free { block: usize },
    Resize { block: usize, size: usize },
}

/// Sizes of every kind of bin: mostly small ones, some that fill a heap.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1usize..200, 2 => 200usize..1100, 2 => 1100usize..6000, 1 => 6000usize..40_000]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (size(), prop_oneof![4 => 0u32..5, 1 => 5u32..13])
            .prop_map(|(size, shift)| Op::Take { size, shift }),
        4 => any::<prop::sample::Index>().prop_map(|at| Op::Free { block: at.index(1 << 16) }),
        2 => (any::<prop::sample::Index>(), size())
            .prop_map(|(at, size)| Op::Resize { block: at.index(1 << 16), size }),
    ]
}

/// A heap, and what is alive in it: each block is filled with a number of its own.
struct Model<'heap, 'buf> {
    heap: &'heap TlsfHeap<'buf>,
    live: Vec<(RawBlock<&'heap TlsfHeap<'buf>>, u8)>,
    next: u8,
}

impl Model<'_, '_> {
    fn apply(&mut self, op: &Op) {
        let count = self.live.len();
        match *op {
            Op::Take { size, shift } => match RawBlock::new(self.heap, size, 1 << shift) {
                Ok(mut block) => {
                    assert!(block.addr().is_multiple_of(1 << shift));
                    self.next = self.next.wrapping_add(1);
                    block.fill(self.next);
                    self.live.push((block, self.next));
                }
                Err(_) => self.assert_no_room(size, 1 << shift),
            },
            Op::Free { block } if count != 0 => {
                let (block, fill) = self.live.swap_remove(block % count);
                block.assert_filled(block.layout().size(), fill);
            }
            Op::Resize { block, size } if count != 0 => {
                let (block, fill) = &mut self.live[block % count];
                let old_size = block.layout().size();
                let kept = if block.resize(size) { old_size.min(size) } else { old_size };
                assert!(old_size < size || block.layout().size() == size, "a shrink is granted");
                block.assert_filled(kept, *fill);
                block.fill(*fill);
            }
            _ => {}
        }
    }

    /// A refusal is right if the request is for more than can be had. An aligned block may lie anywhere in
    /// a piece of the bin above, which is at most an eighth longer.
    fn assert_no_room(&self, size: usize, align: usize) {
        let longest = self.heap.stats().largest;
        if align <= 2 * size_of::<usize>() {
            assert!(longest < size, "{size} refused, the longest piece is {longest}");
        }
        let wanted = size.max(24) + if 16 < align { align + 16 } else { 0 };
        assert!(longest < (wanted + 32) * 9 / 8, "{size} refused, the longest piece is {longest}");
    }

    /// Everything the heap says agrees with the model.
    fn check(&self) {
        self.heap.check_invariants();
        let stats = self.heap.stats();
        assert_eq!(stats.used + stats.holes + stats.top, self.heap.capacity());
        assert_eq!(stats.block_count, self.live.len());
        let least: usize = self.live.iter().map(|(block, _)| block.layout().size() + 8).sum();
        // A header, the rounding, and a rest that is too short for a chunk.
        assert!((least..=least + 40 * self.live.len()).contains(&stats.used), "{stats:?}");
    }

    /// Everything alive lies in this heap and holds what was written.
    fn check_contents(&self) {
        for (block, fill) in &self.live {
            assert!(self.heap.owns_ptr(std::ptr::without_provenance(block.addr())));
            block.assert_filled(block.layout().size(), *fill);
        }
    }
}

/// Runs a sequence over heaps of these lengths, each behind some bytes that shift its address.
fn run(lens: &[(usize, usize)], ops: &[(usize, Op)]) {
    let mut buffers: Vec<_> =
        lens.iter().map(|(len, shift)| vec![MaybeUninit::uninit(); len + shift]).collect();
    let heaps: Vec<_> = buffers
        .iter_mut()
        .zip(lens)
        .map(|(buf, (_, shift))| TlsfHeap::new(&mut buf[*shift..]))
        .collect();
    let mut models: Vec<_> =
        heaps.iter().map(|heap| Model { heap, live: Vec::new(), next: 0 }).collect();
    for (at, op) in ops {
        let at = at % models.len();
        models[at].apply(op);
        models[at].check();
    }
    for model in &mut models {
        // What happened to one heap left the others as they were.
        model.check();
        model.check_contents();
        model.live.clear();
        model.heap.check_invariants();
        assert_eq!(model.heap.stats().top, model.heap.capacity(), "all of it is one piece again");
    }
}

fn prove(cases: u32, heap_count: usize, len: std::ops::Range<usize>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let heaps = vec((len, 0usize..16), heap_count);
    let input = (heaps, vec((0usize..8, op()), 1..150));
    let result = runner.run(&input, |(lens, ops)| {
        run(&lens, &ops);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn one_heap_agrees_with_its_model() {
    prove(40, 1, 0..100_000);
}

/// A heap that is mostly full, where every hole counts.
#[test]
fn a_small_heap_agrees_with_its_model() {
    prove(60, 1, 0..6000);
}

#[test]
fn several_heaps_agree_with_their_models() {
    prove(30, 3, 0..40_000);
}
