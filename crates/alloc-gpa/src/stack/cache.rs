//! Each thread's memory of the rules it has found: return address → rule.
//!
//! A cache is a mapping of some 32 KiB, made at the thread's first capture, and never unmapped: when
//! its thread is gone, another takes it over. It knows its thread by process and thread id, since no
//! destructor may run for it (a thread's last frees come after those).
//!
//! | atomic | ordering | partner |
//! | --- | --- | --- |
//! | `ALL` | `Release` exchange | `Acquire` load: sees the cache whole |
//! | `owner` | `AcqRel` exchange from a dead thread | itself |
//! | `generation`, entries | `Relaxed` | none: only the owner uses them |

use core::ptr::{self, NonNull};
use core::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use super::rule::Rule;
use crate::sys::{pages, thread};

/// Rules that share a place, a cache line of them: a stack has some twenty addresses, of which more
/// hardly ever fall together and evict each other at every capture.
const SET_LEN: usize = 4;
/// Places of a thread's cache.
const SET_COUNT: usize = 512;
/// How many caches of others are looked at before a new one is made.
const LOOK_COUNT: usize = 8;

/// A thread's rules. All zero is an empty one.
pub(crate) struct RuleCache {
    /// The process's id, and the thread's in the lower half; 0: nobody's.
    owner: AtomicU64,
    /// The cache made before this one. Invariant: null, or one that lives for ever.
    older: AtomicPtr<RuleCache>,
    /// The snapshot that the rules are of.
    generation: AtomicU32,
    sets: [[Entry; SET_LEN]; SET_COUNT],
}

struct Entry {
    /// 0: empty.
    addr: AtomicUsize,
    /// A packed rule.
    rule: AtomicU64,
}

/// The newest cache. Invariant: null, or one that lives for ever.
static ALL: AtomicPtr<RuleCache> = AtomicPtr::new(ptr::null_mut());
/// Where the last search for a free one ended. Invariant: as `ALL`.
static CURSOR: AtomicPtr<RuleCache> = AtomicPtr::new(ptr::null_mut());

impl RuleCache {
    /// Returns the packed rule that is remembered for `addr`.
    #[inline]
    pub(crate) fn get(&self, addr: usize) -> Option<u64> {
        let entry = self.set(addr).iter().find(|entry| entry.addr.load(Relaxed) == addr)?;
        Some(entry.rule.load(Relaxed))
    }

    /// Remembers a rule, if it can be packed, in place of the set's oldest if the set is full.
    pub(crate) fn put(&self, addr: usize, rule: Rule) {
        let Some(bits) = rule.pack() else { return };
        let set = self.set(addr);
        // The newest comes first, where `get` looks first; the last falls out.
        for place in (1..SET_LEN).rev() {
            let older = &set[place - 1];
            set[place].write(older.addr.load(Relaxed), older.rule.load(Relaxed));
        }
        set[0].write(addr, bits);
    }

    /// Forgets all rules unless they are of that generation.
    #[inline]
    pub(crate) fn renew(&self, generation: u32) {
        if self.generation.load(Relaxed) != generation {
            self.forget(generation);
        }
    }

    #[cold]
    fn forget(&self, generation: u32) {
        self.sets.iter().flatten().for_each(|entry| entry.addr.store(0, Relaxed));
        self.generation.store(generation, Relaxed);
    }

    #[inline]
    fn set(&self, addr: usize) -> &[Entry; SET_LEN] {
        // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
        let mixed = (addr as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.sets[(mixed >> 48) as usize % SET_COUNT]
    }
}

impl Entry {
    /// Writes both words, in an order in which no rule ever stands beside another address.
    fn write(&self, addr: usize, rule: u64) {
        self.addr.store(0, Relaxed);
        self.rule.store(rule, Relaxed);
        self.addr.store(addr, Relaxed);
    }
}

/// Returns the calling thread's cache; `None` without memory. The thread is inside the allocator.
#[inline]
pub(crate) fn mine() -> Option<&'static RuleCache> {
    match borrow(thread::current().rules.load(Relaxed).cast()) {
        Some(cache) => Some(cache),
        None => acquire(),
    }
}

#[cold]
fn acquire() -> Option<&'static RuleCache> {
    // SAFETY: the call has no preconditions.
    let pid = unsafe { libc::getpid() }.cast_unsigned();
    let me = u64::from(pid) << 32 | u64::from(thread::current().tid());
    let cache = match find_free(me) {
        Some(cache) => cache,
        None => make(me)?,
    };
    // No snapshot has this generation: the rules of the owner before are forgotten.
    cache.forget(0);
    thread::current().rules.store(ptr::from_ref(cache).cast_mut().cast(), Relaxed);
    Some(cache)
}

