//! Atomics and cells: those of `core`, or those of the model checker loom under `cfg(loom)`.
//!
//! The allocators of this workspace take their shared state from here, so that a test can run them
//! under every interleaving that the orderings allow.

#[cfg(not(loom))]
pub use core::{hint, sync::atomic};
#[cfg(loom)]
pub use loom::{cell::UnsafeCell, hint, sync::atomic};

/// An [`UnsafeCell`](core::cell::UnsafeCell) with the interface of loom's, which sees conflicting
/// accesses.
#[cfg(not(loom))]
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct UnsafeCell<T: ?Sized>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    /// Wraps a value.
    #[inline]
    pub const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// Returns the value.
    #[inline]
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

#[cfg(not(loom))]
impl<T: ?Sized> UnsafeCell<T> {
    /// Calls `read` with a pointer that is only read through.
    #[inline]
    #[track_caller]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get().cast_const())
    }

    /// Calls `write` with a pointer that may be written through.
    #[inline]
    #[track_caller]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// Writes a constructor that is `const`, except under loom, whose atomics know no const form.
#[macro_export]
#[doc(hidden)]
macro_rules! __const_unless_loom {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($args:tt)*) -> $ret:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$meta])*
        $vis const fn $name($($args)*) -> $ret $body

        #[cfg(loom)]
        $(#[$meta])*
        $vis fn $name($($args)*) -> $ret $body
    };
}
#[cfg(target_has_atomic = "ptr")]
pub(crate) use __const_unless_loom as const_unless_loom;
