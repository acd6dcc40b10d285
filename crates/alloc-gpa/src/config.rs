//! Settings: for an explicit instance by the builder, for a process by `ALLOC_GPA`.

mod told;

pub(crate) use told::DUMP_LEN_MAX;
pub use told::Told;

/// What happens after a finding was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFinding {
    /// Goes on; `deinit` and `findings` tell.
    Record,
    /// Goes on.
    Continue,
    /// Ends the process by SIGABRT.
    Abort,
    /// Ends the process with this status, without exit handlers.
    Exit(u8),
}

/// Settings of one allocator. Copied at its first use. More keys may come: begin with
/// [`Config::DEFAULT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Frames kept of each stack; 0 turns stacks off.
    pub stacks: u8,
    /// Bytes of records kept of freed blocks whose memory is gone; older ones are forgotten.
    pub history: usize,
    /// Bytes, as requested, that may be live at once: an allocation beyond fails. `None`: no limit.
    pub memory_limit: Option<usize>,
    /// The byte that freed memory is filled with. A write of this very byte after the free is unseen.
    pub junk: u8,
    /// What happens after a finding.
    pub on_finding: OnFinding,
    /// What the report shows beyond findings and leaks.
    pub told: Told,
}

/// Frames of a stack unless told otherwise: deep enough to leave a container library's own calls.
pub(crate) const STACK_DEPTH_DEFAULT: u8 = 16;

/// One key of `ALLOC_GPA`.
struct Key {
    name: &'static str,
    /// What it takes, for people who gave it something else.
    valid: &'static str,
    /// Enters a value; `None` if the key cannot have it.
    set: fn(&mut Config, &str) -> Option<()>,
}

/// All keys, in the order in which they are listed to people.
const KEYS: &[Key] = &[
    Key {
        name: "stacks",
        valid: "off, or 1 to 32",
        set: |config, value| parse_stacks(value).map(|frames| config.stacks = frames),
    },
    Key {
        name: "history",
        valid: "a number of bytes, such as 64M",
        set: |config, value| parse_bytes(value).map(|bytes| config.history = bytes),
    },
    Key {
        name: "memory_limit",
        valid: "off, or a number of bytes, such as 64M",
        set: |config, value| parse_off_or_bytes(value).map(|limit| config.memory_limit = limit),
    },
    Key {
        name: "junk",
        valid: "a byte, such as 0x5a or 90",
        set: |config, value| parse_byte(value).map(|byte| config.junk = byte),
    },
    Key {
        name: "on_finding",
        valid: "abort, continue, record, exit:0 to exit:255",
        set: |config, value| parse_on_finding(value).map(|policy| config.on_finding = policy),
    },
    Key {
        name: "dump",
        valid: "off, or 1 to 256",
        set: |config, value| told::parse_dump(value).map(|len| config.told.dump = len),
    },
];

impl Config {
    /// Settings of an explicit instance.
    pub const DEFAULT: Self = Self {
        stacks: STACK_DEPTH_DEFAULT,
        history: 256 << 20,
        memory_limit: None,
        junk: 0x5a,
        on_finding: OnFinding::Record,
        told: Told::DEFAULT,
    };

    /// Returns these settings, changed by a text such as `stacks=8,on_finding=exit:9`.
    ///
    /// | key | values |
    /// | --- | --- |
    /// | `stacks` | `off`, or a number of frames from 1 to 32 |
    /// | `history` | bytes, with an optional `K`, `M` or `G` |
    /// | `memory_limit` | `off`, or bytes as above: what may be live at once |
    /// | `junk` | a byte, in hexadecimal after `0x` or decimal: what freed memory is filled with |
    /// | `on_finding` | `abort`, `continue`, `record`, `exit:N` with `N` from 0 to 255 |
    /// | `dump` | `off`, or how many bytes of each leak's largest block are shown, from 1 to 256 |
    ///
    /// # Errors
    ///
    /// What is wrong, and what would be right: one line.
    pub fn parse(mut self, text: &str) -> Result<Self, ConfigError<'_>> {
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let wrong = |valid| ConfigError { key: name, value, valid };
            let key = KEYS.iter().find(|key| key.name == name).ok_or(wrong(""))?;
            (key.set)(&mut self, value).ok_or(wrong(key.valid))?;
        }
        Ok(self)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A setting that does not exist or has a value that it cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError<'t> {
    key: &'t str,
    value: &'t str,
    /// Valid values of the key; empty if the key is unknown.
    valid: &'static str,
}

