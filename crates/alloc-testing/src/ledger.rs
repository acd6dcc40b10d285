//! The book of live blocks that the checking allocators keep, and what they find in it.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;
use std::collections::BTreeMap;

use alloc_gpa::counted;

/// A call that broke the contract's rules for callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// A request for zero bytes reached an allocator: a verb or adapter must answer it itself.
    ZeroSize {
        /// The method that was called.
        method: &'static str,
        /// The alignment it asked for.
        align: usize,
    },
    /// The new size and the alignment make no valid [`Layout`].
    InvalidSize {
        /// The method that was called.
        method: &'static str,
        /// The size it asked for, in bytes.
        new_size: usize,
        /// The alignment of the block.
        align: usize,
    },
    /// The block is not live, or not a block of this allocator.
    NotLive {
        /// The method that was called.
        method: &'static str,
        /// The address that was passed.
        addr: usize,
        /// The layout that was passed.
        layout: Layout,
    },
    /// The block is live, but has another layout.
    Unfit {
        /// The method that was called.
        method: &'static str,
        /// The layout that was passed.
        layout: Layout,
        /// The layout that the block has.
        expected: Layout,
    },
    /// Bytes beside a block were written: [`hostile`](crate::hostile) backings keep canaries there.
    OutOfBounds {
        /// The layout of the block whose surroundings changed.
        layout: Layout,
        /// The offset of the first changed byte from the start of the block; negative before it.
        offset: isize,
    },
    /// Bytes of a freed block were written: [`hostile`](crate::hostile) backings that never reuse an
    /// address fill freed blocks and look at them again at the end.
    WriteAfterFree {
        /// The layout that the block had.
        layout: Layout,
        /// The offset of the first changed byte from the start of the block.
        offset: usize,
    },
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ZeroSize { method, align } => {
                write!(f, "{method} was called for zero bytes (align {align})")
            }
            Self::InvalidSize { method, new_size, align } => {
                write!(
                    f,
                    "{method} was called for {} at align {align}: no layout",
                    counted(new_size, "byte")
                )
            }
            Self::NotLive { method, addr, layout } => write!(
                f,
                "{method} was called for {addr:#x} (size {}, align {}), which is no live block",
                layout.size(),
                layout.align()
            ),
            Self::Unfit { method, layout, expected } => write!(
                f,
                "{method} was called with size {}, align {} for a block of size {}, align {}",
                layout.size(),
                layout.align(),
                expected.size(),
                expected.align()
            ),
            Self::OutOfBounds { layout, offset } => {
                write!(
                    f,
                    "byte {offset} of a block of {} was written",
                    counted(layout.size(), "byte")
                )
            }
            Self::WriteAfterFree { layout, offset } => {
                write!(
                    f,
                    "byte {offset} of a freed block of {} was written",
                    counted(layout.size(), "byte")
                )
            }
        }
    }
}

/// Live blocks by address, and the misuses seen.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) live: BTreeMap<usize, Layout>,
    pub(crate) misuses: Vec<Misuse>,
}

impl Ledger {
    pub(crate) const fn new() -> Self {
        Self { live: BTreeMap::new(), misuses: Vec::new() }
    }

    /// Whether a request for `layout` may go on; records it if not.
    pub(crate) fn may_alloc(&mut self, method: &'static str, layout: Layout) -> bool {
        if layout.size() == 0 {
            self.misuses.push(Misuse::ZeroSize { method, align: layout.align() });
        }
        layout.size() != 0
    }

    /// Whether `block` is live and fits `layout`; records it if not.
    pub(crate) fn may_use(
        &mut self,
        method: &'static str,
        block: NonNull<u8>,
        layout: Layout,
    ) -> bool {
        let addr = block.addr().get();
        let misuse = match self.live.get(&addr) {
            _ if layout.size() == 0 => Misuse::ZeroSize { method, align: layout.align() },
            None => Misuse::NotLive { method, addr, layout },
            Some(&expected) if expected != layout => Misuse::Unfit { method, layout, expected },
            Some(_) => return true,
        };
        self.misuses.push(misuse);
        false
    }

    /// As [`may_use`](Self::may_use), for a change to `new_size` bytes; returns the new layout.
    pub(crate) fn may_change(
        &mut self,
        method: &'static str,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<Layout> {
        if !self.may_use(method, block, layout) {
            return None;
        }
        let align = layout.align();
        let misuse = match Layout::from_size_align(new_size, align) {
            Ok(_) if new_size == 0 => Misuse::ZeroSize { method, align },
            Ok(new_layout) => return Some(new_layout),
            Err(_) => Misuse::InvalidSize { method, new_size, align },
        };
        self.misuses.push(misuse);
        None
    }

    /// Bytes in live blocks.
    pub(crate) fn live_bytes(&self) -> usize {
        self.live.values().map(|layout| layout.size()).sum()
    }
}
