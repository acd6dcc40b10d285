//! The canary behind a block in a slot of a size class, and the junk of a freed one: as in `canary`,
//! with hardly a branch that depends on the size. Sizes vary, and what is foretold wrong costs more than
//! the lanes that are written or read twice.
//!
//! ```text
//!  slot, in lanes of 16 bytes | block     | block..canary | canary | canary |
//!                                           first: part of it        last
//! ```
//!
//! Slots begin at a multiple of sixteen and are multiples of it, so that a whole lane of canary is always
//! the same one.

use core::ptr::NonNull;

use super::canary::CANARY_WORD;
use super::lane::{LANE_LEN, Lane};

/// Up to this slot size in bytes there are few lanes behind a block.
const SMALL_SLOT: usize = 128;
/// Lanes behind the first that are always looked at, the last one among them: in small slots, and in
/// others.
const FEW: usize = 1;
const MANY: usize = 8;
/// Slots of more bytes are worth a call.
const CALL_MIN: usize = 1024 + 1;

/// Where the lanes of the canary are: offsets in the slot in bytes.
struct Lanes {
    /// The one that holds the block's last byte, or begins behind it.
    first: usize,
    /// The last one.
    last: usize,
}

impl Lanes {
    #[inline(always)]
    fn of(size: usize, room: usize) -> Self {
        Self { first: size & !(LANE_LEN - 1), last: room - LANE_LEN }
    }

    /// The `index`th behind the first, or the last.
    #[inline(always)]
    fn at(&self, index: usize) -> usize {
        (self.first + index * LANE_LEN).min(self.last)
    }
}

/// Fills a slot of `room` bytes at `start` with the canary behind a block of `size` bytes. Of the block's
/// own bytes up to fifteen, the last ones, become zero.
///
/// # Safety
///
/// * `start` and `room` are multiples of 16, and `size + 8 <= room`.
/// * The slot may be written, and nobody else uses it.
#[inline(always)]
pub(super) unsafe fn fill(start: NonNull<u8>, size: usize, room: usize) {
    let lanes = Lanes::of(size, room);
    let canary = Lane::of(CANARY_WORD);
    let store = |offset: usize, lane: Lane| {
        // SAFETY: at most the offset of the slot's last lane.
        let at = unsafe { start.add(offset) };
        // SAFETY: inside the slot, which may be written (contract).
        unsafe { lane.store(at) };
    };
    let count = if room <= SMALL_SLOT { FEW } else { MANY };
    // Where there are fewer the last is written several times.
    store(lanes.last, canary);
    if FEW < count {
        (1..MANY).for_each(|index| store(lanes.at(index), canary));
    }
    // Few blocks are so much smaller than their slot: those with a large alignment.
    let mut offset = lanes.first + count * LANE_LEN;
    while offset < lanes.last {
        store(offset, canary);
        offset += LANE_LEN;
    }
    // After the last, which may be the same.
    store(lanes.first, canary.and(Lane::from_byte(size % LANE_LEN)));
}

/// Whether the bytes of a slot behind its block are the canary.
///
/// # Safety
///
/// `start` and `room` are multiples of 16, `size + 8 <= room`, and the slot may be read.
#[inline(always)]
pub(super) unsafe fn is_intact(start: NonNull<u8>, size: usize, room: usize) -> bool {
    let lanes = Lanes::of(size, room);
    let canary = Lane::of(CANARY_WORD);
    let differs = |offset: usize, seen: Lane| {
        // SAFETY: at most the offset of the slot's last lane.
        let at = unsafe { start.add(offset) };
        // SAFETY: inside the slot, which may be read (contract).
        unsafe { Lane::load(at) }.differs(canary, seen)
    };
    let behind = Lane::from_byte(size % LANE_LEN);
    let first = differs(lanes.first, Lane::zero()).and(behind);
    let count = if room <= SMALL_SLOT { FEW } else { MANY };
    let mut rest = differs(lanes.last, Lane::zero());
    if FEW < count {
        rest = (1..MANY).fold(rest, |seen, index| differs(lanes.at(index), seen));
    }
    let mut offset = lanes.first + count * LANE_LEN;
    while offset < lanes.last {
        rest = differs(offset, rest);
        offset += LANE_LEN;
    }
    // Where the first lane is the last one, the rest was that lane too.
    let is_only = lanes.first == lanes.last;
    rest.and(Lane::from_byte(if is_only { size % LANE_LEN } else { 0 })).or(first).is_zero()
}

