//! The conformance kit over the peers, through the adapters of alloc-core or, where a peer has no trait
//! that they know, a few lines here. What it found is in `docs/design/conformance-of-peers.md`.

use std::alloc::{Layout, System};
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use alloc_core::{
    AllocError, Allocator, FromApi2V02, FromApi2V04, FromGlobal, FromGlobalRef, Limited, NeverAlloc,
};
use alloc_testing::conformance;
use alloc_testing::conformance::Options;

/// Bytes of a heap in a given buffer: what the largest requests need, and their neighbours.
const HEAP_LEN: usize = 48 << 20;

/// The peers are not ours to prove: fewer programs than their own tests would run.
const fn options() -> Options {
    Options::new().cases(24)
}

/// More than a peer is asked for that cannot be asked for what no address space has.
const POSSIBLE: usize = 1 << 40;

fn memory() -> Vec<u8> {
    Vec::with_capacity(HEAP_LEN)
}

/// Writes an adapter that owns the peer: those of alloc-core take handles, and an allocator over a
/// backing must be gone before the backing is looked at.
macro_rules! owner {
    ($name:ident, $adapter:ident, $foreign:path) => {
        struct $name<A>(A);

        // SAFETY: 1, 2, 5 to 7: those of the peer, as the adapter promises them. 3: the peers keep
        // their blocks outside their values. 4: the peers' drops are watched by the kit.
        unsafe impl<A: $foreign> Allocator for $name<A> {
            fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
                $adapter::new(&self.0).raw_alloc(layout)
            }

            fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
                $adapter::new(&self.0).raw_alloc_zeroed(layout)
            }

            unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, size: usize) -> bool {
                // SAFETY: the same contract.
                unsafe { $adapter::new(&self.0).raw_resize(block, layout, size) }
            }

            unsafe fn raw_remap(
                &self,
                block: NonNull<u8>,
                layout: Layout,
                size: usize,
            ) -> Option<NonNull<u8>> {
                // SAFETY: the same contract.
                unsafe { $adapter::new(&self.0).raw_remap(block, layout, size) }
            }

            unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: the same contract.
                unsafe { $adapter::new(&self.0).raw_free(block, layout) };
            }
        }
    };
}

owner!(Owner02, FromApi2V02, allocator_api2_02::alloc::Allocator);
owner!(Owner04, FromApi2V04, allocator_api2_04::alloc::Allocator);

mod system {
    use super::*;

    conformance!(rust => FromGlobal::new(System); sync, options());
    conformance!(api2 => FromApi2V02::new(allocator_api2_02::alloc::Global); sync, options());
}

mod bumps {
    use super::*;

    conformance!(bumpalo => with: |case| {
        let bump = ::bumpalo::Bump::new();
        case.run(FromApi2V02::new(&bump));
    }; options());

    conformance!(bumpalo_min_align => with: |case| {
        let bump = ::bumpalo::Bump::<16>::with_min_align();
        case.run(FromApi2V02::new(&bump));
    }; options());

    conformance!(bumpalo_limited => with: |case| {
        let bump = ::bumpalo::Bump::new();
        bump.set_allocation_limit(Some(64 << 10));
        case.run(FromApi2V02::new(&bump));
    }; options().capacity(64 << 10));

    conformance!(bump_scope => with: |case| {
        let bump: ::bump_scope::Bump = ::bump_scope::Bump::new();
        case.run(FromApi2V02::new(&bump));
    }; options());

    conformance!(blink => with: |case| {
        let blink = blink_alloc::BlinkAlloc::new();
        case.run(Limited::new(FromApi2V04::new(&blink), POSSIBLE));
    }; options());
}

/// Those that take memory from a backing, over each hostile one, its nth request failing among them.
mod over {
    use ::bump_scope::alloc::compat::AllocatorApi2V02Compat;
    use alloc_testing::conformance::Case;
    use alloc_testing::hostile::Backing;

    use super::*;

    /// Its constructor allocates, so there may be no allocator at all.
    fn bump_scope(backing: &Backing, case: &mut Case<'_>) {
        match ::bump_scope::Bump::<_>::try_new_in(AllocatorApi2V02Compat(backing)) {
            Ok(bump) => case.run(Owner02(bump)),
            Err(_) => case.run(NeverAlloc),
        }
    }

    #[test]
    fn bump_scope_over_hostile_backings() {
        conformance::run_over_kinds(bump_scope, &options().cases(8)).unwrap();
    }

