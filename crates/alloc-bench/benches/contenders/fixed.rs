//! Allocators over a given buffer, and their peers.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::time::Duration;

use alloc_bench::{
    Buffer, Heap, SHARED_LEN, blocks, lifo, list, lists, mixed, pair, random, shared_rounds,
    slices, texts, two_threads, values, words,
};
use alloc_core::{Allocator, AllocatorExt, Owned};
use alloc_fixed::{SharedFixedBuffer, TlsfHeap};
use allocator_api2_02::vec::Vec as VecIn;

use super::bumps::{Bumpalo, FixedBuffer, bump, fixed};
use super::{Case, Contender};

const ENOUGH: &str = "a benchmark has enough memory";

impl Buffer for FixedBuffer<'_> {
    #[inline]
    fn words(&self, words: [u64; 3]) -> &mut [u64; 3] {
        Owned::leak(self.0.create(words).expect(ENOUGH))
    }

    #[inline]
    fn text(&self, text: &str) -> &str {
        Owned::leak(self.0.dupe_str(text).expect(ENOUGH))
    }

    #[inline]
    fn list(&self, count: u64) -> usize {
        let mut list = VecIn::new_in(&self.0);
        (0..count).for_each(|index| list.push(index));
        list.len()
    }

    #[inline]
    fn lists(&self, count: u64) -> usize {
        let mut lists = VecIn::new_in(&self.0);
        (0..10).for_each(|_| lists.push(VecIn::new_in(&self.0)));
        (0..count).for_each(|index| lists[index as usize % 10].push(index));
        lists.iter().map(VecIn::len).sum()
    }
}

impl Buffer for Bumpalo {
    #[inline]
    fn words(&self, words: [u64; 3]) -> &mut [u64; 3] {
        self.0.alloc(words)
    }

    #[inline]
    fn text(&self, text: &str) -> &str {
        self.0.alloc_str(text)
    }

    #[inline]
    fn list(&self, count: u64) -> usize {
        let mut list = VecIn::new_in(&self.0);
        (0..count).for_each(|index| list.push(index));
        list.len()
    }

    #[inline]
    fn lists(&self, count: u64) -> usize {
        let mut lists = VecIn::new_in(&self.0);
        (0..10).for_each(|_| lists.push(VecIn::new_in(&self.0)));
        (0..count).for_each(|index| lists[index as usize % 10].push(index));
        lists.iter().map(VecIn::len).sum()
    }
}

/// Enough for the live blocks of every workload, twice.
const HEAP_LEN: usize = 16 << 20;

/// Bytes aligned to a page, for a heap.
fn memory() -> Vec<MaybeUninit<u8>> {
    vec![MaybeUninit::uninit(); HEAP_LEN]
}

/// A heap that may have no memory left.
pub(crate) trait TryHeap: Heap {
    /// As `take`, or `None`.
    fn try_take(&self, layout: Layout) -> Option<NonNull<u8>>;
}

impl TryHeap for TlsfHeap<'_> {
    #[inline]
    fn try_take(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.raw_alloc(layout).ok()
    }
}

impl TryHeap for Talc {
    #[inline]
    fn try_take(&self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: one thread, and no call of this type is inside another.
        let talc = unsafe { &mut *self.0.get() };
        // SAFETY: no workload asks for zero bytes.
        unsafe { talc.allocate(layout) }
    }
}

impl TryHeap for Rlsf<'_> {
    #[inline]
    fn try_take(&self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: one thread, and no call of this type is inside another.
        let rlsf = unsafe { &mut *self.0.get() };
        rlsf.allocate(layout)
    }
}

/// Calls `run` with ours.
pub(crate) fn tlsf(run: impl FnOnce(&TlsfHeap<'_>) -> Duration) -> Duration {
    run(&TlsfHeap::new(&mut memory()))
}

/// The peer without a lock, as its users write it for one thread.
pub(crate) struct Talc(UnsafeCell<talc::base::Talc<talc::source::Manual, talc::DefaultBinning>>);

impl Heap for Talc {
    #[inline]
    fn take(&self, layout: Layout) -> NonNull<u8> {
        self.try_take(layout).expect(ENOUGH)
    }

    #[inline]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: as above.
        let talc = unsafe { &mut *self.0.get() };
        // SAFETY: taken with this layout, not given back yet, by this function's contract.
        unsafe { talc.deallocate(block.as_ptr(), layout) };
    }
}

pub(crate) fn talc(run: impl FnOnce(&Talc) -> Duration) -> Duration {
    let mut memory = memory();
    let mut heap = talc::base::Talc::new(talc::source::Manual);
    // SAFETY: the memory is used by nobody else, and outlives the heap.
    unsafe { heap.claim(memory.as_mut_ptr().cast(), HEAP_LEN) }.expect(ENOUGH);
    run(&Talc(UnsafeCell::new(heap)))
}

