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
