//! What may unwind and must not.

use core::mem::ManuallyDrop;

/// Aborts with its message if it is dropped, which only unwinding does.
pub(crate) struct Bomb(pub(crate) &'static str);

impl Bomb {
    #[inline]
    pub(crate) fn defuse(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        crate::check_failed(format_args!("{}", self.0));
    }
}
