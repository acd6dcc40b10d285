//! What the unwinder has found: return address → rule, one table for all threads.
//!
//! ```text
//! address (47 bits) × odd constant, mod 2^47:  set index (its upper 7 to 15 bits) | ...
//! set:    8 entries, one cache line
//! entry:  tag (lower 40 bits of the product) << 24 | packed rule;   0: empty
//! ```
//!
//! Multiplying by an odd number loses nothing, and index and tag hold all bits of the product: an
//! entry is for one address exactly. An entry is one word, so a reader needs no lock and never sees half
//! of one. The table starts with 8 KiB, so that a short program touches two pages, and grows by eight
//! when entries of full sets have been thrown out; those before it stay, for readers that are about to
//! use them.
//!
//! Writers are few (each address is looked up once), so they take turns; one that does not get its turn
//! does not remember. Only rules of the newest snapshot are written: who unwinds by an older one might
//! otherwise bring back what [`Rules::forget`] took away.
//!
//! | atomic | ordering | partner |
//! | --- | --- | --- |
//! | `level` | `Release` store by a writer | `Acquire` load: sees the table's address and zeroes |
//! | `bases`, entries | `Relaxed` | ordered by `level`; an entry means the same whenever it is seen |
//! | `misses`, `evictions` | `Relaxed` | none: counters |

use core::ptr::NonNull;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

#[cfg(not(loom))]
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};
#[cfg(loom)]
use loom::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};

use super::rule::{PACKED_BITS, Rule};
use crate::sys::try_lock::TryLock;

/// Bits of an address that are used; code above is not remembered.
const ADDR_BITS: u32 = 47;
/// Entries of a set: a cache line.
#[cfg(not(loom))]
const WAYS: usize = 8;
/// The logarithms of how many sets a table has: 8 KiB, 64 KiB, 512 KiB, 2 MiB.
#[cfg(not(loom))]
const LEVELS: [u32; 4] = [7, 10, 13, 15];
const _: () = assert!(ADDR_BITS - LEVELS[0] + PACKED_BITS <= u64::BITS || cfg!(loom));
/// A table grows when one in so many of its entries was thrown out.
const EVICTIONS_PER_ENTRY: usize = 16;
/// How often the refresher yields to a writer.
const AWAIT_COUNT_MAX: u32 = if cfg!(loom) { 2 } else { 2000 };

// Small, so that the model checker meets full sets and growth.
#[cfg(loom)]
const WAYS: usize = 1;
#[cfg(loom)]
const LEVELS: [u32; 2] = [0, 1];

type Set = [AtomicU64; WAYS];

/// The rules of a process; see the module.
pub(crate) struct Rules {
    /// How many of `bases` are there; the last of them is the table in use.
    level: AtomicUsize,
    /// Invariant: those below `level` point to `1 << LEVELS[i]` sets that live as long as this.
    bases: [AtomicPtr<Set>; LEVELS.len()],
    writer: TryLock<Writer>,
    misses: AtomicU64,
    evictions: AtomicU64,
}

struct Writer {
    /// The snapshot that rules are taken of.
    generation: u32,
    /// Entries that were thrown out of the table in use.
    evictions: usize,
}

/// The table as it was at one time.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    sets: &'a [Set],
    /// How far to shift a product to get the index of a set.
    shift: u32,
}

/// Numbers about the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleStats {
    /// How often an address was not in the table.
    pub(crate) misses: u64,
    /// How many entries had to make room for others.
    pub(crate) evictions: u64,
}

/// Which rules are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forget {
    /// Code was added: those of addresses that no module held.
    Unknown,
    /// Code was taken away, or replaced.
    All,
}