    #[test]
    fn bump_scope_out_of_memory() {
        conformance::run_over_failing(bump_scope, &options()).unwrap();
    }

    conformance!(blink => over: |backing|
        Limited::new(Owner04(blink_alloc::BlinkAlloc::new_in(backing)), POSSIBLE);
        options().cases(8));
}

/// rlsf's heap without a lock, for one thread.
struct Rlsf<'pool>(RefCell<rlsf::Tlsf<'pool, u32, u32, 28, 8>>);

// SAFETY: 1, 2, 5, 6: the peer's, which the kit looks into; 3: the heap lies in the pool, not in the
// value. 4: no call of the peer is inside another, so the borrow does not fail. 7: nothing else changes.
unsafe impl Allocator for Rlsf<'_> {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        self.0.borrow_mut().allocate(layout).ok_or(AllocError)
    }

    unsafe fn raw_resize(&self, _: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        layout.size() == new_size
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let new_layout = Layout::from_size_align(new_size, layout.align()).ok()?;
        // SAFETY: a live block of this heap with this alignment.
        unsafe { self.0.borrow_mut().reallocate(block, new_layout) }
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: a live block of this heap with this alignment.
        unsafe { self.0.borrow_mut().deallocate(block, layout.align()) };
    }
}

type Talc = talc::cell::TalcCell<talc::source::Manual, talc::DefaultBinning>;

mod heaps {
    use super::*;

    conformance!(rlsf => with: |case| {
        let mut memory = memory();
        let mut heap = ::rlsf::Tlsf::new();
        heap.insert_free_block(memory.spare_capacity_mut());
        case.run(Rlsf(RefCell::new(heap)));
    }; options());

    conformance!(rlsf_global => with: |case| {
        let heap: ::rlsf::GlobalTlsf = ::rlsf::GlobalTlsf::new();
        case.run_sync(FromGlobalRef::new(&heap));
    }; sync, options());

    conformance!(talc_api2 => with: |case| {
        let mut memory = memory();
        let heap = Talc::new(talc::source::Manual);
        // SAFETY: the memory is used by nobody else, and outlives the heap.
        let claimed = unsafe { heap.claim(memory.as_mut_ptr().cast(), HEAP_LEN) };
        assert!(claimed.is_some());
        case.run(FromApi2V04::new(&heap));
    }; options());

    conformance!(talc_global => with: |case| {
        let mut memory = memory();
        let heap = Talc::new(talc::source::Manual);
        // SAFETY: the memory is used by nobody else, and outlives the heap.
        let claimed = unsafe { heap.claim(memory.as_mut_ptr().cast(), HEAP_LEN) };
        assert!(claimed.is_some());
        case.run(FromGlobalRef::new(&heap));
    }; options());

    /// A heap that is soon full: what a refusal leaves is seen.
    const SMALL: usize = 64 << 10;

    conformance!(rlsf_small => with: |case| {
        let mut memory = vec![MaybeUninit::uninit(); SMALL];
        let mut heap = ::rlsf::Tlsf::new();
        heap.insert_free_block(&mut memory);
        case.run(Rlsf(RefCell::new(heap)));
    }; options().capacity(SMALL));

    conformance!(talc_small => with: |case| {
        let mut memory = vec![MaybeUninit::<u8>::uninit(); SMALL];
        let heap = Talc::new(talc::source::Manual);
        // SAFETY: the memory is used by nobody else, and outlives the heap.
        let claimed = unsafe { heap.claim(memory.as_mut_ptr().cast(), SMALL) };
        assert!(claimed.is_some());
        case.run(FromApi2V04::new(&heap));
    }; options().capacity(SMALL));
}

#[cfg(debug_assertions)]
#[path = "../examples/blink_alloc_layout.rs"]
mod blink_alloc_layout;

/// What the kit found is shown by a program of its own, and still so.
#[cfg(debug_assertions)]
mod findings {
    use std::process::Command;

    const CHILD: &str = "PEERS_CONFORM_CHILD";

    /// The standard library looks at the preconditions of its functions in debug builds, and aborts.
    #[test]
    fn blink_alloc_makes_a_layout_that_is_none() {
        if std::env::var_os(CHILD).is_some() {
            super::blink_alloc_layout::main();
            return;
        }
        let name = "findings::blink_alloc_makes_a_layout_that_is_none";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "mended? Then the document has to say so");
        assert!(told.contains("Layout::from_size_align_unchecked requires"), "{told}");
    }
}
