//! Every allocator under every wrapper keeps the contract.
//!
//! The allocators alone are tested in their own crates, at more length; here it is their pairs, by
//! fewer programs. Each wrapper is also put over the hostile backings, the nth failure among them.

use std::alloc::System;
use std::mem::MaybeUninit;

use alloc_arena::Arena;
use alloc_c::CAllocator;
use alloc_core::{Allocator, Counting, FromGlobal, Global, Limited, Locked, Tag};
use alloc_fixed::FixedBuffer;
use alloc_gpa::Gpa;
use alloc_page::PageAllocator;
use alloc_testing::conformance::Options;
use alloc_testing::hostile::Backing;
use alloc_testing::{Fail, FailingAllocator, Validated, conformance};
use parking_lot::RawMutex;

/// Bytes of a fixed buffer.
const LEN: usize = 256 << 10;

const fn options() -> Options {
    Options::new().cases(6)
}

const fn limited(bytes: usize) -> Options {
    options().capacity(bytes)
}

/// Writes the tests of one allocator: `memory` is a buffer of `LEN` bytes for those that need one.
macro_rules! matrix {
    ($($name:ident: |$memory:ident| $make:expr; $options:expr;)+) => { $(mod $name {
        use super::*;

        conformance!(reference => with: |case| {
            let mut memory = vec![MaybeUninit::<u8>::uninit(); LEN];
            let $memory = &mut memory[..];
            let alloc = $make;
            case.run(&alloc);
        }; $options);

        conformance!(erased => with: |case| {
            let mut memory = vec![MaybeUninit::<u8>::uninit(); LEN];
            let $memory = &mut memory[..];
            let alloc = $make;
            case.run(&alloc as &dyn Allocator);
        }; $options);

        conformance!(counting => with: |case| {
            let mut memory = vec![MaybeUninit::<u8>::uninit(); LEN];
            let $memory = &mut memory[..];
            case.run_counting(Counting::new($make), |counting| counting.counts().live_bytes);
        }; $options);

        conformance!(tagged => with: |case| {
            let mut memory = vec![MaybeUninit::<u8>::uninit(); LEN];
            let $memory = &mut memory[..];
            let (counting, tag) = (Counting::new($make), Tag::new("tag"));
            case.run_counting(counting.tagged(&tag), |_| tag.counts().live_bytes);
        }; $options);

        conformance!(limited_by_far => with: |case| {
            let mut memory = vec![MaybeUninit::<u8>::uninit(); LEN];
            let $memory = &mut memory[..];
            case.run_counting(Limited::new($make, usize::MAX), Limited::used);
        }; $options);

        conformance!(limited_to_a_page => with: |case| {
            let mut memory = vec![MaybeUninit::<u8>::uninit(); LEN];
            let $memory = &mut memory[..];
            case.run_counting(Limited::new($make, 4096), Limited::used);
        }; limited(4096));

        conformance!(locked => with: |case| {
            let mut memory = vec![MaybeUninit::<u8>::uninit(); LEN];
            let $memory = &mut memory[..];
            case.run_sync(Locked::<RawMutex, _>::new($make));
        }; sync, $options);

        conformance!(failing_never => with: |case| {
            let mut memory = vec![MaybeUninit::<u8>::uninit(); LEN];
            let $memory = &mut memory[..];
            case.run_counting(FailingAllocator::new($make), |failing| {
                let counts = failing.counts();
                counts.allocated_bytes - counts.freed_bytes
            });
        }; $options);

        conformance!(failing_at_random => with: |case| {
            let mut memory = vec![MaybeUninit::<u8>::uninit(); LEN];
            let $memory = &mut memory[..];
            let fail = Fail::Randomly { rate: 0.2, seed: alloc_testing::seed() };
            case.run(FailingAllocator::new($make).requests(fail).changes(fail));
        }; $options.may_refuse());

        conformance!(validated => with: |case| {
            let mut memory = vec![MaybeUninit::<u8>::uninit(); LEN];
            let $memory = &mut memory[..];
            let validated = Validated::new($make);
            case.run_counting(&validated, |validated| validated.live_bytes());
            validated.assert_clean();
        }; $options);
    })+ };
}

matrix! {
    page: |_memory| PageAllocator; options();
    c: |_memory| CAllocator; options();
    global: |_memory| Global; options();
    from_global: |_memory| FromGlobal::new(System); options();
    gpa: |_memory| Gpa::builder().quiet().build(); options();
    fixed: |memory| FixedBuffer::new(memory); limited(LEN);
    arena: |_memory| Arena::over(Global); options();
    backing: |_memory| Backing::new().exact_alignment(); options();
}

/// A checking heap is its own proof: after the kit's programs it has found nothing.
#[test]
fn the_checking_heap_finds_nothing_in_the_kit() {
    let body = |case: &mut conformance::Case<'_>| {
        let gpa = Gpa::builder().quiet().build();
        case.run_unsized(&gpa);
        assert_eq!(gpa.deinit(), alloc_gpa::Check::Ok);
    };
    let summary = conformance::run_with(body, &options()).unwrap();
    assert!(500 < summary.blocks, "{summary}");
}

conformance!(gpa_threads => Gpa::builder().quiet().build(); sync, options());

mod over {
    use super::*;

    conformance!(reference => over: |backing| &backing; options());
    conformance!(counting => over: |backing| Counting::new(backing); sync, options());
    conformance!(limited_by_far => over: |backing| Limited::new(backing, usize::MAX); sync, options());
    conformance!(limited_to_a_page => over: |backing| Limited::new(backing, 4096); limited(4096));
    conformance!(locked => over: |backing| Locked::<RawMutex, _>::new(backing); sync, options());
    conformance!(failing => over: |backing| FailingAllocator::new(backing); sync, options());
    conformance!(arena => over: |backing| Arena::over(backing); options());
    conformance!(arena_of_arena => over: |backing| Arena::over(Counting::new(Arena::over(backing)));
        options());
    conformance!(locked_arena => over: |backing| Locked::<RawMutex, _>::new(Arena::over(backing));
        sync, options());
    conformance!(wrapped_thrice => over: |backing|
        Counting::new(Limited::new(Validated::new(backing), usize::MAX)); sync, options());
}

/// Through a foreign trait and back: what comes out still keeps the contract, and what goes in still
/// keeps the rules for callers.
mod adapters {
    use alloc_core::{AsGlobal, FromApi2V02, FromApi2V04, FromGlobalRef};

    use super::*;

    conformance!(api2 => FromApi2V02::new(allocator_api2_02::alloc::Global); sync, options());
    conformance!(api2_and_back => over: |backing| FromApi2V02::new(backing); sync, options());
    conformance!(api2_v04_and_back => over: |backing| FromApi2V04::new(backing); options());
    conformance!(erased_api2_and_back => over: |backing|
        FromApi2V02::new(backing as &dyn Allocator); options());
    conformance!(global_and_back => with: |case| {
        let backing = Backing::new().exact_alignment();
        let global = AsGlobal::new(&backing);
        case.run(FromGlobalRef::new(&global));
        assert_eq!((backing.live_count(), backing.misuses()), (0, vec![]));
    }; options());
}
