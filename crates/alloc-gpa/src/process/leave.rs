//! The end of a process: the last sweep over all blocks, the search for leaks, and the report.
//!
//! Only `exit`, and the return from `main`, come here. After `_exit`, `quick_exit`, `exec` or a fatal
//! signal nothing is counted; whoever reads the records sees that the last line is missing.

use core::ffi::c_int;
use core::fmt::{self, Write};
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use super::records::End;
use super::scan;
use super::tell::{self, Mode};
use super::{PROCESS, fork, growth};
use crate::config::{Guard, OnFinding};
use crate::heap::Heap;
use crate::heap::notes::Note;
use crate::leaks::{Leaks, Sum, Totals};
use crate::stack::thread;
use crate::stats::Breakdown;
use crate::text::{self, Style};
use crate::words::counted;

/// Exit status of a process that leaked, where the policy is to abort on misuse.
const STATUS_LEAKS: c_int = 23;

/// Asks to be called at the exit.
///
/// In glibc, by `on_exit`: what `atexit` registers for a library runs with its destructors, what
/// `on_exit` does runs in its turn. Handlers run in reverse order, and the one that ends all
/// libraries is registered after their constructors ran; so what a constructor registers here runs
/// after all of them.
pub(super) fn register() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn on_exit(
                function: extern "C" fn(c_int, *mut libc::c_void),
                argument: *mut libc::c_void,
            ) -> c_int;
        }
        /// Saves the registers of `exit`'s caller on the stack, and nothing of ours above them: the
        /// stack is searched from there on, and what a frame of ours happens to hold would hide
        /// leaks.
        #[cfg(target_arch = "x86_64")]
        #[unsafe(naked)]
        extern "C" fn handler(status: c_int, _: *mut libc::c_void) {
            core::arch::naked_asm!(
                "push rbx",
                "push rbp",
                "push r12",
                "push r13",
                "push r14",
                "push r15",
                "mov rsi, rsp",
                "sub rsp, 8",
                "call {at_exit}",
                "add rsp, 56",
                "ret",
                at_exit = sym at_exit,
            );
        }
        #[cfg(not(target_arch = "x86_64"))]
        extern "C" fn handler(status: c_int, _: *mut libc::c_void) {
            at_exit(status, &scan::Registers::save());
        }
        // SAFETY: the function is never unloaded while the process can exit: it belongs to the
        // program or to a library that is loaded with it.
        unsafe { on_exit(handler, core::ptr::null_mut()) };
    }
    #[cfg(not(target_env = "gnu"))]
    {
        extern "C" fn handler() {
            at_exit(-1, &scan::Registers::save());
        }
        // SAFETY: as above.
        unsafe { libc::atexit(handler) };
    }
}

/// Reports, and changes the exit status if the policy wants that.
extern "C" fn at_exit(status: c_int, registers: &scan::Registers) {
    static DONE: AtomicBool = AtomicBool::new(false);
    // Relaxed: two threads that exit at once have undefined behaviour without us.
    if DONE.swap(true, Relaxed) {
        return;
    }
    let Some(heap) = PROCESS.heap() else { return };
    let Some(inside) = thread::enter() else {
        // A signal handler that interrupted the allocator ends the process: records are half
        // written at worst, so nothing is counted.
        end_uncounted(heap, status, "leaks: not counted: the process ended inside the allocator");
        return;
    };
    heap.audit_damage();
    growth::at_exit(heap);
    if let Guard::Sampled(_) = heap.config.guard {
        end_sampled(heap, status);
        return;
    }
    let lost = match scan::search(heap, registers, scan::Moment::Exit) {
        Ok(leaks) => {
            report(heap, &leaks, status);
            leaks.totals.lost.count
        }
        Err(why) => {
            end_uncounted(heap, status, why);
            0
        }
    };
    drop(inside);
    let mode = tell::mode();
    if let Some(status) = leak_status(heap.config.on_finding, mode).filter(|_| lost != 0) {
        // The handlers that are left, and the streams' buffers, get their turn: exit(3) in a handler
        // goes on with the rest on Linux (atexit(3)).
        // SAFETY: as above; this handler does not come here again.
        unsafe { libc::exit(status) };
    }
}

/// The exit status of a process that leaked, if it is not its own.
fn leak_status(policy: OnFinding, mode: Mode) -> Option<c_int> {
    match (mode, policy) {
        (Mode::Records, _) | (_, OnFinding::Continue | OnFinding::Record) => None,
        (_, OnFinding::Abort) => Some(STATUS_LEAKS),
        (_, OnFinding::Exit(status)) => Some(status.into()),
    }
}

