//! What happens when the loader is done and the program has not begun.

use core::fmt::Write;

use crate::decided::strategy;
use crate::line::Line;
use crate::strategy::Strategy;
use crate::{environment, exports};

/// The loader calls it after those of the libraries that this one needs.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    match strategy() {
        Strategy::Gpa => {}
        Strategy::Glibc if exports::is_any_replaced() && !environment::is_secure() => tell_own(),
        Strategy::Glibc => {}
    }
}

/// Says that the program brings its own malloc.
fn tell_own() {
    let mut line = Line::new();
    // A constant text fits.
    let _ = line.write_str(
        "own-allocator: the program brings its own malloc; what that hands out is not checked",
    );
    line.tell();
}
