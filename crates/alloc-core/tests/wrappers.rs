//! The wrappers, each against a ledger or a model.

mod common;

use alloc_core::{
    AllocError, Allocator, AllocatorExt, Counting, FromGlobal, Layout, Limited, NeverAlloc, Owned,
    Refusal, Tag, forward,
};
use common::{GROWTHS, Growth, Ledger};
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use std::alloc::System;

/// A small generator of reproducible numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

/// Fewer under Miri, which is slow.
const SEED_END: u64 = if cfg!(miri) { 4 } else { 200 };

type Block<'a> = Owned<[MaybeUninit<u8>], &'a dyn Allocator>;

/// Random allocations, growths, shrinks and frees, some of which fail: after each, the counters
/// equal those of a model that is kept from the results alone.
#[test]
fn counting_agrees_with_a_model() {
    for seed in 1..SEED_END {
        let mut random = Random(seed);
        let growth = GROWTHS[random.below(3)];
        let counting = Counting::new(Ledger::with_growth(growth));
        let tag = Tag::new("half");
        let tagged = counting.tagged(&tag);
        let handles: [&dyn Allocator; 2] = [&counting, &tagged];
        let mut live: Vec<(usize, Block<'_>)> = Vec::new();
        let (mut peak, mut tag_peak, mut total, mut blocks) = (0, 0, 0, 0);
        for _ in 0..100 {
            counting.inner().allowed.set(if random.below(4) == 0 { 0 } else { 9 });
            let size = 1 + random.below(50);
            match random.below(5) {
                0 | 1 => {
                    let which = random.below(2);
                    if let Ok(block) = handles[which].alloc::<u8>(size) {
                        live.push((which, block));
                        total += size;
                        blocks += 1;
                    }
                }
                2 if !live.is_empty() => {
                    let index = random.below(live.len());
                    let (which, block) = live.swap_remove(index);
                    let old = block.len();
                    // A remap only: what a realloc does besides is allocate and free.
                    match handles[which].remap(block, size) {
                        Ok(block) => {
                            total += size.saturating_sub(old);
                            live.push((which, block));
                        }
                        Err(block) => live.push((which, block)),
                    }
                }
                3 if !live.is_empty() => {
                    let index = random.below(live.len());
                    let (which, block) = &mut live[index];
                    let old = block.len();
                    if handles[*which].resize(block, size) {
                        total += size.saturating_sub(old);
                    }
                }
                _ if !live.is_empty() => {
                    drop(live.swap_remove(random.below(live.len())));
                }
                _ => {}
            }
            let bytes: usize = live.iter().map(|(_, block)| block.len()).sum();
            let tagged: Vec<_> = live.iter().filter(|(which, _)| *which == 1).collect();
            let tag_bytes: usize = tagged.iter().map(|(_, block)| block.len()).sum();
            peak = peak.max(bytes);
            tag_peak = tag_peak.max(tag_bytes);
            let counts = counting.counts();
            assert_eq!(counts.live_bytes, bytes, "seed {seed}");
            assert_eq!(counts.live_bytes, counting.inner().live_bytes(), "seed {seed}");
            assert_eq!(counts.live_blocks, live.len(), "seed {seed}");
            assert_eq!(counts.peak_bytes, peak, "seed {seed}");
            assert_eq!(counts.total_bytes, total, "seed {seed}");
            assert_eq!(counts.total_blocks, blocks, "seed {seed}");
            assert_eq!(tag.counts().live_bytes, tag_bytes, "seed {seed}");
            assert_eq!(tag.counts().live_blocks, tagged.len(), "seed {seed}");
            assert_eq!(tag.counts().peak_bytes, tag_peak, "seed {seed}");
        }
        drop(live);
        assert_eq!((counting.counts().live_bytes, tag.counts().live_bytes), (0, 0));
    }
}

/// A zeroed request is zero, counted and limited behind every wrapper.
#[test]
fn zeroed_requests_are_requests() {
    let counting = Counting::new(Ledger::new());
    let tag = Tag::new("zeroed");
    {
        let tagged = counting.tagged(&tag);
        let limited = Limited::new(&tagged, 100);
        let zeros = limited.alloc_zeroed::<u8>(60).unwrap();
        assert_eq!(*zeros, [0; 60]);
        assert!(limited.alloc_zeroed::<u8>(41).is_err());
        assert_eq!((limited.used(), tag.counts().live_bytes), (60, 60));
        assert_eq!((tag.counts().live_blocks, counting.counts().live_blocks), (1, 1));
    }
    assert_eq!((tag.counts().live_bytes, tag.counts().live_blocks), (0, 0));
}

/// A static tag is used by several threads; afterwards nothing is live and nothing was lost.
#[test]
fn a_tag_counts_for_all_threads() {
    static TAG: Tag = Tag::new("threads");
    static COUNTING: Counting<FromGlobal<System>> = Counting::new(FromGlobal::new(System));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for size in 1..200 {
                    drop(COUNTING.tagged(&TAG).alloc_fill(size, 0u8).unwrap());
                }
            });
        }
    });
    let counts = TAG.counts();
    assert_eq!((counts.live_bytes, counts.live_blocks), (0, 0));
    assert_eq!((counts.total_blocks, counts.total_bytes), (4 * 199, 4 * 199 * 200 / 2));
    assert!((199..=4 * 199).contains(&counts.peak_bytes));
    // Each keeps a peak of its own: threads may meet between the two counts, and then they differ.
    let mut whole = COUNTING.counts();
    assert!((199..=4 * 199).contains(&whole.peak_bytes));
    whole.peak_bytes = counts.peak_bytes;
    assert_eq!(whole, counts);
    assert_eq!(
        TAG.to_string(),
        format!("threads: 0 bytes in 0 blocks, peak {}", counts.peak_bytes)
    );
    let one = COUNTING.tagged(&TAG).alloc_fill(1, 0u8).unwrap();
    assert_eq!(TAG.to_string(), format!("threads: 1 byte in 1 block, peak {}", counts.peak_bytes));
    drop(one);
}

