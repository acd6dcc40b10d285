//! Copies of bytes, few of them at a time.

use core::mem::MaybeUninit;

/// Copies `items` to `place`, which is as long.
///
/// A text is often short and each of another length. The C library's `memcpy` then finds its way by
/// several comparisons, of which the processor guesses some wrong, and one wrong guess takes longer than
/// the rest of an allocation in an arena. So items of one byte have a copy of their own here, with two
/// comparisons, where the processor knows words that are not aligned.
#[inline]
pub(crate) fn to_slice<T: Copy>(place: &mut [MaybeUninit<T>], items: &[T]) {
    let has_short_copy = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
    if has_short_copy && size_of::<T>() == 1 && items.len() < SHORT && place.len() == items.len() {
        // SAFETY: both are slices of this many items of one byte (above), and `place` is borrowed
        // uniquely, so they do not overlap.
        unsafe { short(items.as_ptr().cast(), place.as_mut_ptr().cast(), items.len()) };
    } else {
        place.write_copy_of_slice(items);
    }
}

/// More bytes than [`short`] copies.
const SHORT: usize = 64;

/// Bytes that may have no value: their copy keeps that.
type Bytes<const N: usize> = [MaybeUninit<u8>; N];

/// Copies fewer than [`SHORT`] bytes.
///
/// # Safety
///
/// `from` is valid for reads and `to` for writes of `len` bytes, and they do not overlap.
#[inline]
unsafe fn short(from: *const MaybeUninit<u8>, to: *mut MaybeUninit<u8>, len: usize) {
    if 16 <= len {
        // SAFETY: this contract; 16 bytes or more and fewer than 64.
        unsafe { quarters::<16>(from, to, len) };
    } else if 4 <= len {
        // SAFETY: this contract; 4 bytes or more and fewer than 16.
        unsafe { quarters::<4>(from, to, len) };
    } else if len != 0 {
        // The first, the middle and the last: all of 1 to 3 bytes.
        for at in [0, len / 2, len - 1] {
            // SAFETY: `at < len`, and so many bytes can be read.
            let from = unsafe { from.add(at) };
            // SAFETY: `at < len`, and so many bytes can be written.
            let to = unsafe { to.add(at) };
            // SAFETY: in bounds (above); no alignment is needed, and the two do not overlap.
            unsafe { to.copy_from_nonoverlapping(from, 1) };
        }
    }
}

/// Copies the first and the last `N` bytes of a text, and those beside them towards its middle: with
/// fewer than `2 * N` bytes, the same ones again.
///
/// # Safety
///
/// As [`short`], and `N <= len < 4 * N`.
#[inline]
unsafe fn quarters<const N: usize>(
    from: *const MaybeUninit<u8>,
    to: *mut MaybeUninit<u8>,
    len: usize,
) {
    let step = len / (2 * N) * N; // 0 or N
    let starts = [0, step, len - N - step, len - N];
    // SAFETY: `len - N` is the last byte at which `N` bytes start; with a step, `2 * N <= len`.
    let parts = starts.map(|at| unsafe { from.add(at) }.cast::<Bytes<N>>());
    // All are read before one is written: the compiler need not ask whether they overlap.
    // SAFETY: `N` bytes from there can be read (above), and no alignment is needed.
    let parts = parts.map(|part| unsafe { part.read() });
    for (at, part) in starts.into_iter().zip(parts) {
        // SAFETY: as for `from`.
        let place = unsafe { to.add(at) }.cast::<Bytes<N>>();
        // SAFETY: `N` bytes from there can be written.
        unsafe { place.write(part) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length around those where another way is taken, from and to every alignment of a word:
    /// the bytes arrive, and none beside them is written.
    #[test]
    fn every_length_arrives_whole() {
        let from: [u8; 100] = core::array::from_fn(|index| index as u8 + 1);
        for (start, to) in [(0, 8), (1, 8), (0, 13), (7, 15)] {
            for len in 0..=80 {
                let mut place = [MaybeUninit::new(0); 100];
                to_slice(&mut place[to..to + len], &from[start..start + len]);
                // SAFETY: every byte has had a value from the beginning.
                let place = place.map(|byte: MaybeUninit<u8>| unsafe { byte.assume_init() });
                assert_eq!(place[to..to + len], from[start..start + len]);
                assert!(place[..to].iter().chain(&place[to + len..]).all(|byte| *byte == 0));
            }
        }
    }

    /// Items that are longer than a byte take the other way.
    #[test]
    fn words_arrive_too() {
        let mut place = [MaybeUninit::uninit(); 5];
        to_slice(&mut place, &[1u32, 2, 3, 4, 5]);
        // SAFETY: all were written.
        let words = place.map(|word: MaybeUninit<u32>| unsafe { word.assume_init() });
        assert_eq!(words, [1, 2, 3, 4, 5]);
    }
}