/// The peer of the same algorithm.
pub(crate) struct Rlsf<'pool>(UnsafeCell<rlsf::Tlsf<'pool, u32, u32, 20, 8>>);

impl Heap for Rlsf<'_> {
    #[inline]
    fn take(&self, layout: Layout) -> NonNull<u8> {
        self.try_take(layout).expect(ENOUGH)
    }

    #[inline]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: as above.
        let rlsf = unsafe { &mut *self.0.get() };
        // SAFETY: taken with this alignment, not given back yet, by this function's contract.
        unsafe { rlsf.deallocate(block, layout.align()) };
    }
}

pub(crate) fn rlsf(run: impl FnOnce(&Rlsf<'_>) -> Duration) -> Duration {
    let mut memory = memory();
    let mut heap = rlsf::Tlsf::new();
    heap.insert_free_block(&mut memory);
    run(&Rlsf(UnsafeCell::new(heap)))
}

/// Ours for threads.
fn shared(count: u64) -> Duration {
    let mut memory = vec![MaybeUninit::uninit(); SHARED_LEN];
    shared_rounds(count, |count| {
        let fixed = SharedFixedBuffer::new(&mut memory);
        two_threads(count, |count| {
            pair(&fixed, count);
        })
    })
}

/// The peer: the buffer of one thread behind a mutex.
fn behind_a_mutex(count: u64) -> Duration {
    let mut memory = vec![MaybeUninit::uninit(); SHARED_LEN];
    let layout = Layout::new::<[u64; 8]>();
    shared_rounds(count, |count| {
        let fixed = Mutex::new(alloc_fixed::FixedBuffer::new(&mut memory));
        two_threads(count, |count| {
            for _ in 0..count {
                let lock = fixed.lock().expect("no holder panics");
                let block = black_box(lock.take(layout));
                drop(lock);
                let lock = fixed.lock().expect("no holder panics");
                // SAFETY: taken above with this layout.
                unsafe { lock.give(block, layout) };
            }
        })
    })
}

pub(crate) const CASES: &[Case] = &[
    case!("fixed/values":
        "alloc-fixed" => |count| fixed(|fixed| values(fixed, count)),
        "bumpalo" => |count| values(&mut bump(), count),
    ),
    case!("fixed/words":
        "alloc-fixed" => |count| fixed(|fixed| words(fixed, count)),
        "bumpalo" => |count| words(&mut bump(), count),
    ),
    case!("fixed/slices":
        "alloc-fixed" => |count| fixed(|fixed| slices(fixed, count)),
        "bumpalo" => |count| slices(&mut bump(), count),
    ),
    case!("fixed/texts":
        "alloc-fixed" => |count| fixed(|fixed| texts(fixed, count)),
        "bumpalo" => |count| texts(&mut bump(), count),
    ),
    case!("fixed/mixed":
        "alloc-fixed" => |count| fixed(|fixed| mixed(fixed, count)),
        "bumpalo" => |count| mixed(&mut bump(), count),
    ),
    case!("fixed/blocks":
        "alloc-fixed" => |count| fixed(|fixed| blocks(fixed, count)),
        "bumpalo" => |count| blocks(&mut bump(), count),
    ),
    case!("fixed/list":
        "alloc-fixed" => |count| fixed(|fixed| list(fixed, count)),
        "bumpalo" => |count| list(&mut bump(), count),
    ),
    case!("fixed/vectors":
        "alloc-fixed" => |count| fixed(|fixed| lists(fixed, count)),
        "bumpalo" => |count| lists(&mut bump(), count),
    ),
    case!("fixed/two-threads":
        "alloc-fixed" => shared,
        "mutex" => behind_a_mutex,
    ),
    case!("fixed/heap-pair":
        "alloc-fixed" => |count| tlsf(|heap| pair(heap, count)),
        "talc" => |count| talc(|heap| pair(heap, count)),
        "rlsf" => |count| rlsf(|heap| pair(heap, count)),
    ),
    case!("fixed/heap-lifo":
        "alloc-fixed" => |count| tlsf(|heap| lifo(heap, count)),
        "talc" => |count| talc(|heap| lifo(heap, count)),
        "rlsf" => |count| rlsf(|heap| lifo(heap, count)),
    ),
    case!("fixed/heap-random":
        "alloc-fixed" => |count| tlsf(|heap| random(heap, count)),
        "talc" => |count| talc(|heap| random(heap, count)),
        "rlsf" => |count| rlsf(|heap| random(heap, count)),
    ),
];
