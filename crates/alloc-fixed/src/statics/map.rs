//! A map whose entries do not move.

use core::cell::UnsafeCell;
use core::fmt;
use core::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use core::mem::MaybeUninit;
use core::ptr;

use alloc_core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use alloc_core::sync::atomic::{AtomicPtr, AtomicU8};
use alloc_core::sync::hint;
use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};

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
/// What does not fit can go to an allocator, [`insert_in`](Self::insert_in): a list, for the few keys more
/// than expected, not for growth. Nothing is dropped, since a `static` is not.
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
    /// Slots in memory of allocators, newest first. There are none before all of `slots` have a key.
    overflow: AtomicPtr<Node<K, V>>,
    hasher: S,
}

/// A slot in memory of an allocator.
struct Node<K, V> {
    /// Invariant: its state is `ABSENT` or more.
    slot: Slot<K, V>,
    next: *const Node<K, V>,
}

impl<K, V> Node<K, V> {
    /// The state is `ABSENT`.
    const fn with_key(key: K, state: AtomicU8) -> Self {
        let slot = Slot::with_state(state);
        let key = UnsafeCell::new(MaybeUninit::new(key));
        Self { slot: Slot { key, ..slot }, next: ptr::null() }
    }
}

/// Drops the key of a node that never came into the list, and so has no value; the others live for ever.
impl<K, V> Drop for Node<K, V> {
    fn drop(&mut self) {
        // SAFETY: written by `with_key`, and dropped here alone.
        unsafe { self.slot.key.get_mut().assume_init_drop() };
    }
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

    /// The key and its value, if both are written. Never waits.
    fn entry(&self) -> Option<(&K, &V)> {
        // Acquire: pairs with the Release of the store in `settle`: the value is written, and the key was
        // before it.
        if self.state.load(Acquire) != PRESENT {
            return None;
        }
        // SAFETY: the state is `PRESENT`.
        let key = unsafe { self.key() };
        // SAFETY: as above.
        Some((key, unsafe { self.value() }))
    }

