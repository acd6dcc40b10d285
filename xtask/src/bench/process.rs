//! A process that is run to its end, and what it cost.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// What one process took, with all of its children.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// Seconds of the processors' time, user and system.
    pub(super) cpu: f64,
    /// Peak of resident memory in KiB.
    pub(super) peak: f64,
}

/// Runs a command to its end; returns the kernel's status word, and what it cost with all of its
/// children.
pub(super) fn wait(command: &mut Command) -> Result<(i32, Cost)> {
    let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let pid = libc::pid_t::try_from(child.id())?;
    let mut status = 0;
    // SAFETY: all zero bytes are a value of this record of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: waits for our own child, for which nobody else waits (dropping `child` does not), and
    // writes to two values of the types that the call documents.
    let ended = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    ensure!(ended == pid, "wait4: {}", std::io::Error::last_os_error());
    let time = |value: libc::timeval| {
        Duration::from_secs(value.tv_sec as u64) + Duration::from_micros(value.tv_usec as u64)
    };
    let cpu = (time(usage.ru_utime) + time(usage.ru_stime)).as_secs_f64();
    Ok((status, Cost { cpu, peak: usage.ru_maxrss as f64 }))
}
