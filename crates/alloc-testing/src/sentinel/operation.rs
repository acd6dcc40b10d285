//! One heap operation, and the first one that was not allowed.

use core::alloc::Layout;
use core::fmt;

use alloc_gpa::StackId;

use alloc_gpa::counted;

/// Whether blocks may be freed where nothing may be allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frees {
    Allowed,
    Forbidden,
}

/// What was asked of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Alloc(Layout),
    Free(Layout),
    Realloc(Layout, usize),
}

impl Operation {
    /// Whether it may be made.
    pub(super) fn is_allowed(self, frees: Frees) -> bool {
        matches!(self, Self::Free(_)) && frees == Frees::Allowed
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |layout: &Layout| (layout.size(), layout.align());
        match self {
            Self::Alloc(layout) => {
                let (size, align) = of(layout);
                write!(f, "an allocation of {} (align {align})", counted(size, "byte"))
            }
            Self::Free(layout) => {
                let (size, align) = of(layout);
                write!(f, "a free of {} (align {align})", counted(size, "byte"))
            }
            Self::Realloc(layout, new_size) => {
                let (size, align) = of(layout);
                write!(
                    f,
                    "a reallocation of {} to {new_size} (align {align})",
                    counted(size, "byte")
                )
            }
        }
    }
}

/// An operation that was not allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offence {
    pub(super) operation: Operation,
    pub(super) stack: StackId,
}

impl Offence {
    /// Takes the caller's stack.
    pub(super) fn here(operation: Operation) -> Self {
        Self { operation, stack: StackId::capture() }
    }
}

/// The operation, and the stack as functions and lines.
impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, at", self.operation)?;
        f.write_str(&crate::report::of_stack(self.stack))
    }
}
