//! Copies and fills of few bytes, without a call: the C library's functions are the faster ones for many,
//! but cost as much as all else that an arena does for a short text. Bytes and items may be `MaybeUninit`.
#![forbid(unsafe_code)]

/// Up to so many bytes a copy makes no call: four of the registers that every x86-64 and 64-bit ARM has.
/// Twice as many gained nothing.
pub(crate) const SHORT_LEN_MAX: usize = 64;

/// Copies up to [`SHORT_LEN_MAX`] bytes between two slices of the same length: all of them.
#[inline(always)]
pub(crate) fn copy_short<B: Copy>(to: &mut [B], from: &[B]) {
    let _ = copy_ends::<32, B>(to, from)
        || copy_ends::<16, B>(to, from)
        || copy_ends::<8, B>(to, from)
        || copy_ends::<4, B>(to, from)
        || copy_ends::<2, B>(to, from)
        || copy_ends::<1, B>(to, from);
}

/// Copies the first and the last `N` bytes, which may overlap, if there are that many: all, of up to
/// `2 * N` bytes.
#[inline(always)]
fn copy_ends<const N: usize, B: Copy>(to: &mut [B], from: &[B]) -> bool {
    let (Some(to_first), Some(first)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) else {
        return false;
    };
    *to_first = *first;
    if let (Some(to_last), Some(last)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *to_last = *last;
    }
    true
}

/// How many items a step of a fill writes.
const STEP: usize = 8;

/// Writes `item` to every place.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "an index is three instructions less than an end")]
pub(crate) fn fill<T: Copy>(places: &mut [T], item: T) {
    // A loop over bytes becomes a `memset`; a larger item is several stores as it is.
    if matches!(size_of::<T>(), 2..=8) {
        return fill_in_steps(places, item);
    }
    for index in 0..places.len() {
        places[index] = item;
    }
}

/// Writes a whole step of items at a time, the last one where it ends with the places.
#[inline(always)]
fn fill_in_steps<T: Copy>(places: &mut [T], item: T) {
    if STEP <= places.len() {
        for step in places.as_chunks_mut::<STEP>().0 {
            *step = [item; STEP];
        }
        if let Some(last) = places.last_chunk_mut::<STEP>() {
            *last = [item; STEP];
        }
        return;
    }
    let _ = fill_ends::<4, T>(places, item)
        || fill_ends::<2, T>(places, item)
        || fill_ends::<1, T>(places, item);
}

/// Writes the first and the last `N` items, if there are that many: all, of up to `2 * N`.
#[inline(always)]
fn fill_ends<const N: usize, T: Copy>(places: &mut [T], item: T) -> bool {
    let Some(first) = places.first_chunk_mut::<N>() else { return false };
    *first = [item; N];
    if let Some(last) = places.last_chunk_mut::<N>() {
        *last = [item; N];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length: all bytes, in order, and none beside them.
    #[test]
    fn short_copies_are_whole() {
        let from: [u8; SHORT_LEN_MAX] = core::array::from_fn(|index| index as u8);
        for len in 0..=SHORT_LEN_MAX {
            let mut to = [0xaa_u8; SHORT_LEN_MAX + 1];
            copy_short(&mut to[..len], &from[..len]);
            assert_eq!(to[..len], from[..len]);
            assert!(to[len..].iter().all(|byte| *byte == 0xaa), "{len} bytes");
        }
    }

    fn fills_are_whole<T: Copy + PartialEq>(before: T, item: T) {
        for count in 0..=4 * STEP {
            let mut places = [before; 4 * STEP + 1];
            fill(&mut places[..count], item);
            let (filled, others) = places.split_at(count);
            assert!(
                filled.iter().all(|place| *place == item),
                "{count} of {} bytes",
                size_of::<T>()
            );
            assert!(others.iter().all(|place| *place == before), "{count} of {}", size_of::<T>());
        }
    }

    /// Every count of each kind of item: all places, and none beside them.
    #[test]
    fn fills_are_whole_for_every_size() {
        fills_are_whole(1u8, 2);
        fills_are_whole(1u16, 2);
        fills_are_whole([1u8; 3], [2; 3]);
        fills_are_whole(1u32, 2);
        fills_are_whole(1u64, 2);
        fills_are_whole(1u128, 2);
    }
}
