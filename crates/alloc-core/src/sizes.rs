//! Arithmetic on layouts and counts. No pointers, no memory.
#![forbid(unsafe_code)]

use core::alloc::Layout;

use crate::AllocError;

/// Returns the layout of `count` items of `T`, in bytes.
///
/// # Errors
///
/// [`AllocError`] if the size exceeds `isize::MAX`: such a request can never be served.
pub(crate) const fn array_layout<T>(count: usize) -> Result<Layout, AllocError> {
    match Layout::array::<T>(count) {
        Ok(layout) => Ok(layout),
        Err(_) => Err(AllocError),
    }
}

/// As [`array_layout`], for an alignment of at least `align` bytes, a power of two.
pub(crate) const fn aligned_array_layout<T>(
    count: usize,
    align: usize,
) -> Result<Layout, AllocError> {
    match array_layout::<T>(count) {
        Ok(layout) => match layout.align_to(align) {
            Ok(layout) => Ok(layout),
            Err(_) => Err(AllocError),
        },
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest array that fits is accepted, one item more is refused, and no count wraps.
    #[test]
    fn array_layout_refuses_what_exceeds_isize_max() {
        let count_max = isize::MAX as usize / 8;
        assert_eq!(array_layout::<u64>(count_max).map(|l| l.size()), Ok(count_max * 8));
        assert_eq!(array_layout::<u64>(count_max + 1), Err(AllocError));
        assert_eq!(array_layout::<u64>(usize::MAX), Err(AllocError));
        assert_eq!(array_layout::<u64>(usize::MAX / 8 + 2), Err(AllocError), "would wrap to 8");
        assert_eq!(array_layout::<()>(usize::MAX).map(|l| l.size()), Ok(0));
    }

    #[test]
    fn aligned_array_layout_takes_the_larger_alignment() {
        assert_eq!(
            aligned_array_layout::<u64>(3, 64),
            Ok(Layout::from_size_align(24, 64).unwrap())
        );
        assert_eq!(aligned_array_layout::<u64>(3, 2), Ok(Layout::from_size_align(24, 8).unwrap()));
        assert_eq!(aligned_array_layout::<u8>(isize::MAX as usize, 64), Err(AllocError));
        assert_eq!(aligned_array_layout::<u8>(8, 3), Err(AllocError), "not a power of two");
    }
}
