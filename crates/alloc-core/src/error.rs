//! The one error of the contract.

use core::fmt;

/// No memory could be had for a request: the backing is exhausted, a limit was reached, or the size
/// does not fit an address space.
///
/// It carries nothing, so that a failing path costs nothing and allocates nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AllocError;

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory")
    }
}

impl core::error::Error for AllocError {}

#[cfg(feature = "std")]
impl From<AllocError> for std::io::Error {
    /// An error of the kind `OutOfMemory`, made without memory.
    fn from(_: AllocError) -> Self {
        std::io::ErrorKind::OutOfMemory.into()
    }
}

impl From<AllocError> for fmt::Error {
    /// What a `fmt::Write` over memory of an allocator returns.
    fn from(_: AllocError) -> Self {
        fmt::Error
    }
}
