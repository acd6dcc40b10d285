//! What speaks against a test beside leaks and findings: budgets and threads.
#![forbid(unsafe_code)]

use core::future::poll_fn;
use core::pin::pin;
use core::time::Duration;
use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use alloc_gpa::StackId;

use super::at_work::AtWork;
use super::settings::{Settings, ThreadPanics};
use alloc_gpa::counted;

/// The grace is that many waits: one during which the whole process stood still is one.
const GRACE_WAITS: u32 = 20;
/// How long nobody looks at other threads, the first times and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(320)];
/// After so many looks, about ten seconds, it is told what the test waits for.
const LOOKS_UNTOLD: u32 = 32;

/// What a test is charged with.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) kind: ChargeKind,
    pub(crate) text: String,
}

/// Kinds of charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChargeKind {
    /// More was asked for than a budget had, or not all came back.
    Budget,
    /// A thread had the allocator when the test ended.
    ThreadRunning,
    /// A thread panicked while it had the allocator.
    ThreadPanicked,
}

impl ChargeKind {
    /// All of them, in the order of reports.
    pub(crate) const ALL: [Self; 3] = [Self::Budget, Self::ThreadRunning, Self::ThreadPanicked];

    /// What a report says of so many.
    pub(crate) fn told(self, count: usize) -> String {
        match self {
            Self::Budget => format!("{} not kept", counted(count, "budget")),
            Self::ThreadRunning => format!("{} in use by threads", counted(count, "handle")),
            Self::ThreadPanicked => format!("{} panicked", counted(count, "thread")),
        }
    }

    /// The name that records use.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::ThreadRunning => "thread_running",
            Self::ThreadPanicked => "thread_panicked",
        }
    }
}

/// The handles of a test that threads have, and the charges so far.
///
/// Its lock is held for a few instructions, and never during a call of an allocator under test.
#[derive(Debug)]
pub(super) struct Book {
    grace: Duration,
    thread_panics: ThreadPanics,
    entries: Mutex<Entries>,
    changed: Condvar,
}

#[derive(Debug)]
struct Entries {
    /// The thread that runs the test itself: its panic is known otherwise. None between two polls of a
    /// test that is a future; the next may be in another thread.
    owner: Option<ThreadId>,
    /// The number of each handle that is in use, and where it was made.
    handles: Vec<(u64, StackId)>,
    handle_count: u64,
    /// The number and the name of each budget that has not ended.
    budgets: Vec<(u64, &'static str)>,
    budget_count: u64,
    charges: Vec<Charge>,
}

impl Book {
    pub(super) fn new(settings: &Settings) -> Self {
        let Settings { grace, thread_panics, .. } = *settings;
        let entries = Entries {
            owner: Some(thread::current().id()),
            handles: Vec::new(),
            handle_count: 0,
            budgets: Vec::new(),
            budget_count: 0,
            charges: Vec::new(),
        };
        Self { grace, thread_panics, entries: Mutex::new(entries), changed: Condvar::new() }
    }

    /// Drives a test that is a future. Its own panic is one in its poll, or in its drop, whichever
    /// thread that is in; what else panics there is not the test.
    pub(super) async fn drive<F: Future>(&self, test: F) -> F::Output {
        let mut test = pin!(test);
        let _dropped_first = OwnerAtDrop(self);
        poll_fn(|context| {
            self.entries().owner = Some(thread::current().id());
            let poll = test.as_mut().poll(context);
            self.entries().owner = None;
            poll
        })
        .await
    }

    /// Enters a handle and returns its number.
    pub(super) fn lend(&self) -> u64 {
        let stack = StackId::capture();
        let mut entries = self.entries();
        entries.handle_count += 1;
        let number = entries.handle_count;
        entries.handles.push((number, stack));
        number
    }

