//! Arithmetic on offsets in a buffer. No pointers, no memory.
#![forbid(unsafe_code)]

/// Where a block lies: the bytes `start..end`, as offsets from the start of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Places `size` bytes aligned to `align` at or after `end_index`, in a buffer of `len` bytes whose
/// first byte has address `base_addr`. All lengths and offsets are in bytes.
///
/// Returns `None` if they do not fit. Otherwise `end_index <= start`, `end - start == size`,
/// `end <= len`, and `base_addr + start` is the first multiple of `align` at or after
/// `base_addr + end_index`.
#[inline]
pub(crate) const fn place(
    base_addr: usize,
    len: usize,
    end_index: usize,
    size: usize,
    align: usize,
) -> Option<Span> {
    let padding = base_addr.wrapping_add(end_index).wrapping_neg() & (align - 1);
    let Some(start) = end_index.checked_add(padding) else { return None };
    let Some(end) = start.checked_add(size) else { return None };
    if end <= len { Some(Span { start, end }) } else { None }
}

/// Returns the end of the last block, which starts at `start`, with another size; `None` if that
/// does not fit into `len` bytes.
#[inline]
pub(crate) const fn regrow(start: usize, new_size: usize, len: usize) -> Option<usize> {
    match start.checked_add(new_size) {
        Some(end) if end <= len => Some(end),
        _ => None,
    }
}

/// For the newest 64 blocks in a buffer, whether padding lies before them: a stack of bits.
///
/// The blocks from the start of the buffer to its end index form a stack: a block is pushed when it
/// is handed out and popped when it is freed as the last one. A block that is freed in another order
/// stays where it is, and so does its bit. What lies deeper than 64 counts as not padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Padded(u64);

impl Padded {
    /// The stack of an empty buffer.
    pub(crate) const EMPTY: Self = Self(0);

    /// The stack with one more block.
    #[inline]
    pub(crate) const fn push(self, is_padded: bool) -> Self {
        Self(self.0 << 1 | is_padded as u64)
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

    /// The definition of `place`, by search.
    fn place_by_search(
        base_addr: usize,
        len: usize,
        end_index: usize,
        size: usize,
        align: usize,
    ) -> Option<Span> {
        let start = (end_index..=len).find(|start| (base_addr + start).is_multiple_of(align))?;
        (size <= len - start).then(|| Span { start, end: start + size })
    }

    /// Every small buffer, at every address in a window, for every request.
    #[test]
    fn place_agrees_with_a_search() {
        let len_max = if cfg!(miri) { 3 } else { 20 };
        for base_addr in 64..=80 {
            for len in 0..=len_max {
                for end_index in 0..=len {
                    for size in 0..=len_max + 1 {
                        for align in [1, 2, 4, 8, 16, 32] {
                            assert_eq!(
                                place(base_addr, len, end_index, size, align),
                                place_by_search(base_addr, len, end_index, size, align),
                                "{base_addr} {len} {end_index} {size} {align}"
                            );
                        }
                    }
                }
            }
        }
    }

    /// Zig's `adjusted_index + n` overflows here; nothing wraps and nothing is placed.
    #[test]
    fn place_refuses_what_overflows() {
        let huge = [usize::MAX, usize::MAX - 1, usize::MAX - 15, isize::MAX as usize];
        for size in huge {
            for end_index in 0..=16 {
                for align in [1, 2, 16, 4096, 1 << (usize::BITS - 1)] {
                    assert_eq!(place(100, 16, end_index, size, align), None);
                }
                assert_eq!(regrow(end_index, size, 16), None);
            }
        }
        assert_eq!(place(100, 16, 0, 1, 1 << (usize::BITS - 1)), None, "padding beyond the end");
        assert_eq!(place(usize::MAX - 16, 16, 1, 1, 1 << (usize::BITS - 1)), None);
    }

    #[test]
    fn regrow_agrees_with_its_definition() {
        for len in 0..=20 {
            for start in 0..=len {
                for new_size in 0..=21 {
                    let expected = (start + new_size <= len).then_some(start + new_size);
                    assert_eq!(regrow(start, new_size, len), expected);
                }
            }
        }
    }

    /// Every sequence of 10 pushes comes back in reverse; 64 are kept, the 65th is forgotten as not
    /// padded.
    #[test]
    fn padded_is_a_stack() {
        for bits in 0..1u32 << if cfg!(miri) { 5 } else { 10 } {
            let mut stack = Padded::EMPTY;
            for index in 0..10 {
                stack = stack.push(bits >> index & 1 == 1);
            }
            for index in (0..10).rev() {
                assert_eq!(stack.last(), bits >> index & 1 == 1);
                stack = stack.pop();
            }
            assert_eq!(stack, Padded::EMPTY);
        }
        let mut stack = (0..65).fold(Padded::EMPTY, |stack, _| stack.push(true));
        for _ in 0..64 {
            assert!(stack.last());
            stack = stack.pop();
        }
        assert!(!stack.last());
    }
}
