//! What a report shows beyond findings and leaks.
#![forbid(unsafe_code)]

/// What a report shows beyond findings and leaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told {
    /// Bytes of the largest block of each leak that the report shows, at most 256; 0: none.
    pub dump: u16,
}

/// Longest dump in bytes.
pub(crate) const DUMP_LEN_MAX: u16 = 256;

impl Told {
    /// Nothing beyond.
    pub const DEFAULT: Self = Self { dump: 0 };
}

pub(super) fn parse_dump(value: &str) -> Option<u16> {
    if value == "off" {
        return Some(0);
    }
    value.parse().ok().filter(|len| (1..=DUMP_LEN_MAX).contains(len))
}
