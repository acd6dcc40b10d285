//! Writing items one by one, with code of users in between that may unwind.

use core::mem::{ManuallyDrop, MaybeUninit};

/// Drops the items that were written, if it is dropped.
struct Written<'a, T> {
    items: &'a mut [MaybeUninit<T>],
    /// Invariant: the first `len` items are initialised, and nobody else drops them.
    len: usize,
}

impl<T> Drop for Written<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the invariant.
        unsafe { self.items[..self.len].assume_init_drop() };
    }
}

/// Writes the items from `len` on, each from its index. On return all are initialised. If `item`
/// unwinds, those that were are dropped, the first `len` included.
///
/// # Safety
///
/// The first `len` items are initialised, and nobody else drops them if this unwinds.
#[inline]
pub(crate) unsafe fn fill_from<T>(
    items: &mut [MaybeUninit<T>],
    len: usize,
    mut item: impl FnMut(usize) -> T,
) {
    crate::check!(len <= items.len(), "{len} items written of {}", items.len());
    let mut written = Written { items, len };
    while written.len < written.items.len() {
        let index = written.len;
        written.items[index].write(item(index));
        written.len += 1;
    }
    // The items belong to the caller again.
    let _ = ManuallyDrop::new(written);
}
