//! Runs the program: its environment, its signals, its end.

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::ptr;

use anyhow::{Context, bail};

use crate::inherited;

/// The signals that ask a program to end: the program decides.
const FORWARDED: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGQUIT, libc::SIGHUP];

/// The environment variables of the child that differ from ours.
pub(crate) fn environment(
    libraries: &[PathBuf],
    records: &Path,
    settings: OsString,
) -> Vec<(&'static str, OsString)> {
    let ours = libraries.iter().map(|library| library.as_os_str());
    let mut preload = ours.collect::<Vec<_>>().join(OsStr::new(":"));
    if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        preload.push(":");
        preload.push(others);
    }
    vec![
        ("LD_PRELOAD", preload),
        ("ALLOC_PRELOAD", "gpa".into()),
        ("ALLOC_GPA_RECORDS", records.as_os_str().to_owned()),
        ("ALLOC_GPA", settings),
    ]
}

/// The allocator's settings: those of the environment, then those of the command line. An error is what
/// the allocator would say when it is too late for the report.
pub(crate) fn settings(options: &[String]) -> anyhow::Result<OsString> {
    let inherited = std::env::var_os("ALLOC_GPA").unwrap_or_default();
    let text = inherited.to_str().context("ALLOC_GPA: not UTF-8 text")?;
    let defaults = alloc_gpa::Config::DEFAULT;
    if let Err(error) = defaults.parse(text) {
        bail!("ALLOC_GPA: {}", error.to_string().escape_debug());
    }
    for option in options {
        if let Err(error) = defaults.parse(option) {
            bail!("--gpa: {}", error.to_string().escape_debug());
        }
        if option.split(',').any(|piece| is_on_finding(piece.as_bytes())) {
            bail!("--gpa: `on_finding` is always continue here; see --exit-code");
        }
    }
    let mut all = merge_options(&inherited);
    for option in options {
        all.push(",");
        all.push(option);
    }
    Ok(all)
}

/// The user's options, but that the program goes on after a finding.
fn merge_options(user: &OsStr) -> OsString {
    let mut merged = OsString::from("on_finding=continue");
    let pieces = user.as_encoded_bytes().split(|byte| *byte == b',');
    for piece in pieces.filter(|piece| !piece.is_empty() && !is_on_finding(piece)) {
        merged.push(",");
        merged.push(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(piece));
    }
    merged
}

fn is_on_finding(piece: &[u8]) -> bool {
    piece.split(|byte| *byte == b'=').next().map(<[u8]>::trim_ascii) == Some(b"on_finding")
}

/// A set of signals.
fn signal_set(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `set` is valid for writes of a signal set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset(3) has initialised it, and does not fail.
    let mut set = unsafe { set.assume_init() };
    for signal in signals {
        // SAFETY: `set` is an initialised set.
        unsafe { libc::sigaddset(&raw mut set, *signal) };
    }
    set
}

/// Blocks `signals`, or with `how` SIG_UNBLOCK or SIG_SETMASK something else; returns the old mask.
fn change_mask(how: i32, set: &libc::sigset_t) -> io::Result<libc::sigset_t> {
    let mut old = signal_set(&[]);
    // SAFETY: both point to initialised sets that live through the call.
    match unsafe { libc::pthread_sigmask(how, set, &raw mut old) } {
        0 => Ok(old),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Runs `command` to its end. Signals that ask us to end go to it; those of the terminal reach it
/// anyway, as it is in our process group.
pub(crate) fn run(command: &mut Command) -> io::Result<ExitStatus> {
    let mut waited = FORWARDED.to_vec();
    waited.push(libc::SIGCHLD);
    let waited = signal_set(&waited);
    // Blocked before the child exists: none is lost between its start and the wait.
    let old = change_mask(libc::SIG_BLOCK, &waited)?;
    let restore = move || {
        inherited::restore();
        change_mask(libc::SIG_SETMASK, &old).map(drop)
    };
    // SAFETY: the closure runs between fork and exec; what it calls, sigaction, close and
    // pthread_sigmask, is async-signal-safe, and it allocates nothing.
    unsafe { command.pre_exec(restore) };
    let ended = command.spawn().and_then(|mut child| wait(&mut child, &waited));
    change_mask(libc::SIG_SETMASK, &old)?;
    ended
}

fn wait(child: &mut Child, signals: &libc::sigset_t) -> io::Result<ExitStatus> {
    let pid = i32::try_from(child.id()).expect("process ids are positive i32");
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
        // SAFETY: `signals` is an initialised set, `info` valid for writes of one siginfo_t.
        let signal = unsafe { libc::sigwaitinfo(signals, info.as_mut_ptr()) };
        if signal < 0 || signal == libc::SIGCHLD {
            // Interrupted by SIGCONT, or the child changed its state: look again.
            continue;
        }
        // SAFETY: sigwaitinfo(2) returned a signal, so it has filled `info` in.
        let info = unsafe { info.assume_init() };
        // A positive code means that the kernel sent it: from the terminal, to the whole group.
        if info.si_code <= 0 {
            // SAFETY: kill(2) has no contract; the child is not reaped, so the id is its own.
            unsafe { libc::kill(pid, signal) };
        }
    }
}

/// Ends this process as `status` says: the same signal. Returns if it was no signal.
pub(crate) fn die_by_same_signal(status: ExitStatus) {
    let Some(signal) = status.signal() else { return };
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `none` is a valid limit that lives through the call. The child has written its core.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    // SAFETY: SIG_DFL is a valid disposition; no handler of ours is replaced.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: the set is initialised; a null old set is allowed (pthread_sigmask(3)).
    unsafe {
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &signal_set(&[signal]), ptr::null_mut());
    }
    // SAFETY: raise(3) has no contract.
    unsafe { libc::raise(signal) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The user's keys are kept, but not the one that would end the program.
    #[test]
    fn options_are_merged() {
        let merged = |user: &str| merge_options(OsStr::new(user)).into_string().unwrap();
        assert_eq!(merged(""), "on_finding=continue");
        assert_eq!(merged("stacks=4,history=1M"), "on_finding=continue,stacks=4,history=1M");
        assert_eq!(merged("on_finding=abort,,x=1"), "on_finding=continue,x=1");
    }
}
