//! A map whose entries do not move.

use core::cell::UnsafeCell;
use core::fmt;
use core::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use core::mem::MaybeUninit;

use alloc_core::sync::atomic::AtomicU8;
use alloc_core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use alloc_core::sync::hint;

/// What a [`StaticMap`] says of a key: also that it is known not to be there, for what is dear to look
/// up a second time in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a, V> {
    /// Nobody has asked.
    Unknown,
    /// It was looked for and is not there.
    Absent,
    /// It has this value.
    Present(&'a V),
}

/// A map of up to `N` keys whose entries do not move, for a `static`; threads may put in and look up at
/// once. Keys are kept and compared, so that two of one hash are two keys. Nothing is taken out.
///
/// Keep `N` at twice the number of keys or so: looking one up takes time for each that collides. A
/// thread that looks for a key another is just putting in waits for it.
///
/// ```
/// use alloc_fixed::{Lookup, StaticMap};
///
/// static FILES: StaticMap<&str, u32, 256> = StaticMap::new();
///
/// assert_eq!(FILES.get(&"a.txt"), Lookup::Unknown);
/// FILES.insert("a.txt", 5).unwrap();
/// FILES.insert_absent("b.txt").unwrap();
/// assert_eq!(FILES.get(&"a.txt"), Lookup::Present(&5));
/// assert_eq!(FILES.get(&"b.txt"), Lookup::Absent);
/// FILES.insert("b.txt", 6).unwrap();
/// assert_eq!(FILES.peek(&"b.txt"), Some(&6));
/// ```
pub struct StaticMap<K, V, const N: usize, S = BuildHasherDefault<Fnv>> {
    slots: [Slot<K, V>; N],
    hasher: S,
}

/// A slot's state only ever goes up; `KEY_BUSY` and `VALUE_BUSY` are those of a slot that one thread is
/// writing to.
const EMPTY: u8 = 0;
const KEY_BUSY: u8 = 1;
const ABSENT: u8 = 2;
const VALUE_BUSY: u8 = 3;
const PRESENT: u8 = 4;

struct Slot<K, V> {
    state: AtomicU8,
    /// Written before the state is `ABSENT` or more, never again.
    key: UnsafeCell<MaybeUninit<K>>,
    /// Written before the state is `PRESENT`, never again.
    value: UnsafeCell<MaybeUninit<V>>,
}

impl<K, V> Slot<K, V> {
    const fn with_state(state: AtomicU8) -> Self {
        let key = UnsafeCell::new(MaybeUninit::uninit());
        Self { state, key, value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// The state, when nobody is writing the key.
    fn state(&self) -> u8 {
        loop {
            // Acquire: pairs with the Release of the store that set the state: key and value are
            // written.
            match self.state.load(Acquire) {
                KEY_BUSY => hint::spin_loop(),
                state => return state,
            }
        }
    }

    /// # Safety
    ///
    /// The state was seen to be `ABSENT` or more.
    unsafe fn key(&self) -> &K {
        // SAFETY: no reference for writing is made any more.
        let key = unsafe { &*self.key.get() };
        // SAFETY: written before that state.
        unsafe { key.assume_init_ref() }
    }

    /// # Safety
    ///
    /// The state was seen to be `PRESENT`.
    unsafe fn value(&self) -> &V {
        // SAFETY: no reference for writing is made any more.
        let value = unsafe { &*self.value.get() };
        // SAFETY: written before that state.
        unsafe { value.assume_init_ref() }
    }
}

// SAFETY: key and value are written by the one thread that set a busy state, before the Release that
// ends it, and read after an Acquire that saw that; readers get shared references.
unsafe impl<K: Send + Sync, V: Send + Sync, const N: usize, S: Sync> Sync
    for StaticMap<K, V, N, S>
{
}

impl<K, V, const N: usize> StaticMap<K, V, N> {
    /// Makes an empty map.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self::with_hasher(BuildHasherDefault::new())
    }

    /// Makes an empty map.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self::with_hasher(BuildHasherDefault::new())
    }
}

impl<K, V, const N: usize, S> StaticMap<K, V, N, S> {
    /// Makes an empty map with a hasher.
    #[cfg(not(loom))]
    pub const fn with_hasher(hasher: S) -> Self {
        Self { slots: [const { Slot::with_state(AtomicU8::new(EMPTY)) }; N], hasher }
    }