    /// Strikes a handle out. If the thread is panicking, and is not the one that runs the test, whose
    /// panic is known otherwise, that is charged.
    pub(super) fn give_back(&self, number: u64) {
        let panicked = thread::panicking()
            && self.thread_panics == ThreadPanics::Fail
            && self.entries().owner != Some(thread::current().id());
        let charge = panicked.then(|| {
            let thread = thread::current();
            let name = thread.name().unwrap_or("without a name");
            let text = format!("a thread ({name}) panicked while it had the test's allocator\n");
            Charge { kind: ChargeKind::ThreadPanicked, text }
        });
        let mut entries = self.entries();
        entries.handles.retain(|(other, _)| *other != number);
        entries.charges.extend(charge);
        drop(entries);
        self.changed.notify_all();
    }

    /// Enters a budget that begins and returns its number.
    pub(super) fn begin_budget(&self, name: &'static str) -> u64 {
        let mut entries = self.entries();
        entries.budget_count += 1;
        let number = entries.budget_count;
        entries.budgets.push((number, name));
        number
    }

    /// Strikes out a budget that ends.
    pub(super) fn end_budget(&self, number: u64) {
        self.entries().budgets.retain(|(other, _)| *other != number);
    }

    /// Charges the test.
    pub(super) fn charge(&self, kind: ChargeKind, text: String) {
        self.entries().charges.push(Charge { kind, text });
    }

    /// Waits until no thread has a handle, or none is at work that may have one; returns all charges.
    pub(super) fn close(&self) -> Vec<Charge> {
        self.await_handles();
        let entries = self.entries();
        let mut charges = entries.charges.clone();
        charges.extend(entries.budgets.iter().map(|(_, name)| {
            let text = format!("budget {name:?} had not ended when the test did\n");
            Charge { kind: ChargeKind::Budget, text }
        }));
        for (_, stack) in &entries.handles {
            let mut text = String::from(
                "still in use when the test ended, as by a thread that was not joined: the handle made at\n",
            );
            // A `String` takes all that is written to it.
            let _ = stack.write(&mut text);
            charges.push(Charge { kind: ChargeKind::ThreadRunning, text });
        }
        charges
    }

    /// Waits for handles: the grace, and after that as long as a thread is at work. Without grace it does not
    /// wait at all.
    fn await_handles(&self) {
        let grace_is_over = (0..GRACE_WAITS).all(|_| self.is_lent_after(self.grace / GRACE_WAITS));
        if !grace_is_over || self.grace.is_zero() {
            return;
        }
        let mut at_work = AtWork::begin();
        let ([mut pause, longest], mut look_count) = (PAUSES, 0);
        while self.is_lent_after(pause) && at_work.look() != 0 {
            pause = (pause * 2).min(longest);
            look_count += 1;
            if look_count == LOOKS_UNTOLD {
                self.tell_what_is_awaited();
            }
        }
    }

    /// Whether a thread still has a handle after so much time.
    fn is_lent_after(&self, time: Duration) -> bool {
        let is_lent = |entries: &mut Entries| !entries.handles.is_empty();
        let waited = self.changed.wait_timeout_while(self.entries(), time, is_lent);
        let (entries, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !entries.handles.is_empty()
    }

    /// Tells at once, past what the harness keeps for later, why a test does not end.
    fn tell_what_is_awaited(&self) {
        let handles = self.entries().handles.clone();
        let name = crate::current_test::name().unwrap_or_else(|| "a test".to_owned());
        let mut text = format!(
            "{name} has ended and waits: it has {} in use by threads, and threads of the process are \
             at work\n",
            counted(handles.len(), "handle")
        );
        for (_, stack) in &handles {
            text += "the handle made at\n";
            // A `String` takes all that is written to it.
            let _ = stack.write(&mut text);
        }
        // If standard error is closed there is nowhere to tell it.
        let _ = std::io::stderr().write_all(crate::report::trimmed(&text).as_bytes());
    }

    /// Nothing panics while the lock is held, and if it did, the entries would still be whole.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says at its drop that the test's end is in this thread.
struct OwnerAtDrop<'a>(&'a Book);

impl Drop for OwnerAtDrop<'_> {
    fn drop(&mut self) {
        self.0.entries().owner = Some(thread::current().id());
    }
}
