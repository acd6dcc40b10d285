//! Every allocator under every wrapper keeps the contract.
//!
//! The allocators alone are tested in their own crates, at more length; here it is their pairs, by
//! fewer programs. Each wrapper is also put over the hostile backings, the nth failure among them.

use std::alloc::{Layout, System};
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

/// The other allocators under each wrapper: erased, so that the kit is compiled once for each wrapper.
mod erased {
    use std::ffi::c_void;
    use std::ptr::{self, NonNull};

    use alloc_arena::{HeapArena, SharedArena};
    use alloc_c::{CHandle, CVtable, RawCAllocator};
    use alloc_fixed::{BufferFirst, HeapFirst, SharedFixedBuffer, TlsfHeap};
    use alloc_page::{GuardedPages, HugePages, SecretPages};
    use alloc_pool::Pool;
    use alloc_testing::conformance::Case;

    use super::*;

    type Erased<'a> = &'a dyn Allocator;

    /// What some allocators are made of.
    struct Ground {
        bytes: Vec<MaybeUninit<u8>>,
        arena: Arena<Global>,
        shared: SharedArena<Global>,
    }

    impl Ground {
        fn new() -> Self {
            Self {
                bytes: vec![MaybeUninit::uninit(); LEN],
                arena: Arena::over(Global),
                shared: SharedArena::over(Global),
            }
        }
    }

    fn counting(case: &mut Case<'_>, alloc: Erased<'_>) {
        case.run_counting(Counting::new(alloc), |counting| counting.counts().live_bytes);
    }

    fn tagged(case: &mut Case<'_>, alloc: Erased<'_>) {
        let (counting, tag) = (Counting::new(alloc), Tag::new("tag"));
        case.run_counting(counting.tagged(&tag), |_| tag.counts().live_bytes);
    }

    fn limited_to_a_page(case: &mut Case<'_>, alloc: Erased<'_>) {
        case.run_counting(Limited::new(alloc, 4096), Limited::used);
    }

    fn locked(case: &mut Case<'_>, alloc: Erased<'_>) {
        case.run(Locked::<RawMutex, _>::new(alloc));
    }

    fn failing_at_random(case: &mut Case<'_>, alloc: Erased<'_>) {
        let fail = Fail::Randomly { rate: 0.2, seed: alloc_testing::seed() };
        case.run(FailingAllocator::new(alloc).requests(fail).changes(fail));
    }

    fn validated(case: &mut Case<'_>, alloc: Erased<'_>) {
        let validated = Validated::new(alloc);
        case.run_counting(&validated, |validated| validated.live_bytes());
        validated.assert_clean();
    }

    macro_rules! row {
        ($($name:ident: |$ground:ident| $make:expr; $options:expr;)+) => { $(mod $name {
            use super::*;

            row! { @wrapper |$ground| $make;
                counting: $options;
                tagged: $options;
                limited_to_a_page: $options.capacity(4096);
                locked: $options;
                failing_at_random: $options.may_refuse();
                validated: $options;
            }
        })+ };
        (@wrapper |$ground:ident| $make:expr; $($wrapper:ident: $options:expr;)+) => { $(
            conformance!($wrapper => with: |case| {
                let mut ground = Ground::new();
                let $ground = &mut ground;
                let alloc = $make;
                super::$wrapper(case, &alloc);
            }; $options);
        )+ };
    }

    const SOME: Options = Options::new().cases(3);
    /// Pages are mapped and cleared by whole ones.
    const FEW: Options = Options::new().cases(1);

    row! {
        tlsf: |ground| TlsfHeap::new(&mut ground.bytes); SOME.capacity(LEN);
        shared_fixed: |ground| SharedFixedBuffer::new(&mut ground.bytes); SOME.capacity(LEN);
        buffer_first: |ground| BufferFirst::new(FixedBuffer::new(&mut ground.bytes[..4096]), Global);
            SOME;
        heap_first: |ground| HeapFirst::new(TlsfHeap::new(&mut ground.bytes[..4096]), Global); SOME;
        scope: |ground| ground.arena.as_scope(); SOME;
        shared_arena: |ground| &ground.shared; SOME;
        local_arena: |ground| ground.shared.local(); SOME;
        heap_arena: |_ground| HeapArena::over(Arena::over(Global)); SOME;
        pool: |_ground| Pool::<Slot, _>::over(Global); SOME.capacity(64 << 10).may_refuse().align_max(1024);
        huge: |_ground| HugePages::transparent(); FEW;
        guarded: |_ground| GuardedPages::right_aligned(); FEW;
        secret: |_ground| SecretPages; FEW.may_refuse();
        raw_c: |_ground| RawCAllocator; SOME.align_max(2 * size_of::<usize>());
    }

    #[cfg(not(windows))]
    row! {
        handle: |_ground| CHandle::new(&CAllocator); SOME;
        made_by_c: |_ground| made_by_c(); SOME;
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    row! {
        table: |_ground| table(); SOME;
    }

    /// Room for most of what the programs ask for.
    #[repr(align(1024))]
    struct Slot(#[expect(dead_code, reason = "the size is what counts")] [u8; 4096]);

    /// A heap behind the least table that C may make.
    fn made_by_c() -> CHandle<'static> {
        unsafe extern "C" fn alloc(_: *mut c_void, size: usize, align: usize) -> *mut c_void {
            let Ok(layout) = Layout::from_size_align(size, align) else { return ptr::null_mut() };
            let block = CAllocator.raw_alloc(layout);
            block.map_or(ptr::null_mut(), |block| block.as_ptr().cast())
        }
        unsafe extern "C" fn free(_: *mut c_void, block: *mut c_void, size: usize, align: usize) {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: live, with this layout: the caller's contract.
            unsafe { CAllocator.raw_free(NonNull::new(block.cast()).unwrap(), layout) };
        }
        static LEAST: CVtable =
            CVtable { alloc, alloc_zeroed: None, resize: None, remap: None, free };
        // SAFETY: the functions keep malloc's promises, and ask for no context.
        unsafe { CHandle::from_raw_parts(ptr::null_mut(), &LEAST) }
    }

    /// C's heap behind a table of its functions.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn table() -> alloc_c::CAllocatorWith {
        static GLIBC: alloc_c::CFunctions = alloc_c::CFunctions {
            malloc: libc::malloc,
            calloc: libc::calloc,
            memalign: libc::memalign,
            realloc: libc::realloc,
            free: libc::free,
            usable_size: libc::malloc_usable_size,
        };
        // SAFETY: the C library's own functions.
        unsafe { alloc_c::CAllocatorWith::new(&GLIBC) }
    }
}

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