    /// Makes an empty map with a hasher.
    #[cfg(loom)]
    pub fn with_hasher(hasher: S) -> Self {
        Self { slots: core::array::from_fn(|_| Slot::with_state(AtomicU8::new(EMPTY))), hasher }
    }
}

impl<K: Eq + Hash, V, const N: usize, S: BuildHasher> StaticMap<K, V, N, S> {
    /// Slots in the order in which a key is looked for.
    fn probe(&self, key: &K) -> impl Iterator<Item = &Slot<K, V>> + use<'_, K, V, N, S> {
        let hash = self.hasher.hash_one(key);
        // The high part of the product spreads over `0..N` without a division.
        let first = ((u128::from(hash) * N as u128) >> 64) as usize;
        let (before, after) = self.slots.split_at(first.min(N));
        after.iter().chain(before)
    }

    /// Returns what is known of a key.
    pub fn get(&self, key: &K) -> Lookup<'_, V> {
        for slot in self.probe(key) {
            let state = slot.state();
            if state == EMPTY {
                return Lookup::Unknown;
            }
            // SAFETY: neither empty nor busy with the key.
            if unsafe { slot.key() } == key {
                return match state {
                    // SAFETY: the state is `PRESENT`.
                    PRESENT => Lookup::Present(unsafe { slot.value() }),
                    _ => Lookup::Absent,
                };
            }
        }
        Lookup::Unknown
    }

    /// Returns the value of a key, if it has one.
    pub fn peek(&self, key: &K) -> Option<&V> {
        match self.get(key) {
            Lookup::Present(value) => Some(value),
            _ => None,
        }
    }

    /// Gives a key its value, unless it has one; returns the value that it has.
    ///
    /// # Errors
    ///
    /// The value, if there is no room for the key.
    pub fn insert(&self, key: K, value: V) -> Result<&V, V> {
        let Some(slot) = self.slot_of(key) else { return Err(value) };
        // Relaxed: on success nothing is read; on failure the state is read again.
        match slot.state.compare_exchange(ABSENT, VALUE_BUSY, Relaxed, Relaxed) {
            Ok(_) => {
                // SAFETY: this thread alone set the busy state; nobody reads the value before `PRESENT`.
                unsafe { (*slot.value.get()).write(value) };
                // Release: publishes the value. Pairs with the Acquire in `Slot::state` and here.
                slot.state.store(PRESENT, Release);
            }
            Err(_) => {
                // Acquire: pairs with that Release.
                while slot.state.load(Acquire) != PRESENT {
                    hint::spin_loop();
                }
            }
        }
        // SAFETY: the state is `PRESENT`.
        Ok(unsafe { slot.value() })
    }

    /// Notes that a key has no value; one that has keeps it.
    ///
    /// # Errors
    ///
    /// [`MapFull`] if there is no room for it.
    pub fn insert_absent(&self, key: K) -> Result<(), MapFull> {
        self.slot_of(key).map(drop).ok_or(MapFull)
    }

    /// The slot of a key, which gets one if it has none yet. Its state is `ABSENT` or more.
    fn slot_of(&self, key: K) -> Option<&Slot<K, V>> {
        for slot in self.probe(&key) {
            // Relaxed: nothing was published in an empty slot; another state is read again below.
            if slot.state.compare_exchange(EMPTY, KEY_BUSY, Relaxed, Relaxed).is_ok() {
                // SAFETY: this thread alone set the busy state; nobody reads the key before `ABSENT`.
                unsafe { (*slot.key.get()).write(key) };
                // Release: publishes the key. Pairs with the Acquire in `Slot::state`.
                slot.state.store(ABSENT, Release);
                return Some(slot);
            }
            slot.state();
            // SAFETY: neither empty, for a state never goes back, nor busy with the key.
            if *unsafe { slot.key() } == key {
                return Some(slot);
            }
        }
        None
    }
}

/// A [`StaticMap`] has no room for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapFull;

impl fmt::Display for MapFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the map has no room for another key")
    }
}

impl core::error::Error for MapFull {}

impl<K, V, const N: usize, S: Default> Default for StaticMap<K, V, N, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K, V, const N: usize, S> fmt::Debug for StaticMap<K, V, N, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticMap").field("slots", &N).finish_non_exhaustive()
    }
}

/// The hash of Fowler, Noll and Vo, 64 bits, form 1a, with a last mixing step for its high bits. Not for
/// keys that an adversary chooses.
#[derive(Clone, Copy, Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    #[inline]
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }
}
