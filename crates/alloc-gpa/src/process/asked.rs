//! A report on request, while the process goes on: by the signal that `report_on` names.
//!
//! The handler sets a flag and does nothing else. Whoever next needs memory for a slab, or for a large
//! block, looks at the flag with no lock held, and reports in its own time; the other threads keep still only
//! while leaks are looked for. A process that does not allocate answers when it does.

use core::ffi::{c_int, c_void};
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use super::scan::{self, Registers};
use super::tell::{self, Mode};
use super::{ask, growth, leave};
use crate::config::Guard;
use crate::heap::Heap;
use crate::leaks::Leaks;
use crate::sys::signal::{self, Action};
use crate::text;
use crate::words::counted;

/// Set by the handler. Relaxed, all: it stands for itself; who sees it late reports late.
static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// Begins to listen, if there is a signal to listen to. What the program sets for that signal later
/// holds instead.
pub(super) fn listen(heap: &Heap) {
    let number = heap.config.told.report_on;
    if number != 0 {
        // Blocking calls of the program go on after the handler, as far as the system can have that.
        let (handler, flags) = (asked as *const () as usize, libc::SA_RESTART);
        signal::action(number, Some(&Action { handler, flags, mask: 0 }));
    }
}

extern "C" fn asked(_signal: c_int) {
    IS_ASKED.store(true, Relaxed);
}

/// A forked child answers what it is asked itself.
pub(super) fn after_fork_child() {
    IS_ASKED.store(false, Relaxed);
}

/// Whether a report is wanted; the caller owes it then.
pub(super) fn is_due() -> bool {
    IS_ASKED.load(Relaxed) && IS_ASKED.swap(false, Relaxed)
}

/// Reports damage, leaks, what is live and what grew. The calling thread is inside the allocator and
/// holds no lock.
#[cold]
#[inline(never)]
pub(super) fn report(heap: &Heap) {
    extern "C" fn with_registers(heap: *mut c_void, registers: &Registers) {
        // SAFETY: `report` passes its heap, which lives through the call and is shared as `&` only.
        let heap = unsafe { &*heap.cast_const().cast::<Heap>() };
        let leaks = match heap.config.guard {
            Guard::Sampled(_) => Err("leaks: not looked for: blocks are sampled"),
            _ => scan::search(heap, registers, scan::Moment::Before),
        };
        match tell::mode() {
            Mode::Records => write(heap, &leaks),
            _ => print(heap, &leaks),
        }
    }
    heap.audit_damage();
    scan::with_registers(with_registers, core::ptr::from_ref(heap).cast_mut().cast());
}

fn write(heap: &Heap, leaks: &Result<Leaks, &'static str>) {
    growth::write_sample(heap);
    match leaks {
        Ok(leaks) => ask::write(heap, leaks),
        Err(why) => {
            growth::write_requested(heap);
            tell::with_records(|records, buffers| records.write_note(why, buffers));
        }
    }
}

fn print(heap: &Heap, leaks: &Result<Leaks, &'static str>) {
    tell::paragraph(|out| {
        let stats = heap.stats();
        let (live, peak) = (stats.live_bytes, stats.peak_bytes);
        writeln!(
            out,
            "alloc-gpa: asked to report: {} live, {peak} at most",
            counted(live, "byte")
        )?;
        match leaks {
            Ok(leaks) => {
                text::leaks(leaks, leave::style(heap), out)?;
                leave::print_totals(heap, leaks, out)
            }
            Err(why) => writeln!(out, "alloc-gpa: {why}"),
        }
    });
    growth::print_growth(heap);
}