/// Ends the report of a process whose leaks were not looked for.
fn end_uncounted(heap: &Heap, status: c_int, why: &str) {
    if tell::mode() == Mode::Records {
        tell::with_records(|records, buffers| records.write_note(why, buffers));
        write_end(heap, "none", None, status);
    } else {
        tell::paragraph(|out| writeln!(out, "alloc-gpa: {why}"));
    }
}

/// Ends the report of a process of which some blocks were checked. Its memory is not searched for leaks:
/// that takes as long as there is much of it, and few blocks could be found lost.
fn end_sampled(heap: &Heap, status: c_int) {
    let findings = heap.findings.count();
    if tell::mode() == Mode::Records {
        let why = "leaks: not looked for: blocks are sampled";
        tell::with_records(|records, buffers| records.write_note(why, buffers));
        write_end(heap, "none", None, status);
    } else if findings != 0 {
        let note = Note::Sampled.text();
        tell::paragraph(|out| writeln!(out, "alloc-gpa: findings: {findings}\nalloc-gpa: {note}"));
    }
}

fn report(heap: &Heap, leaks: &Leaks, status: c_int) {
    if tell::mode() == Mode::Records {
        let dump = heap.config.dump_len();
        for group in leaks.groups() {
            let cycle = leaks.cycle_of(group);
            tell::with_records(|records, buffers| {
                records.write_leak(None, group, cycle, dump, buffers);
            });
        }
        for note in leaks.notes() {
            tell::with_records(|records, buffers| records.write_note(note, buffers));
        }
        write_end(heap, "scan", Some(&leaks.totals), status);
    } else {
        tell::paragraph(|out| print(heap, leaks, out));
    }
}

/// Writes how often each finding was met, where that was more than once: they are written when they
/// are new.
fn write_repeats(heap: &Heap) {
    let mut index = 0;
    while let Some(finding) = heap.findings.get(index) {
        if 1 < finding.count {
            tell::with_records(|records, buffers| records.write_repeat(&finding, buffers));
        }
        index += 1;
    }
}

fn write_end(heap: &Heap, counted: &'static str, totals: Option<&Totals>, status: c_int) {
    if tell::missed() != 0 {
        let text = "degraded: findings in signal handlers could not be recorded";
        tell::with_records(|records, buffers| records.write_note(text, buffers));
    }
    write_repeats(heap);
    let breakdown = Breakdown::of(Some(heap));
    tell::with_records(|records, buffers| records.write_breakdown(&breakdown, buffers));
    let findings = heap.findings.lock.lock_within_a_second().map_or(0, |count| *count);
    let end = End {
        stats: fork::own(heap.stats()),
        live: heap.live_totals(),
        kept: heap.kept(),
        findings: findings as u64,
        counted,
        totals,
        status,
    };
    tell::with_records(|records, buffers| records.write_end(&end, buffers));
}

/// How leaks are printed in this process.
pub(super) fn style(heap: &Heap) -> Style {
    let (frames, dump) = (growth::frames(), heap.config.dump_len());
    Style { frames, prefix: "alloc-gpa: ", exact: false, dump }
}

/// Writes the leaks and a summary, if there is something to say.
fn print(heap: &Heap, leaks: &Leaks, out: &mut dyn Write) -> fmt::Result {
    text::leaks(leaks, style(heap), out)?;
    if heap.findings.count() != 0 || !leaks.is_empty() {
        print_totals(heap, leaks, out)?;
    }
    Ok(())
}

/// Writes how many findings and leaks there are, and the notes.
pub(super) fn print_totals(heap: &Heap, leaks: &Leaks, out: &mut dyn Write) -> fmt::Result {
    let findings = heap.findings.count();
    let Totals { lost, indirect, possible, reachable } = leaks.totals;
    let Sum { count, bytes } = lost;
    write!(
        out,
        "alloc-gpa: findings: {findings}; blocks lost: {count} ({})",
        counted(bytes, "byte")
    )?;
    for (title, sum) in [
        ("held by lost ones only", indirect),
        ("possibly lost", possible),
        ("in use at the end", reachable),
    ] {
        if sum.count != 0 {
            write!(out, ", {title}: {} ({})", sum.count, counted(sum.bytes, "byte"))?;
        }
    }
    out.write_char('\n')?;
    leaks.notes().try_for_each(|note| writeln!(out, "alloc-gpa: {note}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_decides_about_the_status() {
        for mode in [Mode::Addresses, Mode::Resolved] {
            assert_eq!(leak_status(OnFinding::Abort, mode), Some(23));
            assert_eq!(leak_status(OnFinding::Exit(5), mode), Some(5));
            assert_eq!(leak_status(OnFinding::Continue, mode), None);
            assert_eq!(leak_status(OnFinding::Record, mode), None);
        }
        assert_eq!(leak_status(OnFinding::Exit(5), Mode::Records), None);
    }
}
