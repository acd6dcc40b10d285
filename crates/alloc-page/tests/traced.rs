//! What the kernel sees of every operation: a second witness beside the seam of `src/sys/tests.rs`. The
//! tracer is this test itself, by ptrace(2), as strace is one.
#![cfg(all(target_os = "linux", not(miri)))]

use std::alloc::Layout;
use std::io::Error;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::ptr;

use alloc_core::Allocator;
use alloc_page::{
    Decommit, GuardedPages, HugePages, PageAllocator, Region, SecretPages, page_size,
};

/// Set for the child that is traced.
const TRACED: &str = "ALLOC_PAGE_TRACED";

/// The first number of the marks, which are calls with an argument that nobody else passes.
const MARK: libc::pid_t = 0x6d61_7200;

/// Each operation of [`operations`], in order, and its calls: those with a question mark may be missing, and
/// a bar separates two ways.
const EXPECTED: &[(&str, &str)] = &[
    ("100 bytes, taken", "mmap"),
    ("given back", "munmap"),
    ("zeroed, aligned to a page, taken", "mmap"),
    ("to as many pages", ""),
    ("to 1 GiB", "mremap"),
    ("to 2 GiB", "mremap"),
    ("to 100 bytes", "munmap"),
    ("given back", "munmap"),
    ("aligned to 2 MiB, taken", "mmap munmap? munmap?"),
    ("given back", "munmap"),
    ("large pages, taken", "mmap munmap? munmap? madvise"),
    ("given back", "munmap"),
    ("guarded, taken", "mmap mprotect"),
    ("given back", "munmap"),
    ("guarded, aligned, taken", "mmap munmap? munmap? mprotect"),
    ("given back", "munmap"),
    (
        "secret, taken",
        "memfd_secret prlimit64 ftruncate mmap close madvise|memfd_secret mmap mlock madvise madvise",
    ),
    ("given back", "munmap"),
    ("region, reserved", "mmap"),
    ("committed", "mprotect"),
    ("decommitted", "madvise"),
    ("decommitted, strict", "mmap"),
    ("dropped", "munmap"),
];

/// Takes a block and gives it back; `mark` is called before each.
fn pair(mark: &mut dyn FnMut(), alloc: &dyn Allocator, size: usize, align: usize) {
    let layout = Layout::from_size_align(size, align).unwrap();
    mark();
    let block = alloc.raw_alloc(layout).unwrap();
    mark();
    // SAFETY: live, with this layout.
    unsafe { alloc.raw_free(block, layout) };
}

/// Does what `EXPECTED` says, and calls `mark` before each operation.
fn operations(mark: &mut dyn FnMut()) {
    let page = page_size();
    pair(mark, &PageAllocator, 100, 64);
    sizes(mark);
    pair(mark, &PageAllocator, page, 2 << 20);
    pair(mark, &HugePages::transparent(), 100, 8);
    pair(mark, &GuardedPages::right_aligned(), 100, 8);
    pair(mark, &GuardedPages::left_aligned(), 100, 4 * page);
    pair(mark, &SecretPages, 100, 8);
    mark();
    let mut region = Region::reserve(1 << 30).unwrap();
    mark();
    region.commit(0..4 * page).unwrap();
    mark();
    region.decommit(0..page, Decommit::Zero).unwrap();
    mark();
    region.decommit(page..2 * page, Decommit::Strict).unwrap();
    mark();
    drop(region);
}

/// A block of zeros that grows and shrinks.
fn sizes(mark: &mut dyn FnMut()) {
    let layout = |size| Layout::from_size_align(size, page_size()).unwrap();
    let gib = 1 << 30;
    mark();
    let block = PageAllocator.raw_alloc_zeroed(layout(100)).unwrap();
    mark();
    // SAFETY: live, with this layout; the new size makes one. So it is below.
    assert!(unsafe { PageAllocator.raw_resize(block, layout(100), page_size()) });
    mark();
    // SAFETY: as above.
    let block = unsafe { PageAllocator.raw_remap(block, layout(page_size()), gib) }.unwrap();
    mark();
    // SAFETY: as above.
    let block = unsafe { PageAllocator.raw_remap(block, layout(gib), 2 * gib) }.unwrap();
    mark();
    // SAFETY: as above.
    assert!(unsafe { PageAllocator.raw_resize(block, layout(2 * gib), 100) });
    mark();
    // SAFETY: live, with this layout.
    unsafe { PageAllocator.raw_free(block, layout(100)) };
}

/// The child's part; does nothing in an ordinary run.
#[test]
fn child() {
    if std::env::var_os(TRACED).is_none() {
        return;
    }
    assert!(page_size().is_power_of_two(), "asked before the marks");
    let mut number = 0;
    let mut mark = || {
        // SAFETY: it asks for the group of a process that does not exist.
        unsafe { libc::getpgid(MARK + number) };
        number += 1;
    };
    operations(&mut mark);
    mark();
}

/// A thread stopped before or after a system call, or for another reason.
struct Stop {
    thread: libc::pid_t,
    status: libc::c_int,
}

/// Waits for the next stop or end of a thread that this one traces.
fn wait() -> Option<Stop> {
    let mut status = 0;
    // The children of other threads are none of this one's business.
    let which = libc::__WALL | libc::__WNOTHREAD;
    // SAFETY: a place for the status.
    let thread = unsafe { libc::waitpid(-1, &raw mut status, which) };
    (0 < thread).then_some(Stop { thread, status })
}