/// The limit counts down again when the backing fails; in Zig's `FailingAllocator` under a limit,
/// and in its `requested_memory_limit` after a failed resize, the bytes stayed counted.
#[test]
fn limit_is_rolled_back_when_the_backing_fails() {
    for growth in GROWTHS {
        let limited = Limited::new(Ledger::with_growth(growth), 100);
        limited.inner().allowed.set(0);
        assert!(limited.alloc::<u8>(60).is_err());
        assert!(limited.alloc_zeroed::<u8>(60).is_err());
        assert_eq!(limited.used(), 0, "{growth:?}");
        assert_eq!(limited.last_refusal(), Some(Refusal::Backing));
        limited.inner().allowed.set(1);
        let mut block = limited.alloc::<u8>(60).unwrap();
        assert_eq!(limited.used(), 60);
        if growth != Growth::InPlace {
            assert!(!limited.resize(&mut block, 70));
            assert_eq!(limited.used(), 60, "{growth:?}");
            block = limited.remap(block, 80).unwrap_err();
            assert_eq!(limited.used(), 60, "{growth:?}");
        }
        assert!(limited.alloc::<u8>(41).is_err());
        assert_eq!(limited.last_refusal(), Some(Refusal::Total));
        drop(block);
        assert_eq!((limited.used(), limited.left()), (0, 100), "{growth:?}");
    }
}

