//! A fixed number of pieces of one layout, each misuse told apart.

use core::alloc::Layout;
use core::fmt;
use core::num::NonZero;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};

/// Nodes that one word of the set stands for.
const WORD_BITS: usize = u64::BITS as usize;

/// A fixed number of nodes of one layout, handed out by address.
///
/// All memory is taken at the start, in two blocks. Whoever holds a node uses it through its address,
/// so what may be wrong is told when it comes back: [`release`](Self::release) takes any address at all
/// and never reads what it points to. The first free node is found by words of 64: taking one costs at
/// most a look at `count / 64` words.
///
/// ```
/// use core::alloc::Layout;
/// use alloc_core::Global;
/// use alloc_pool::{Misuse, NodePool};
///
/// let mut nodes = NodePool::new(Global, Layout::new::<[u64; 4]>(), 3)?;
/// let node = nodes.acquire().expect("three are free");
/// assert_eq!(nodes.release(node), Ok(()));
/// assert_eq!(nodes.release(node), Err(Misuse::AlreadyFree { index: 0 }));
/// assert_eq!(nodes.finish(), Ok(()));
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
pub struct NodePool<A: Allocator> {
    /// A bit for each node, set if it is free; invariant 4 of the crate. Bits behind the last node are
    /// zero.
    free: Owned<[u64], A>,
    /// `count` nodes. Invariant: a live block of the backing with layout `all`.
    base: NonNull<u8>,
    all: Layout,
    /// Distance of two nodes in bytes.
    stride: NonZero<usize>,
    count: usize,
    free_count: usize,
}

/// An address that cannot be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// It is not in the pool's memory.
    Foreign,
    /// It lies inside a node.
    Interior {
        /// The node, from 0.
        index: usize,
        /// Bytes from the node's start.
        offset: usize,
    },
    /// The node is free: it was released before, or never acquired.
    AlreadyFree {
        /// The node, from 0.
        index: usize,
    },
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("the address is no node of this pool"),
            Self::Interior { index, offset } => {
                write!(f, "the address lies {offset} bytes inside node {index}")
            }
            Self::AlreadyFree { index } => write!(f, "node {index} is free already"),
        }
    }
}

impl core::error::Error for Misuse {}

/// Nodes that did not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outstanding {
    /// How many.
    pub count: usize,
    /// The first of them, from 0.
    pub first: usize,
}

impl fmt::Display for Outstanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, first } = self;
        write!(f, "{count} nodes were not released, the first is node {first}")
    }
}

impl core::error::Error for Outstanding {}

// SAFETY: the two blocks go where the pool goes, and the backing may be sent by the bound; `base` is
// reached through the pool alone, and what nodes hold is the business of those who wrote it.
unsafe impl<A: Allocator + Send> Send for NodePool<A> {}

impl<A: Allocator + Copy> NodePool<A> {
    /// Takes memory for `count` nodes of `node`'s size and alignment.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if there is no such memory, or none could hold that much. Zero nodes and nodes of
    /// no bytes are refused too: there is nothing to hand out.
    pub fn new(backing: A, node: Layout, count: usize) -> Result<Self, AllocError> {
        let node = node.pad_to_align();
        let stride = NonZero::new(node.size()).ok_or(AllocError)?;
        let len = node.size().checked_mul(count).filter(|len| *len != 0).ok_or(AllocError)?;
        let all = Layout::from_size_align(len, node.align()).map_err(|_| AllocError)?;
        let word = |index: usize| {
            let nodes = (count - index * WORD_BITS).min(WORD_BITS);
            u64::MAX >> (WORD_BITS - nodes)
        };
        let words = count.div_ceil(WORD_BITS);
        let mut free = backing.alloc_fill(words, 0u64)?;
        for (index, bits) in free.iter_mut().enumerate() {
            *bits = word(index);
        }
        let base = backing.raw_alloc(all)?;
        Ok(Self { free, base, all, stride, count, free_count: count })
    }
}

impl<A: Allocator> NodePool<A> {
    /// Returns how many nodes there are.
    #[inline]
    pub const fn capacity(&self) -> usize {
        self.count
    }

    /// Returns how many of them are free.
    #[inline]
    pub const fn available(&self) -> usize {
        self.free_count
    }

    /// Hands out a node, the first that is free: `size` bytes of unspecified content. `None` if there is
    /// none.
    pub fn acquire(&mut self) -> Option<NonNull<u8>> {
        let (index, word) = self.free.iter_mut().enumerate().find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros();
        *word &= !(1 << bit);
        self.free_count -= 1;
        let offset = (index * WORD_BITS + bit as usize) * self.stride.get();
        // SAFETY: invariant 4: the bit of a node below `count`, so the offset lies inside the block.
        Some(unsafe { self.base.add(offset) })
    }

    /// Takes a node back.
    ///
    /// # Errors
    ///
    /// What is wrong with the address; nothing has changed then.
    pub fn release(&mut self, node: NonNull<u8>) -> Result<(), Misuse> {
        let distance = node.addr().get().wrapping_sub(self.base.addr().get());
        if self.all.size() <= distance {
            return Err(Misuse::Foreign);
        }
        let (index, offset) = (distance / self.stride, distance % self.stride);
        if offset != 0 {
            return Err(Misuse::Interior { index, offset });
        }
        let mask = 1 << (index % WORD_BITS);
        match self.free.get_mut(index / WORD_BITS) {
            Some(word) if *word & mask == 0 => *word |= mask,
            _ => return Err(Misuse::AlreadyFree { index }),
        }
        self.free_count += 1;
        Ok(())
    }

    /// Gives the memory back, and says whether all nodes were released. (Dropping the pool gives it back
    /// and says nothing.)
    ///
    /// # Errors
    ///
    /// How many nodes were not; their addresses are dead all the same.
    pub fn finish(self) -> Result<(), Outstanding> {
        let count = self.count - self.free_count;
        let first = (0..self.count).find(|index| {
            let word = self.free.get(index / WORD_BITS).copied().unwrap_or(0);
            word >> (index % WORD_BITS) & 1 == 0
        });
        first.map_or(Ok(()), |first| Err(Outstanding { count, first }))
    }
}

/// Gives the memory back. Nodes that were not released are dead; see [`finish`](NodePool::finish).
impl<A: Allocator> Drop for NodePool<A> {
    fn drop(&mut self) {
        let backing = Owned::allocator(&self.free);
        // SAFETY: a live block of this backing with this layout (invariant on `base`); the pool is gone.
        unsafe { backing.raw_free(self.base, self.all) };
    }
}

impl<A: Allocator> fmt::Debug for NodePool<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodePool")
            .field("capacity", &self.count)
            .field("available", &self.free_count)
            .finish_non_exhaustive()
    }
}
