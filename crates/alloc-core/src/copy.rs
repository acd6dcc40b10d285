//! Copies of few bytes, without a call.

use core::mem::MaybeUninit;
use core::slice;

/// The most bytes that are moved at once: two of the registers that every x86-64 and 64-bit ARM has. Twice as many
/// gained nothing.
const WIDEST: usize = 32;
/// Up to so many bytes a copy makes no call: the first and the last of them are all.
const SHORT_LEN_MAX: usize = 2 * WIDEST;

/// Copies `items` to `places`, of which there are as many, and returns them.
///
/// A text is often short and each of another length. The C library's `memcpy` is the faster one for many
/// bytes, but finds its way by comparisons, of which the processor guesses some wrong, and that takes longer
/// than all else that an arena does for a short text.
///
/// # Panics
///
/// If they are not as many.
#[inline(always)]
pub fn copy_items<'p, T: Copy>(places: &'p mut [MaybeUninit<T>], items: &[T]) -> &'p mut [T] {
    let size = size_of_val(items);
    if SHORT_LEN_MAX < size || places.len() != items.len() {
        return places.write_copy_of_slice(items);
    }
    let from = items.as_ptr().cast::<MaybeUninit<u8>>();
    // SAFETY: the items' own bytes, borrowed as they are. Any byte, padding too, is a `MaybeUninit`, and no
    // `Copy` type has interior mutability.
    let from = unsafe { slice::from_raw_parts(from, size) };
    let to = places.as_mut_ptr().cast::<MaybeUninit<u8>>();
    // SAFETY: the places' own bytes, as many as of the items (compared above), borrowed uniquely; whatever is
    // written there, they are `MaybeUninit`.
    let to = unsafe { slice::from_raw_parts_mut(to, size) };
    copy_short(to, from);
    // SAFETY: every byte of each place was written, with that of a valid item: the slices are equally long,
    // and not longer than `copy_short` takes.
    unsafe { places.assume_init_mut() }
}

/// Copies up to [`SHORT_LEN_MAX`] bytes between two slices of the same length: all of them.
#[inline(always)]
fn copy_short(to: &mut [MaybeUninit<u8>], from: &[MaybeUninit<u8>]) {
    let _ = copy_ends::<WIDEST>(to, from)
        || copy_ends::<16>(to, from)
        || copy_ends::<8>(to, from)
        || copy_ends::<4>(to, from)
        || copy_ends::<2>(to, from)
        || copy_ends::<1>(to, from);
}

/// Copies the first and the last `N` bytes, which may overlap, if there are that many: all, of up to
/// `2 * N` bytes.
#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [MaybeUninit<u8>], from: &[MaybeUninit<u8>]) -> bool {
    let (Some(to_first), Some(first)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) else {
        return false;
    };
    *to_first = *first;
    if let (Some(to_last), Some(last)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *to_last = *last;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    /// Every length around those where another way is taken, from and to every alignment of a word:
    /// the bytes arrive, and none beside them is written.
    #[test]
    fn every_length_arrives_whole() {
        let from: [u8; 100] = core::array::from_fn(|index| index as u8 + 1);
        for (start, to) in [(0, 8), (1, 8), (0, 13), (7, 15)] {
            for len in 0..=80 {
                let mut place = [MaybeUninit::new(0); 100];
                copy_items(&mut place[to..to + len], &from[start..start + len]);
                // SAFETY: every byte has had a value from the beginning.
                let place = place.map(|byte: MaybeUninit<u8>| unsafe { byte.assume_init() });
                assert_eq!(place[to..to + len], from[start..start + len]);
                assert!(place[..to].iter().chain(&place[to + len..]).all(|byte| *byte == 0));
            }
        }
    }

    /// Items that are longer than a byte, few and many, and such without bytes.
    #[test]
    fn items_of_any_size_arrive() {
        for count in 0..=40u32 {
            let items: Vec<[u32; 3]> = (0..count).map(|n| [n, !n, 7 * n]).collect();
            let mut places = vec![MaybeUninit::uninit(); items.len()];
            assert_eq!(copy_items(&mut places, &items), items);
        }
        assert_eq!(copy_items(&mut [MaybeUninit::uninit(); 3], &[(); 3]), [(); 3]);
    }
}
