//! The arenas, with their resets.

use alloc_arena::{Arena, Growth, HeapArena, Reset, SharedArena};
use alloc_testing::conformance::{self, Options};

use super::{backing, choose, passed, settled};

/// Kinds of allocators.
pub const KINDS: u8 = 6;

/// Bytes of the program between two resets.
const ROUND_LEN: usize = 64;

/// Runs a program on one of the arenas, in rounds; after each it is reset.
pub fn run(data: &[u8]) {
    let Some((kind, how, program)) = choose(data, KINDS) else { return };
    let behind = backing(how);
    let options = Options::new().may_refuse();
    let growth = match how % 3 {
        0 => Growth::geometric(64 + how, 150),
        1 => Growth::fixed(how + 1),
        _ => Growth::exact(),
    };
    let reset = match how % 5 {
        0 | 1 => Reset::FreeAll,
        2 | 3 => Reset::RetainCapacity,
        _ => Reset::RetainWithLimit(how * 16),
    };
    let arena = Arena::over(&behind).with_growth(growth);
    let run = |part: &[u8], alloc: &dyn alloc_core::Allocator| {
        passed(conformance::run_bytes(part, |case| case.run(alloc), &options));
    };
    let rounds = program.chunks(ROUND_LEN);
    match kind {
        0 | 1 => {
            let mut arena = if kind == 0 { arena } else { arena.with_limit(how * 64) };
            for part in rounds {
                run(part, &arena);
                after_reset(arena.reset(reset), (arena.used(), arena.capacity()), reset);
            }
        }
        2 => {
            let mut heap = HeapArena::over(arena);
            for part in rounds {
                run(part, &heap);
                heap.reset(reset);
            }
        }
        3 => {
            let mut shared = SharedArena::over(&behind).with_growth(growth);
            for part in rounds {
                run(part, &shared);
                run(part, &shared.local());
                after_reset(shared.reset(reset), (shared.used(), shared.capacity()), reset);
            }
        }
        4 => {
            let mut arena = arena;
            for part in rounds {
                let used = arena.used();
                arena.scope(|scope| {
                    run(part, scope);
                    scope.scope(|inner| run(part, inner));
                });
                assert_eq!(arena.used(), used, "a scope gives back what it took");
                run(&part[..part.len() / 2], &arena);
            }
        }
        _ => {
            let mut arena = arena;
            let mut guard = arena.checkpoint();
            for part in rounds {
                run(part, &guard.scope());
                guard.rewind();
                assert_eq!(guard.scope().used(), 0, "a rewind gives back what was taken");
            }
        }
    }
    settled(&behind);
}

/// What a reset leaves.
fn after_reset(kept: bool, (used, capacity): (usize, usize), reset: Reset) {
    assert_eq!(used, 0, "reset, and in use");
    match reset {
        Reset::FreeAll => assert_eq!((kept, capacity), (true, 0)),
        Reset::RetainWithLimit(limit) => assert!(capacity <= limit, "{capacity} of {limit} bytes"),
        Reset::RetainCapacity => {}
    }
}
