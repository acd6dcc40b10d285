//! Random programs of operations: made, run, and shrunk to the shortest that fails.

use core::alloc::Layout;
use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::options::Options;
use super::probe::Probe;
use super::violation::Violation;
use crate::rng::Rng;

/// Programs that are tried to find the shortest one that fails.
const SHRINK_MAX: u32 = 1024;

/// One operation. Blocks are named by their index from the one allocated last, modulo the number of
/// live blocks, so that every program makes sense for every allocator.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Alloc { size: usize, align_shift: u32 },
    AllocZeroed { size: usize, align_shift: u32 },
    Free(usize),
    Resize(usize, usize),
    Remap(usize, usize),
    Realloc(usize, usize),
}

/// Bytes that spell one operation.
const OP_LEN: usize = 4;
/// Operations that bytes spell, at most: more make a fuzzer slower, and find no more.
const DECODED_MAX: usize = 512;

/// Reads a program; any bytes make one. Four spell an operation, least significant bits first:
///
/// ```text
///  byte 0: kind 0..8 | align 0..32     byte 1: block    bytes 2, 3: mantissa 0..4096 | shift 0..16
/// ```
///
/// Kinds 0 and 1 allocate, 2 allocates zeroed, 3 and 4 free, 5 resizes, 6 remaps, 7 reallocates. The
/// size is the mantissa shifted, modulo the largest size of the options; where the shift is 15 it is
/// the mantissa below the largest that makes a layout.
pub(super) fn decode(bytes: &[u8], options: &Options) -> Vec<Op> {
    let shifts = options.usual_align_max().ilog2() + 1;
    let op = |op: &[u8]| {
        let align_shift = u32::from(op[0] >> 3) % shifts;
        let index = usize::from(op[1]);
        let word = usize::from(u16::from_le_bytes([op[2], op[3]]));
        let (mantissa, shift) = (word & 0xFFF, word >> 12);
        // Blocks have the alignment of their own: this bound suits every one.
        let largest = isize::MAX as usize + 1 - options.usual_align_max();
        let size = match shift {
            15 => largest - mantissa,
            _ => (mantissa << shift) % options.size_max() + 1,
        };
        match op[0] & 7 {
            0 | 1 => Op::Alloc { size, align_shift },
            2 => Op::AllocZeroed { size, align_shift },
            3 | 4 => Op::Free(index),
            5 => Op::Resize(index, size),
            6 => Op::Remap(index, size),
            _ => Op::Realloc(index, size),
        }
    };
    bytes.chunks_exact(OP_LEN).take(DECODED_MAX).map(op).collect()
}

/// Runs one operation; whether the allocator refused a request for memory.
pub(super) fn step(probe: &mut Probe<'_>, op: Op) -> Result<bool, Violation> {
    let block = |probe: &Probe<'_>, index: usize| {
        let count = probe.state.shadow.len();
        if count == 0 { None } else { probe.state.shadow.nth_from_last(index % count) }
    };
    let layout = |size, align_shift: u32| {
        Layout::from_size_align(size, 1 << align_shift).expect("sizes are far below isize::MAX")
    };
    match op {
        Op::Alloc { size, align_shift } => Ok(probe.alloc(layout(size, align_shift))?.is_none()),
        Op::AllocZeroed { size, align_shift } => {
            Ok(probe.alloc_zeroed(layout(size, align_shift))?.is_none())
        }
        Op::Free(index) => match block(probe, index) {
            Some(id) => probe.free(id).map(|()| false),
            None => Ok(false),
        },
        Op::Resize(index, size) => match block(probe, index) {
            Some(id) => probe.resize(id, size).map(|_| false),
            None => Ok(false),
        },
        Op::Remap(index, size) => match block(probe, index) {
            Some(id) => probe.remap(id, size).map(|_| false),
            None => Ok(false),
        },
        Op::Realloc(index, size) => match block(probe, index) {
            Some(id) => Ok(probe.realloc(id, size)?.is_none()),
            None => Ok(false),
        },
    }
}