    /// What is known of the key.
    ///
    /// # Safety
    ///
    /// The state was seen to be `state`, which is `ABSENT` or more.
    #[inline]
    unsafe fn lookup(&self, state: u8) -> Lookup<'_, V> {
        match state {
            // SAFETY: the state is `PRESENT`.
            PRESENT => Lookup::Present(unsafe { self.value() }),
            _ => Lookup::Absent,
        }
    }

    /// Gives the slot its value, unless it has one; returns the value that it has.
    ///
    /// # Safety
    ///
    /// The state was seen to be `ABSENT` or more.
    unsafe fn settle(&self, value: V) -> &V {
        // Relaxed: on success nothing is read; on failure the state is read again.
        match self.state.compare_exchange(ABSENT, VALUE_BUSY, Relaxed, Relaxed) {
            Ok(_) => {
                // SAFETY: this thread alone set the busy state; nobody reads the value before `PRESENT`.
                unsafe { (*self.value.get()).write(value) };
                // Release: publishes the value. Pairs with the Acquire in `state` and here.
                self.state.store(PRESENT, Release);
            }
            Err(_) => {
                // Acquire: pairs with that Release.
                while self.state.load(Acquire) != PRESENT {
                    hint::spin_loop();
                }
            }
        }
        // SAFETY: the state is `PRESENT`.
        unsafe { self.value() }
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
// ends it, and read after an Acquire that saw that; or they are in a node that a Release published.
// Readers get shared references.
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
        let slots = [const { Slot::with_state(AtomicU8::new(EMPTY)) }; N];
        Self { slots, overflow: AtomicPtr::new(ptr::null_mut()), hasher }
    }

    /// Makes an empty map with a hasher.
    #[cfg(loom)]
    pub fn with_hasher(hasher: S) -> Self {
        let slots = core::array::from_fn(|_| Slot::with_state(AtomicU8::new(EMPTY)));
        Self { slots, overflow: AtomicPtr::new(ptr::null_mut()), hasher }
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
                // SAFETY: it is the state of this slot, and not one of the two.
                return unsafe { slot.lookup(state) };
            }
        }
        self.get_overflowed(key)
    }

    /// The same, of a key for which there was no slot.
    #[cold]
    #[inline(never)]
    fn get_overflowed(&self, key: &K) -> Lookup<'_, V> {
        // Acquire: pairs with the Release in `push_slot`: the nodes are written.
        let newest = self.overflow.load(Acquire);
        // SAFETY: read so.
        match unsafe { Self::find(newest, ptr::null(), key) } {
            // SAFETY: it is the state of this slot, whose node's invariant is that it has a key.
            Some(slot) => unsafe { slot.lookup(slot.state()) },
            None => Lookup::Unknown,
        }
    }

    /// Looks for a key in the list of nodes from `newest` to before `end`.
    ///
    /// # Safety
    ///
    /// Both are null, or were read from `overflow`; the first with Acquire.
    unsafe fn find<'a>(
        newest: *const Node<K, V>,
        end: *const Node<K, V>,
        key: &K,
    ) -> Option<&'a Slot<K, V>> {
        let mut place = newest;
        while place != end {
            // SAFETY: null, or a node that was published; it lives for ever, and only its slot's state and
            // value are changed, through cells.
            let node: &'a Node<K, V> = unsafe { place.as_ref() }?;
            // SAFETY: the node's invariant.
            if unsafe { node.slot.key() } == key {
                return Some(&node.slot);
            }
            place = node.next;
        }
        None
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
        let Ok(slot) = self.slot_of(key) else { return Err(value) };
        // SAFETY: `slot_of` saw that state.
        Ok(unsafe { slot.settle(value) })
    }

    /// As [`insert`](Self::insert), and when there is no room for the key both go to memory of `alloc`, which
    /// they keep for ever. Such a key is found behind all slots, in a list: in time that is proportional to
    /// `N` and to the number of such keys.
    ///
    /// ```
    /// use alloc_core::FromGlobal;
    /// use alloc_fixed::StaticMap;
    /// use std::alloc::System;
    ///
    /// static PORTS: StaticMap<&str, u16, 2> = StaticMap::new();
    /// static HEAP: FromGlobal<System> = FromGlobal::new(System);
    ///
    /// for (name, port) in [("ssh", 22), ("http", 80), ("https", 443)] {
    ///     PORTS.insert_in(name, port, &HEAP).map_err(|(_, error)| error)?;
    /// }
    /// assert_eq!(PORTS.peek(&"https"), Some(&443));
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The value and [`AllocError`], if that has none either.
    pub fn insert_in<A: Allocator>(
        &'static self,
        key: K,
        value: V,
        alloc: &'static A,
    ) -> Result<&'static V, (V, AllocError)> {
        match self.slot_of(key).or_else(|key| self.push_slot(key, alloc)) {
            // SAFETY: `slot_of` saw that state, and a node's slot always has it.
            Ok(slot) => Ok(unsafe { slot.settle(value) }),
            Err(error) => Err((value, error)),
        }
    }

    /// Notes that a key has no value; one that has keeps it.
    ///
    /// # Errors
    ///
    /// [`MapFull`] if there is no room for it.
    pub fn insert_absent(&self, key: K) -> Result<(), MapFull> {
        self.slot_of(key).map(drop).map_err(|_| MapFull)
    }

    /// As [`insert_absent`](Self::insert_absent), and when there is no room for the key it goes to memory of
    /// `alloc`, as for [`insert_in`](Self::insert_in).
    ///
    /// # Errors
    ///
    /// [`AllocError`], if that has none either.
    pub fn insert_absent_in<A: Allocator>(
        &'static self,
        key: K,
        alloc: &'static A,
    ) -> Result<(), AllocError> {
        self.slot_of(key).or_else(|key| self.push_slot(key, alloc)).map(drop)
    }

    /// The slot of a key, which gets one if it has none yet; the key, if there is no room. The slot's state is
    /// `ABSENT` or more.
    fn slot_of(&self, key: K) -> Result<&Slot<K, V>, K> {
        for slot in self.probe(&key) {
            // Relaxed: nothing was published in an empty slot; another state is read again below.
            if slot.state.compare_exchange(EMPTY, KEY_BUSY, Relaxed, Relaxed).is_ok() {
                // SAFETY: this thread alone set the busy state; nobody reads the key before `ABSENT`.
                unsafe { (*slot.key.get()).write(key) };
                // Release: publishes the key. Pairs with the Acquire in `Slot::state`.
                slot.state.store(ABSENT, Release);
                return Ok(slot);
            }
            slot.state();
            // SAFETY: neither empty, for a state never goes back, nor busy with the key.
            if *unsafe { slot.key() } == key {
                return Ok(slot);
            }
        }
        // Acquire: pairs with the Release in `push_slot`: the nodes are written.
        let newest = self.overflow.load(Acquire);
        // SAFETY: read so.
        unsafe { Self::find(newest, ptr::null(), &key) }.ok_or(key)
    }

    /// The slot of a key in the list, which gets a node if it has none yet. All of `slots` have other keys,
    /// and keep them: a key is in one of the two places only.
    #[cold]
    #[inline(never)]
    fn push_slot<A: Allocator>(
        &'static self,
        key: K,
        alloc: &'static A,
    ) -> Result<&'static Slot<K, V>, AllocError> {
        let mut mine = alloc.create(Node::with_key(key, AtomicU8::new(ABSENT)))?;
        let mut end = ptr::null();
        loop {
            // Acquire: pairs with the Release below, also through later swaps: the nodes are written.
            let newest = self.overflow.load(Acquire);
            // SAFETY: the node's invariant.
            let key = unsafe { mine.slot.key() };
            // SAFETY: read from `overflow` with Acquire, both; or null.
            let found = unsafe { Self::find(newest, end, key) };
            if let Some(found) = found {
                return Ok(found);
            }
            // The nodes before `newest` have other keys, and stay: only newer ones are looked at again.
            end = newest.cast_const();
            mine.next = end;
            let node = Owned::as_ptr(&mine);
            // Release: publishes the node. Pairs with the Acquire above, in `slot_of` and `get_overflowed`.
            // Success means that no other node came since the list was searched: a key has one node.
            // Relaxed: on failure the list is read again.
            if self.overflow.compare_exchange(newest, node, Release, Relaxed).is_ok() {
                let (node, _) = Owned::into_raw_parts(mine);
                // SAFETY: a block of a static allocator that nobody frees: it lives for ever.
                return Ok(unsafe { &(*node.as_ptr()).slot });
            }
        }
    }
}

impl<K, V, const N: usize, S> StaticMap<K, V, N, S> {
    /// Returns every key that has a value, and the value, in no order. One that another thread is putting in
    /// may be left out. Takes time for each slot.
    ///
    /// ```
    /// use alloc_fixed::StaticMap;
    ///
    /// static PORTS: StaticMap<&str, u16, 16> = StaticMap::new();
    ///
    /// PORTS.insert("ssh", 22).unwrap();
    /// PORTS.insert("http", 80).unwrap();
    /// PORTS.insert_absent("gopher").unwrap();
    /// assert_eq!(PORTS.iter().map(|(_, port)| port).sum::<u16>(), 102);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        // Acquire: pairs with the Release in `push_slot`: the nodes are written.
        let mut node = self.overflow.load(Acquire).cast_const();
        let overflow = core::iter::from_fn(move || {
            // SAFETY: null, or a node that was published; it lives for ever, and only its slot's state and value
            // are changed, through cells.
            let Node { slot, next } = unsafe { node.as_ref() }?;
            node = *next;
            Some(slot)
        });
        self.slots.iter().chain(overflow).filter_map(Slot::entry)
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
