//! Numbers with their nouns.
#![forbid(unsafe_code)]

use core::fmt;

/// A number of things, in words; from [`counted`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    count: u64,
    noun: &'static str,
}

/// `1 block`, `2 blocks`: the noun is given in the singular, and takes an `s`.
pub(crate) fn counted(count: impl TryInto<u64>, noun: &'static str) -> Counted {
    // No count of this crate is wider than 64 bits.
    Counted { count: count.try_into().unwrap_or(u64::MAX), noun }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = if self.count == 1 { "" } else { "s" };
        write!(f, "{} {}{ending}", self.count, self.noun)
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_no_plural() {
        let told = [0usize, 1, 2, 1001].map(|count| counted(count, "block").to_string());
        assert_eq!(told, ["0 blocks", "1 block", "2 blocks", "1001 blocks"]);
        assert_eq!(counted(1u64, "heap operation").to_string(), "1 heap operation");
    }
}
