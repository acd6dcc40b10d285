//! Allocators that free everything at once, and their peer.

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use alloc_bench::{Bump, ROUND_BYTES_MAX};
use alloc_core::{Allocator, AllocatorExt, Owned};

const ENOUGH: &str = "a benchmark has enough memory";

/// The verbs, the same for every allocator of ours; a leaked owner lives until the reset.
macro_rules! bump_by_verbs {
    ($(#[$docs:meta])* $name:ident $(<$buf:lifetime>)? ($vis:vis $inner:ty), $self:ident => $reset:expr) => {
        $(#[$docs])*
        pub(crate) struct $name $(<$buf>)? ($vis $inner);

        impl $(<$buf>)? Bump for $name $(<$buf>)? {
            #[inline]
            fn value(&self, value: u64) -> &mut u64 {
                Owned::leak(self.0.create(value).expect(ENOUGH))
            }

            #[inline]
            fn slice(&self, count: usize, item: u32) -> &mut [u32] {
                Owned::leak(self.0.alloc_fill(count, item).expect(ENOUGH))
            }

            #[inline]
            fn block(&self, layout: Layout) -> NonNull<u8> {
                self.0.raw_alloc(layout).expect(ENOUGH)
            }

            #[inline]
            fn reset(&mut $self) {
                $reset
            }
        }
    };
}

bump_by_verbs!(
    /// Ours, over a buffer.
    FixedBuffer<'buf>(pub(super) alloc_fixed::FixedBuffer<'buf>),
    self => self.0.reset()
);

/// The peer.
pub(crate) struct Bumpalo(pub(super) bumpalo::Bump);

impl Bump for Bumpalo {
    #[inline]
    fn value(&self, value: u64) -> &mut u64 {
        self.0.alloc(value)
    }

    #[inline]
    fn slice(&self, count: usize, item: u32) -> &mut [u32] {
        self.0.alloc_slice_fill_copy(count, item)
    }

    #[inline]
    fn block(&self, layout: Layout) -> NonNull<u8> {
        self.0.alloc_layout(layout)
    }

    #[inline]
    fn reset(&mut self) {
        self.0.reset();
    }
}

pub(crate) fn bump() -> Bumpalo {
    Bumpalo(bumpalo::Bump::new())
}

/// Calls `run` with a buffer on the heap that is large enough for a round of every workload.
pub(crate) fn fixed<R>(run: impl FnOnce(&mut FixedBuffer<'_>) -> R) -> R {
    let mut memory = vec![MaybeUninit::uninit(); ROUND_BYTES_MAX];
    run(&mut FixedBuffer(alloc_fixed::FixedBuffer::new(&mut memory)))
}
