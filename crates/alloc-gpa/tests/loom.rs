//! The life of a slot under the model checker: every interleaving of threads that free, resize and
//! read the same block. Run with `RUSTFLAGS="--cfg loom" cargo test -p alloc-gpa --test loom`.
#![cfg(loom)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the module is the crate's own, of which a part is used"
)]

#[path = "../src/heap/state.rs"]
mod state;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU32;
use loom::sync::atomic::Ordering::{Acquire, Relaxed};
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
