//! The heap's protocols under the model checker: every interleaving of threads that free, resize and read
//! the same block, that free the same address in its next life, that end the same group, that claim shards.
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p alloc-gpa --test loom`.
#![cfg(loom)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the module is the crate's own, of which a part is used"
)]

#[path = "../src/heap/freed.rs"]
mod freed;
#[path = "../src/heap/group.rs"]
mod group;
#[path = "../src/heap/state.rs"]
mod state;

use freed::{Count, Freed};
use group::{Done, GROUP_UNITS};
use loom::cell::UnsafeCell;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, fence};
use loom::sync::{Arc, Mutex};
use loom::thread;
use state::{State, StateWord};

/// A slot as the heap has it: the state, a record that is written before the state is published,
/// and the block's bytes. The model fails if two threads may touch the bytes at once.
struct Slot {
    state: AtomicU32,
    freed_by: AtomicU32,
    bytes: UnsafeCell<u8>,
}

impl Slot {
    fn live() -> Arc<Self> {
        let slot = Slot {
            state: AtomicU32::new(0),
            freed_by: AtomicU32::new(0),
            bytes: UnsafeCell::new(1),
        };
        StateWord::live(16, 0).publish(&slot.state);
        Arc::new(slot)
    }

    /// As `Heap::free`: returns whether this thread freed the block; a loser that meets it freed
    /// must see who freed it.
    fn free(&self, thread: u32) -> bool {
        let word = StateWord::load(&self.state, Acquire);
        let met = match word.is_live().then(|| word.begin(&self.state, State::Freeing)) {
            Some(Ok(freeing)) => {
                self.freed_by.store(thread, Relaxed);
                // SAFETY: the winner alone writes: that is what is checked.
                self.bytes.with_mut(|bytes| unsafe { *bytes = 0x5a });
                freeing.with(State::Freed).publish(&self.state);
                return true;
            }
            Some(Err(now)) => now,
            None => word,
        };
        if met.state() == State::Freed {
            assert_ne!(self.freed_by.load(Relaxed), 0, "the stack of the first free is known");
            // SAFETY: nobody writes to a freed block.
            assert_eq!(self.bytes.with(|bytes| unsafe { *bytes }), 0x5a);
        }
        false
    }

    /// As `Heap::resize`.
    fn resize(&self) -> bool {
        let word = StateWord::load(&self.state, Acquire);
        if !word.is_live() || word.begin(&self.state, State::Resizing).is_err() {
            return false;
        }
        // SAFETY: the winner alone writes: that is what is checked.
        self.bytes.with_mut(|bytes| unsafe { *bytes = 2 });
        word.publish(&self.state);
        true
    }
}

/// Of two frees exactly one wins, and the other sees the winner's record if it is complete.
#[test]
fn of_two_frees_one_wins() {
    loom::model(|| {
        let slot = Slot::live();
        let other = {
            let slot = slot.clone();
            thread::spawn(move || slot.free(1))
        };
        let mine = slot.free(2);
        assert!(mine != other.join().unwrap());
    });
}

/// A resize and a free never touch the bytes at once. Freed while it is resized: the free is refused.
#[test]
fn a_resize_and_a_free_exclude_each_other() {
    loom::model(|| {
        let slot = Slot::live();
        let other = {
            let slot = slot.clone();
            thread::spawn(move || slot.resize())
        };
        let freed = slot.free(1);
        let resized = other.join().unwrap();
        assert!(freed || resized, "one of them wins");
        assert_eq!(StateWord::load(&slot.state, Acquire).state() == State::Freed, freed);
    });
}

/// The audit reads the bytes of what it sees freed, while another thread frees.
#[test]
fn an_audit_sees_whole_junk() {
    loom::model(|| {
        let slot = Slot::live();
        let other = {
            let slot = slot.clone();
            thread::spawn(move || slot.free(1))
        };
        if StateWord::load(&slot.state, Acquire).state() == State::Freed {
            // SAFETY: nobody writes to a freed block.
            assert_eq!(slot.bytes.with(|bytes| unsafe { *bytes }), 0x5a);
        }
        assert!(other.join().unwrap());
    });
}

/// A slot that is handed out again, as `quarantine` does it: on its list or not.
struct Reused {
    slot: Arc<Slot>,
    is_listed: Mutex<bool>,
}

impl Reused {
    /// As `Slot::free`, but a loser looks at nothing: what it met may be in its next life by now.
    fn free(&self) -> bool {
        let word = StateWord::load(&self.slot.state, Acquire);
        if !word.is_live() || word.begin(&self.slot.state, State::Freeing).is_err() {
            return false;
        }
        // SAFETY: the winner alone writes: that is what is checked.
        self.slot.bytes.with_mut(|bytes| unsafe { *bytes = 0x5a });
        word.with(State::Freed).publish(&self.slot.state);
        *self.is_listed.lock().unwrap() = true;
        true
    }

    /// As `Heap::take_reusable` and `Heap::begin_small`.
    fn alloc(&self) -> bool {
        let mut is_listed = self.is_listed.lock().unwrap();
        if !core::mem::take(&mut *is_listed) {
            return false;
        }
        let word = StateWord::load(&self.slot.state, Relaxed);
        assert_eq!(word.state(), State::Freed, "whoever took it off the list owns its state");
        word.with(State::Unused).publish(&self.slot.state);
        drop(is_listed);
        // SAFETY: the slot is in this thread's hands alone: that is what is checked.
        self.slot.bytes.with_mut(|bytes| unsafe { *bytes = 3 });
        StateWord::live(16, 0).publish(&self.slot.state);
        true
    }
}

/// A second free that races with the next life of its address: each life ends once at most, and no two
/// threads are at the bytes at once.
#[test]
fn each_life_ends_once() {
    loom::model(|| {
        let reused = Arc::new(Reused { slot: Slot::live(), is_listed: Mutex::new(false) });
        let other = {
            let reused = reused.clone();
            thread::spawn(move || reused.free())
        };
        let mut ends = u32::from(reused.free());
        let lives = 1 + u32::from(reused.alloc());
        ends += u32::from(reused.free());
        ends += u32::from(other.join().unwrap());
        let is_live = StateWord::load(&reused.slot.state, Acquire).is_live();
        assert_eq!(ends + u32::from(is_live), lives);
    });
}

/// Records that were given up and are another slab's by now: who still looks at them for the slab of before
/// does not take the new block for its own, even if turns and all else agree.
#[test]
fn given_up_records_are_told_apart() {
    const RECORDS: usize = 7;
    loom::model(|| {
        let slot = Slot::live();
        let word = StateWord::load(&slot.state, Relaxed).at_turn(3);
        word.with(State::Freed).publish(&slot.state);
        let slab = Arc::new(AtomicUsize::new(RECORDS));
        let other = {
            let (slot, slab) = (slot.clone(), slab.clone());
            thread::spawn(move || {
                // As `Slab::take_records`, `Records::take` and `Heap::begin_small`.
                assert_eq!(slab.swap(0, AcqRel), RECORDS);
                slot.state.store(0, Relaxed);
                word.publish(&slot.state);
            })
        };
        // As `Heap::free_as`, of the block of before.
        if slab.load(Acquire) == RECORDS {
            let met = StateWord::load(&slot.state, Acquire);
            let is_current = slab.load(Relaxed) == RECORDS;
            assert!(!(met.is_live() && is_current), "it would free the new block");
        }
        other.join().unwrap();
    });
}

/// Two slabs that fill a group, with its memory: the model fails if it is looked at while it goes.
struct Group {
    slabs: [Slab; 2],
    done: Done,
    ready: AtomicBool,
    is_left: AtomicBool,
    /// The growth lock: how many ask that no memory goes.
    holders: Mutex<u32>,
    /// How often the group was ended.
    ends: AtomicU32,
}

struct Slab {
    is_freed: AtomicBool,
    is_gone: AtomicBool,
    bytes: UnsafeCell<u8>,
}

/// Units of each of the two.
const UNITS: usize = GROUP_UNITS / 2;

impl Group {
    fn new() -> Arc<Self> {
        let slab = || Slab {
            is_freed: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            bytes: UnsafeCell::new(0),
        };
        Arc::new(Self {
            slabs: [slab(), slab()],
            done: Done::new(),
            ready: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
            holders: Mutex::new(0),
            ends: AtomicU32::new(0),
        })
    }

    fn assert_gone(&self) {
        let gone = [0, 1].map(|index| self.slabs[index].is_gone.load(Relaxed));
        let ready = self.ready.load(Relaxed);
        assert_eq!((gone, ready), ([true; 2], false));
    }

    /// As `Heap::retire`, by whoever freed the last block of a slab.
    fn retire(&self, index: usize) {
        let slab = &self.slabs[index];
        // SAFETY: a block's bytes are its owner's: that is what is checked.
        slab.bytes.with_mut(|bytes| unsafe { *bytes = 0x5a });
        slab.is_freed.store(true, Release);
        if self.finish() {
            match self.holders.try_lock() {
                Ok(holders) => self.trap_ready(*holders),
                Err(_) => leave(&self.is_left),
            }
        }
    }

    /// As `Heap::finish_units`.
    fn finish(&self) -> bool {
        let is_left = self.is_left.load(Relaxed);
        if !self.done.add(UNITS) {
            return is_left;
        }
        self.verify(|slab| !slab.is_gone.load(Acquire));
        self.ends.fetch_add(1, Relaxed);
        self.ready.swap(true, AcqRel);
        true
    }

    fn verify(&self, which: impl Fn(&Slab) -> bool) {
        for slab in self.slabs.iter().filter(|slab| which(slab)) {
            // SAFETY: all its blocks are freed, and its memory is there: that is what is checked.
            assert_eq!(slab.bytes.with(|bytes| unsafe { *bytes }), 0x5a);
        }
    }

    /// As `Heap::trap_ready`, with the lock; of a chunk that has other groups, so that this one goes only
    /// where what was left over is looked for.
    fn trap_ready(&self, holders: u32) {
        if holders != 0 {
            return leave(&self.is_left);
        }
        self.trap_this();
        if self.is_left.load(Relaxed) && self.is_left.swap(false, AcqRel) {
            self.trap_this();
        }
    }

    /// As `Heap::trap_ready_of`.
    fn trap_this(&self) {
        if self.ready.load(Acquire) && self.ready.swap(false, AcqRel) {
            self.slabs.iter().for_each(Slab::close);
        }
    }

    /// What is ready is trapped by now, or whoever comes next is told of it; and all of it happened once.
    fn assert_over(&self) {
        if self.is_left.load(Relaxed) {
            self.trap_ready(*self.holders.lock().unwrap());
        }
        assert_eq!(self.ends.load(Relaxed), 1);
        self.assert_gone();
    }

    /// As `Heap::sweep_group`, of one slab.
    fn sweep(&self, index: usize) {
        let slab = &self.slabs[index];
        if slab.is_gone.load(Acquire) || !slab.is_freed.load(Acquire) || !self.done.take(UNITS) {
            return;
        }
        self.verify(|other| core::ptr::eq(slab, other));
        let holders = self.holders.lock().unwrap();
        if *holders == 0 {
            slab.close();
        }
        drop(holders);
        self.finish();
        // As `Heap::sweep` ends.
        self.trap_ready(*self.holders.lock().unwrap());
    }

    /// As `Heap::audit_damage`.
    fn audit(&self) {
        *self.holders.lock().unwrap() += 1;
        self.verify(|slab| slab.is_freed.load(Acquire) && !slab.is_gone.load(Acquire));
        *self.holders.lock().unwrap() -= 1;
    }
}

/// Says that groups were left over. The heap stores; an exchange here, as the model checker lets a later one
/// overlook a store.
fn leave(is_left: &AtomicBool) {
    is_left.swap(true, Release);
}

impl Slab {
    /// Takes the memory away; under the lock.
    fn close(&self) {
        // SAFETY: nobody looks at it any more: that is what is checked.
        self.bytes.with_mut(|bytes| unsafe { *bytes = 0 });
        self.is_gone.store(true, Release);
    }
}

/// While two slabs retire, one of them is swept: the group is ended once, and all of it goes.
#[test]
fn a_swept_group_ends_once() {
    loom::model(|| {
        let group = Group::new();
        let other = {
            let group = group.clone();
            thread::spawn(move || (0..2).for_each(|index| group.retire(index)))
        };
        group.sweep(0);
        group.sweep(1);
        other.join().unwrap();
        group.assert_over();
    });
}

/// The same by two threads that retire one slab each, so that the units that a sweep counts out may be
/// those of the other slab.
#[test]
fn a_sweep_may_come_before_the_count() {
    loom::model(|| {
        let group = Group::new();
        let others = [0, 1].map(|index| {
            let group = group.clone();
            thread::spawn(move || group.retire(index))
        });
        group.sweep(0);
        others.into_iter().for_each(|other| other.join().unwrap());
        group.assert_over();
    });
}

/// An audit reads what is freed while the group around it goes.
#[test]
fn an_audit_keeps_memory() {
    loom::model(|| {
        let group = Group::new();
        let other = {
            let group = group.clone();
            thread::spawn(move || {
                group.retire(0);
                group.sweep(0);
                group.retire(1);
            })
        };
        group.audit();
        other.join().unwrap();
        group.assert_over();
    });
}

/// As `Shards::claim`: of threads that claim their shards at once, one sees that the heap is shared; two
/// that come by the same shard do not both have it.
#[test]
fn whoever_claims_second_shares() {
    struct Shards {
        threads: [AtomicU32; 2],
        owners: [AtomicU32; 2],
        is_shared: AtomicBool,
    }

    impl Shards {
        fn claim(&self, thread: u32) -> bool {
            let index = thread as usize % 2;
            if self.threads[index].compare_exchange(0, thread + 100, AcqRel, Relaxed).is_err() {
                self.is_shared.swap(true, Relaxed);
                return false;
            }
            self.owners[index].store(thread + 1, Relaxed);
            fence(SeqCst);
            if self.owners[1 - index].load(Relaxed) != 0 {
                self.is_shared.swap(true, Relaxed);
            }
            true
        }
    }

    for threads in [[0, 1], [0, 2]] {
        loom::model(move || {
            let nobodys = || [AtomicU32::new(0), AtomicU32::new(0)];
            let is_shared = AtomicBool::new(false);
            let shards = Arc::new(Shards { threads: nobodys(), owners: nobodys(), is_shared });
            let other = {
                let shards = shards.clone();
                thread::spawn(move || shards.claim(threads[1]))
            };
            let mine = shards.claim(threads[0]);
            let both = mine && other.join().unwrap();
            assert_eq!(both, threads[1] == 1, "a shard has one owner");
            assert!(shards.is_shared.load(Relaxed));
        });
    }
}

/// Two groups of a site are ready at once: one thread at least traps each, or leaves word.
#[test]
fn what_is_left_is_told() {
    struct Site {
        ready: [AtomicBool; 2],
        is_left: AtomicBool,
        growth: Mutex<()>,
    }

    impl Site {
        /// As `Heap::retire`.
        fn retire(&self, group: usize) {
            self.ready[group].swap(true, AcqRel);
            match self.growth.try_lock() {
                Ok(_held) => self.trap_ready(group),
                Err(_) => leave(&self.is_left),
            }
        }

        /// As `Heap::trap_ready`.
        fn trap_ready(&self, group: usize) {
            self.ready[group].swap(false, AcqRel);
            if self.is_left.load(Relaxed) && self.is_left.swap(false, AcqRel) {
                for ready in &self.ready {
                    if ready.load(Acquire) {
                        ready.swap(false, AcqRel);
                    }
                }
            }
        }
    }

    loom::model(|| {
        let ready = [AtomicBool::new(false), AtomicBool::new(false)];
        let is_left = AtomicBool::new(true);
        let site = Arc::new(Site { ready, is_left, growth: Mutex::new(()) });
        let other = {
            let site = site.clone();
            thread::spawn(move || site.retire(1))
        };
        site.retire(0);
        other.join().unwrap();
        let is_ready = site.ready.iter().any(|ready| ready.load(Relaxed));
        assert!(!is_ready || site.is_left.load(Relaxed), "a group that nobody will trap");
    });
}

/// A slab of two slots: the owner frees one, another thread the other. At most one of the two ends the
/// slab, and sees both blocks' junk; if neither does the other thread knows that it has to look again, and
/// once both are done, whoever looks ends it.
#[test]
fn the_last_free_of_a_slab_is_noticed() {
    loom::model(|| {
        let slab = Arc::new((Freed::new(), [UnsafeCell::new(0u8), UnsafeCell::new(0u8)]));
        // SAFETY: each thread writes to the block that it frees, before it counts: that is what is checked.
        let fill = |cell: &UnsafeCell<u8>| cell.with_mut(|byte| unsafe { *byte = 0x5a });
        let check = |blocks: &[UnsafeCell<u8>; 2]| {
            // SAFETY: both blocks are freed: that is what is checked.
            blocks.iter().for_each(|cell| assert_eq!(cell.with(|byte| unsafe { *byte }), 0x5a));
        };
        let other = {
            let slab = Arc::clone(&slab);
            thread::spawn(move || {
                fill(&slab.1[1]);
                let count = slab.0.add_other(2);
                if count == Count::Last {
                    check(&slab.1);
                }
                count
            })
        };
        fill(&slab.1[0]);
        let by_owner = slab.0.add_own(2);
        if by_owner {
            check(&slab.1);
        }
        let by_other = other.join().unwrap();
        assert!(!(by_owner && by_other == Count::Last), "it ends once");
        if !by_owner && by_other != Count::Last {
            assert_eq!(by_other, Count::Almost);
            assert!(slab.0.end_if_all(2));
            check(&slab.1);
        }
        assert!(!slab.0.end_if_all(2));
        assert_eq!(slab.0.get(), 2);
    });
}
