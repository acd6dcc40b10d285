//! The length of the padding before a block, kept in the padding itself: in its last byte, or, if
//! that is 255, in the word before that byte.

use core::ptr::NonNull;

/// Writes the length of the padding that ends at `block`.
///
/// # Safety
///
/// * `1 <= padding`.
/// * The `padding` bytes before `block` are valid for writes, in the object that `block` is of, and in
///   no block.
#[inline]
pub(crate) unsafe fn write(block: NonNull<u8>, padding: usize) {
    if LONG as usize <= padding {
        // SAFETY: the same contract, and the padding is long.
        return unsafe { write_long(block, padding) };
    }
    // SAFETY: there is a byte of padding before `block` (contract).
    let last = unsafe { block.sub(1) };
    // SAFETY: valid for writes, and in no block (contract).
    unsafe { last.write(padding as u8) };
}

/// What the last byte says of a padding whose length does not fit it.
const LONG: u8 = 255;

/// As [`write`], for a padding of 255 bytes or more.
///
/// # Safety
///
/// As there.
#[cold]
#[inline(never)]
unsafe fn write_long(block: NonNull<u8>, padding: usize) {
    // SAFETY: there is a byte of padding before `block` (contract).
    let last = unsafe { block.sub(1) };
    // SAFETY: valid for writes, and in no block (contract).
    unsafe { last.write(LONG) };
    // SAFETY: `255 <= padding`, so the word before that byte lies in the padding too.
    let word = unsafe { last.sub(size_of::<usize>()) }.cast::<usize>();
    // SAFETY: as above; no alignment is needed.
    unsafe { word.write_unaligned(padding) };
}

/// Returns where the padding starts that ends at `block`.
///
/// # Safety
///
/// [`write`] wrote it, and no block has contained it since; `block` may reach it.
#[inline]
pub(crate) unsafe fn start(block: NonNull<u8>) -> NonNull<u8> {
    // SAFETY: padding lies before `block`, in its object.
    let last = unsafe { block.sub(1) };
    // SAFETY: `write` wrote it.
    let short = unsafe { last.read() };
    let padding = if short < LONG {
        usize::from(short)
    } else {
        // SAFETY: at least 255 bytes of padding, so the word before that byte is padding too.
        let word = unsafe { last.sub(size_of::<usize>()) }.cast::<usize>();
        // SAFETY: `write` wrote it.
        unsafe { word.read_unaligned() }
    };
    // SAFETY: so many bytes lie before `block`, in its object.
    unsafe { block.sub(padding) }
}
