//! What the allocator found, as values.

use core::fmt;

use crate::StackId;

/// Kinds of misuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// A block was freed that had been freed before, or that another thread was freeing.
    DoubleFree,
    /// An address was freed that is no block: inside one, on a stack, in a library, anywhere.
    InvalidFree,
    /// A freed block was resized, remapped or reallocated.
    ResizeAfterFree,
    /// A block was freed or resized with another size than it has.
    SizeMismatch,
    /// A block was freed or resized with another alignment than it was requested with.
    AlignMismatch,
    /// Bytes past the end of a block were written.
    Overflow,
    /// Bytes before the start of a block were written.
    Underflow,
    /// Bytes of a freed block were written.
    UseAfterFree,
    /// Bytes of a freed block were read.
    ReadAfterFree,
    /// Bytes past the end of a block were read.
    OverflowRead,
    /// Bytes before the start of a block were read.
    UnderflowRead,
    /// A block was freed or resized through another `Gpa` than it came from.
    OtherAllocator,
    /// A block was freed by a function that does not take such blocks back, such as a block of
    /// `operator new[]` by `operator delete`.
    FamilyMismatch,
    /// A size was asked for that cannot be meant, and was refused. A remark, not a fault.
    InvalidRequest,
}

impl FindingKind {
    /// Returns the name that records use, such as `double_free`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DoubleFree => "double_free",
            Self::InvalidFree => "invalid_free",
            Self::ResizeAfterFree => "resize_after_free",
            Self::SizeMismatch => "size_mismatch",
            Self::AlignMismatch => "align_mismatch",
            Self::Overflow => "overflow",
            Self::Underflow => "underflow",
            Self::UseAfterFree => "use_after_free",
            Self::ReadAfterFree => "read_after_free",
            Self::OverflowRead => "overflow_read",
            Self::UnderflowRead => "underflow_read",
            Self::OtherAllocator => "other_allocator",
            Self::FamilyMismatch => "family_mismatch",
            Self::InvalidRequest => "invalid_request",
        }
    }

    /// Returns the kind in words, such as "double free".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::DoubleFree => "double free",
            Self::InvalidFree => "invalid free",
            Self::ResizeAfterFree => "resize after free",
            Self::SizeMismatch => "wrong size given for a block",
            Self::AlignMismatch => "wrong alignment given for a block",
            Self::Overflow => "write past the end",
            Self::Underflow => "write before the start",
            Self::UseAfterFree => "write after free",
            Self::ReadAfterFree => "read after free",
            Self::OverflowRead => "read past the end",
            Self::UnderflowRead => "read before the start",
            Self::OtherAllocator => "block of another allocator",
            Self::FamilyMismatch => "block of another family",
            Self::InvalidRequest => "absurd request",
        }
    }

    /// Whether it is a fault: what is none changes no exit status, and no policy acts on it.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::InvalidRequest)
    }
}

/// A block that a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Address of its first byte.
    pub addr: usize,
    /// Size in bytes.
    pub size: usize,
    /// Alignment that it was requested with, in bytes.
    pub align: usize,
}

/// The thread that a finding was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The kernel's id.
    pub id: u32,
    /// Name, NUL-padded.
    pub name: [u8; 16],
}

/// A short text that needs no memory; what does not fit is cut off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Detail {
    bytes: [u8; Self::LEN_MAX],
    len: u8,
}

impl Detail {
    /// Longest text in bytes.
    pub const LEN_MAX: usize = 119;

    /// No text.
    pub const EMPTY: Self = Self { bytes: [0; Self::LEN_MAX], len: 0 };

    /// Returns the text that `write` writes, cut off where it does not fit.
    #[must_use]
    pub fn from_args(args: fmt::Arguments<'_>) -> Self {
        let mut detail = Self::EMPTY;
        // An error says that the text was cut off, which the docs promise.
        let _ = fmt::Write::write_fmt(&mut detail, args);
        detail
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len as usize]).unwrap_or_default()
    }
}

impl fmt::Write for Detail {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = self.len as usize;
        let mut len = text.len().min(Self::LEN_MAX - start);
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        self.bytes[start..start + len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len as u8;
        if len == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// One misuse that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What happened.
    pub kind: FindingKind,
    /// The address that was freed, resized, or written to.
    pub addr: usize,
    /// `addr` from the start of the block in bytes; negative before it. 0 if there is no block.
    pub offset: isize,
    /// The block, if the address belongs to one.
    pub block: Option<Block>,
    /// Size and alignment that the caller claimed, if it did.
    pub claimed: Option<(usize, usize)>,
    /// The thread that it was found in.
    pub thread: Thread,
    /// Where it was found.
    pub here: StackId,
    /// Where the block was allocated.
    pub allocated: StackId,
    /// Where the block was freed, if it was.
    pub freed: StackId,
    /// The name that the block's part of the program was given, if it was; see
    /// [`Gpa::tagged`](crate::Gpa::tagged).
    pub tag: Option<&'static str>,
    /// What else is known.
    pub detail: Detail,
    /// How often it was found, with the same stacks.
    pub count: u64,
}

impl Finding {
    /// Whether it is damage, found after it was done.
    pub(crate) fn here_is_late(&self) -> bool {
        use FindingKind::{Overflow, Underflow, UseAfterFree};
        let is_damage = matches!(self.kind, Overflow | Underflow | UseAfterFree);
        let detail = self.detail.as_str();
        is_damage && !detail.starts_with("trapped") && !detail.starts_with("in ")
    }

    /// Whether another finding is of the same damage, met once more. Another block at the address,
    /// which there is in `quarantine` mode only, comes from another place, or from the same mistake. Libc may do the damage, a trap see it, and the free of the block meet it.
    pub(crate) fn is_damage_of(&self, other: &Self) -> bool {
        use FindingKind::{
            Overflow, OverflowRead, ReadAfterFree, Underflow, UnderflowRead, UseAfterFree,
        };
        let is_same = self.kind == other.kind
            && self.block == other.block
            && self.block.is_some()
            && self.allocated == other.allocated;
        match self.kind {
            UseAfterFree | ReadAfterFree => is_same,
            Overflow | Underflow | OverflowRead | UnderflowRead => {
                is_same && self.addr == other.addr
            }
            _ => false,
        }
    }

    /// Whether another finding tells the same by kind, stacks and detail.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        if self.kind == FindingKind::InvalidRequest && other.kind == self.kind {
            return self.here == other.here;
        }
        let is_same = self.kind == other.kind
            && self.here == other.here
            && self.allocated == other.allocated
            && self.freed == other.freed;
        if self.here == StackId::NONE {
            // Found by the sweep over all blocks: one for each place, whatever was damaged of a block.
            // Without any stack nothing is known to be the same.
            return is_same && self.allocated != StackId::NONE;
        }
        is_same && self.detail == other.detail
    }
}

/// Blocks that were never freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeakTotals {
    /// Number of blocks.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What `deinit` says.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Every block was freed, and nothing was found.
    Ok,
    /// Blocks were never freed; no misuse was found.
    Leak(LeakTotals),
    /// Misuse was found, and these blocks were never freed.
    Misuse {
        /// Number of distinct findings.
        findings: u64,
        /// Blocks that were never freed.
        leaks: LeakTotals,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_cuts_at_a_character() {
        let detail = Detail::from_args(format_args!("{}é", "x".repeat(Detail::LEN_MAX - 1)));
        assert_eq!(detail.as_str().len(), Detail::LEN_MAX - 1);
        assert_eq!(Detail::from_args(format_args!("a{}", 1)).as_str(), "a1");
    }
}