/// Looks for a cache whose thread is gone.
fn find_free(me: u64) -> Option<&'static RuleCache> {
    // Acquire: sees the cache whole. Pairs with the Release in `make`, also by way of the cursor.
    let all = || borrow(ALL.load(Acquire));
    let mut next = borrow(CURSOR.load(Acquire));
    let mut found = None;
    for _ in 0..LOOK_COUNT {
        let cache = next.or_else(all)?;
        next = borrow(cache.older.load(Relaxed));
        if claim(cache, me) {
            found = Some(cache);
            break;
        }
    }
    let next = next.map_or(ptr::null_mut(), |cache| ptr::from_ref(cache).cast_mut());
    // Release: passes on that the cache was seen whole. Pairs with the Acquire above.
    CURSOR.store(next, Release);
    found
}

/// Takes the cache if its owner is gone.
fn claim(cache: &RuleCache, me: u64) -> bool {
    let owner = cache.owner.load(Relaxed);
    // A thread of the same id that has no cache yet is a later one than the owner. The caches of
    // another process, this one's parent, stay: the forked thread may still use its own.
    let free = owner == 0 || owner == me || (owner >> 32 == me >> 32 && is_gone(owner));
    // AcqRel: takes over from the last owner; pairs with itself.
    // Relaxed: on failure the cache is left alone.
    free && cache.owner.compare_exchange(owner, me, AcqRel, Relaxed).is_ok()
}

/// Whether no thread has that process and thread id.
fn is_gone(owner: u64) -> bool {
    // SAFETY: signal 0 is not sent; the kernel only looks whether the thread exists.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, owner >> 32, owner & 0xffff_ffff, 0) };
    result < 0 && crate::sys::errno::get() == libc::ESRCH
}

fn make(me: u64) -> Option<&'static RuleCache> {
    let new: NonNull<RuleCache> = pages::map(size_of::<RuleCache>())?.cast();
    // SAFETY: the mapping spans a `RuleCache`, of which zeroes are a valid value; it is never freed
    // and only shared as `&`.
    let cache: &'static RuleCache = unsafe { new.as_ref() };
    cache.owner.store(me, Relaxed);
    let mut older = ALL.load(Relaxed);
    loop {
        cache.older.store(older, Relaxed);
        // Release: publishes the cache, and those behind it. Pairs with the Acquire in `find_free`.
        // Relaxed: on failure only the pointer is used.
        match ALL.compare_exchange_weak(older, new.as_ptr(), Release, Relaxed) {
            Ok(_) => return Some(cache),
            Err(now) => older = now,
        }
    }
}

#[inline]
fn borrow(cache: *mut RuleCache) -> Option<&'static RuleCache> {
    // SAFETY: pointers to caches come from `make` only: they live for ever and are shared as `&`.
    NonNull::new(cache).map(|cache| unsafe { cache.as_ref() })
}

#[cfg(test)]
mod tests {
    use super::mine;
    use crate::stack::rule::Rule;
    use crate::sys::thread;

    /// A rule is kept until the modules change.
    #[test]
    fn rules_are_remembered() {
        let _inside = thread::enter().expect("not inside");
        let cache = mine().expect("memory");
        cache.renew(7);
        cache.put(0x1234, Rule::End);
        assert_eq!(cache.get(0x1234), Rule::End.pack());
        assert_eq!(cache.get(0x1235), None);
        cache.renew(7);
        assert_eq!(cache.get(0x1234), Rule::End.pack());
        cache.renew(8);
        assert_eq!(cache.get(0x1234), None);
    }

    /// Four addresses of one place do not evict each other; a fifth evicts the oldest.
    #[test]
    fn addresses_share_a_place() {
        let _inside = thread::enter().expect("not inside");
        let cache = mine().expect("memory");
        cache.renew(9);
        let place = |addr| core::ptr::from_ref(cache.set(addr));
        let same = (1..).filter(|addr| place(*addr) == place(1)).take(5).collect::<Vec<_>>();
        same.iter().for_each(|addr| cache.put(*addr, Rule::End));
        let found = same.iter().map(|addr| cache.get(*addr).is_some()).collect::<Vec<_>>();
        assert_eq!(found, [false, true, true, true, true]);
    }

    /// Threads that come and go share a bounded number of caches, none of which says goodbye.
    #[test]
    fn caches_are_taken_over() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let addr = std::thread::spawn(|| {
                let _inside = thread::enter().expect("not inside");
                core::ptr::from_ref(mine().expect("memory")).addr()
            });
            seen.insert(addr.join().expect("no panic"));
        }
        // Tests that run beside this one hold some, and a joined thread may not be gone at once.
        assert!(seen.len() < 50, "{} caches for 200 threads", seen.len());
    }
}
