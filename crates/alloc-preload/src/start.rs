//! What happens when the loader is done and the program has not begun.

use core::fmt::Write;

use crate::decided::{circumstances, strategy};
use crate::line::Line;
use crate::strategy::Strategy;
use crate::{calls, operators};

/// The loader calls it after those of the libraries that this one needs.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    operators::look_up();
    calls::look_up();
    match strategy() {
        Strategy::Gpa | Strategy::Sampled => alloc_gpa::start(alloc_gpa::Start::Preload),
        Strategy::Own if circumstances().asks_for_checks() => tell_own(),
        Strategy::Glibc | Strategy::Own => {}
    }
}

/// Says that the program brings its own malloc: to `alloc-check` if it listens, else to a person.
#[cold]
fn tell_own() {
    let mut name = [0u8; 300];
    let path = c"/proc/self/exe";
    let (here, place, room) = (libc::AT_FDCWD, name.as_mut_ptr(), name.len());
    // SAFETY: a C string, and a buffer of that length.
    let len = unsafe { libc::syscall(libc::SYS_readlinkat, here, path.as_ptr(), place, room) };
    let name = &name[..usize::try_from(len).unwrap_or(0)];
    let mut line = Line::new();
    // What does not fit is cut off.
    let _ = write!(
        line,
        "own-allocator: {} brings its own malloc; what that hands out was not checked",
        name.escape_ascii()
    );
    if !alloc_gpa::note_unchecked(line.text()) {
        line.tell();
    }
}
