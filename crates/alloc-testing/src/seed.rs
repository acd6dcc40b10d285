//! The seed of everything random in this crate.

use std::sync::OnceLock;

/// The environment variable that sets the seed of every run.
pub const SEED_VARIABLE: &str = "ALLOC_TESTING_SEED";

/// The seed of a run that names none.
const SEED: u64 = 0x00C0_FFEE;

/// Returns the seed for this process: that of the [runner](crate::runner)'s `--seed`, that of the
/// environment variable [`SEED_VARIABLE`], or a fixed one. Tests are the same every time unless somebody asks for another seed.
///
/// # Panics
///
/// If the variable holds no number.
#[must_use]
pub fn seed() -> u64 {
    or_environment(None)
}

/// The seed that a runner's command line gives to all of the process.
static OF_RUNNER: OnceLock<u64> = OnceLock::new();

/// The seed of a runner: of its command line, which is that of the process then, else of the
/// environment, else the fixed one. An error is what the environment says and is no number.
pub(crate) fn for_runner(given: Option<u64>) -> Result<u64, String> {
    if let Some(seed) = given {
        return Ok(*OF_RUNNER.get_or_init(|| seed));
    }
    match std::env::var(SEED_VARIABLE) {
        Ok(text) => parse(&text).ok_or(text),
        Err(_) => Ok(SEED),
    }
}

/// The seed of a runner's command line, or of the environment, or else `given`, or else the fixed one.
pub(crate) fn or_environment(given: Option<u64>) -> u64 {
    if let Some(seed) = OF_RUNNER.get() {
        return *seed;
    }
    let Ok(text) = std::env::var(SEED_VARIABLE) else { return given.unwrap_or(SEED) };
    let Some(seed) = parse(&text) else {
        panic!("{SEED_VARIABLE}={text}: not a number; 64 bits, decimal or after 0x hexadecimal")
    };
    seed
}

/// The number that a text says, decimal or after 0x.
pub(crate) fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    /// What a report prints can be given back; what is no number is refused.
    #[test]
    fn seeds_are_decimal_or_hexadecimal() {
        assert_eq!(parse("42"), Some(42));
        assert_eq!(parse("0xc0ffee"), Some(0xC0_FFEE));
        assert_eq!(parse(&format!("{:#x}", u64::MAX)), Some(u64::MAX));
        assert_eq!(parse("c0ffee"), None);
        assert_eq!(parse("0x"), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse("-1"), None);
    }
}
