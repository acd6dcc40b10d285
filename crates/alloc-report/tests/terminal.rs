//! `alloc-check` on a terminal: colours, and what Ctrl-C does.

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use support::{END, Records, compile, start};

/// Opens a pseudo-terminal: its master, and the terminal itself.
fn terminal() -> (File, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let null = std::ptr::null_mut();
    // SAFETY: both point to integers; without a name, settings and size null is allowed (openpty(3)).
    let result =
        unsafe { libc::openpty(&raw mut master, &raw mut slave, null, null.cast(), null.cast()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: openpty(3) has opened it for us.
    let master = unsafe { File::from_raw_fd(master) };
    // SAFETY: as above.
    (master, unsafe { OwnedFd::from_raw_fd(slave) })
}

/// Starts `command` with the terminal as all its standard descriptors, in a session of its own.
fn spawn_on(command: &mut Command, terminal: OwnedFd) -> Child {
    let stdio = || Stdio::from(terminal.try_clone().unwrap());
    command.stdin(stdio()).stdout(stdio()).stderr(stdio());
    let take_terminal = || {
        // SAFETY: setsid(2) has no contract.
        unsafe { libc::setsid() };
        // SAFETY: descriptor 0 is the terminal; 0 as argument steals it from nobody (tty_ioctl(4)).
        match unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure runs between fork and exec and only makes system calls.
    unsafe { command.pre_exec(take_terminal) };
    command.spawn().unwrap()
}

/// An interrupt from the terminal reaches the program once, and leaves alloc-check alive to report;
/// the report has colours there, unless `NO_COLOR` is set.
#[test]
fn interrupts_and_colours() {
    let records = Records::new();
    let dir = records.path();
    let (program, library) = (dir.join("program"), dir.join("fake.so"));
    compile("program.c", &program, &["-g", "-O1"]);
    compile("fake_preload.c", &library, &["-shared", "-fPIC"]);
    let finding = r#"{"t":"finding","kind":"double_free"}"#;
    records.file("template", &[&start(7), finding, END]);
    for no_color in [false, true] {
        let (mut master, slave) = terminal();
        let mut command = Command::new(env!("CARGO_BIN_EXE_alloc-check"));
        command.env("FAKE_RECORD", dir.join("template")).env("TERM", "xterm");
        command.env_remove("NO_COLOR").env_remove("CLICOLOR").env_remove("CLICOLOR_FORCE");
        if no_color {
            command.env("NO_COLOR", "1");
        }
        command.arg("--library").arg(&library).arg(&program).arg("count");
        let mut child = spawn_on(&mut command, slave);
        // Our copies of the terminal close, so that reading ends with the child.
        drop(command);
        let mut output = BufReader::new(master.try_clone().unwrap());
        let mut text = String::new();
        while !text.contains("ready") {
            assert_ne!(output.read_line(&mut text).unwrap(), 0, "{text}");
        }
        master.write_all(b"\x03").unwrap();
        let mut rest = Vec::new();
        // Reading from a terminal that nobody has open is an error, not an end.
        let _ = output.read_to_end(&mut rest);
        let rest = String::from_utf8(rest).unwrap();
        assert!(rest.contains("1 interrupts\r\n"), "{rest}");
        assert!(rest.contains("double free of a block"), "{rest}");
        assert_eq!(rest.contains("\u{1b}["), !no_color, "{rest}");
        assert_eq!(child.wait().unwrap().code(), Some(23));
    }
}