impl Rules {
    /// Creates it without a table.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self {
            level: AtomicUsize::new(0),
            bases: [const { AtomicPtr::new(core::ptr::null_mut()) }; LEVELS.len()],
            writer: TryLock::new(Writer { generation: 0, evictions: 0 }),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// Creates it without a table.
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self {
            level: AtomicUsize::new(0),
            bases: core::array::from_fn(|_| AtomicPtr::new(core::ptr::null_mut())),
            writer: TryLock::new(Writer { generation: 0, evictions: 0 }),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// Returns the table in use.
    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        // Acquire: sees the table whole. Pairs with the Release in `grow`.
        match self.level.load(Acquire) {
            0 => View { sets: &[], shift: 0 },
            level => self.view_of(level - 1),
        }
    }

    /// Returns the table of that index, which is there.
    #[inline]
    fn view_of(&self, index: usize) -> View<'_> {
        let bits = LEVELS[index];
        let Some(base) = NonNull::new(self.bases[index].load(Relaxed)) else {
            return View { sets: &[], shift: 0 };
        };
        // SAFETY: by the invariant on `bases`, and the caller's Acquire, the pointer leads to that
        // many sets, which live as long as `self`; they are atomics, so sharing them is fine.
        let sets = unsafe { NonNull::slice_from_raw_parts(base, 1 << bits).as_ref() };
        View { sets, shift: ADDR_BITS - bits }
    }

    /// Remembers a rule that was found with the snapshot of that generation. May change `errno`.
    pub(crate) fn put(&self, addr: usize, rule: Rule, generation: u32) {
        // Relaxed: counts only.
        self.misses.fetch_add(1, Relaxed);
        let (Some(bits), Some(mixed)) = (rule.pack(), mix(addr)) else { return };
        let Some(mut writer) = self.writer.try_lock() else { return };
        if writer.generation != generation {
            return;
        }
        // Relaxed: `level` changes under the lock only.
        let mut level = self.level.load(Relaxed);
        let entries = level.checked_sub(1).map_or(0, |index| WAYS << LEVELS[index]);
        if level < LEVELS.len() && entries <= writer.evictions * EVICTIONS_PER_ENTRY {
            level = self.grow(level).unwrap_or(level);
            writer.evictions = 0;
        }
        let Some(index) = level.checked_sub(1) else { return };
        if self.view_of(index).insert(mixed, bits, writer.evictions) == Insert::Evicted {
            writer.evictions += 1;
            // Relaxed: counts only.
            self.evictions.fetch_add(1, Relaxed);
        }
    }

    /// Makes the table behind `level`, with the rules of the one before, and returns its level.
    #[cold]
    fn grow(&self, level: usize) -> Option<usize> {
        let base = make_sets(1 << LEVELS[level])?;
        // Relaxed: published by `level`.
        self.bases[level].store(base.as_ptr(), Relaxed);
        if let Some(old) = level.checked_sub(1) {
            let (old, new) = (self.view_of(old), self.view_of(level));
            for (index, set) in old.sets.iter().enumerate() {
                for entry in set.iter().map(|entry| entry.load(Relaxed)).filter(|bits| *bits != 0) {
                    let low = entry >> PACKED_BITS & ((1 << old.shift) - 1);
                    new.insert((index as u64) << old.shift | low, entry as u32 & PACKED_MASK, 0);
                }
            }
        }
        // Release: publishes the table. Pairs with the Acquire in `view`.
        self.level.store(level + 1, Release);
        Some(level + 1)
    }

    /// Forgets rules, and takes only those of the snapshot with that generation from now on. `false`
    /// if a writer does not give way: then nothing has changed.
    pub(crate) fn forget(&self, what: Forget, generation: u32) -> bool {
        let writer = (0..AWAIT_COUNT_MAX).find_map(|_| {
            self.writer.try_lock().or_else(|| {
                yield_now();
                None
            })
        });
        let Some(mut writer) = writer else { return false };
        writer.generation = generation;
        for entry in self.view().sets.iter().flatten() {
            let bits = entry.load(Relaxed);
            let goes = what == Forget::All || Rule::is_unknown(bits as u32 & PACKED_MASK);
            if bits != 0 && goes {
                // Relaxed: who still sees it unwinds code that was on its stack all the time.
                entry.store(0, Relaxed);
            }
        }
        true
    }

    /// Gives address and length of each of its mappings to `each`.
    pub(crate) fn for_each_mapping(&self, each: &mut dyn FnMut((usize, usize))) {
        for (base, bits) in self.bases.iter().zip(LEVELS) {
            // Relaxed: an address only, nothing is read through it.
            let base = base.load(Relaxed);
            if !base.is_null() {
                each((base.addr(), size_of::<Set>() << bits));
            }
        }
    }

    /// Returns the numbers so far.
    pub(crate) fn stats(&self) -> RuleStats {
        // Relaxed: counters that order nothing.
        RuleStats { misses: self.misses.load(Relaxed), evictions: self.evictions.load(Relaxed) }
    }

    /// Frees the writers' lock in a forked child.
    ///
    /// # Safety
    ///
    /// The process has one thread, and it is not writing.
    pub(crate) unsafe fn reset_after_fork(&self) {
        // SAFETY: the caller's contract.
        unsafe { self.writer.reset_after_fork() };
    }
}

