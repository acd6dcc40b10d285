//! Which blocks are picked: at pseudo-random distances, so that no rhythm of a program escapes.

/// Returns the seed of thread `index`: never 0, and another for each.
pub(crate) const fn seed_of_thread(seed: u64, index: u32) -> u64 {
    mix(seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1
}

/// Returns the next state, never 0, and a distance from 1 to `2 * rate - 1`, each as likely: `rate` on
/// average.
pub(crate) const fn distance(state: u64, rate: u32) -> (u64, u32) {
    // xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
    let mut next = state;
    next ^= next << 13;
    next ^= next >> 7;
    next ^= next << 17;
    let span = 2 * rate as u64 - 1;
    // Scaled, not divided: the high bits are the better ones.
    (next, ((mix(next) as u128 * span as u128) >> 64) as u32 + 1)
}

/// SplitMix64's finaliser (Steele, Lea, Flood, 2014).
const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Returns a number that differs from run to run: the kernel gave it to the process.
pub(crate) fn seed_of_process() -> u64 {
    // SAFETY: reads a word that the kernel gave the process.
    let at = unsafe { libc::getauxval(libc::AT_RANDOM) };
    let at = core::ptr::with_exposed_provenance::<[u8; 8]>(at as usize);
    if at.is_null() {
        return 0;
    }
    // SAFETY: AT_RANDOM is the address of 16 bytes that stay (getauxval(3)); bytes need no alignment.
    u64::from_ne_bytes(unsafe { at.read() })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Every distance of the range comes, none beyond, about as often, for every rate.
    #[test]
    fn distances_are_what_the_rate_says() {
        for rate in [1, 2, 10, 1000] {
            let mut state = seed_of_thread(7, 0);
            let span = 2 * rate as usize - 1;
            let mut counts = std::vec![0u32; span + 1];
            for _ in 0..span * 200 {
                let (next, distance) = distance(state, rate);
                assert_ne!(next, 0);
                state = next;
                counts[distance as usize] += 1;
            }
            assert_eq!(counts[0], 0);
            assert!(counts[1..].iter().all(|count| (100..300).contains(count)), "{rate}");
        }
        let (_, largest) = distance(1, u32::MAX / 2);
        assert!(0 < largest);
    }

    #[test]
    fn threads_and_seeds_differ() {
        assert_ne!(seed_of_thread(1, 0), seed_of_thread(1, 1));
        assert_ne!(seed_of_thread(1, 0), seed_of_thread(2, 0));
        assert_ne!(seed_of_thread(0, 0), 0);
        assert_eq!(seed_of_process(), seed_of_process());
        assert_ne!(seed_of_process(), 0);
    }
}
