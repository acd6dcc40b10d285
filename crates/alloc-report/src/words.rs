//! Findings and figures in words.

use crate::Report;
use crate::escape::{escape, escape_short};
use crate::model::{Counted, Frame};

/// The most characters of a function's name that are shown.
const NAME_LEN_MAX: usize = 160;
/// `1 finding`, `12,406 findings`.
pub(crate) fn counted(count: u64, singular: &str) -> String {
    let ending = match count {
        1 => "",
        _ if singular.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {singular}{ending}", grouped(count))
}

/// `12406` as `12,406`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `97.1 %` of 971 per mille.
pub(crate) fn percent(per_mille: u64) -> String {
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

/// `340 ms`, `2.5 s`, `4 min`.
pub(crate) fn time(ms: u64) -> String {
    match ms {
        0 => "0".to_owned(),
        1..1_000 => format!("{ms} ms"),
        1_000..120_000 if ms % 1_000 < 100 => format!("{} s", ms / 1_000),
        1_000..120_000 => format!("{}.{} s", ms / 1_000, ms / 100 % 10),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// `+1,024`, `-3`, `0`.
pub(crate) fn signed(number: i64) -> String {
    let sign = match number {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    format!("{sign}{}", grouped(number.unsigned_abs()))
}

/// `+1 block`, `-3 blocks`.
pub(crate) fn signed_counted(number: i64, singular: &str) -> String {
    let counted = counted(number.unsigned_abs(), singular);
    match number.signum() {
        0 => counted,
        1 => format!("+{counted}"),
        _ => format!("-{counted}"),
    }
}

/// `4,128 bytes`.
pub(crate) fn bytes(count: u64) -> String {
    counted(count, "byte")
}

/// A size at a glance: `512 bytes`, `1.8 MiB`.
pub(crate) fn size(count: u64) -> String {
    let mut unit_len = 1024_u64;
    for unit in ["KiB", "MiB", "GiB", "TiB"] {
        if count < unit_len {
            break;
        }
        let tenths = u128::from(count) * 10 / u128::from(unit_len);
        if tenths < 10 * 1024 || unit == "TiB" {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        unit_len *= 1024;
    }
    bytes(count)
}

/// Which blocks the report calls lost.
pub(crate) fn leaks_meaning(report: &Report) -> &'static str {
    let counted = |counted| report.has_counted(counted);
    match (counted(Counted::Scan), counted(Counted::Exact)) {
        (true, false) => "blocks that nothing points to",
        (false, true) => "all blocks that were not freed",
        (true, true) => "in some processes blocks that nothing points to, in others all not freed",
        (false, false) => "blocks that nothing pointed to at the last look",
    }
}

/// The function's name, or where it would be.
pub(crate) fn function(frame: &Frame) -> String {
    match &frame.function {
        Some(name) => escape_short(name, NAME_LEN_MAX).into_owned(),
        None => escape(&frame.to_string()).into_owned(),
    }
}

/// `file:line`, relative to `here` if it lies below; else the module.
pub(crate) fn place(frame: &Frame, here: Option<&str>) -> String {
    let Some(file) = &frame.file else {
        return match (&frame.function, frame.module.as_str()) {
            (None, _) | (_, "") => String::new(),
            _ => format!("({})", escape(&frame.to_string())),
        };
    };
    let file = short_path(file, here);
    match frame.line {
        Some(line) => format!("{}:{line}", escape(file)),
        None => escape(file).into_owned(),
    }
}

/// `path` without the directory `here`, or without the directory in which Rust's own sources were
/// compiled.
fn short_path<'p>(path: &'p str, here: Option<&str>) -> &'p str {
    let below = here.and_then(|here| path.strip_prefix(here)?.strip_prefix('/'));
    let rustc = || {
        let (commit, rest) = path.strip_prefix("/rustc/")?.split_once('/')?;
        commit.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(rest)
    };
    below.or_else(rustc).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thousands are grouped, units rounded down, plurals right.
    #[test]
    fn figures() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(12_406), "12,406");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!([0, 1_024, -3, i64::MIN].map(signed)[..3], ["0", "+1,024", "-3"]);
        assert_eq!(bytes(1), "1 byte");
        let told = [0, 1, -1, 1_024, i64::MIN].map(|number| signed_counted(number, "byte"));
        assert_eq!(told[..4], ["0 bytes", "+1 byte", "-1 byte", "+1,024 bytes"]);
        assert_eq!(counted(2, "process"), "2 processes");
        assert_eq!(size(1023), "1,023 bytes");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(1_900_000), "1.8 MiB");
        assert_eq!(size(u64::MAX), "16777215.9 TiB");
    }

    /// Paths are as short as they can be without ambiguity.
    #[test]
    fn paths() {
        assert_eq!(short_path("/src/app/a.c", Some("/src/app")), "a.c");
        assert_eq!(short_path("/src/app2/a.c", Some("/src/app")), "/src/app2/a.c");
        assert_eq!(short_path("/rustc/0a1b/library/x.rs", None), "library/x.rs");
    }

    /// Times have a unit that fits.
    #[test]
    fn times() {
        let shown = [0, 999, 1_250, 119_999, 120_000, 7_200_000].map(time);
        assert_eq!(shown, ["0", "999 ms", "1.2 s", "119.9 s", "2 min", "2 h"]);
    }
}
