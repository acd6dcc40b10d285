//! Stores each distinct stack once and names it by 32 bits.
//!
//! ```text
//! buckets[hash]: unit ─► entry ─► entry ─► 0       chain, newest first
//! entry, words:  next | hash << 32 | len | frame 0 | … | frame len-1
//! id = unit = index of the entry's first word, counted over all segments; 0 names no entry
//! ```
//!
//! Append-only: an entry never changes or moves once it is linked, so readers need no lock, and
//! neither a signal handler nor a forked child can find it half done. Two threads that insert the
//! same new stack at once get the same id; the loser's words are lost.
//!
//! | atomic | ordering | partner |
//! | --- | --- | --- |
//! | `buckets`, `segments[i]` | `AcqRel` exchange from null | `Acquire` load |
//! | a bucket | `Release` exchange | `Acquire` load: sees the entry's words |
//! | `cursor` | `Relaxed` exchange | none: it only hands out numbers |
//! | an entry's words | `Relaxed` | ordered by the bucket they are reached through |

use core::ptr::{self, NonNull};

use super::trace::{FRAMES_MAX, Trace};

#[cfg(not(loom))]
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};
#[cfg(loom)]
use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Words in a segment: 1 MiB.
#[cfg(not(loom))]
const SEGMENT_WORDS: usize = 1 << 17;
/// The most segments: 4 GiB in all, some 50 million stacks of 8 frames.
#[cfg(not(loom))]
const SEGMENT_COUNT_MAX: usize = 1 << 12;
/// Chains: with a million stacks, some 8 entries each.
#[cfg(not(loom))]
const BUCKET_COUNT: usize = 1 << 17;

// Small, so that the model checker meets chains, segment ends and the end of memory.
#[cfg(loom)]
const SEGMENT_WORDS: usize = 8;
#[cfg(loom)]
const SEGMENT_COUNT_MAX: usize = 2;
#[cfg(loom)]
const BUCKET_COUNT: usize = 1;

const HEADER_WORDS: usize = 2;
#[cfg(not(loom))]
const _: () = assert!(SEGMENT_WORDS * SEGMENT_COUNT_MAX <= 1 << 32);
#[cfg(not(loom))]
const _: () = assert!(HEADER_WORDS + FRAMES_MAX <= SEGMENT_WORDS);

type Segment = [AtomicU64; SEGMENT_WORDS];
type Buckets = [AtomicU32; BUCKET_COUNT];

/// The name of a stored stack. Ids of one depot are equal exactly if their stacks are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct StackId(pub(crate) u32);

impl StackId {
    /// No stack: it was not captured, or there was no memory for it.
    pub const NONE: Self = Self(0);
}

/// A set of stacks; see the module.
pub(crate) struct Depot {
    /// Invariant: null, or a mapping that holds `Buckets` and is never freed before the depot.
    buckets: AtomicPtr<Buckets>,
    /// Invariant: each null, or a mapping that holds a `Segment` and is never freed before the depot.
    segments: [AtomicPtr<Segment>; SEGMENT_COUNT_MAX],
    /// The next free word, counted over all segments. Word 0 is never given out.
    cursor: AtomicU64,
}