/// Sizes: mostly small, some around a page, a few up to `size_max`.
fn size(size_max: usize) -> impl Strategy<Value = usize> {
    let up_to = move |limit: usize| 1..=limit.min(size_max);
    prop_oneof![
        6 => up_to(64),
        4 => up_to(1024),
        2 => up_to(9000),
        1 => up_to(size_max),
    ]
}

/// The youngest block half the time: that is what fixed buffers and arenas treat specially.
fn index() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0), 1 => 0..16_usize]
}

fn operation(options: &Options) -> impl Strategy<Value = Op> + use<> {
    let size_max = options.size_max();
    let shift = 0..=options.usual_align_max().ilog2();
    let few = 0..=options.usual_align_max().ilog2().min(4);
    let align = prop_oneof![3 => few, 1 => shift].boxed();
    prop_oneof![
        6 => (size(size_max), align.clone())
            .prop_map(|(size, align_shift)| Op::Alloc { size, align_shift }),
        2 => (size(size_max), align)
            .prop_map(|(size, align_shift)| Op::AllocZeroed { size, align_shift }),
        5 => index().prop_map(Op::Free),
        3 => (index(), size(size_max)).prop_map(|(index, size)| Op::Resize(index, size)),
        3 => (index(), size(size_max)).prop_map(|(index, size)| Op::Remap(index, size)),
        2 => (index(), size(size_max)).prop_map(|(index, size)| Op::Realloc(index, size)),
    ]
}

/// The generator of a run, from the 64 bits of our seed. Xorshift, not ChaCha: that takes longer than
/// the allocator where nothing is optimised.
fn runner(options: &Options, seed: u64) -> TestRunner {
    let mut rng = Rng::new(seed);
    let mut bytes = [0; 16];
    bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&rng.next().to_le_bytes()));
    let config = Config {
        cases: options.cases,
        failure_persistence: None,
        max_shrink_iters: SHRINK_MAX,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::XorShift, &bytes))
}

/// Returns one program of this run, for checks that need a fixed one.
pub(super) fn one(options: &Options, seed: u64, len: usize) -> Vec<Op> {
    let mut runner = runner(options, seed);
    let tree = vec(operation(options), len).new_tree(&mut runner);
    tree.expect("no operation is filtered out").current()
}

/// Runs random programs; returns what the shortest one that fails showed.
pub(super) fn run_all(
    options: &Options,
    seed: u64,
    run: impl Fn(&[Op]) -> Result<(), Violation>,
) -> Result<(), Violation> {
    // Shrinking ends with the shortest program that failed: its violation is the last one.
    let last = RefCell::new(None);
    let programs = vec(operation(options), 1..=options.operations.max(1));
    let outcome = runner(options, seed).run(&programs, |program| {
        run(&program).map_err(|violation| {
            let reason = violation.detail.clone();
            *last.borrow_mut() = Some(violation);
            TestCaseError::fail(reason)
        })
    });
    match (outcome, last.into_inner()) {
        (Err(TestError::Fail(_, program)), Some(violation)) => {
            Err(without_needless(program, violation, run))
        }
        (Ok(()), _) => Ok(()),
        (Err(error), _) => panic!("the kit itself failed: {error}"),
    }
}

/// Leaves out what proptest did not: it removes operations before it makes them simpler, and not
/// again afterwards. What the program shows without them is returned.
fn without_needless(
    mut program: Vec<Op>,
    mut violation: Violation,
    run: impl Fn(&[Op]) -> Result<(), Violation>,
) -> Violation {
    let mut index = program.len();
    while 0 < index {
        index -= 1;
        let mut shorter = program.clone();
        shorter.remove(index);
        if let Err(shown) = run(&shorter) {
            (program, violation) = (shorter, shown);
            // Those behind it may be needless now.
            index = program.len();
        }
    }
    violation
}
