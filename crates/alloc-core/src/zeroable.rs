//! Types for which all bytes zero is a value.

use core::mem::MaybeUninit;
#[cfg(target_has_atomic = "8")]
use core::sync::atomic;

/// Marks types that may be read when every byte is zero.
///
/// A type without that value is none of them:
///
/// ```compile_fail,E0277
/// # use alloc_core::{AllocatorExt, NeverAlloc};
/// let numbers = NeverAlloc.alloc_zeroed::<core::num::NonZero<u8>>(0);
/// ```
///
/// # Safety
///
/// The bit pattern of all zeros is a valid value of the type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not known to be a value when all its bytes are zero",
    note = "give it values: `alloc_fill`, `alloc_with`; or implement `Zeroable` for a type of your own"
)]
pub unsafe trait Zeroable {}

macro_rules! zeroable {
    ($($type:ty),+ $(,)?) => {
        // SAFETY: all bits zero is the number zero, `false`, NUL, or a null pointer.
        $(unsafe impl Zeroable for $type {})+
    };
}

zeroable!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, bool, char, ());
#[cfg(target_has_atomic = "8")]
zeroable!(atomic::AtomicBool, atomic::AtomicU8, atomic::AtomicI8);
#[cfg(target_has_atomic = "16")]
zeroable!(atomic::AtomicU16, atomic::AtomicI16);
#[cfg(target_has_atomic = "32")]
zeroable!(atomic::AtomicU32, atomic::AtomicI32);
#[cfg(target_has_atomic = "64")]
zeroable!(atomic::AtomicU64, atomic::AtomicI64);
#[cfg(target_has_atomic = "ptr")]
zeroable!(atomic::AtomicUsize, atomic::AtomicIsize);

// SAFETY: a null pointer to a sized type is a valid raw pointer.
unsafe impl<T> Zeroable for *const T {}
// SAFETY: a null pointer to a sized type is a valid raw pointer.
unsafe impl<T> Zeroable for *mut T {}
// SAFETY: as above; an `AtomicPtr` has the layout of the pointer.
#[cfg(target_has_atomic = "ptr")]
unsafe impl<T> Zeroable for atomic::AtomicPtr<T> {}
// SAFETY: the null-pointer optimisation of `Option<&T>` is documented in std's `Option`, section
// "Representation": `None` is all zeros.
unsafe impl<T> Zeroable for Option<&T> {}
// SAFETY: as above, for `Option<NonNull<T>>`.
unsafe impl<T> Zeroable for Option<core::ptr::NonNull<T>> {}
// SAFETY: any bytes are a valid `MaybeUninit`.
unsafe impl<T> Zeroable for MaybeUninit<T> {}
// SAFETY: an array is its items one after the other, each of which may be zero.
unsafe impl<T: Zeroable, const N: usize> Zeroable for [T; N] {}
// SAFETY: `Wrapping` is `repr(transparent)`.
unsafe impl<T: Zeroable> Zeroable for core::num::Wrapping<T> {}
// SAFETY: a `Cell` has the layout of its content.
unsafe impl<T: Zeroable> Zeroable for core::cell::Cell<T> {}