impl Depot {
    /// Creates an empty depot, which takes no memory before the first stack.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self {
            buckets: AtomicPtr::new(ptr::null_mut()),
            segments: [const { AtomicPtr::new(ptr::null_mut()) }; SEGMENT_COUNT_MAX],
            cursor: AtomicU64::new(1),
        }
    }

    /// Creates an empty depot.
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self {
            buckets: AtomicPtr::new(ptr::null_mut()),
            segments: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            cursor: AtomicU64::new(1),
        }
    }

    /// Returns the id of the stack, which is stored if it is new; [`StackId::NONE`] for an empty one
    /// and when there is no memory. Lock-free. May change `errno`.
    pub(crate) fn insert(&self, trace: &Trace) -> StackId {
        self.insert_frames(trace.as_slice())
    }

    fn insert_frames(&self, frames: &[usize]) -> StackId {
        if frames.is_empty() {
            return StackId::NONE;
        }
        let Some(buckets) = shared(&self.buckets) else { return StackId::NONE };
        let hash = hash(frames);
        let bucket = &buckets[hash as usize % BUCKET_COUNT];
        // Acquire: sees the words of the entry. Pairs with the Release below.
        let mut first = bucket.load(Acquire);
        if let Some(id) = self.find(first, 0, hash, frames) {
            return id;
        }
        let Some((unit, entry)) = self.reserve(HEADER_WORDS + frames.len()) else {
            return StackId::NONE;
        };
        // Relaxed stores: the entry is reached only through the bucket, after the Release below.
        entry[1].store(u64::from(hash) << 32 | frames.len() as u64, Relaxed);
        for (word, frame) in entry[HEADER_WORDS..].iter().zip(frames) {
            word.store(*frame as u64, Relaxed);
        }
        loop {
            entry[0].store(u64::from(first), Relaxed);
            // Release: publishes the entry's words. Pairs with the Acquire loads of the bucket here,
            // above, and of whoever finds the entry through a later one of the chain.
            // Acquire: on failure the new first entry is read.
            match bucket.compare_exchange(first, unit, Release, Acquire) {
                Ok(_) => return StackId(unit),
                Err(newer) => {
                    if let Some(id) = self.find(newer, first, hash, frames) {
                        return id;
                    }
                    first = newer;
                }
            }
        }
    }

    /// Copies the stack with that id; `false`, and an empty trace, if there is none.
    pub(crate) fn get(&self, id: StackId, trace: &mut Trace) -> bool {
        trace.len = 0;
        if id == StackId::NONE {
            return false;
        }
        let Some(entry) = self.entry(id.0) else { return false };
        let frames = frames_of(entry);
        for frame in frames {
            trace.push(frame.load(Relaxed) as usize);
        }
        !frames.is_empty()
    }

    /// Gives address and length of each of its mappings to `each`.
    pub(crate) fn for_each_mapping(&self, each: &mut dyn FnMut((usize, usize))) {
        // Relaxed: addresses only, nothing is read through them.
        let buckets = self.buckets.load(Relaxed);
        let segments = self.segments.iter().map(|segment| segment.load(Relaxed));
        segments
            .filter(|segment| !segment.is_null())
            .for_each(|segment| each((segment.addr(), size_of::<Segment>())));
        if !buckets.is_null() {
            each((buckets.addr(), size_of::<Buckets>()));
        }
    }

    /// Looks for the stack in the chain that starts at `unit` and ends before `end`.
    fn find(&self, mut unit: u32, end: u32, hash: u32, frames: &[usize]) -> Option<StackId> {
        while unit != end {
            // Relaxed loads: the Acquire of the bucket ordered them (an entry links only to entries
            // that its writer saw the same way).
            let entry = self.entry(unit)?;
            let same = (entry[1].load(Relaxed) >> 32) as u32 == hash
                && frames_of(entry).len() == frames.len()
                && frames_of(entry).iter().zip(frames).all(|(a, b)| a.load(Relaxed) == *b as u64);
            if same {
                return Some(StackId(unit));
            }
            unit = entry[0].load(Relaxed) as u32;
        }
        None
    }

    /// Returns the words from `unit` to the end of its segment; `None` if nothing is there, or too
    /// little for an entry.
    fn entry(&self, unit: u32) -> Option<&[AtomicU64]> {
        let (index, word) = (unit as usize / SEGMENT_WORDS, unit as usize % SEGMENT_WORDS);
        // Acquire: sees the mapping's zeroes as such. Pairs with the AcqRel in `shared`.
        let segment = NonNull::new(self.segments.get(index)?.load(Acquire))?;
        // SAFETY: by the invariant on `segments` the pointer holds a `Segment` that lives as long as
        // `self`; its words are atomics, so sharing them is fine.
        let segment: &Segment = unsafe { segment.as_ref() };
        segment.get(word..).filter(|words| HEADER_WORDS < words.len())
    }

    /// Takes `len` words that nobody else has, all in one segment; `None` without memory.
    fn reserve(&self, len: usize) -> Option<(u32, &[AtomicU64])> {
        // Relaxed: the words are handed out by number; what they hold is ordered by the bucket.
        let mut cursor = self.cursor.load(Relaxed);
        loop {
            let left = SEGMENT_WORDS - cursor as usize % SEGMENT_WORDS;
            let start = if len <= left { cursor } else { cursor + left as u64 };
            let segment = self.segments.get(start as usize / SEGMENT_WORDS)?;
            let words = shared(segment)?;
            match self.cursor.compare_exchange_weak(cursor, start + len as u64, Relaxed, Relaxed) {
                Ok(_) => {
                    let word = start as usize % SEGMENT_WORDS;
                    return Some((u32::try_from(start).ok()?, &words[word..word + len]));
                }
                Err(now) => cursor = now,
            }
        }
    }
}

