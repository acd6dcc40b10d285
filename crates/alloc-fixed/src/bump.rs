//! Arithmetic on addresses in a buffer. No pointers, no memory.
#![forbid(unsafe_code)]

/// Returns how many bytes lie between `addr` and the first multiple of `align` at or after it.
/// `align` is a power of two.
#[inline]
pub(crate) const fn padding(addr: usize, align: usize) -> usize {
    addr.wrapping_neg() & (align - 1)
}

/// Whether `padding` bytes and then `size` bytes fit into `room` bytes. No sum of the two overflows.
#[inline]
pub(crate) const fn fits(padding: usize, size: usize, room: usize) -> bool {
    padding <= room && size <= room - padding
}

/// For the newest 64 blocks in a buffer, whether padding lies before them: a stack of bits.
///
/// The blocks from the start of the buffer to its cursor form a stack: a block is pushed when it is
/// handed out and popped when it is freed as the last one. A block that is freed in another order
/// stays where it is, and so does its bit. What lies deeper than 64 counts as not padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Padded(u64);

impl Padded {
    /// The stack of an empty buffer.
    pub(crate) const EMPTY: Self = Self(0);

    /// The stack with one more block, which has no padding.
    #[inline]
    pub(crate) const fn push_plain(self) -> Self {
        Self(self.0 << 1)
    }

    /// The stack with one more block, which has padding.
    #[inline]
    pub(crate) const fn push_padded(self) -> Self {
        Self(self.0 << 1 | 1)
    }

    /// Whether padding lies before the last block.
    #[inline]
    pub(crate) const fn last(self) -> bool {
        self.0 & 1 == 1
    }

    /// The stack without the last block.
    #[inline]
    pub(crate) const fn pop(self) -> Self {
        Self(self.0 >> 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every small buffer, at every address in a window, for every request: what the two functions
    /// say together is what a search finds.
    #[test]
    fn placing_agrees_with_a_search() {
        let len_max = if cfg!(miri) { 3 } else { 20 };
        for addr in 64..=100 {
            for room in 0..=len_max {
                for size in 0..=len_max + 1 {
                    for align in [1, 2, 4, 8, 16, 32] {
                        let start = (addr..=addr + room).find(|start| start % align == 0);
                        let found = start.filter(|start| start + size <= addr + room);
                        let padding = padding(addr, align);
                        let placed = fits(padding, size, room).then_some(addr + padding);
                        assert_eq!(placed, found, "{addr} {room} {size} {align}");
                    }
                }
            }
        }
    }

    /// Zig's `adjusted_index + n` overflows here; nothing wraps and nothing fits.
    #[test]
    fn what_overflows_does_not_fit() {
        let huge = [usize::MAX, usize::MAX - 1, usize::MAX - 15, isize::MAX as usize];
        for size in huge {
            for addr in [0, 1, 100, usize::MAX - 16, usize::MAX] {
                for align in [1, 2, 16, 4096, 1 << (usize::BITS - 1)] {
                    assert!(!fits(padding(addr, align), size, 16), "{size} {addr} {align}");
                }
            }
        }
        assert!(!fits(padding(100, 1 << (usize::BITS - 1)), 1, 16), "padding beyond the end");
    }

    /// Every sequence of 10 pushes comes back in reverse; 64 are kept, the 65th is forgotten as not
    /// padded.
    #[test]
    fn padded_is_a_stack() {
        let push = |stack: Padded, bit| if bit { stack.push_padded() } else { stack.push_plain() };
        for bits in 0..1u32 << if cfg!(miri) { 5 } else { 10 } {
            let mut stack = Padded::EMPTY;
            for index in 0..10 {
                stack = push(stack, bits >> index & 1 == 1);
            }
            for index in (0..10).rev() {
                assert_eq!(stack.last(), bits >> index & 1 == 1);
                stack = stack.pop();
            }
            assert_eq!(stack, Padded::EMPTY);
        }
        let mut stack = (0..65).fold(Padded::EMPTY, |stack, _| stack.push_padded());
        for _ in 0..64 {
            assert!(stack.last());
            stack = stack.pop();
        }
        assert!(!stack.last());
    }
}
