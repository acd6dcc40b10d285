//! Settings: for an explicit instance by the builder, for a process by `ALLOC_GPA`.

use core::num::NonZeroU32;

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

/// Which blocks lie between pages that trap, and trap themselves once they are freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guard {
    /// None.
    Off,
    /// Every block: some microseconds and a page for each.
    Every,
    /// One block in so many, picked at random: for production. All others come from the system's
    /// malloc at the cost of a count, and get no check of leaks, stacks or canaries, which the report
    /// says; a process is not searched for leaks at all. [`SAMPLE_RATE_MAX`](Guard::SAMPLE_RATE_MAX) is the largest number.
    Sampled(NonZeroU32),
}

impl Guard {
    /// The largest number that [`Sampled`](Self::Sampled) takes; what is above counts as this.
    pub const SAMPLE_RATE_MAX: u32 = 1 << 30;

    /// The same with a rate that is none too large.
    pub(crate) const fn capped(self) -> Self {
        match (self, NonZeroU32::new(Self::SAMPLE_RATE_MAX)) {
            (Self::Sampled(rate), Some(max)) if max.get() < rate.get() => Self::Sampled(max),
            _ => self,
        }
    }
}

/// At which end of its own pages a guarded block lies: the bytes between it and the page that traps hold
/// the canary, which is checked when the block is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardAlign {
    /// At the end, as far as its alignment allows: what reads or writes past the end traps, after at
    /// most `align - 1` bytes.
    Right,
    /// At the start: what reads or writes before the start traps at once.
    Left,
    /// As `Right`, and to the byte for blocks of C's `malloc` too: a block whose size is no multiple
    /// of 16 is only aligned to the largest power of two that its size is a multiple of. A program
    /// that uses the low bits of addresses, or vectors at odd places, will not do with it. Requests
    /// that name an alignment above 16, and all of Rust's, get the alignment that they name.
    Exact,
}

impl GuardAlign {
    /// The same for callers that name each alignment, and get what they name.
    pub(crate) const fn for_layouts(self) -> Self {
        match self {
            Self::Left => Self::Left,
            Self::Right | Self::Exact => Self::Right,
        }
    }
}

