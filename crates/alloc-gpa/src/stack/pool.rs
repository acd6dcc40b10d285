//! Whose [`Memo`] is whose.
//!
//! A memo is a mapping, made at the thread's first capture, and never unmapped: when its thread is gone,
//! another takes it over. It knows its thread by process and thread id, since no destructor may run for it
//! (a thread's last frees come after those).
//!
//! | atomic | ordering | partner |
//! | --- | --- | --- |
//! | `ALL` | `Release` exchange | `Acquire` load: sees the memo whole |
//! | `CURSOR` | `Release` store | `Acquire` load: the same |
//! | `owner` | `AcqRel` exchange from a dead thread | itself |

use core::ptr::{self, NonNull};
use core::sync::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use super::memo::{Captures, Memo};
use crate::sys::{pages, thread};

/// How many memos of others are looked at before a new one is made.
const LOOK_COUNT: usize = 8;

/// A memo that belongs to a thread. All zero is an empty one of nobody.
pub(crate) struct Pooled {
    /// The process's id, and the thread's in the lower half; 0: nobody's.
    owner: AtomicU64,
    /// The one made before this. Invariant: null, or one that lives for ever.
    older: AtomicPtr<Pooled>,
    memo: Memo,
}

/// The newest. Invariant: null, or one that lives for ever.
static ALL: AtomicPtr<Pooled> = AtomicPtr::new(ptr::null_mut());
/// Where the last search for a free one ended. Invariant: as `ALL`.
static CURSOR: AtomicPtr<Pooled> = AtomicPtr::new(ptr::null_mut());

/// Returns the calling thread's memo if it has one.
#[inline]
pub(crate) fn mine() -> Option<&'static Memo> {
    borrow(thread::current().memo.load(Relaxed).cast()).map(|pooled| &pooled.memo)
}

/// Returns the calling thread's memo, one of its own from now on; `None` without memory. The thread is
/// inside the allocator. May change `errno`.
pub(crate) fn mine_or_new() -> Option<&'static Memo> {
    mine().or_else(acquire)
}

/// Returns the sum of what all memos counted.
pub(crate) fn counts() -> Captures {
    let counts = all().map(|pooled| pooled.memo.counts());
    counts.fold(Captures::default(), |sum, one| Captures {
        recalled: sum.recalled + one.recalled,
        walked: sum.walked + one.walked,
        steps: sum.steps + one.steps,
    })
}

/// Gives address and length of each memo to `each`.
pub(crate) fn for_each_mapping(each: &mut dyn FnMut((usize, usize))) {
    let len = size_of::<Pooled>().next_multiple_of(pages::PAGE_LEN);
    all().for_each(|pooled| each((ptr::from_ref(pooled).addr(), len)));
}

/// Returns all memos, the newest first.
fn all() -> impl Iterator<Item = &'static Pooled> {
    // Acquire: sees the memos whole. Pairs with the Release in `make`.
    core::iter::successors(borrow(ALL.load(Acquire)), |pooled| borrow(pooled.older.load(Relaxed)))
}

#[cold]
fn acquire() -> Option<&'static Memo> {
    // SAFETY: the call has no preconditions.
    let pid = unsafe { libc::getpid() }.cast_unsigned();
    let me = u64::from(pid) << 32 | u64::from(thread::current().tid());
    let pooled = match find_free(me) {
        Some(pooled) => pooled,
        None => make(me)?,
    };
    // What the owner before remembered is of its own stack.
    pooled.memo.forget(0);
    thread::current().memo.store(ptr::from_ref(pooled).cast_mut().cast(), Relaxed);
    Some(&pooled.memo)
}

/// Looks for a memo whose thread is gone.
fn find_free(me: u64) -> Option<&'static Pooled> {
    // Acquire: sees the memo whole. Pairs with the Release in `make`, also by way of the cursor.
    let all = || borrow(ALL.load(Acquire));
    let mut next = borrow(CURSOR.load(Acquire));
    let mut found = None;
    for _ in 0..LOOK_COUNT {
        let pooled = next.or_else(all)?;
        next = borrow(pooled.older.load(Relaxed));
        if claim(pooled, me) {
            found = Some(pooled);
            break;
        }
    }
    let next = next.map_or(ptr::null_mut(), |pooled| ptr::from_ref(pooled).cast_mut());
    // Release: passes on that the memo was seen whole. Pairs with the Acquire above.
    CURSOR.store(next, Release);
    found
}

/// Takes the memo if its owner is gone.
fn claim(pooled: &Pooled, me: u64) -> bool {
    let owner = pooled.owner.load(Relaxed);
    // A thread of the same id that has no memo yet is a later one than the owner. The memos of
    // another process, this one's parent, stay: the forked thread may still use its own.
    let free = owner == 0 || owner == me || (owner >> 32 == me >> 32 && is_gone(owner));
    // AcqRel: takes over from the last owner; pairs with itself.
    // Relaxed: on failure the memo is left alone.
    free && pooled.owner.compare_exchange(owner, me, AcqRel, Relaxed).is_ok()
}

/// Whether no thread has that process and thread id.
fn is_gone(owner: u64) -> bool {
    // SAFETY: signal 0 is not sent; the kernel only looks whether the thread exists.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, owner >> 32, owner & 0xffff_ffff, 0) };
    result < 0 && crate::sys::errno::get() == libc::ESRCH
}

fn make(me: u64) -> Option<&'static Pooled> {
    let new: NonNull<Pooled> = pages::map(size_of::<Pooled>())?.cast();
    // SAFETY: the mapping spans a `Pooled`, of which zeroes are a valid value; it is never freed
    // and only shared as `&`.
    let pooled: &'static Pooled = unsafe { new.as_ref() };
    pooled.owner.store(me, Relaxed);
    let mut older = ALL.load(Relaxed);
    loop {
        pooled.older.store(older, Relaxed);
        // Release: publishes the memo, and those behind it. Pairs with the Acquire in `find_free`.
        // Relaxed: on failure only the pointer is used.
        match ALL.compare_exchange_weak(older, new.as_ptr(), Release, Relaxed) {
            Ok(_) => return Some(pooled),
            Err(now) => older = now,
        }
    }
}

#[inline]
fn borrow(pooled: *mut Pooled) -> Option<&'static Pooled> {
    // SAFETY: pointers to these come from `make` only: they live for ever and are shared as `&`.
    NonNull::new(pooled).map(|pooled| unsafe { pooled.as_ref() })
}

#[cfg(test)]
mod tests {
    use super::mine_or_new;
    use crate::sys::thread;

    /// Threads that come and go share a bounded number of memos, none of which says goodbye.
    #[test]
    fn memos_are_taken_over() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let addr = std::thread::spawn(|| {
                let _inside = thread::enter().expect("not inside");
                core::ptr::from_ref(mine_or_new().expect("memory")).addr()
            });
            seen.insert(addr.join().expect("no panic"));
        }
        // Tests that run beside this one hold some, and a joined thread may not be gone at once.
        assert!(seen.len() < 50, "{} memos for 200 threads", seen.len());
    }
}
