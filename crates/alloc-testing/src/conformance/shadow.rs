//! What the kit knows about the live blocks, and what their bytes should be.

use core::alloc::Layout;
use core::fmt;
use core::ops::Range;
use core::ptr::NonNull;
use std::collections::BTreeMap;

use crate::rng::extend_pattern;

/// A block's number, in order of allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(pub(super) usize);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A live block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) id: Id,
    pub(super) ptr: NonNull<u8>,
    pub(super) layout: Layout,
    /// What its bytes are.
    expected: Vec<u8>,
    seed: u64,
}

// SAFETY: the block is memory that belongs to whoever holds this value.
unsafe impl Send for Block {}

impl Block {
    /// Takes charge of a fresh block and fills it.
    ///
    /// # Safety
    ///
    /// `ptr` is valid for reads and writes of the layout's size until [`Block`] is dropped.
    pub(super) unsafe fn new(id: Id, ptr: NonNull<u8>, layout: Layout, seed: u64) -> Self {
        let mut block = Self { id, ptr, layout, expected: Vec::new(), seed };
        // SAFETY: by this function's contract, and nothing was written yet.
        unsafe { block.set_size(ptr, layout.size()) };
        block
    }

    /// A block whose bytes are somebody else's business.
    pub(super) const fn place(id: Id, ptr: NonNull<u8>, layout: Layout) -> Self {
        Self { id, ptr, layout, expected: Vec::new(), seed: 0 }
    }

    /// Follows the block to another place or size, and fills the bytes that are new.
    ///
    /// # Safety
    ///
    /// As [`new`](Self::new), for `ptr` and `size`; and `size` makes a layout with the alignment.
    pub(super) unsafe fn set_size(&mut self, ptr: NonNull<u8>, size: usize) {
        let old_len = self.expected.len().min(size);
        extend_pattern(&mut self.expected, self.seed, size);
        // SAFETY: `old_len <= size`, and by the contract that many bytes are there.
        let tail = unsafe { ptr.add(old_len) };
        let new_bytes = &self.expected[old_len..];
        // SAFETY: the rest of the block is valid for writes; the pattern is memory of its own.
        unsafe { tail.as_ptr().copy_from_nonoverlapping(new_bytes.as_ptr(), new_bytes.len()) };
        self.ptr = ptr;
        // SAFETY: by the contract.
        self.layout = unsafe { Layout::from_size_align_unchecked(size, self.layout.align()) };
    }

    /// The first of the first `count` bytes at `ptr` that is not what it should be: its index, what
    /// it is and what it should be.
    ///
    /// # Safety
    ///
    /// `ptr` is valid for reads of `count` bytes, at most the block's size.
    pub(super) unsafe fn first_wrong(
        &self,
        ptr: NonNull<u8>,
        count: usize,
    ) -> Option<(usize, u8, u8)> {
        // SAFETY: by the contract; nobody writes there during the comparison: the block is live, and
        // it belongs to the caller.
        let bytes = unsafe { NonNull::slice_from_raw_parts(ptr, count).as_ref() };
        let expected = &self.expected[..count];
        if bytes == expected {
            return None;
        }
        let index = bytes.iter().zip(expected).position(|(is, should)| is != should)?;
        Some((index, bytes[index], expected[index]))
    }

    /// As [`first_wrong`](Self::first_wrong), where the block is and as long as it is.
    pub(super) fn damage(&self) -> Option<(usize, u8, u8)> {
        // SAFETY: the block is live, and the caller of `new` vouched for its bytes.
        unsafe { self.first_wrong(self.ptr, self.layout.size()) }
    }

    pub(super) fn range(&self) -> Range<usize> {
        let start = self.ptr.addr().get();
        start..start + self.layout.size()
    }
}

/// The live blocks, in order of allocation and by address.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    blocks: BTreeMap<Id, Block>,
    by_addr: BTreeMap<usize, Id>,
}

impl Shadow {
    pub(super) fn insert(&mut self, block: Block) {
        self.by_addr.insert(block.range().start, block.id);
        self.blocks.insert(block.id, block);
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<Block> {
        let block = self.blocks.remove(&id)?;
        self.by_addr.remove(&block.range().start);
        Some(block)
    }

    /// As [`remove`](Self::remove), by the block's address.
    pub(super) fn remove_at(&mut self, addr: usize) -> Option<Block> {
        self.remove(*self.by_addr.get(&addr)?)
    }

    pub(super) fn get(&self, id: Id) -> Option<&Block> {
        self.blocks.get(&id)
    }

    /// The block with this index, counted from the one allocated last.
    pub(super) fn nth_from_last(&self, index: usize) -> Option<Id> {
        self.blocks.keys().nth_back(index).copied()
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.values()
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn live_bytes(&self) -> usize {
        self.blocks().map(|block| block.layout.size()).sum()
    }

    /// A live block that overlaps `range`. Live blocks are disjoint, so the last one that starts
    /// before the end of `range` is the only candidate.
    pub(super) fn overlapping(&self, range: &Range<usize>) -> Option<&Block> {
        let (_, id) = self.by_addr.range(..range.end).next_back()?;
        self.blocks.get(id).filter(|block| range.start < block.range().end)
    }
}
