//! What threads share, for the thread sanitizer: threads that run until they are done, on structures of their real sizes,
//! where the models (`tests/loom.rs` of each crate) try every order on small ones.
//!
//! The sanitizer sees the code that is compiled here, and of `std` only what is inlined into it. So nothing here waits
//! by `std`'s locks, channels or scopes, whose other halves it does not see: threads are started and joined. Without it
//! these are tests under load: nobody's bytes change.

use std::array;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::AcqRel;
use std::thread;

use alloc_arena::{Arena, ArenaPool, Growth, HeapArena, Reset, SharedArena};
use alloc_core::{Allocator, Counting, Global, Layout, Limited, Locked};
use alloc_fixed::{
    Lookup, SharedFixedBuffer, StaticBytes, StaticList, StaticMap, StaticStrings, TlsfHeap,
};
use alloc_gpa::{Check, Gpa};
use parking_lot::RawMutex;

/// What is left of `std`: it frees a thread's packet, and `libtest` its messages, behind a fence, which the sanitizer
/// does not know.
#[cfg(all(sanitized = "thread", target_arch = "x86_64"))]
mod suppressions {
    use std::arch::naked_asm;
    use std::ffi::c_char;

    static TEXT: [u8; 93] = *b"race:std::thread::lifecycle::Packet\n\
        race:alloc::sync::Arc<*>::drop_slow\n\
        race:std::sync::mpmc\0";

    /// The sanitizer's runtime asks for it before it can follow code, so this has none but its own.
    // SAFETY: no other function of the program has this name.
    #[unsafe(no_mangle)]
    #[unsafe(naked)]
    extern "C" fn __tsan_default_suppressions() -> *const c_char {
        naked_asm!("lea rax, [rip + {}]", "ret", sym TEXT)
    }
}

const THREADS: u64 = 4;

/// Calls `act` with the numbers of as many threads, each in its own; returns what it returned.
fn race<T: Send + 'static>(act: impl Fn(u64) -> T + Copy + Send + 'static) -> Vec<T> {
    let threads: Vec<_> = (0..THREADS).map(|thread| thread::spawn(move || act(thread))).collect();
    threads.into_iter().map(|thread| thread.join().expect("no thread fails")).collect()
}

/// A value for the whole program.
fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn room<const LEN: usize>() -> &'static mut [MaybeUninit<u8>] {
    vec![MaybeUninit::uninit(); LEN].leak()
}

/// Draws numbers below 2^32, others for each thread.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A block of words. The first says how many they are, all others the same.
#[derive(Clone, Copy)]
struct Words(NonNull<u64>);

impl Words {
    const LEN_MAX: u64 = 32;

    fn layout(len: u64) -> Layout {
        Layout::array::<u64>(len as usize).expect("a few words")
    }

    /// Takes a block, if the heap has one, and fills it.
    fn take(heap: &dyn Allocator, len: u64, tag: u64) -> Option<Self> {
        let block = heap.raw_alloc(Self::layout(len)).ok()?.cast();
        let words = Self(block);
        words.fill(len, tag);
        Some(words)
    }

    fn word(self, index: u64) -> NonNull<u64> {
        // SAFETY: below the block's number of words, by every caller.
        unsafe { self.0.add(index as usize) }
    }

    fn fill(self, len: u64, tag: u64) {
        // SAFETY: within the block, which is the caller's.
        unsafe { self.word(0).write(len) };
        for index in 1..len {
            // SAFETY: as above.
            unsafe { self.word(index).write(tag) };
        }
    }

    /// Looks whether all words are what one thread wrote there; returns their number.
    fn check(self) -> u64 {
        // SAFETY: within the block, which is the caller's, and filled.
        let len = unsafe { self.word(0).read() };
        assert!((2..=Self::LEN_MAX).contains(&len), "a block of {len} words");
        // SAFETY: as above.
        let tag = unsafe { self.word(1).read() };
        for index in 1..len {
            // SAFETY: as above.
            assert_eq!(unsafe { self.word(index).read() }, tag, "word {index} of {len}");
        }
        len
    }

    fn give_back(self, heap: &dyn Allocator) {
        let len = self.check();
        // SAFETY: the caller's block, of this layout, and not used again.
        unsafe { heap.raw_free(self.0.cast(), Self::layout(len)) };
    }
}

