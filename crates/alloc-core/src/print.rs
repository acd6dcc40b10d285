//! Formatted text in memory of an allocator.

use core::fmt::{self, Write};
use core::mem::MaybeUninit;

use crate::{AllocError, Allocator, AllocatorExt, Owned};

/// Formats text into memory of an allocator: `alloc_print!(gpa, "{x} of {y}")` is a
/// `Result<Owned<str, _>, AllocError>`.
///
/// ```
/// use alloc_core::{NeverAlloc, alloc_print};
/// assert!(alloc_print!(NeverAlloc, "{}", 5).is_err());
/// ```
#[macro_export]
macro_rules! alloc_print {
    ($alloc:expr, $($arguments:tt)+) => {{
        use $crate::AllocatorExt as _;
        ($alloc).print(::core::format_args!($($arguments)+))
    }};
}

/// Counts bytes.
struct Count(usize);

impl Write for Count {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.checked_add(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// Writes into a block that it may enlarge.
struct Buffer<A: Allocator> {
    block: Owned<[MaybeUninit<u8>], A>,
    /// Invariant: the first `len` bytes are initialised, by whole `str`s.
    len: usize,
    /// What became of the last growth; a `Display` may have dropped the error.
    grown: Result<(), AllocError>,
}

impl<A: Allocator> Write for Buffer<A> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.checked_add(text.len()).ok_or(fmt::Error)?;
        if self.block.len() < end {
            // An argument that prints more the second time than the first.
            self.grown?;
            self.grown = self.block.realloc_in_owner(end);
            self.grown?;
        }
        self.block[self.len..end].write_copy_of_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[track_caller]
pub(crate) fn print<A: Allocator + Copy>(
    alloc: A,
    arguments: fmt::Arguments<'_>,
) -> Result<Owned<str, A>, AllocError> {
    let mut count = Count(0);
    count.write_fmt(arguments).map_err(|_| AllocError)?;
    let mut buffer = Buffer { block: alloc.alloc::<u8>(count.0)?, len: 0, grown: Ok(()) };
    buffer.write_fmt(arguments).map_err(|_| AllocError)?;
    let Buffer { mut block, len, grown } = buffer;
    grown?;
    if len < block.len() {
        // An argument that prints less the second time.
        block.realloc_in_owner(len)?;
    }
    // SAFETY: the block has `len` bytes now, all initialised (invariant).
    let bytes = unsafe { block.assume_init() };
    // SAFETY: whole `str`s one after the other (invariant) are UTF-8.
    Ok(unsafe { Owned::from_utf8_unchecked(bytes) })
}
