//! What was asked for, against a budget.
#![forbid(unsafe_code)]

use core::fmt;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use alloc_gpa::StackId;

use super::settings::Limits;
use alloc_gpa::counted;

/// Counts bytes and requests, and remembers the first that was beyond the limits.
///
/// Its lock is on an allocation path, so it is std's, which does not allocate; it is taken once.
#[derive(Debug)]
pub(super) struct Account {
    limits: Limits,
    live_bytes: AtomicUsize,
    live_blocks: AtomicUsize,
    requests: AtomicUsize,
    first: Mutex<Option<Excess>>,
}

/// The request that was too much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Excess {
    what: &'static str,
    limit: usize,
    /// What it would have been exact to have room for.
    reached: usize,
    /// Bytes that were asked for.
    size: usize,
    stack: StackId,
}

impl Account {
    /// An account with these limits.
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            live_bytes: AtomicUsize::new(0),
            live_blocks: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            first: Mutex::new(None),
        }
    }

    /// The same; none if there are no limits to keep.
    pub(super) fn of(limits: Limits) -> Option<Self> {
        (limits != Limits::default()).then(|| Self::new(limits))
    }

    /// Enters a request for a block of `size` bytes; of one that was refused nothing is live.
    pub(super) fn enter_request(&self, size: usize, is_granted: bool) {
        // Relaxed, all here: numbers that publish nothing; each addition is exact.
        let count = 1 + self.requests.fetch_add(1, Relaxed);
        self.compare("request", self.limits.requests, count, size);
        if is_granted {
            self.live_blocks.fetch_add(1, Relaxed);
            self.enter_bytes(size, size);
        }
    }

    /// Enters a change of a block's size.
    pub(super) fn enter_change(&self, size: usize, new_size: usize) {
        match new_size.checked_sub(size) {
            Some(more) => self.enter_bytes(more, new_size),
            None => subtract(&self.live_bytes, size - new_size),
        }
    }

    /// Enters that a block of `size` bytes is no longer live.
    pub(super) fn enter_free(&self, size: usize) {
        subtract(&self.live_blocks, 1);
        subtract(&self.live_bytes, size);
    }

    /// The blocks that are live, and their bytes.
    pub(super) fn live(&self) -> (usize, usize) {
        // Relaxed: as above.
        (self.live_blocks.load(Relaxed), self.live_bytes.load(Relaxed))
    }

    fn enter_bytes(&self, more: usize, size: usize) {
        let bytes = more + self.live_bytes.fetch_add(more, Relaxed);
        self.compare("live byte", self.limits.live_bytes, bytes, size);
    }

    fn compare(&self, what: &'static str, limit: Option<usize>, reached: usize, size: usize) {
        let Some(limit) = limit.filter(|limit| *limit < reached) else { return };
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            *first = Some(Excess { what, limit, reached, size, stack: StackId::capture() });
        }
    }

    /// The first request beyond the limits.
    pub(super) fn excess(&self) -> Option<Excess> {
        *self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes from a count, which stops at zero: a second free of a block tells of what is not live.
fn subtract(count: &AtomicUsize, less: usize) {
    // Relaxed: as above. The closure never refuses.
    let _ = count.fetch_update(Relaxed, Relaxed, |count| Some(count.saturating_sub(less)));
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, limit, reached, size, stack } = self;
        let (reached, size) = (counted(*reached, what), counted(*size, "byte"));
        writeln!(f, "exceeded: {reached} of {limit}, by a request of {size} at")?;
        stack.write(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(live_bytes: Option<usize>, requests: Option<usize>) -> Account {
        Account::of(Limits { live_bytes, requests }).expect("limits")
    }

    /// The limit itself is allowed; one byte more is not, whether a new block's or a growing one's.
    #[test]
    fn the_limit_of_bytes_is_exact() {
        let bytes = account(Some(100), None);
        bytes.enter_request(60, true);
        bytes.enter_request(1000, false);
        bytes.enter_change(60, 100);
        assert!(bytes.excess().is_none());
        bytes.enter_change(100, 101);
        let excess = bytes.excess().expect("a byte too many");
        assert_eq!((excess.reached, excess.limit, excess.size), (101, 100, 101));
        bytes.enter_free(101);
        bytes.enter_free(101);
        bytes.enter_request(5000, true);
        assert_eq!(bytes.excess().map(|excess| excess.reached), Some(101), "the first stays");
    }

    /// Requests count, granted or not; changes in place do not.
    #[test]
    fn the_limit_of_requests_is_exact() {
        let requests = account(None, Some(2));
        requests.enter_request(8, true);
        requests.enter_request(8, false);
        requests.enter_change(8, 800);
        assert!(requests.excess().is_none());
        requests.enter_request(7, false);
        let text = requests.excess().expect("a third").to_string();
        assert!(
            text.starts_with("exceeded: 3 requests of 2, by a request of 7 bytes at\n"),
            "{text}"
        );
        assert!(Account::of(Limits::default()).is_none());
    }
}