/// How pages are made to trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardImpl {
    /// By guard markers if the kernel has them (Linux 6.13), else by protection.
    Auto,
    /// By guard markers in the page tables, `MADV_GUARD_INSTALL`: any number of blocks. Where the
    /// kernel lacks them, by protection, and a note says so.
    Madvise,
    /// By protection, mprotect(2). Each block takes two of the process's mappings; when a quarter of
    /// `vm.max_map_count` blocks are live, further ones are not guarded, and a note says so.
    Mprotect,
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
    /// Which blocks lie between pages that trap.
    pub guard: Guard,
    /// What `guard=sampled` picks blocks by: the same blocks for the same seed, as far as a program
    /// asks for the same in the same threads. `None`: others in each run.
    pub guard_seed: Option<u64>,
    /// At which end of its own pages a guarded block lies.
    pub guard_align: GuardAlign,
    /// How pages are made to trap.
    pub guard_impl: GuardImpl,
    /// Bytes, as requested, that may be live at once: an allocation beyond fails. `None`: no limit.
    pub memory_limit: Option<usize>,
    /// Bytes of freed blocks, with their canaries, that wait before their addresses are handed out
    /// again, oldest first; `None`: no address is used twice. For programs that run long.
    ///
    /// A block that waits is checked as any freed one: a second free is told with its stacks, a write
    /// when the wait ends. Once its address is handed out again, a stale pointer to it is one to the
    /// new block. Blocks that need more than 16 KiB, or an alignment above 4 KiB, trap when they are
    /// freed, and their addresses are never used again.
    pub quarantine: Option<usize>,
    /// The byte that freed memory is filled with. A write of this very byte after the free is unseen.
    pub junk: u8,
    /// What happens after a finding.
    pub on_finding: OnFinding,
    /// Whether a handler for `SIGSEGV` and `SIGBUS` tells of accesses that trap. Without it such an
    /// access ends the program, or comes to its own handler, without a word; and at the exit other
    /// threads are not kept still while leaks are looked for.
    pub faults: bool,
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
        name: "guard",
        valid: "off, every, sampled:1 to sampled:1073741824",
        set: |config, value| parse_guard(value).map(|guard| config.guard = guard),
    },
    Key {
        name: "guard_seed",
        valid: "random, or a number",
        set: |config, value| parse_seed(value).map(|seed| config.guard_seed = seed),
    },
    Key {
        name: "guard_align",
        valid: "right, left, exact",
        set: |config, value| parse_guard_align(value).map(|align| config.guard_align = align),
    },
    Key {
        name: "guard_impl",
        valid: "auto, madvise, mprotect",
        set: |config, value| parse_guard_impl(value).map(|means| config.guard_impl = means),
    },
    Key {
        name: "memory_limit",
        valid: "off, or a number of bytes, such as 64M",
        set: |config, value| parse_off_or_bytes(value).map(|limit| config.memory_limit = limit),
    },
    Key {
        name: "quarantine",
        valid: "off, or a number of bytes, such as 64M",
        set: |config, value| parse_off_or_bytes(value).map(|bytes| config.quarantine = bytes),
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
        name: "faults",
        valid: "on, off",
        set: |config, value| parse_on(value).map(|is_on| config.faults = is_on),
    },
    Key {
        name: "dump",
        valid: "off, or 1 to 256",
        set: |config, value| told::parse_dump(value).map(|len| config.told.dump = len),
    },
    Key {
        name: "live",
        valid: "off, exit",
        set: |config, value| told::parse_live(value).map(|live| config.told.live = live),
    },
    Key {
        name: "every",
        valid: "off, or 1 to 86400 (seconds)",
        set: |config, value| told::parse_time(value).map(|time| config.told.every_s = time),
    },
    Key {
        name: "sample",
        valid: "off, or 1 to 86400 (milliseconds)",
        set: |config, value| told::parse_time(value).map(|time| config.told.sample_ms = time),
    },
    Key {
        name: "report_on",
        valid: "off, SIGUSR1, SIGUSR2, or the number of a signal from 35 to 64",
        set: |config, value| told::parse_signal(value).map(|number| config.told.report_on = number),
    },
];

impl Config {
    /// Settings of an explicit instance.
    pub const DEFAULT: Self = Self {
        stacks: STACK_DEPTH_DEFAULT,
        history: 16 << 20,
        guard: Guard::Off,
        guard_seed: None,
        guard_align: GuardAlign::Right,
        guard_impl: GuardImpl::Auto,
        memory_limit: None,
        quarantine: None,
        junk: 0x5a,
        on_finding: OnFinding::Record,
        faults: true,
        told: Told::DEFAULT,
    };

    /// Returns these settings, changed by a text such as `stacks=8,on_finding=exit:9`.
    ///
    /// | key | values |
    /// | --- | --- |
    /// | `stacks` | `off`, or a number of frames from 1 to 32 |
    /// | `history` | bytes, with an optional `K`, `M` or `G` |
    /// | `guard` | `off`, `every`, `sampled:N`: which blocks lie between pages that trap |
    /// | `guard_seed` | `random`, or a number: what `sampled` picks blocks by |
    /// | `guard_align` | `right`, `left`, `exact`: at which end of its own pages a guarded block lies |
    /// | `guard_impl` | `auto`, `madvise`, `mprotect`: how pages are made to trap |
    /// | `memory_limit` | `off`, or bytes as above: what may be live at once |
    /// | `quarantine` | `off`, or bytes as above: addresses are used again after that much was freed |
    /// | `junk` | a byte, in hexadecimal after `0x` or decimal: what freed memory is filled with |
    /// | `on_finding` | `abort`, `continue`, `record`, `exit:N` with `N` from 0 to 255 |
    /// | `faults` | `on`, or `off`: the program's own handlers get `SIGSEGV` and `SIGBUS`, and traps are not told |
    /// | `dump` | `off`, or how many bytes of each leak's largest block are shown, from 1 to 256 |
    /// | `live` | `off`, or `exit`: a process tells at its exit what is live, by the place that allocated it |
    /// | `every` | `off`, or seconds: a process tells so often what is live, or without records what grew |
    /// | `sample` | `off`, or milliseconds between the first samples of a record file, 20 unless told otherwise |
    /// | `report_on` | `off`, `SIGUSR1`, `SIGUSR2`, or a number from 35 to 64: a signal at which a process reports and goes on |
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
        if self.memory_limit.is_some() && matches!(self.guard, Guard::Sampled(_)) {
            // Whose bytes nobody counts cannot be limited.
            let valid = "off while guard is sampled";
            return Err(ConfigError { key: "memory_limit", value: "a limit", valid });
        }
        if self.reuse_after() != self.quarantine {
            // A guarded block's addresses trap for ever.
            let valid = "off while blocks are guarded";
            return Err(ConfigError { key: "quarantine", value: "a number of bytes", valid });
        }
        if self.told.dump != self.dump_len() {
            // In production nobody's bytes are shown.
            let valid = "off while guard is sampled";
            return Err(ConfigError { key: "dump", value: "a length", valid });
        }
        Ok(self)
    }
}

