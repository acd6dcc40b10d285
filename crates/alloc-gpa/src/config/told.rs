//! What a report shows beyond findings and leaks.
#![forbid(unsafe_code)]

/// What a report shows beyond findings and leaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told {
    /// Bytes of the largest block of each leak that the report shows, at most 256; 0: none.
    pub dump: u16,
    /// Of a process: whether it tells at its exit what is live, by the place that allocated it.
    pub live: bool,
    /// Of a process: seconds between two looks at what is live; 0: none.
    pub every_s: u32,
    /// Of a process that writes records: milliseconds between its first samples; 0: none.
    pub sample_ms: u32,
    /// Of a process: the number of the signal at which it reports and goes on; 0: none.
    pub report_on: i32,
}

/// Longest dump in bytes.
pub(crate) const DUMP_LEN_MAX: u16 = 256;

impl Told {
    /// Samples, and nothing else.
    pub const DEFAULT: Self =
        Self { dump: 0, live: false, every_s: 0, sample_ms: 20, report_on: 0 };
}

pub(super) fn parse_dump(value: &str) -> Option<u16> {
    if value == "off" {
        return Some(0);
    }
    value.parse().ok().filter(|len| (1..=DUMP_LEN_MAX).contains(len))
}

pub(super) fn parse_live(value: &str) -> Option<bool> {
    match value {
        "off" => Some(false),
        "exit" => Some(true),
        _ => None,
    }
}

/// Reads a time, a number from 1 to 86,400, or `off`.
pub(super) fn parse_time(value: &str) -> Option<u32> {
    if value == "off" {
        return Some(0);
    }
    value.parse().ok().filter(|time| (1..=86_400).contains(time))
}

/// Reads a signal that programs may use as they like, or `off`.
pub(super) fn parse_signal(value: &str) -> Option<i32> {
    match value {
        "off" => Some(0),
        "SIGUSR1" => Some(libc::SIGUSR1),
        "SIGUSR2" => Some(libc::SIGUSR2),
        // Real-time signals, but those that C libraries keep for themselves.
        _ => value.parse().ok().filter(|number| (35..=64).contains(number)),
    }
}
