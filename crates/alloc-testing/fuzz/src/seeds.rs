//! The seed corpus: a few programs for each kind of allocator, made from numbers alone.

use std::fs;
use std::io;
use std::path::Path;

use super::TARGETS;

/// Bytes of a seed.
const LENS: [usize; 3] = [34, 130, 402];

/// Returns every seed: target, name, bytes.
pub fn all() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (target, kinds, _) in TARGETS {
        for kind in 0..kinds {
            for (index, len) in LENS.into_iter().enumerate() {
                let seed = u64::from(kind) << 8 | index as u64;
                let mut state =
                    seed ^ target.bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte));
                let mut bytes = vec![kind, next(&mut state)];
                bytes.resize_with(len, || next(&mut state));
                seeds.push((target, format!("{kind}-{len}"), bytes));
            }
        }
    }
    seeds
}

/// Writes them below `dir`, one folder a target.
///
/// # Errors
///
/// The system's.
pub fn write(dir: &Path) -> io::Result<()> {
    for (target, name, bytes) in all() {
        fs::create_dir_all(dir.join(target))?;
        fs::write(dir.join(target).join(name), bytes)?;
    }
    Ok(())
}

/// The next byte of a linear congruential generator (Knuth, MMIX): its upper bits.
fn next(state: &mut u64) -> u8 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 56) as u8
}