impl Config {
    /// Bytes that are freed before addresses are used again; never where blocks are guarded.
    pub(crate) fn reuse_after(&self) -> Option<usize> {
        self.quarantine.filter(|_| self.guard == Guard::Off)
    }

    /// Bytes shown of the largest block of each leak: none where blocks are sampled, as in production.
    pub(crate) const fn dump_len(&self) -> u16 {
        if matches!(self.guard, Guard::Sampled(_)) { 0 } else { self.told.dump }
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

fn parse_guard(value: &str) -> Option<Guard> {
    Some(match value {
        "off" => Guard::Off,
        "every" => Guard::Every,
        _ => {
            let rate = value.strip_prefix("sampled:")?.parse::<NonZeroU32>().ok()?;
            if Guard::SAMPLE_RATE_MAX < rate.get() {
                return None;
            }
            Guard::Sampled(rate)
        }
    })
}

fn parse_seed(value: &str) -> Option<Option<u64>> {
    if value == "random" { Some(None) } else { value.parse().ok().map(Some) }
}

fn parse_guard_align(value: &str) -> Option<GuardAlign> {
    Some(match value {
        "right" => GuardAlign::Right,
        "left" => GuardAlign::Left,
        "exact" => GuardAlign::Exact,
        _ => return None,
    })
}

fn parse_guard_impl(value: &str) -> Option<GuardImpl> {
    Some(match value {
        "auto" => GuardImpl::Auto,
        "madvise" => GuardImpl::Madvise,
        "mprotect" => GuardImpl::Mprotect,
        _ => return None,
    })
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

fn parse_on(value: &str) -> Option<bool> {
    match value {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
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
        let guarded = |guard, guard_align, guard_impl| {
            Ok(Config { guard, guard_align, guard_impl, ..default })
        };
        let (off, every) = (Guard::Off, Guard::Every);
        let (right, auto) = (GuardAlign::Right, GuardImpl::Auto);
        assert_eq!(read("guard=every"), guarded(every, right, auto));
        assert_eq!(read("guard=every,guard=off"), guarded(off, right, auto));
        let sampled = Guard::Sampled(NonZeroU32::new(1000).unwrap());
        assert_eq!(read("guard=sampled:1000"), guarded(sampled, right, auto));
        for wrong in ["sampled:0", "sampled", "sampled:", "sampled:-1", "sampled:1073741825"] {
            assert_eq!(parse_guard(wrong), None, "{wrong}");
        }
        assert!(read("guard=sampled:9,memory_limit=1M").is_err());
        assert!(read("guard=sampled:9,dump=16").is_err());
        let quarantine = |quarantine| Ok(Config { quarantine, ..default });
        assert_eq!(read("quarantine=64M"), quarantine(Some(64 << 20)));
        assert_eq!(read("quarantine=0"), quarantine(Some(0)));
        assert_eq!(read("quarantine=1G,quarantine=off"), quarantine(None));
        assert!(read("guard=every,dump=16").is_ok_and(|config| config.dump_len() == 16));
        assert_eq!(read("guard_seed=7"), Ok(Config { guard_seed: Some(7), ..default }));
        assert_eq!(read("guard_seed=7,guard_seed=random"), Ok(default));
        for (name, align) in [
            ("guard_align=right", right),
            ("guard_align=left", GuardAlign::Left),
            ("guard_align=exact", GuardAlign::Exact),
        ] {
            assert_eq!(read(name).map(|c| c.guard_align), Ok(align));
        }
        let (madvise, mprotect) = (GuardImpl::Madvise, GuardImpl::Mprotect);
        for (name, means) in [
            ("guard_impl=auto", auto),
            ("guard_impl=madvise", madvise),
            ("guard_impl=mprotect", mprotect),
        ] {
            assert_eq!(read(name).map(|c| c.guard_impl), Ok(means));
        }
        let limit = |memory_limit| Ok(Config { memory_limit, ..default });
        assert_eq!(read("memory_limit=2K"), limit(Some(2048)));
        assert_eq!(read("memory_limit=0"), limit(Some(0)));
        assert_eq!(read("memory_limit=1,memory_limit=off"), limit(None));
        assert_eq!(read("junk=0xA5"), Ok(Config { junk: 0xa5, ..default }));
        assert_eq!(read("junk=7"), Ok(Config { junk: 7, ..default }));
        assert_eq!(read("dump=64").map(|config| config.told.dump), Ok(64));
        assert_eq!(read("dump=64,dump=off"), Ok(default));
        assert_eq!(read("faults=off"), Ok(Config { faults: false, ..default }));
        assert_eq!(read("faults=off,faults=on"), Ok(default));
        assert_eq!(read("live=exit").map(|config| config.told.live), Ok(true));
        assert_eq!(read("live=exit,live=off"), Ok(default));
        assert_eq!(read("every=60").map(|config| config.told.every_s), Ok(60));
        assert_eq!(read("sample=5").map(|config| config.told.sample_ms), Ok(5));
        assert_eq!(read("report_on=SIGUSR2").map(|c| c.told.report_on), Ok(libc::SIGUSR2));
        assert_eq!(read("report_on=40").map(|c| c.told.report_on), Ok(40));
        assert_eq!(read("report_on=40,report_on=off"), Ok(default));
        assert_eq!(read("sample=off").map(|config| config.told.sample_ms), Ok(0));
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
                "unknown key `stack`; the keys are stacks, history, guard, guard_seed, guard_align, guard_impl, \
                 memory_limit, quarantine, junk, on_finding, faults, dump, live, every, sample, report_on",
            ),
            (
                "memory_limit=lots",
                "`lots` is no value of `memory_limit`; it takes off, or a number of bytes, such as 64M",
            ),
            (
                "guard=all",
                "`all` is no value of `guard`; it takes off, every, sampled:1 to sampled:1073741824",
            ),
            (
                "quarantine=on",
                "`on` is no value of `quarantine`; it takes off, or a number of bytes, such as 64M",
            ),
            (
                "quarantine=1M,guard=every",
                "`a number of bytes` is no value of `quarantine`; it takes off while blocks are guarded",
            ),
            (
                "guard=sampled:9,quarantine=0",
                "`a number of bytes` is no value of `quarantine`; it takes off while blocks are guarded",
            ),
            ("guard_align=up", "`up` is no value of `guard_align`; it takes right, left, exact"),
            ("guard_impl=x", "`x` is no value of `guard_impl`; it takes auto, madvise, mprotect"),
            ("junk=256", "`256` is no value of `junk`; it takes a byte, such as 0x5a or 90"),
            ("junk=0x+5", "`0x+5` is no value of `junk`; it takes a byte, such as 0x5a or 90"),
            ("junk=0x", "`0x` is no value of `junk`; it takes a byte, such as 0x5a or 90"),
            ("stacks=0", "`0` is no value of `stacks`; it takes off, or 1 to 32"),
            ("faults=no", "`no` is no value of `faults`; it takes on, off"),
            ("live=now", "`now` is no value of `live`; it takes off, exit"),
            ("every=0", "`0` is no value of `every`; it takes off, or 1 to 86400 (seconds)"),
            (
                "report_on=SIGSEGV",
                "`SIGSEGV` is no value of `report_on`; it takes off, SIGUSR1, SIGUSR2, or the number of a \
                 signal from 35 to 64",
            ),
            ("dump=257", "`257` is no value of `dump`; it takes off, or 1 to 256"),
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
