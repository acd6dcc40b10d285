//! A part of a test that may use so much, and gives all of it back.

use core::fmt::Write as _;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator, Layout, UnsizedFree};
use alloc_gpa::{Leaks, Tagged};

use super::account::Account;
use super::book::ChargeKind;
use super::settings::Limits;
use super::{TestAllocator, metered};
use alloc_gpa::counted;

/// A handle of a test's allocator with a budget of its own; from [`TestAllocator::budget`].
///
/// At its end everything must have come back, or the test fails, even if the blocks are freed later; it says
/// where they were allocated. One that was forgotten has no end: that fails the test as well.
/// Beyond its limits a request is served, and fails the test with the stack of the first one. Leaks and
/// findings in its blocks say its name.
///
/// ```
/// use alloc_core::AllocatorExt;
///
/// alloc_testing::run(|gpa| {
///     let cache = gpa.budget("cache").live_bytes(100).requests(2);
///     let page = cache.alloc_fill(64, 0u8).unwrap();
///     assert_eq!(page.len(), 64);
/// });
/// ```
#[derive(Debug)]
pub struct Budget<'a> {
    test: &'a TestAllocator,
    tagged: Tagged<'a>,
    name: &'static str,
    limits: Limits,
    account: Account,
    /// In the test's book.
    number: u64,
}

impl TestAllocator {
    /// Begins a part of the test that gives back all it takes, within limits if some are set.
    ///
    /// A block that is freed through another handle of the test has come back, but counts for
    /// [`live_bytes`](Budget::live_bytes) until the budget ends: that limit sees only what goes through
    /// the budget. Give two budgets that overlap two names, as the heap tells their blocks apart by name.
    #[must_use]
    pub fn budget(&self, name: &'static str) -> Budget<'_> {
        let (tagged, limits) = (self.gpa().tagged(name), Limits::default());
        let number = self.book.begin_budget(name);
        Budget { test: self, tagged, name, limits, account: Account::new(limits), number }
    }
}

impl Budget<'_> {
    /// Sets how many bytes, as requested, may be live at once.
    #[must_use]
    pub fn live_bytes(self, bytes: usize) -> Self {
        self.limit(|limits| limits.live_bytes = Some(bytes))
    }

    /// Sets how many blocks may be asked for, granted or not.
    #[must_use]
    pub fn requests(self, count: usize) -> Self {
        self.limit(|limits| limits.requests = Some(count))
    }

    /// Nothing was asked for yet: the handle is by value.
    fn limit(mut self, set: impl FnOnce(&mut Limits)) -> Self {
        set(&mut self.limits);
        self.account = Account::new(self.limits);
        self
    }

    /// The blocks that did not come back, and their bytes. Some may have come back through another
    /// handle: not more are out than the heap has live under the budget's name.
    fn live(&self) -> (usize, usize) {
        let (blocks, bytes) = self.account.live();
        // Without a name, if there are too many, the account is all that is known.
        let Some(name) = self.tagged.name().filter(|_| blocks != 0) else { return (blocks, bytes) };
        let known = self.test.gpa().breakdown().tags().find(|tag| tag.name == name);
        known.map_or((blocks, bytes), |tag| {
            let least = |count: usize, live: u64| {
                usize::try_from(live).map_or(count, |live| count.min(live))
            };
            (least(blocks, tag.live_blocks), least(bytes, tag.live_bytes))
        })
    }

    /// Where the blocks came from that are live under the budget's name, with stacks.
    fn places(&self) -> String {
        let mut text = String::new();
        let leaks = self.test.gpa().find_leaks().ok();
        for leak in leaks.iter().flat_map(Leaks::iter).filter(|leak| leak.tag == Some(self.name)) {
            // A `String` takes all that is written to it.
            let (blocks, bytes) = (counted(leak.count, "block"), counted(leak.bytes, "byte"));
            let _ = writeln!(text, "{blocks}, {bytes} of it, allocated at");
            let _ = leak.allocated.write(&mut text);
        }
        text
    }

    /// The budget itself and that of the test.
    fn accounts(&self) -> impl Iterator<Item = &Account> {
        core::iter::once(&self.account).chain(self.test.accounts())
    }
}

impl Drop for Budget<'_> {
    fn drop(&mut self) {
        let name = self.name;
        self.test.book.end_budget(self.number);
        if let Some(excess) = self.account.excess() {
            self.test.book.charge(ChargeKind::Budget, format!("budget {name:?} {excess}"));
        }
        let (blocks, bytes) = self.live();
        if blocks != 0 {
            let text = format!(
                "budget {name:?} not returned: {}, {}, live at its end\n{}",
                counted(blocks, "block"),
                counted(bytes, "byte"),
                self.places()
            );
            self.test.book.charge(ChargeKind::Budget, text);
        }
    }
}

// SAFETY: what is granted is granted by `Tagged`, which keeps 1 to 3, 5 and 6. 4: nothing here panics, the
// drop neither. 7: what was refused is not entered as live.
unsafe impl Allocator for Budget<'_> {
    metered!(self.tagged);
}

// SAFETY: the sizes are those that `Tagged` tells.
unsafe impl UnsizedFree for Budget<'_> {
    metered!(@unsized self.tagged);
}

alloc_core::impl_foreign_allocator!(impl['a] for Budget<'a>);