/// Fills a slot of `room` bytes at `start` with `junk`, eight times the same byte.
///
/// # Safety
///
/// `start` and `room` are multiples of 16, and the slot may be written.
#[inline(always)]
pub(super) unsafe fn fill_junk(start: NonNull<u8>, room: usize, junk: u64) {
    const PIECE: usize = 4 * LANE_LEN;
    let lane = Lane::of(junk);
    let store = |offset: usize| {
        // SAFETY: the callers below pass offsets of lanes inside the slot.
        let at = unsafe { start.add(offset) };
        // SAFETY: inside the slot, which may be written (contract).
        unsafe { lane.store(at) };
    };
    if room <= SMALL_SLOT {
        [0, LANE_LEN, room - 2 * LANE_LEN, room - LANE_LEN].into_iter().for_each(store);
        if PIECE < room {
            let middle = [2 * LANE_LEN, 3 * LANE_LEN, room - 4 * LANE_LEN, room - 3 * LANE_LEN];
            middle.into_iter().for_each(store);
        }
    } else if room < CALL_MIN {
        let piece = |offset: usize| (0..4).for_each(|index| store(offset + index * LANE_LEN));
        let last = room - PIECE;
        let mut offset = 0;
        while offset < last {
            piece(offset);
            offset += PIECE;
        }
        piece(last);
    } else {
        // SAFETY: the caller's contract.
        unsafe { start.write_bytes(junk as u8, room) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::canary;
    use super::super::classes::{CANARY_LEN_MIN, SLOT_SIZES};
    use super::*;

    const LEN: usize = 2048 + 64;

    #[repr(align(64))]
    struct Buffer([u8; LEN]);

    /// Slots as large as those of the classes, and blocks of every size in them: what is filled is what
    /// `canary` fills, each damaged byte is seen, and nothing else is written or looked at.
    #[test]
    fn every_byte_behind_a_block_counts() {
        let slots = SLOT_SIZES.iter().map(|size| *size as usize).filter(|size| *size <= 2048);
        for room in slots {
            let step = if room <= 256 { 1 } else { 37 };
            for size in (0..=room - CANARY_LEN_MIN).step_by(step).chain([room - CANARY_LEN_MIN]) {
                let mut buffer = Buffer([7; LEN]);
                // SAFETY: inside the buffer.
                let start = unsafe { NonNull::from(&mut buffer.0).cast::<u8>().add(32) };
                // SAFETY: a slot inside the buffer, which nobody else uses.
                unsafe { fill(start, size, room) };
                // SAFETY: as above.
                let end = unsafe { start.add(size) };
                // SAFETY: as above.
                assert_eq!(unsafe { canary::canary_damage(end, room - size) }, None);
                // SAFETY: as above.
                assert!(unsafe { is_intact(start, size, room) }, "{size} of {room}");
                let tail = size & !15..size;
                for index in 0..LEN {
                    // SAFETY: inside the buffer.
                    let at = unsafe { NonNull::from(&mut buffer.0).cast::<u8>().add(index) };
                    // SAFETY: as above.
                    let kept = unsafe { at.read() };
                    let in_slot = index.wrapping_sub(32);
                    let expected = if tail.contains(&in_slot) { 0 } else { 7 };
                    let is_behind = (size..room).contains(&in_slot);
                    assert!(is_behind || kept == expected, "{size} of {room} at {in_slot}");
                    // SAFETY: as above.
                    unsafe { at.write(!kept) };
                    // SAFETY: as above.
                    assert_eq!(unsafe { is_intact(start, size, room) }, !is_behind);
                    // SAFETY: as above.
                    unsafe { at.write(kept) };
                }
            }
        }
    }

    /// A slot is filled with junk, and nothing around it.
    #[test]
    fn junk_fills_the_slot() {
        for room in SLOT_SIZES.iter().map(|size| *size as usize).filter(|size| *size <= 2048) {
            let mut buffer = Buffer([7; LEN]);
            // SAFETY: inside the buffer.
            let start = unsafe { NonNull::from(&mut buffer.0).cast::<u8>().add(32) };
            // SAFETY: a slot inside the buffer, which nobody else uses.
            unsafe { fill_junk(start, room, u64::from_ne_bytes([0xa5; 8])) };
            let in_slot = |index: usize| (32..32 + room).contains(&index);
            let expected = |index| if in_slot(index) { 0xa5 } else { 7 };
            assert!((0..LEN).all(|index| buffer.0[index] == expected(index)), "{room}");
        }
    }
}
