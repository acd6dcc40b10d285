//! Numbers with their nouns, written without memory.
#![forbid(unsafe_code)]

use core::fmt;

/// A number of things, in words; from [`counted`].
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    count: i128,
    noun: &'static str,
}

/// `1 block`, `2 blocks`: the noun is given in the singular, and takes an `s`. With the sign that the format
/// asks for: `{:+}` writes `+1 block`, `-1 block`.
#[must_use]
pub fn counted(count: impl TryInto<i128>, noun: &'static str) -> Counted {
    // No count of this crate is wider than 64 bits.
    Counted { count: count.try_into().unwrap_or(i128::MAX), noun }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.count, f)?;
        let ending = if self.count.unsigned_abs() == 1 { "" } else { "s" };
        write!(f, " {}{ending}", self.noun)
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_no_plural() {
        let told = [0usize, 1, 2].map(|count| counted(count, "block").to_string());
        assert_eq!(told, ["0 blocks", "1 block", "2 blocks"]);
        assert_eq!(counted(1u64, "heap operation").to_string(), "1 heap operation");
        assert_eq!(counted(u64::MAX, "byte").to_string(), "18446744073709551615 bytes");
        let told = [-1i64, 0, 1, -2].map(|count| format!("{:+}", counted(count, "block")));
        assert_eq!(told, ["-1 block", "+0 blocks", "+1 block", "-2 blocks"]);
    }
}