/// Both limits hold for growths as well; a shrink gives its bytes back to the total.
#[test]
fn limits_hold_for_growths_and_shrinks() {
    let limited = Limited::new(Ledger::with_growth(Growth::InPlace), 100).with_request_max(60);
    assert_eq!(limited.last_refusal(), None);
    let mut first = limited.alloc::<u8>(50).unwrap();
    let mut second = limited.alloc::<u8>(30).unwrap();
    assert!(
        limited.resize(&mut first, 60) && limited.resize(&mut first, 50),
        "exactly the maximum"
    );
    assert!(!limited.resize(&mut first, 61));
    assert_eq!(limited.last_refusal(), Some(Refusal::Request));
    assert!(!limited.resize(&mut second, 51));
    assert_eq!(limited.last_refusal(), Some(Refusal::Total));
    assert!(limited.resize(&mut second, 50), "exactly the total");
    assert!(limited.resize(&mut first, 10));
    assert_eq!(limited.used(), 60);
    assert!(limited.remap(first, 50).is_ok());
    assert_eq!(limited.used(), 50, "the remapped slice was dropped");
}

/// No sum of sizes wraps round the limit, however large the backing claims to be.
#[test]
fn a_limit_of_everything_does_not_wrap() {
    /// Says yes to everything; its blocks are never touched here.
    struct Boast(NeverAlloc);
    // SAFETY: it breaks promise 1, and this test reads and writes none of its blocks.
    unsafe impl Allocator for Boast {
        forward!(self.0; except raw_alloc, raw_free);
        fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
            Ok(layout.dangling_ptr())
        }
        unsafe fn raw_free(&self, _: NonNull<u8>, _: Layout) {}
    }
    let limited = Limited::new(Boast(NeverAlloc), usize::MAX);
    let half = Layout::from_size_align(isize::MAX as usize, 1).unwrap();
    let three = Layout::from_size_align(3, 1).unwrap();
    let blocks = [limited.raw_alloc(half).unwrap(), limited.raw_alloc(half).unwrap()];
    assert!(limited.raw_alloc(three).is_err());
    assert_eq!((limited.used(), limited.last_refusal()), (usize::MAX - 1, Some(Refusal::Total)));
    for block in blocks {
        // SAFETY: one of the two blocks, with its layout.
        unsafe { limited.raw_free(block, half) };
    }
    assert_eq!(limited.used(), 0);
}

/// Threads that allocate at once never pass the limit together.
#[test]
fn threads_share_one_limit() {
    let counting = Counting::new(FromGlobal::new(System));
    let limited = Limited::new(&counting, 1000);
    std::thread::scope(|scope| {
        for seed in 1..5 {
            let limited = &limited;
            scope.spawn(move || {
                let mut random = Random(seed);
                let mut kept = None;
                for _ in 0..if cfg!(miri) { 20 } else { 500 } {
                    kept = limited.alloc_fill(1 + random.below(400), 0u8).ok();
                }
                drop(kept);
            });
        }
    });
    assert_eq!(limited.used(), 0);
    assert!(counting.counts().peak_bytes <= 1000, "{:?}", counting.counts());
}

/// A wrapper that changes one operation takes few lines, and what it overrides cannot be passed by:
/// zeroed requests go through its `raw_alloc` too.
#[test]
fn partial_override_lets_nothing_slip_past() {
    struct Even<A>(A);
    // SAFETY: 1 to 7 are kept by forwarding to `A`, which keeps them; a refusal changes nothing.
    unsafe impl<A: Allocator> Allocator for Even<A> {
        forward!(self.0; except raw_alloc);
        fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
            if layout.size().is_multiple_of(2) { self.0.raw_alloc(layout) } else { Err(AllocError) }
        }
    }
    let even = Even(Ledger::new());
    assert!(even.alloc_zeroed::<u8>(3).is_err());
    assert_eq!(*even.alloc_zeroed::<u8>(2).unwrap(), [0, 0]);
    assert!(even.create(1u8).is_err());
}

