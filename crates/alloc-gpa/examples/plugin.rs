//! A library with a checking allocator inside, for a program that opens it while it runs: the thread
//! state and the stacks work there too. `tests/plugin.rs` opens it from C.

use std::sync::LazyLock;

use alloc_core::{Allocator, Layout};
use alloc_gpa::Gpa;

static GPA: LazyLock<Gpa> = LazyLock::new(|| Gpa::builder().quiet().build());

/// Frees a block twice; returns how many frames the finding's stack has, or -1 without a finding.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_double_free() -> i32 {
    let layout = Layout::new::<u64>();
    let Ok(block) = GPA.raw_alloc(layout) else { return -1 };
    // SAFETY: allocated above with this layout.
    unsafe { GPA.raw_free(block, layout) };
    // SAFETY: a checking allocator defines what a second free does: it is reported.
    unsafe { GPA.raw_free(block, layout) };
    GPA.findings().last().map_or(-1, |found| found.here.frames().count().try_into().unwrap_or(-1))
}
