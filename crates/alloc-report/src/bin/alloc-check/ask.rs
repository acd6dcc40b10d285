//! `alloc-check ask PID`: has a running process report, by the signal that its settings name.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use anyhow::{Context, bail};

/// Sends the signal, if the process waits for it: any other would die by it.
pub(crate) fn run(pid: i32) -> anyhow::Result<ExitCode> {
    let environ = match fs::read(format!("/proc/{pid}/environ")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("cannot ask process {pid}: there is none")
        }
        // As kernels tell of one that has ended and was not waited for.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Vec::new(),
        read => read.with_context(|| format!("cannot ask process {pid}"))?,
    };
    if environ.is_empty() {
        bail!("cannot ask process {pid}: it shows no environment, as one that begins or has ended");
    }
    let options = variable(&environ, "ALLOC_GPA").unwrap_or_default();
    let signal = std::str::from_utf8(options)
        .ok()
        .and_then(|options| alloc_gpa::Config::DEFAULT.parse(options).ok())
        .map_or(0, |config| config.told.report_on);
    if signal == 0 {
        bail!(
            "cannot ask process {pid}: it was started without `report_on=SIGNAL` in ALLOC_GPA or --gpa"
        );
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("cannot ask process {pid}"))?;
    if !catches(&status, signal) {
        bail!("cannot ask process {pid}: it has no handler for signal {signal}");
    }
    // SAFETY: kill(2) has no contract; that the process waits for the signal was seen just now.
    if unsafe { libc::kill(pid, signal) } != 0 {
        return Err(std::io::Error::last_os_error())
            .with_context(|| format!("cannot ask process {pid}"));
    }
    match variable(&environ, "ALLOC_GPA_RECORDS").filter(|dir| !dir.is_empty()) {
        Some(dir) => {
            let dir = OsStr::from_bytes(dir).to_string_lossy();
            println!("asked; it answers when it allocates next: alloc-check render {dir}");
        }
        None => println!("asked; it answers on its standard error when it allocates next"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The value of a variable in a process's environment.
fn variable<'e>(environ: &'e [u8], name: &str) -> Option<&'e [u8]> {
    let entries = environ.split(|byte| *byte == 0);
    entries.into_iter().find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Whether a process with this `/proc/PID/status` has a handler for a signal.
fn catches(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only a whole name is one, and the first of several counts, as for `getenv`.
    #[test]
    fn variables() {
        let environ = b"XALLOC_GPA=1\0ALLOC_GPAX=2\0ALLOC_GPA=a=b\0ALLOC_GPA=3\0";
        assert_eq!(variable(environ, "ALLOC_GPA"), Some(&b"a=b"[..]));
        assert_eq!(variable(environ, "ALLOC"), None);
    }

    /// Signal `n` is bit `n - 1`.
    #[test]
    fn masks() {
        let status = "Name:\tx\nSigIgn:\tffffffffffffffff\nSigCgt:\t8000000000000800\n";
        for (signal, caught) in [(1, false), (11, false), (12, true), (13, false), (64, true)] {
            assert_eq!(catches(status, signal), caught, "{signal}");
        }
        assert!(!catches("", 12));
    }
}
