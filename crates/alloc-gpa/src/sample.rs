//! Which blocks are picked: at pseudo-random distances, so that no rhythm of a program escapes.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

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

/// Picks blocks of one instance, whichever thread asks for them.
pub(crate) struct Sampler {
    /// What distances are drawn from; 0: nothing drawn yet.
    random: AtomicU64,
    /// Allocations up to the next that is picked; not above 0 while a thread draws.
    countdown: AtomicU32,
}

impl Sampler {
    pub(crate) const fn new() -> Self {
        Self { random: AtomicU64::new(0), countdown: AtomicU32::new(0) }
    }

    /// Counts an allocation; returns whether it is picked.
    pub(crate) fn picks(&self, rate: u32, seed: impl FnOnce() -> u64) -> bool {
        // Relaxed, all: numbers that publish nothing. Exactly one thread meets each 1, and draws; what
        // others count meanwhile is lost.
        let left = self.countdown.fetch_sub(1, Relaxed);
        if left != 1 && left != 0 {
            return false;
        }
        let mut random = self.random.load(Relaxed);
        let is_first = random == 0;
        if is_first {
            random = seed_of_thread(seed(), 0);
        }
        let (random, distance) = distance(random, rate);
        self.random.store(random, Relaxed);
        // The first allocation is the first of the first distance.
        let is_picked = if is_first { distance == 1 } else { left == 1 };
        let rest = if is_first && !is_picked { distance - 1 } else { distance };
        self.countdown.store(rest, Relaxed);
        is_picked
    }
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

    /// An instance picks its share, the same for the same seed, and every block at a rate of 1.
    #[test]
    fn a_sampler_picks_its_share() {
        let picks = |rate, seed| {
            let sampler = Sampler::new();
            (0..100_000).map(|_| sampler.picks(rate, || seed)).collect::<std::vec::Vec<_>>()
        };
        let count = |picks: &[bool]| picks.iter().filter(|picked| **picked).count();
        assert_eq!(count(&picks(1, 7)), 100_000);
        let picked = picks(100, 7);
        assert!((900..1100).contains(&count(&picked)), "{}", count(&picked));
        assert_eq!(picked, picks(100, 7));
        assert_ne!(picked, picks(100, 8));
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
