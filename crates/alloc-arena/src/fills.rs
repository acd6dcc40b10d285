//! Fills without a call: the C library's function is for bytes, and the faster one for many of them, but costs
//! as much as all else that an arena does for few. Items may be `MaybeUninit`.
#![forbid(unsafe_code)]

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