/// Any lock makes an allocator that is not `Sync` one that threads share.
#[cfg(feature = "lock_api")]
#[test]
fn locked_lets_threads_share() {
    use alloc_core::Locked;
    /// Counts without atomics, so it is `Send` only.
    struct Plain<A>(A, core::cell::Cell<u32>);
    // SAFETY: 1 to 7 are kept by forwarding to `A`, which keeps them.
    unsafe impl<A: Allocator> Allocator for Plain<A> {
        forward!(self.0; except raw_alloc);
        fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
            self.1.set(self.1.get() + 1);
            self.0.raw_alloc(layout)
        }
    }
    let plain = Plain(FromGlobal::new(System), core::cell::Cell::new(0));
    let mut locked: Locked<parking_lot::RawMutex, _> = Locked::new(plain);
    std::thread::scope(|scope| {
        let locked = &locked;
        let handles = [(); 4].map(|()| {
            scope.spawn(move || (0..500u32).map(|n| *locked.create(n).unwrap()).sum::<u32>())
        });
        for handle in handles {
            assert_eq!(handle.join().unwrap(), 499 * 500 / 2);
        }
    });
    assert_eq!(locked.with(|plain| plain.1.get()), 2000);
    assert_eq!(locked.get_mut().1.get(), 2000);
    assert_eq!(locked.into_inner().1.get(), 2000);
}

/// What `with` is given is under the lock until it returns.
#[cfg(feature = "lock_api")]
#[test]
fn with_holds_the_lock() {
    use alloc_core::Locked;
    let locked: Locked<parking_lot::RawMutex, _> = Locked::new(FromGlobal::new(System));
    assert!(locked.with(|_| format!("{locked:?}")).contains("<locked>"));
    assert!(!format!("{locked:?}").contains("<locked>"));
}

/// A lock that unwinds, when it is taken or when it is released, ends the process (promise 4): in a
/// child, which is this test.
#[cfg(feature = "lock_api")]
#[test]
#[cfg_attr(miri, ignore = "Miri starts no processes")]
fn a_lock_that_unwinds_aborts() {
    use alloc_core::Locked;
    /// Excludes everyone, the first one included if `TAKE`.
    struct Unwinds<const TAKE: bool>;
    // SAFETY: the test has one thread.
    unsafe impl<const TAKE: bool> lock_api::RawMutex for Unwinds<TAKE> {
        const INIT: Self = Self;
        type Guard = ();
        fn lock(&self) {
            assert!(!TAKE, "this unwinds");
        }
        fn try_lock(&self) -> Option<()> {
            None
        }
        unsafe fn unlock(&self, (): ()) {
            panic!("this unwinds")
        }
        fn is_locked(&self) -> bool {
            false
        }
    }
    fn caught<const TAKE: bool>() {
        let locked: Locked<Unwinds<TAKE>, _> = Locked::new(FromGlobal::new(System));
        let alloc = std::panic::AssertUnwindSafe(|| locked.alloc::<u8>(1).map(drop));
        let result = std::panic::catch_unwind(alloc);
        println!("caught: {}", result.is_err());
    }
    match std::env::var("ALLOC_CORE_TEST_LOCK").as_deref() {
        Ok("take") => return caught::<true>(),
        Ok(_) => return caught::<false>(),
        Err(_) => {}
    }
    for when in ["take", "release"] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_lock_that_unwinds_aborts", "--nocapture"])
            .env("ALLOC_CORE_TEST_LOCK", when)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!String::from_utf8_lossy(&output.stdout).contains("caught"), "{when}: {text}");
        assert!(!output.status.success(), "{when}: {text}");
        assert!(text.contains("the lock of an allocator unwound"), "{when}: {text}");
    }
}

/// Code that is handed `NeverAlloc` proves that it allocates nothing.
#[test]
fn never_alloc_refuses_all_but_zero_bytes() {
    assert!(NeverAlloc.alloc::<u8>(1).is_err());
    assert!(NeverAlloc.alloc::<u8>(0).is_ok());
    let empty = NeverAlloc.alloc::<u8>(0).unwrap();
    assert!(NeverAlloc.realloc(empty, 1).is_err());
}