impl core::fmt::Display for ConfigError<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { key, value, valid } = self;
        if valid.is_empty() {
            write!(f, "unknown key `{key}`; the keys are ")?;
            let mut names = KEYS.iter().map(|key| key.name);
            names.next().map_or(Ok(()), |first| f.write_str(first))?;
            names.try_for_each(|name| write!(f, ", {name}"))
        } else {
            write!(f, "`{value}` is no value of `{key}`; it takes {valid}")
        }
    }
}

impl core::error::Error for ConfigError<'_> {}

fn parse_stacks(value: &str) -> Option<u8> {
    if value == "off" {
        return Some(0);
    }
    value.parse().ok().filter(|count| (1..=crate::stack::FRAMES_MAX as u8).contains(count))
}

fn parse_bytes(value: &str) -> Option<usize> {
    let (digits, shift) = match value.as_bytes().last()? {
        b'K' => (&value[..value.len() - 1], 10),
        b'M' => (&value[..value.len() - 1], 20),
        b'G' => (&value[..value.len() - 1], 30),
        _ => (value, 0),
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

fn parse_off_or_bytes(value: &str) -> Option<Option<usize>> {
    if value == "off" { Some(None) } else { parse_bytes(value).map(Some) }
}

fn parse_byte(value: &str) -> Option<u8> {
    match value.strip_prefix("0x") {
        // What `from_str_radix` takes beyond digits: a sign.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u8::from_str_radix(digits, 16).ok()
        }
        Some(_) => None,
        None => value.parse().ok(),
    }
}

fn parse_on_finding(value: &str) -> Option<OnFinding> {
    Some(match value {
        "abort" => OnFinding::Abort,
        "continue" => OnFinding::Continue,
        "record" => OnFinding::Record,
        _ => OnFinding::Exit(value.strip_prefix("exit:")?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn every_key_is_read() {
        let read = |text| Config::DEFAULT.parse(text);
        let default = Config::DEFAULT;
        assert_eq!(read("stacks=off"), Ok(Config { stacks: 0, ..default }));
        assert_eq!(read("stacks=32"), Ok(Config { stacks: 32, ..default }));
        assert_eq!(read("history=3M"), Ok(Config { history: 3 << 20, ..default }));
        let limit = |memory_limit| Ok(Config { memory_limit, ..default });
        assert_eq!(read("memory_limit=2K"), limit(Some(2048)));
        assert_eq!(read("memory_limit=0"), limit(Some(0)));
        assert_eq!(read("memory_limit=1,memory_limit=off"), limit(None));
        assert_eq!(read("junk=0xA5"), Ok(Config { junk: 0xa5, ..default }));
        assert_eq!(read("junk=7"), Ok(Config { junk: 7, ..default }));
        assert_eq!(read("dump=64").map(|config| config.told.dump), Ok(64));
        assert_eq!(read("dump=64,dump=off"), Ok(default));
        let on_finding = OnFinding::Exit(9);
        assert_eq!(
            read("stacks=off,,on_finding=exit:9,"),
            Ok(Config { stacks: 0, on_finding, ..default })
        );
        assert_eq!(read(""), Ok(default));
    }

    /// What cannot be is refused in one line that names it and what would be right.
    #[test]
    fn bad_input_is_one_clear_line() {
        for (text, line) in [
            (
                "stack=3",
                "unknown key `stack`; the keys are stacks, history, memory_limit, junk, on_finding, dump",
            ),
            (
                "memory_limit=lots",
                "`lots` is no value of `memory_limit`; it takes off, or a number of bytes, such as 64M",
            ),
            ("junk=256", "`256` is no value of `junk`; it takes a byte, such as 0x5a or 90"),
            ("junk=0x+5", "`0x+5` is no value of `junk`; it takes a byte, such as 0x5a or 90"),
            ("junk=0x", "`0x` is no value of `junk`; it takes a byte, such as 0x5a or 90"),
            ("stacks=0", "`0` is no value of `stacks`; it takes off, or 1 to 32"),
            ("stacks", "`` is no value of `stacks`; it takes off, or 1 to 32"),
            ("stacks=33", "`33` is no value of `stacks`; it takes off, or 1 to 32"),
            (
                "history=1T",
                "`1T` is no value of `history`; it takes a number of bytes, such as 64M",
            ),
            (
                "on_finding=exit:256",
                "`exit:256` is no value of `on_finding`; it takes abort, continue, record, exit:0 to exit:255",
            ),
        ] {
            assert_eq!(Config::DEFAULT.parse(text).unwrap_err().to_string(), line);
        }
        assert!(Config::DEFAULT.parse("history=99999999999G").is_err(), "overflows");
    }
}