/// The number and the first argument of the system call that a thread is about to make; `None` after one.
fn entered(thread: libc::pid_t) -> Result<Option<(u64, u64)>, Error> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let len = size_of::<libc::ptrace_syscall_info>();
    // SAFETY: it writes that many bytes at most.
    let count =
        unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, thread, len, info.as_mut_ptr()) };
    if count <= 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: numbers, of which any will do; those that the kernel did not write are zero.
    let info = unsafe { info.assume_init() };
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return Ok(None);
    }
    // SAFETY: the variant for this `op`.
    let entry = unsafe { info.u.entry };
    Ok(Some((entry.nr, entry.args[0])))
}

/// Runs the child, and returns its calls between marks: numbers of system calls.
fn trace(child: &mut Command) -> Result<Vec<Vec<u64>>, Error> {
    let trace_me = || {
        // SAFETY: it asks for nothing but to be traced.
        match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } {
            0 => Ok(()),
            _ => Err(Error::last_os_error()),
        }
    };
    // SAFETY: one system call, which is all that may be done between fork and exec.
    let process = unsafe { child.pre_exec(trace_me) }.spawn()?;
    let process = libc::pid_t::try_from(process.id()).unwrap();
    let (mut marked_by, mut calls, mut is_first) = (0, Vec::<Vec<u64>>::new(), true);
    while let Some(Stop { thread, status }) = wait() {
        if !libc::WIFSTOPPED(status) {
            if thread == process {
                assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status:x}");
                return Ok(calls);
            }
            continue;
        }
        if is_first {
            let options =
                libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
            // SAFETY: a thread that is stopped; numbers only.
            unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, thread, 0, options) };
            is_first = false;
        }
        let signal = libc::WSTOPSIG(status);
        if signal == libc::SIGTRAP | 0x80
            && let Some((number, argument)) = entered(thread)?
        {
            let is_mark = number == libc::SYS_getpgid as u64
                && (MARK as u64..MARK as u64 + 100).contains(&argument);
            if is_mark {
                (marked_by, _) = (thread, calls.push(Vec::new()));
            } else if let Some(between) = calls.last_mut()
                && thread == marked_by
            {
                between.push(number);
            }
        }
        // Signals are the child's own, but for those by which it is traced.
        let is_tracing = [libc::SIGTRAP, libc::SIGTRAP | 0x80, libc::SIGSTOP].contains(&signal);
        let signal = if is_tracing { 0 } else { signal };
        // SAFETY: a thread that is stopped; numbers only.
        unsafe { libc::ptrace(libc::PTRACE_SYSCALL, thread, ptr::null_mut::<u8>(), signal) };
    }
    Err(Error::last_os_error())
}

/// The name of a system call that an operation may make; of another, its number.
fn name(number: u64) -> String {
    const NAMES: [(libc::c_long, &str); 10] = [
        (libc::SYS_mmap, "mmap"),
        (libc::SYS_munmap, "munmap"),
        (libc::SYS_mremap, "mremap"),
        (libc::SYS_mprotect, "mprotect"),
        (libc::SYS_madvise, "madvise"),
        (libc::SYS_mlock, "mlock"),
        (libc::SYS_ftruncate, "ftruncate"),
        (libc::SYS_close, "close"),
        (libc::SYS_memfd_secret, "memfd_secret"),
        (libc::SYS_prlimit64, "prlimit64"),
    ];
    let found = NAMES.iter().find(|(known, _)| *known as u64 == number);
    found.map_or_else(|| number.to_string(), |(_, name)| (*name).into())
}

/// Whether the calls are those of a pattern of `EXPECTED`.
fn fits(calls: &[String], pattern: &str) -> bool {
    pattern.split('|').any(|way| {
        let mut rest = calls.iter().peekable();
        for word in way.split_whitespace() {
            let (word, may_miss) =
                word.strip_suffix('?').map_or((word, false), |word| (word, true));
            if rest.next_if(|call| *call == word).is_none() && !may_miss {
                return false;
            }
        }
        rest.next().is_none()
    })
}

/// Goal: no operation makes a call more than the table of `docs/design/alloc-page.md` says, be it by way of
/// the C library. Method: every system call of a child between its marks.
#[test]
#[cfg_attr(sanitized, ignore = "the sanitizers' runtimes make calls of their own")]
fn the_kernel_sees_no_call_more() {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child"]).env(TRACED, "1").stdout(Stdio::null());
    let calls = match trace(&mut child) {
        Ok(calls) => calls,
        Err(error) => {
            println!("not tested: no process is traced here: {error}");
            return;
        }
    };
    let made: Vec<Vec<String>> =
        calls.iter().map(|calls| calls.iter().copied().map(name).collect()).collect();
    assert_eq!(made.len(), EXPECTED.len() + 1, "{made:?}");
    for ((operation, pattern), calls) in EXPECTED.iter().zip(&made) {
        assert!(fits(calls, pattern), "{operation}: {calls:?}, not {pattern:?}");
    }
}

/// The judge of the above: patterns with what may be missing, and two ways.
#[test]
fn patterns_fit_what_they_say() {
    let fits = |calls: &str, pattern| {
        let calls: Vec<String> = calls.split_whitespace().map(Into::into).collect();
        fits(&calls, pattern)
    };
    assert!(fits("", "") && fits("mmap", "mmap") && fits("mmap munmap", "mmap munmap? munmap?"));
    assert!(fits("a c", "a b? c|d") && fits("d", "a b? c|d"));
    assert!(!fits("mmap", "") && !fits("", "mmap") && !fits("mmap mmap", "mmap"));
    assert!(!fits("a b b c", "a b? c") && !fits("a d", "a b? c|d") && !fits("9", "mmap"));
}