#[cfg(not(loom))]
impl Drop for Depot {
    fn drop(&mut self) {
        fn release<T>(place: &mut AtomicPtr<T>) {
            if let Some(base) = NonNull::new(*place.get_mut()) {
                // SAFETY: by the invariants on the fields this is one whole mapping of
                // `size_of::<T>()` bytes; `&mut` proves that nobody uses it any more.
                unsafe { crate::sys::pages::unmap(base.cast(), size_of::<T>()) };
            }
        }
        let _errno = crate::sys::errno::KeepErrno::new();
        release(&mut self.buckets);
        self.segments.iter_mut().for_each(release);
    }
}

#[cfg(loom)]
impl Drop for Depot {
    fn drop(&mut self) {
        fn release<T>(place: &mut AtomicPtr<T>) {
            place.with_mut(|base| {
                if !base.is_null() {
                    // SAFETY: under loom the memory is a `Box`, and `&mut` proves it unused.
                    drop(unsafe { Box::from_raw(*base) });
                }
            });
        }
        release(&mut self.buckets);
        self.segments.iter_mut().for_each(release);
    }
}

/// Memory that can be made out of zeroes, and shared from then on.
///
/// # Safety
///
/// All zeroes are a valid value.
unsafe trait Zeroed {
    #[cfg(loom)]
    fn boxed() -> Box<Self>;
}

// SAFETY: an `AtomicU64` of zero bytes is 0.
unsafe impl Zeroed for Segment {
    #[cfg(loom)]
    fn boxed() -> Box<Self> {
        Box::new(core::array::from_fn(|_| AtomicU64::new(0)))
    }
}

// SAFETY: an `AtomicU32` of zero bytes is 0.
unsafe impl Zeroed for Buckets {
    #[cfg(loom)]
    fn boxed() -> Box<Self> {
        Box::new(core::array::from_fn(|_| AtomicU32::new(0)))
    }
}

/// Returns what `place` points to, mapped now if it is null. Of two threads that do so at once, one
/// wins and both use its memory.
#[inline]
fn shared<T: Zeroed>(place: &AtomicPtr<T>) -> Option<&T> {
    // Acquire: sees the memory as its maker left it. Pairs with the AcqRel in `make`.
    let base = match NonNull::new(place.load(Acquire)) {
        Some(base) => base,
        None => make(place)?,
    };
    // SAFETY: by the invariants of `Depot` the place points to a `T` that lives as long as the depot,
    // which `place` is borrowed from; a `T` is made of atomics.
    Some(unsafe { base.as_ref() })
}

#[cold]
fn make<T: Zeroed>(place: &AtomicPtr<T>) -> Option<NonNull<T>> {
    #[cfg(not(loom))]
    let new: NonNull<T> = crate::sys::pages::map(size_of::<T>())?.cast();
    #[cfg(loom)]
    let new: NonNull<T> = NonNull::from(Box::leak(T::boxed()));
    // AcqRel: publishes the new memory, pairs with the Acquire in `shared`; on failure Acquire sees
    // the winner's.
    match place.compare_exchange(ptr::null_mut(), new.as_ptr(), AcqRel, Acquire) {
        Ok(_) => Some(new),
        Err(winner) => {
            #[cfg(not(loom))]
            // SAFETY: the mapping was made above and never shown to anybody.
            unsafe {
                crate::sys::pages::unmap(new.cast(), size_of::<T>());
            }
            #[cfg(loom)]
            // SAFETY: the box was made above and never shown to anybody.
            drop(unsafe { Box::from_raw(new.as_ptr()) });
            NonNull::new(winner)
        }
    }
}

/// Returns the frames of the entry that starts at `entry[0]`.
fn frames_of(entry: &[AtomicU64]) -> &[AtomicU64] {
    let len = entry[1].load(Relaxed) as u32 as usize;
    entry.get(HEADER_WORDS..HEADER_WORDS + len.min(FRAMES_MAX)).unwrap_or(&[])
}

