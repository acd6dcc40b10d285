//! What stands in bytes that belong to no live block, and how damage to it is found.

use core::ptr::NonNull;

/// What a canary byte is at an address: never zero, never ASCII text, not the same in neighbouring
/// bytes, so that a stray NUL, a copied string and a repeated byte all show.
#[inline]
const fn canary_byte(addr: usize) -> u8 {
    0x81 + (addr as u8 & 7) * 0x0b
}

/// Eight canary bytes, as they stand at an address that is a multiple of eight.
const CANARY_WORD: u64 = {
    let mut bytes = [0; 8];
    let mut index = 0;
    while index < 8 {
        bytes[index] = canary_byte(index);
        index += 1;
    }
    u64::from_ne_bytes(bytes)
};

/// Fills `[start, start + len)` with the canary.
///
/// # Safety
///
/// The bytes may be written, and are read by nobody else at the same time.
#[inline]
pub(crate) unsafe fn fill_canary(start: NonNull<u8>, len: usize) {
    // SAFETY: the caller's contract.
    unsafe { fill(start, len, CANARY_WORD) };
}

/// Fills `[start, start + len)` with `junk`, what freed bytes are filled with.
///
/// # Safety
///
/// As [`fill_canary`].
#[inline]
pub(crate) unsafe fn fill_junk(start: NonNull<u8>, len: usize, junk: u8) {
    // SAFETY: the caller's contract.
    unsafe { start.write_bytes(junk, len) };
}

/// Fills with a pattern of eight bytes that is laid out from a multiple of eight.
///
/// # Safety
///
/// As [`fill_canary`].
#[inline]
unsafe fn fill(start: NonNull<u8>, len: usize, word: u64) {
    let bytes = word.to_ne_bytes();
    let mut offset = 0;
    while offset < len && (start.addr().get() + offset) & 7 != 0 {
        let byte = bytes[(start.addr().get() + offset) & 7];
        // SAFETY: `offset < len`.
        let at = unsafe { start.add(offset) };
        // SAFETY: inside the range, which may be written.
        unsafe { at.write(byte) };
        offset += 1;
    }
    while offset + 8 <= len {
        // SAFETY: `offset + 8 <= len`.
        let at = unsafe { start.add(offset) }.cast::<u64>();
        // SAFETY: eight bytes inside the range, aligned by the loop above.
        unsafe { at.write(word) };
        offset += 8;
    }
    while offset < len {
        let byte = bytes[(start.addr().get() + offset) & 7];
        // SAFETY: `offset < len`.
        let at = unsafe { start.add(offset) };
        // SAFETY: inside the range, which may be written.
        unsafe { at.write(byte) };
        offset += 1;
    }
}

/// Where a pattern was damaged: offsets from the start of the range, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// First damaged byte.
    pub(crate) first: usize,
    /// Last damaged byte.
    pub(crate) last: usize,
}

/// Returns where `[start, start + len)` differs from the canary, if it does.
///
/// # Safety
///
/// The bytes may be read.
#[inline]
pub(crate) unsafe fn canary_damage(start: NonNull<u8>, len: usize) -> Option<Damage> {
    // SAFETY: the caller's contract.
    unsafe { damage(start, len, CANARY_WORD) }
}

/// Returns where `[start, start + len)` differs from `junk`, if it does.
///
/// # Safety
///
/// The bytes may be read.
#[inline]
pub(crate) unsafe fn junk_damage(start: NonNull<u8>, len: usize, junk: u8) -> Option<Damage> {
    // SAFETY: the caller's contract.
    unsafe { damage(start, len, u64::from_ne_bytes([junk; 8])) }
}

/// Returns where a range differs from a pattern.
///
/// # Safety
///
/// The bytes may be read. A program that writes there at the same time is at fault, and is what we
/// look for: hence the volatile reads.
#[inline]
unsafe fn damage(start: NonNull<u8>, len: usize, word: u64) -> Option<Damage> {
    let addr = start.addr().get();
    let head = (addr.wrapping_neg() & 7).min(len);
    let words = (len - head) / 8;
    let mut clean = true;
    for offset in 0..head {
        // SAFETY: inside the range.
        clean &= unsafe { differs(start, offset, word) }.is_none();
    }
    for index in 0..words {
        // SAFETY: eight bytes inside the range: `head + words * 8 <= len`.
        let at = unsafe { start.add(head + index * 8) }.cast::<u64>();
        // SAFETY: inside the range, aligned by `head`.
        clean &= unsafe { at.read_volatile() } == word;
    }
    for offset in head + words * 8..len {
        // SAFETY: inside the range.
        clean &= unsafe { differs(start, offset, word) }.is_none();
    }
    if clean {
        return None;
    }
    // SAFETY: the caller's contract.
    unsafe { locate(start, len, word) }
}

/// Returns the offset of the first byte of `[start, start + len)` that is not zero.
///
/// # Safety
///
/// As [`damage`].
pub(crate) unsafe fn first_nonzero(start: NonNull<u8>, len: usize) -> Option<usize> {
    // SAFETY: the caller's contract.
    unsafe { damage(start, len, 0) }.map(|damage| damage.first)
}

/// Finds the first and the last damaged byte.
///
/// # Safety
///
/// As [`damage`].
#[cold]
#[inline(never)]
unsafe fn locate(start: NonNull<u8>, len: usize, word: u64) -> Option<Damage> {
    // SAFETY: inside the range.
    let first = (0..len).find_map(|offset| unsafe { differs(start, offset, word) })?;
    // SAFETY: inside the range.
    let last = (0..len).rev().find_map(|offset| unsafe { differs(start, offset, word) })?;
    Some(Damage { first, last })
}

/// Returns `offset` if the byte there differs from the pattern.
///
/// # Safety
///
/// The byte may be read.
#[inline]
unsafe fn differs(start: NonNull<u8>, offset: usize, word: u64) -> Option<usize> {
    let expected = word.to_ne_bytes()[(start.addr().get() + offset) & 7];
    // SAFETY: inside the range by the caller's contract.
    let at = unsafe { start.add(offset) };
    // SAFETY: readable by the caller's contract.
    (unsafe { at.read_volatile() } != expected).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every single damaged byte of every short range at every alignment is found where it is, and
    /// an intact range is clean.
    #[test]
    fn one_damaged_byte_is_found_where_it_is() {
        let mut buffer = [0u8; 64];
        for offset in 0..8 {
            for len in 0..40 {
                let start = NonNull::from(&mut buffer[offset..offset + len]).cast::<u8>();
                // SAFETY: inside the buffer, which nobody else uses.
                unsafe { fill_canary(start, len) };
                // SAFETY: as above.
                assert_eq!(unsafe { canary_damage(start, len) }, None);
                for hit in 0..len {
                    // SAFETY: as above.
                    let at = unsafe { start.add(hit) };
                    // SAFETY: as above.
                    let kept = unsafe { at.read() };
                    for wrong in [0u8, b'A', 0xff, kept ^ 1] {
                        // SAFETY: as above.
                        unsafe { at.write(wrong) };
                        // SAFETY: as above.
                        let found = unsafe { canary_damage(start, len) };
                        assert_eq!(found, Some(Damage { first: hit, last: hit }));
                    }
                    // SAFETY: as above.
                    unsafe { at.write(kept) };
                }
            }
        }
    }

    #[test]
    fn canary_bytes_are_never_zero_text_or_all_ones() {
        for addr in 0..16 {
            assert!((0x80..0xff).contains(&canary_byte(addr)), "{:#x}", canary_byte(addr));
            assert_ne!(canary_byte(addr), canary_byte(addr + 1));
        }
    }
}
