//! Bytes for an allocator on the stack.

use core::fmt;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};

use alloc_core::Allocator;

use crate::{BufferFirst, FixedBuffer};

/// `N` bytes without a value, for a variable: what a [`FixedBuffer`] on the stack borrows.
///
/// ```
/// use alloc_core::{AllocError, alloc_print};
/// use alloc_fixed::StackBuffer;
///
/// let mut stack = StackBuffer::<64>::new();
/// let fixed = stack.fixed();
/// assert_eq!(&*alloc_print!(&fixed, "{} of {}", 3, 4)?, "3 of 4");
/// # Ok::<(), AllocError>(())
/// ```
///
/// Two allocators over one buffer do not compile:
///
/// ```compile_fail,E0499
/// # let mut stack = alloc_fixed::StackBuffer::<64>::new();
/// let first = stack.fixed();
/// let second = stack.fixed();
/// println!("{first:?} {second:?}");
/// ```
///
/// Nor does one that a stack might not hold: more than [`StackBuffer::LEN_MAX`] bytes go into a
/// `static` or a heap.
///
/// ```compile_fail,E0080
/// let stack = alloc_fixed::StackBuffer::<20_000>::new();
/// ```
#[repr(align(16))]
pub struct StackBuffer<const N: usize>([MaybeUninit<u8>; N]);

impl<const N: usize> StackBuffer<N> {
    /// The largest `N`, in bytes: threads of embedded systems and of musl have small stacks, and a
    /// stack that overflows is no error that a program can answer.
    pub const LEN_MAX: usize = 16 << 10;

    /// Returns bytes without a value.
    #[inline]
    pub const fn new() -> Self {
        const { assert!(N <= Self::LEN_MAX, "a stack buffer has at most 16 KiB") };
        Self([MaybeUninit::uninit(); N])
    }

    /// Returns an allocator over the bytes.
    #[inline]
    pub const fn fixed(&mut self) -> FixedBuffer<'_> {
        FixedBuffer::new(&mut self.0)
    }

    /// Returns an allocator over the bytes, and over `fallback` when they are full.
    #[inline]
    pub const fn first<A: Allocator>(&mut self, fallback: A) -> BufferFirst<'_, A> {
        BufferFirst::new(self.fixed(), fallback)
    }
}

impl<const N: usize> Default for StackBuffer<N> {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Deref for StackBuffer<N> {
    type Target = [MaybeUninit<u8>];

    #[inline]
    fn deref(&self) -> &[MaybeUninit<u8>] {
        &self.0
    }
}

impl<const N: usize> DerefMut for StackBuffer<N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        &mut self.0
    }
}

impl<const N: usize> fmt::Debug for StackBuffer<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackBuffer").field("len", &N).finish_non_exhaustive()
    }
}
