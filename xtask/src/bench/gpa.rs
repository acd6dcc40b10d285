//! `cargo xtask bench gpa`: what checking costs, beside Zig's checking allocators and on real programs.
//!
//! * `sides`: small workloads, each run a process of its own: ours and Zig's in turn.
//! * `programs`: real programs, plain and preloaded, in turn.
//! * `record`: the tables, the goals that were reached and missed, and the picture.
//!
//! Every figure is a median of interleaved runs and counts processors' time, not the wall's clock.

mod picture;
mod programs;
mod record;
mod sides;

use anyhow::Result;

/// How often each contender runs; the median of an odd number is one of them.
pub(super) fn run(rounds: usize, is_recorded: bool) -> Result<()> {
    let sides = sides::measure(rounds)?;
    let programs = programs::measure(rounds)?;
    record::report(&sides, &programs, is_recorded)
}

fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means() {
        assert!((geometric_mean(&[1.0, 4.0]) - 2.0).abs() < 1e-12);
    }
}