/// Threads take blocks, change their lengths, and give back those of others. What orders a block's owners is the exchange of
/// its address; what orders one owner after another whose block lay there is the heap alone.
fn churn(heap: &'static (dyn Allocator + Sync), rounds: u64) {
    let places: &[AtomicPtr<u64>; 8] = leak(array::from_fn(|_| AtomicPtr::new(ptr::null_mut())));
    let taken = race(move |thread| {
        let mut numbers = Numbers(thread);
        let mut taken = 0;
        for round in 0..rounds {
            let tag = thread << 32 | round;
            let Some(words) = Words::take(heap, 2 + numbers.below(Words::LEN_MAX - 1), tag) else {
                continue;
            };
            taken += 1;
            let (old, new) = (words.check(), 2 + numbers.below(Words::LEN_MAX - 1));
            // SAFETY: this thread's block, of this layout.
            if unsafe { heap.raw_resize(words.0.cast(), Words::layout(old), new as usize * 8) } {
                words.fill(new, tag);
            }
            if numbers.below(2) == 0 {
                words.give_back(heap);
                continue;
            }
            let place = &places[numbers.below(8) as usize];
            // Release: of what was written there; Acquire: of what the other one wrote. Each pairs with the other.
            let other = place.swap(words.0.as_ptr(), AcqRel);
            if let Some(other) = NonNull::new(other) {
                Words(other).give_back(heap);
            }
        }
        taken
    });
    assert!(taken.iter().all(|taken| 0 < *taken), "no thread was refused everything: {taken:?}");
    for place in places {
        if let Some(left) = NonNull::new(place.swap(ptr::null_mut(), AcqRel)) {
            Words(left).give_back(heap);
        }
    }
}

const ROUNDS: u64 = 4000;

#[test]
fn shared_arena() {
    churn(leak(SharedArena::over(Global).with_growth(Growth::fixed(4096))), ROUNDS);
}

/// Its chunks grow in place, under a limit.
#[test]
fn shared_arena_over_a_buffer() {
    let fixed = leak(SharedFixedBuffer::new(room::<{ 4 << 20 }>()));
    let arena = SharedArena::over(fixed).with_growth(Growth::fixed(500)).with_limit(3 << 20);
    churn(leak(arena), ROUNDS);
}

#[test]
fn shared_fixed_buffer() {
    churn(leak(SharedFixedBuffer::new(room::<{ 4 << 20 }>())), ROUNDS);
}

#[test]
fn locked_fixed_heap() {
    churn(leak(Locked::<RawMutex, _>::new(TlsfHeap::new(room::<{ 64 << 10 }>()))), ROUNDS);
}

#[test]
fn locked_arena() {
    churn(leak(Locked::<RawMutex, _>::new(Arena::new())), ROUNDS);
}

/// The sums are right when all threads are done.
#[test]
fn counters_and_limits() {
    let limited = leak(Limited::new(Global, 20 << 10));
    let counting = leak(Counting::new(limited));
    churn(counting, ROUNDS);
    assert_eq!(
        (limited.used(), counting.counts().live_blocks, counting.counts().live_bytes),
        (0, 0, 0)
    );
}

/// Blocks are freed by other threads than took them, and lie where others were.
#[test]
fn checked_heap() {
    churn(leak(Gpa::new()), ROUNDS / 4);
}

/// Their list is behind a lock of this project's own.
#[test]
fn checked_heaps_come_and_go() {
    race(|thread| {
        for round in 0..50 {
            let heap = Gpa::new();
            Words::take(&heap, 2, thread << 32 | round).expect("memory").give_back(&heap);
            assert!(matches!(heap.deinit(), Check::Ok));
        }
    });
}

/// What local arenas made is there when they are gone, for another thread.
#[test]
fn local_arenas() {
    let shared = leak(SharedArena::over(Global));
    let lists = race(|thread| {
        let local = shared.local_with_growth(Growth::fixed(512));
        let put = |index| local.put(thread << 32 | index).expect("memory");
        (0..ROUNDS).map(|index| &*put(index)).collect::<Vec<_>>()
    });
    for (thread, list) in lists.iter().enumerate() {
        for (index, value) in list.iter().enumerate() {
            assert_eq!(**value, (thread as u64) << 32 | index as u64);
        }
    }
}