#[derive(PartialEq, Eq)]
enum Insert {
    Done,
    Evicted,
}

const PACKED_MASK: u32 = (1 << PACKED_BITS) - 1;

impl View<'_> {
    /// Returns the packed rule that is remembered for `addr`.
    #[inline(always)]
    pub(crate) fn get(&self, addr: usize) -> Option<u32> {
        let mixed = mix(addr)?;
        let set = self.sets.get((mixed >> self.shift) as usize)?;
        // Relaxed: see the module's table.
        let bits = set.iter().map(|entry| entry.load(Relaxed)).find(|bits| same(*bits, mixed))?;
        Some(bits as u32 & PACKED_MASK)
    }

    /// Writes an entry: where it is already, in an empty place, else over another.
    fn insert(&self, mixed: u64, rule: u32, victim: usize) -> Insert {
        let Some(set) = self.sets.get((mixed >> self.shift) as usize) else { return Insert::Done };
        let free = |entry: &&AtomicU64| {
            let bits = entry.load(Relaxed);
            bits == 0 || same(bits, mixed)
        };
        let (entry, done) = match set.iter().find(free) {
            Some(entry) => (entry, Insert::Done),
            None => (&set[victim % WAYS], Insert::Evicted),
        };
        // Relaxed: see the module's table.
        entry.store(mixed << PACKED_BITS | u64::from(rule), Relaxed);
        done
    }
}

/// Whether the entry is for the address whose product that is.
#[inline(always)]
fn same(entry: u64, mixed: u64) -> bool {
    // The upper bits of the product, which the shift drops, are those of the set's index.
    entry >> PACKED_BITS == mixed << PACKED_BITS >> PACKED_BITS
}

/// Returns the product that index and tag are cut from; `None` for an address with more bits.
#[inline(always)]
fn mix(addr: usize) -> Option<u64> {
    // 2^47 divided by the golden ratio, made odd: neighbours come to lie far apart.
    let mixed = (addr as u64).wrapping_mul(0x4f1b_bcdc_bfa5) & ((1 << ADDR_BITS) - 1);
    (addr as u64 >> ADDR_BITS == 0).then_some(mixed)
}

/// Returns new sets without entries, which are never freed.
fn make_sets(count: usize) -> Option<NonNull<Set>> {
    #[cfg(not(loom))]
    return Some(crate::sys::pages::map(count * size_of::<Set>())?.cast());
    #[cfg(loom)]
    {
        let sets: Box<[Set]> =
            (0..count).map(|_| core::array::from_fn(|_| AtomicU64::new(0))).collect();
        Some(NonNull::from(Box::leak(sets)).cast())
    }
}