/// Mixes the frames into 32 bits: multiply and fold, as wyhash does, two words a step.
fn hash(frames: &[usize]) -> u32 {
    const SECRET: u64 = 0xa076_1d64_78bd_642f;
    let mut state = 0xe703_7ed1_a0b4_28db ^ frames.len() as u64;
    for frame in frames {
        let product = u128::from(state ^ *frame as u64) * u128::from(SECRET);
        state = product as u64 ^ (product >> 64) as u64;
    }
    (state ^ state >> 32) as u32
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Depot, FRAMES_MAX, StackId, Trace};

    fn trace(seed: usize, len: usize) -> Trace {
        let mut trace = Trace::new();
        for i in 0..len {
            trace.push(seed.wrapping_mul(0x9e37_79b9) ^ i);
        }
        trace
    }

    /// Equal stacks share an id, different ones do not, and each comes back as it was.
    #[test]
    fn stores_each_stack_once() {
        static DEPOT: Depot = Depot::new();
        assert_eq!(DEPOT.insert(&Trace::new()), StackId::NONE);
        let mut seen = std::collections::HashMap::new();
        for round in 0..2 {
            // Enough for several segments: 20,000 stacks of 18 words on average.
            for seed in 0..20_000 {
                let stack = trace(seed, 1 + seed % FRAMES_MAX);
                let id = DEPOT.insert(&stack);
                assert_ne!(id, StackId::NONE);
                assert_eq!(*seen.entry(seed).or_insert(id), id, "round {round}");
            }
        }
        let ids: std::collections::HashSet<_> = seen.values().map(|id| id.0).collect();
        assert_eq!(ids.len(), seen.len());
        for (seed, id) in seen {
            let mut found = Trace::new();
            assert!(DEPOT.get(id, &mut found));
            assert_eq!(found.as_slice(), trace(seed, 1 + seed % FRAMES_MAX).as_slice());
        }
    }

    /// An id that was never given out names nothing, and nothing faults.
    #[test]
    fn unknown_ids_are_refused() {
        let depot = Depot::new();
        let mut found = Trace::new();
        for id in [0, 1, 77, u32::MAX] {
            assert!(!depot.get(StackId(id), &mut found));
        }
        let id = depot.insert(&trace(1, 3));
        assert!(!depot.get(StackId(id.0 + 5), &mut found));
        assert!(depot.get(id, &mut found));
    }

    /// Threads that insert the same stacks in different orders agree on every id.
    #[test]
    fn threads_agree_on_ids() {
        const STACK_COUNT: usize = 5_000;
        let depot = Depot::new();
        let start = std::sync::Barrier::new(4);
        let ids: Vec<Vec<StackId>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let (depot, start) = (&depot, &start);
                    scope.spawn(move || {
                        start.wait();
                        let mut ids = vec![StackId::NONE; STACK_COUNT];
                        for i in 0..STACK_COUNT {
                            // 7 is coprime to the count, so each order visits every stack.
                            let seed = if thread % 2 == 0 { i } else { i * 7 % STACK_COUNT };
                            ids[seed] = depot.insert(&trace(seed, 5));
                        }
                        ids
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(ids.iter().all(|others| *others == ids[0]));
        assert!(!ids[0].contains(&StackId::NONE));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::{Depot, StackId, Trace};

    fn trace(frames: &[usize]) -> Trace {
        let mut trace = Trace::new();
        frames.iter().for_each(|frame| trace.push(*frame));
        trace
    }

    /// Two threads insert the same stack and one of their own, into one chain of two segments: the
    /// shared one has one id, every id that was given reads back whole.
    #[test]
    fn inserts_race() {
        loom::model(|| {
            let depot = Arc::new(Depot::new());
            let other = {
                let depot = Arc::clone(&depot);
                thread::spawn(move || {
                    let shared = depot.insert(&trace(&[7]));
                    let own = depot.insert(&trace(&[2]));
                    check(&depot, own, 2);
                    shared
                })
            };
            let own = depot.insert(&trace(&[1]));
            let shared = depot.insert(&trace(&[7]));
            check(&depot, own, 1);
            check(&depot, shared, 7);
            let theirs = other.join().expect("no panic");
            if shared != StackId::NONE && theirs != StackId::NONE {
                assert_eq!(shared, theirs);
            }
        });
    }

    fn check(depot: &Depot, id: StackId, frame: usize) {
        let mut found = Trace::new();
        if depot.get(id, &mut found) {
            assert_eq!(found.as_slice(), [frame]);
        } else {
            assert_eq!(id, StackId::NONE);
        }
    }
}