/// Two arenas for four threads: who has one has it alone, and as the one before left it.
#[test]
fn arena_pool() {
    let pool: &ArenaPool<_, 2> = leak(ArenaPool::new(Arena::new, Reset::RetainCapacity));
    race(|thread| {
        for round in 0..ROUNDS / 4 {
            let arena = loop {
                if let Some(arena) = pool.take() {
                    break arena;
                }
                thread::yield_now();
            };
            let value = arena.put(thread << 32 | round).expect("memory");
            assert_eq!((*value, arena.used()), (thread << 32 | round, 8));
            drop(arena);
            // Another one's turn, also on one core.
            thread::yield_now();
        }
    });
    assert_eq!(pool.free_count(), 2);
}

/// Values that other threads drop while their heap makes more of them.
#[test]
fn sent_values() {
    let heap: &'static mut HeapArena = Box::leak(Box::new(HeapArena::new()));
    let heap = &*heap;
    let mut threads = Vec::new();
    for round in 0..100 {
        let sent: [_; 16] = array::from_fn(|index| heap.put_send([round, index]).expect("memory"));
        threads.push(thread::spawn(move || {
            for (index, mut value) in sent.into_iter().enumerate() {
                assert_eq!(*value, [round, index]);
                value[0] = black_box(0);
            }
        }));
        if 4 <= threads.len() {
            threads.remove(0).join().expect("no thread fails");
        }
    }
    for thread in threads {
        thread.join().expect("no thread fails");
    }
    assert!(heap.reserved() < 100 * 16 * 64, "what came back is used again");
}

/// Lists, strings and maps in statics, which are read while they grow; a static buffer that one thread gets.
#[test]
fn statics() {
    static LIST: StaticList<[u64; 2], 4096> = StaticList::new();
    static STRINGS: StaticStrings<{ 64 << 10 }> = StaticStrings::new();
    static MAP: StaticMap<u64, &str, 4096> = StaticMap::new();
    static BYTES: StaticBytes<64> = StaticBytes::new();
    let buffers = race(|thread| {
        for index in 0..1000 {
            let key = thread << 32 | index;
            assert!(LIST.push([key, !key]).is_ok());
            let text = STRINGS.add(&format!("{key}")).expect("room");
            assert!(MAP.insert(key, text).is_ok());
            let other = ((thread + 1) % THREADS) << 32 | index;
            if let Lookup::Present(text) = MAP.get(&other) {
                assert_eq!(*text, format!("{other}"));
            }
            if index % 50 == 0 {
                assert!(LIST.iter().all(|[key, not]| *key == !not));
            }
        }
        BYTES.take().map(|bytes| bytes.fill(MaybeUninit::new(1))).is_some()
    });
    assert_eq!(buffers.iter().filter(|got| **got).count(), 1);
    assert_eq!(LIST.len(), 4000);
}

/// What is reported, and fails the run, if anything is.
#[cfg(sanitized = "thread")]
mod detector {
    use std::cell::UnsafeCell;
    use std::env;
    use std::process::Command;

    use super::{leak, race};

    struct Unordered(UnsafeCell<u64>);

    // SAFETY: none: this is the fault that the detector has to find.
    unsafe impl Sync for Unordered {}

    impl Unordered {
        fn add(&self) {
            let value = self.0.get();
            // SAFETY: none: threads come here at once. The word is alive and aligned, and no reference points to it.
            unsafe { *value += 1 };
        }
    }

    #[test]
    #[ignore = "has a race: run by `a_race_is_found`"]
    fn planted() {
        let shared = leak(Unordered(UnsafeCell::new(0)));
        race(|_| {
            for _ in 0..1000 {
                shared.add();
            }
        });
    }

    /// The build is one that finds races, and that says so by its exit status.
    #[test]
    fn a_race_is_found() {
        let mut child = Command::new(env::current_exe().expect("the path of this program"));
        let child = child.args(["--exact", "detector::planted", "--ignored", "--nocapture"]);
        let output = child.output().expect("a child");
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(report.contains("data race") && report.contains("Unordered"), "{report}");
        assert_eq!(output.status.code(), Some(66), "{report}");
    }
}
