//! Values for bytes that may have none.

use core::marker::PhantomData;
use core::ptr::NonNull;

/// Borrows bytes that an allocator may leave without a value, and gives every one some value when it
/// is dropped: the one it happens to have.
pub(crate) struct Settle<'buf> {
    /// Invariant: `len` bytes, valid for reads and writes, borrowed uniquely for `'buf`.
    base: NonNull<u8>,
    len: usize,
    _bytes: PhantomData<&'buf mut [u8]>,
}

impl<'buf> Settle<'buf> {
    #[inline]
    pub(crate) const fn new(bytes: &'buf mut [u8]) -> Self {
        let len = bytes.len();
        // SAFETY: a slice pointer is never null.
        let base = unsafe { NonNull::new_unchecked(bytes.as_mut_ptr()) };
        Self { base, len, _bytes: PhantomData }
    }

    /// The bytes: their address and number.
    #[inline]
    pub(crate) const fn parts(&self) -> (NonNull<u8>, usize) {
        (self.base, self.len)
    }
}

impl Drop for Settle<'_> {
    #[inline]
    fn drop(&mut self) {
        settle(self.base, self.len);
    }
}

/// Costs nothing.
#[cfg(all(
    not(miri),
    any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "riscv32",
        target_arch = "riscv64"
    )
))]
#[inline]
fn settle(base: NonNull<u8>, _: usize) {
    // SAFETY: the assembly is empty. Not declared `nomem`, it stands for a write of what the memory
    // holds to all that `base` reaches, which is this buffer; so the compiler may no longer take a
    // byte for one without a value.
    unsafe {
        core::arch::asm!("/* {0} */", in(reg) base.as_ptr(), options(nostack, preserves_flags));
    };
}

/// Gives every byte the value zero.
#[cfg(not(all(
    not(miri),
    any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "riscv32",
        target_arch = "riscv64"
    )
)))]
fn settle(base: NonNull<u8>, len: usize) {
    // SAFETY: the invariant; no block is alive any more.
    unsafe { base.write_bytes(0, len) };
}
