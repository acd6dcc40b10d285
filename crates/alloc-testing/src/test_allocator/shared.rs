//! The allocator of a test, for threads that outlive a borrow.

use std::sync::Arc;

use alloc_core::{Allocator, UnsizedFree};

use super::TestAllocator;

/// A handle of a test's allocator that a thread or a task can own; from [`TestAllocator::shared`].
///
/// The test ends when its function returns, and waits then for the handles of its threads: for
/// [`Settings::grace`](crate::Settings::grace), and as long as threads are at work. One that has a handle
/// still, and sleeps or goes on and on, fails the test: join it.
/// That is never undefined: the memory stays as long as a handle does. What such a thread does after
/// the verdict is told to nobody.
///
/// A thread that panics while it has a handle fails the test, whether or not anybody joins it.
///
/// ```
/// use alloc_core::AllocatorExt;
///
/// alloc_testing::run(|gpa| {
///     let gpa = gpa.shared();
///     let thread = std::thread::spawn(move || gpa.dupe_str("text").unwrap().len());
///     assert_eq!(thread.join().unwrap(), 4);
/// });
/// ```
#[derive(Debug)]
pub struct SharedTestAllocator {
    alloc: Arc<TestAllocator>,
    number: u64,
}

impl TestAllocator {
    /// Returns a handle for a thread or task that borrows nothing.
    #[must_use]
    pub fn shared(&self) -> SharedTestAllocator {
        let alloc = self.this.upgrade().expect("whoever borrows it keeps it alive");
        SharedTestAllocator { number: alloc.book.lend(), alloc }
    }
}

impl Clone for SharedTestAllocator {
    fn clone(&self) -> Self {
        self.alloc.shared()
    }
}

impl Drop for SharedTestAllocator {
    fn drop(&mut self) {
        self.alloc.book.give_back(self.number);
    }
}

// SAFETY: 1 to 7 are kept by forwarding to `TestAllocator`, which keeps them; 3: the allocator is in the
// `Arc`, so moving a handle moves nothing. 4: the drop takes a lock that nobody panics under, and the
// `Gpa`, which the last handle may drop, does not unwind.
unsafe impl Allocator for SharedTestAllocator {
    alloc_core::forward!(*self.alloc);
}

// SAFETY: the sizes are those that `TestAllocator` tells.
unsafe impl UnsizedFree for SharedTestAllocator {
    alloc_core::forward_unsized!(*self.alloc);
}

alloc_core::impl_foreign_allocator!(impl[] for SharedTestAllocator);
