//! What stands in bytes that belong to no live block, and how damage to it is found.

use core::ptr::NonNull;

use super::lane::{LANE_LEN, Lane, load_word, prefetch};

/// What a canary byte is at an address: never zero, never ASCII text, not the same in neighbouring
/// bytes, so that a stray NUL, a copied string and a repeated byte all show.
#[inline]
const fn canary_byte(addr: usize) -> u8 {
    0x81 + (addr as u8 & 7) * 0x0b
}

/// Eight canary bytes, as they stand at an address that is a multiple of eight.
pub(super) const CANARY_WORD: u64 = {
    let mut bytes = [0; 8];
    let mut index = 0;
    while index < 8 {
        bytes[index] = canary_byte(index);
        index += 1;
    }
    u64::from_ne_bytes(bytes)
};

/// The pattern of eight bytes as it stands at any address.
#[inline]
const fn word_at(addr: usize, word: u64) -> u64 {
    if cfg!(target_endian = "little") {
        word.rotate_right((addr as u32 & 7) * 8)
    } else {
        word.rotate_left((addr as u32 & 7) * 8)
    }
}

/// Fills `[start, start + len)` with the canary.
///
/// # Safety
///
/// The bytes may be written, and are read by nobody else at the same time.
#[inline]
pub(crate) unsafe fn fill_canary(start: NonNull<u8>, len: usize) {
    let Some(last) = len.checked_sub(LANE_LEN) else {
        // SAFETY: the caller's contract.
        return unsafe { fill_words(start, len) };
    };
    let addr = start.addr().get();
    let lane = Lane::of(word_at(addr, CANARY_WORD));
    for offset in [0, LANE_LEN, 2 * LANE_LEN] {
        // Written twice rather than decided about: of lengths that vary nothing is foretold. Rounded
        // down, so that the pattern is the first lane's.
        let offset = offset.min(last & !7);
        // SAFETY: `offset + 16 <= len`.
        let at = unsafe { start.add(offset) };
        // SAFETY: inside the range, which may be written.
        unsafe { lane.store(at) };
    }
    let mut offset = 3 * LANE_LEN;
    while offset < last {
        // SAFETY: `offset + 16 < len`.
        let at = unsafe { start.add(offset) };
        // SAFETY: inside the range, which may be written.
        unsafe { lane.store(at) };
        offset += LANE_LEN;
    }
    // SAFETY: the last sixteen bytes; some are written twice.
    let at = unsafe { start.add(last) };
    // SAFETY: as above.
    unsafe { Lane::of(word_at(addr + last, CANARY_WORD)).store(at) };
}

/// The same, for fewer than sixteen bytes.
///
/// # Safety
///
/// As [`fill_canary`].
#[inline]
unsafe fn fill_words(start: NonNull<u8>, len: usize) {
    let Some(last) = len.checked_sub(8) else {
        // SAFETY: the caller's contract.
        return unsafe { fill_short(start, len) };
    };
    let addr = start.addr().get();
    for offset in [0, last] {
        // SAFETY: the first eight bytes, and the last; some are written twice.
        let at = unsafe { start.add(offset) }.cast::<u64>();
        // SAFETY: inside the range, which may be written.
        unsafe { at.write_unaligned(word_at(addr + offset, CANARY_WORD)) };
    }
}

/// The same, for fewer than eight bytes.
///
/// # Safety
///
/// As [`fill_canary`].
#[cold]
unsafe fn fill_short(start: NonNull<u8>, len: usize) {
    for offset in 0..len {
        // SAFETY: inside the range.
        let at = unsafe { start.add(offset) };
        // SAFETY: the range may be written.
        unsafe { at.write(canary_byte(at.addr().get())) };
    }
}

