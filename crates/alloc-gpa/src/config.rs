//! Settings: for an explicit instance by the builder, for a process by `ALLOC_GPA`.

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

/// Settings of one allocator. Copied at its first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Frames kept of each stack; 0 turns stacks off.
    pub stacks: u8,
    /// Bytes of records kept of freed blocks whose memory is gone; older ones are forgotten.
    pub history: usize,
    /// What happens after a finding.
    pub on_finding: OnFinding,
}

/// Frames of a stack unless told otherwise: deep enough to leave a container library's own calls.
pub(crate) const STACK_DEPTH_DEFAULT: u8 = 16;

impl Config {
    /// Settings of an explicit instance.
    pub const DEFAULT: Self =
        Self { stacks: STACK_DEPTH_DEFAULT, history: 256 << 20, on_finding: OnFinding::Record };

    /// Returns these settings, changed by a text such as `stacks=8,on_finding=exit:9`.
    ///
    /// | key | values |
    /// | --- | --- |
    /// | `stacks` | `off`, or a number of frames from 1 to 32 |
    /// | `history` | bytes, with an optional `K`, `M` or `G` |
    /// | `on_finding` | `abort`, `continue`, `record`, `exit:N` with `N` from 0 to 255 |
    ///
    /// # Errors
    ///
    /// What is wrong, and what would be right: one line.
    pub fn parse(mut self, text: &str) -> Result<Self, ConfigError<'_>> {
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let wrong = |valid| ConfigError { key, value, valid };
            match key {
                "stacks" => {
                    self.stacks = parse_stacks(value).ok_or(wrong("off, or 1 to 32"))?;
                }
                "history" => {
                    let valid = "a number of bytes, such as 64M";
                    self.history = parse_bytes(value).ok_or(wrong(valid))?;
                }
                "on_finding" => {
                    let valid = "abort, continue, record, exit:0 to exit:255";
                    self.on_finding = parse_on_finding(value).ok_or(wrong(valid))?;
                }
                _ => return Err(ConfigError { key, value, valid: "" }),
            }
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
            write!(f, "unknown key `{key}`; the keys are stacks, history, on_finding")
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
        let config = Config::DEFAULT.parse("stacks=off,history=3M,on_finding=exit:9").unwrap();
        let expected = Config { stacks: 0, history: 3 << 20, on_finding: OnFinding::Exit(9) };
        assert_eq!(config, expected);
        assert_eq!(Config::DEFAULT.parse(""), Ok(Config::DEFAULT));
        assert_eq!(Config::DEFAULT.parse("stacks=32").map(|c| c.stacks), Ok(32));
    }

    /// What cannot be is refused in one line that names it and what would be right.
    #[test]
    fn bad_input_is_one_clear_line() {
        for (text, line) in [
            ("stack=3", "unknown key `stack`; the keys are stacks, history, on_finding"),
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