fn yield_now() {
    #[cfg(not(loom))]
    // SAFETY: the call has no preconditions.
    unsafe {
        libc::sched_yield();
    }
    #[cfg(loom)]
    loom::thread::yield_now();
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Forget, LEVELS, Rules, WAYS};
    use crate::stack::rule::{Base, Rule};

    fn rule(cfa_offset: i32) -> Rule {
        Rule::Offsets { base: Base::Sp, cfa_offset, ra_offset: -8, fp_offset: None }
    }

    /// A rule is kept until the modules change, and one of another snapshot is not taken.
    #[test]
    fn rules_are_remembered() {
        let rules = Rules::new();
        assert!(rules.forget(Forget::All, 7));
        rules.put(0x1234, rule(16), 7);
        rules.put(0x2000, Rule::NotCode, 7);
        assert_eq!(rules.view().get(0x1234), rule(16).pack());
        assert_eq!(rules.view().get(0x1235), None);
        assert_eq!(rules.view().get(0x1234 | 1 << 47), None);
        rules.put(0x3000, Rule::End, 6);
        assert_eq!(rules.view().get(0x3000), None);
        assert!(rules.forget(Forget::Unknown, 8));
        assert_eq!(rules.view().get(0x1234), rule(16).pack());
        assert_eq!(rules.view().get(0x2000), None);
        assert!(rules.forget(Forget::All, 9));
        assert_eq!(rules.view().get(0x1234), None);
    }

    /// The table grows when it is too small, loses little on the way, and never answers with the rule
    /// of another address.
    #[test]
    fn tables_grow() {
        let rules = Rules::new();
        assert!(rules.forget(Forget::All, 1));
        let most = WAYS << LEVELS[LEVELS.len() - 1];
        let addr = |index: usize| 0x7f12_3456_0000 + index * 5;
        let of = |index: usize| rule(8 + 8 * (index % 1000) as i32);
        let (mut level, mut left) = (0, 0);
        for index in 0..most / 2 {
            rules.put(addr(index), of(index), 1);
            let now = rules.level.load(super::Relaxed);
            if now != level {
                level = now;
                let view = rules.view();
                left = (0..=index).filter(|index| view.get(addr(*index)).is_some()).count();
                assert!(index * 3 / 4 <= left, "{left} of {index} at level {level}");
            }
        }
        assert_eq!(level, LEVELS.len());
        assert!(0 < left);
        let view = rules.view();
        for index in 0..most {
            let found = view.get(addr(index));
            let right = index < most / 2 && found == of(index).pack();
            assert!(found.is_none() || right, "{index}");
        }
        let stats = rules.stats();
        assert_eq!(stats.misses, most as u64 / 2);
        assert!(0 < stats.evictions && stats.evictions < most as u64 / 8);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::{Forget, Rules};
    use crate::stack::rule::{Base, Rule};

    fn rule(addr: usize) -> Rule {
        let cfa_offset = 8 * addr as i32;
        Rule::Offsets { base: Base::Sp, cfa_offset, ra_offset: -8, fp_offset: None }
    }

    /// While two threads remember rules, the table grows and is emptied, each address has its own
    /// rule or none, and none of an older snapshot stays.
    #[test]
    fn writers_and_readers_race() {
        loom::model(|| {
            let rules = Arc::new(Rules::new());
            assert!(rules.forget(Forget::All, 1));
            let other = {
                let rules = Arc::clone(&rules);
                thread::spawn(move || {
                    rules.put(1, rule(1), 1);
                    rules.put(2, rule(2), 1);
                    check(&rules, 1);
                    check(&rules, 2);
                })
            };
            rules.put(3, rule(3), 1);
            check(&rules, 1);
            check(&rules, 2);
            check(&rules, 3);
            let forgot = rules.forget(Forget::All, 2);
            other.join().expect("no panic");
            if forgot {
                assert!((1..=3).all(|addr| rules.view().get(addr).is_none()));
            }
        });
    }

    fn check(rules: &Rules, addr: usize) {
        let found = rules.view().get(addr);
        assert!(found.is_none() || found == rule(addr).pack());
    }
}