/// Fills `[start, start + len)`, a multiple of 16 that begins at one, with `junk`, what freed bytes are
/// filled with.
///
/// # Safety
///
/// As [`fill_canary`].
#[inline]
pub(crate) unsafe fn fill_junk(start: NonNull<u8>, len: usize, junk: u8) {
    // Longer ones are worth a call.
    if 512 < len || !len.is_multiple_of(LANE_LEN) {
        // SAFETY: the caller's contract.
        return unsafe { start.write_bytes(junk, len) };
    }
    let lane = Lane::of(u64::from_ne_bytes([junk; 8]));
    let mut offset = 0;
    while offset < len {
        // SAFETY: inside the range.
        let at = unsafe { start.add(offset) };
        // SAFETY: as above; the length is a multiple of a lane's.
        unsafe { lane.store(at) };
        offset += LANE_LEN;
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
    if unsafe { is_canary(start, len) } {
        return None;
    }
    // SAFETY: the caller's contract.
    unsafe { locate(start, len, CANARY_WORD) }
}

/// Whether `[start, start + len)` holds the canary. Where it is short, `false` may mean nothing.
///
/// # Safety
///
/// The bytes may be read.
#[inline]
pub(crate) unsafe fn is_canary(start: NonNull<u8>, len: usize) -> bool {
    let Some(last) = len.checked_sub(LANE_LEN) else {
        // SAFETY: the caller's contract.
        return unsafe { is_short_canary(start, len) };
    };
    let addr = start.addr().get();
    let lane = Lane::of(word_at(addr, CANARY_WORD));
    let mut differs = Lane::zero();
    for offset in [0, LANE_LEN, 2 * LANE_LEN] {
        // As in `fill_canary`.
        let offset = offset.min(last & !7);
        // SAFETY: `offset + 16 <= len`.
        let at = unsafe { start.add(offset) };
        // SAFETY: inside the range, which may be read.
        differs = unsafe { Lane::load(at) }.differs(lane, differs);
    }
    let mut offset = 3 * LANE_LEN;
    while offset < last {
        // SAFETY: `offset + 16 < len`.
        let at = unsafe { start.add(offset) };
        // SAFETY: inside the range, which may be read.
        differs = unsafe { Lane::load(at) }.differs(lane, differs);
        offset += LANE_LEN;
    }
    // SAFETY: the last sixteen bytes.
    let at = unsafe { start.add(last) };
    // SAFETY: as above.
    let found = unsafe { Lane::load(at) };
    found.differs(Lane::of(word_at(addr + last, CANARY_WORD)), differs).is_zero()
}

/// The same, for fewer than sixteen bytes; `false` for fewer than eight.
///
/// # Safety
///
/// The bytes may be read.
#[inline]
unsafe fn is_short_canary(start: NonNull<u8>, len: usize) -> bool {
    let Some(last) = len.checked_sub(8) else { return false };
    let addr = start.addr().get();
    // SAFETY: inside the range, which may be read.
    let first = unsafe { load_word(start) };
    // SAFETY: the last eight bytes.
    let at = unsafe { start.add(last) };
    // SAFETY: as above.
    let second = unsafe { load_word(at) };
    (first ^ word_at(addr, CANARY_WORD)) | (second ^ word_at(addr + last, CANARY_WORD)) == 0
}

/// Whether the eight bytes before an address that is a multiple of eight are the canary, or, behind a
/// block that `is_freed`, `junk`.
///
/// # Safety
///
/// The bytes may be read.
#[inline]
pub(crate) unsafe fn is_word_before(end: NonNull<u8>, junk: u64, is_freed: bool) -> bool {
    let mask = u64::from(is_freed).wrapping_neg();
    // SAFETY: they may be read, so they are there.
    let at = unsafe { end.sub(8) };
    // SAFETY: may be read.
    unsafe { load_word(at) == CANARY_WORD ^ mask & (CANARY_WORD ^ junk) }
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

/// Returns where a range differs from a pattern of eight bytes.
///
/// # Safety
///
/// The bytes may be read. A program that writes there at the same time is at fault, and is what we
/// look for.
#[inline]
unsafe fn damage(start: NonNull<u8>, len: usize, word: u64) -> Option<Damage> {
    const PIECE: usize = 4 * LANE_LEN;
    const AHEAD: usize = 16 * PIECE;
    let pattern = Lane::of(word_at(start.addr().get(), word));
    let pieces = len / PIECE;
    let mut differs = Lane::zero();
    for index in 0..pieces {
        // Slabs are read whole, from memory that is far away, and over pages' ends.
        prefetch(start.as_ptr().wrapping_add(index * PIECE + AHEAD));
        for lane in 0..4 {
            // SAFETY: inside the range.
            let at = unsafe { start.add(index * PIECE + lane * LANE_LEN) };
            // SAFETY: as above, which may be read.
            differs = unsafe { Lane::load(at) }.differs(pattern, differs);
        }
    }
    let rest = pieces * PIECE;
    // SAFETY: inside the range, or its end.
    let tail = unsafe { start.add(rest) };
    if differs.is_zero()
        // SAFETY: the rest of the range.
        && unsafe { locate(tail, len - rest, word) }.is_none()
    {
        return None;
    }
    // SAFETY: the caller's contract.
    unsafe { locate(start, len, word) }
}

/// Returns the offset of the first byte of `[start, start + len)` that is neither zero nor what a canary
/// is there.
///
/// # Safety
///
/// As [`first_nonzero`].
pub(crate) unsafe fn first_stray(start: NonNull<u8>, len: usize) -> Option<usize> {
    let mut offset = 0;
    loop {
        // SAFETY: `offset <= len`.
        let at = unsafe { start.add(offset) };
        // SAFETY: the rest of the range.
        let hit = offset + unsafe { first_nonzero(at, len - offset) }?;
        // SAFETY: inside the range.
        let at = unsafe { start.add(hit) };
        // SAFETY: the caller's contract.
        if unsafe { at.read_volatile() } != canary_byte(at.addr().get()) {
            return Some(hit);
        }
        offset = hit + 1;
    }
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
