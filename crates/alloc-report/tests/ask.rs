//! `alloc-check ask` with processes that cannot be asked.

mod support;

use std::fs;
use std::mem::MaybeUninit;
use std::process::{Child, Command};
use std::time::Duration;

use support::setup::{Setup, stderr};

/// Starts `sleep`, and waits until /proc shows its environment: that comes after what `spawn` waits for.
fn sleeping(command: &mut Command) -> Child {
    let mut child = command.arg("600").spawn().unwrap();
    let file = format!("/proc/{}/environ", child.id());
    while fs::read(&file).unwrap().is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

/// Waits until a child has ended, and leaves its status to be asked for.
fn wait_for_end(child: &Child) {
    let flags = libc::WEXITED | libc::WNOWAIT;
    let mut info = MaybeUninit::uninit();
    // SAFETY: `info` is valid for writes of one siginfo_t; the child is this process's own.
    let waited = unsafe { libc::waitid(libc::P_PID, child.id(), info.as_mut_ptr(), flags) };
    assert_eq!(waited, 0, "{}", std::io::Error::last_os_error());
}

/// What cannot be asked is refused in one line, with status 2, and gets no signal.
#[test]
fn processes_that_cannot_be_asked() {
    let setup = Setup::new();
    let mut sleep = sleeping(Command::new("sleep").env("OTHER", "1").env_remove("ALLOC_GPA"));
    let mut deaf = sleeping(Command::new("sleep").env("ALLOC_GPA", "report_on=SIGUSR2"));
    let mut ended = Command::new("true").spawn().unwrap();
    wait_for_end(&ended);
    for (pid, words) in [
        (sleep.id().to_string(), "it was started without `report_on=SIGNAL`"),
        (deaf.id().to_string(), "it has no handler for signal 12"),
        (ended.id().to_string(), "it shows no environment"),
        (i32::MAX.to_string(), "there is none"),
        ("0".to_owned(), "0 is not in 1..="),
        ("x".to_owned(), "invalid digit"),
    ] {
        let output = setup.bare().args(["ask", &pid]).output().unwrap();
        let text = stderr(&output);
        assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{text}");
        assert!(text.contains(words), "{text:?} does not say {words:?}");
    }
    for child in [&mut sleep, &mut deaf] {
        assert!(child.try_wait().unwrap().is_none(), "it was sent a signal");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    ended.wait().unwrap();
}
