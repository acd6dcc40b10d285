//! What code leaks that allocates from the global allocator, with the threads that it starts.

use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering::Acquire;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use alloc_gpa::process::SearchError;
use alloc_gpa::{Finding, LeakKind, LeakTotals, Leaks, Turn};

use super::ending::await_threads;
use super::region::{self, Region};
use super::wipe::wipe_stack;
use super::{require, text, thread};
use crate::test_allocator::Report;
use alloc_gpa::counted;

/// Runs `code`, and fails the test if it leaked: if a block that it allocated from the global allocator, in
/// this thread or one that belongs to it, is left and nothing leads to it any more. Returns what the code
/// returns.
///
/// Threads that the code starts belong to it, and so do those that they start; a pool's thread that was
/// there before [adopts](Tag::adopt) its tag. Regions in other threads do not mix with it: tests run
/// in parallel.
///
/// What something leads to is no leak: a static, a thread-local value, a value that the code returned or
/// stored elsewhere, a thread that is still running. So a logger, a cache, or a thread's handle
/// that the code was first to use does not count. The search looks at all memory, and at the registers of all
/// threads, for words that are addresses of blocks.
///
/// On Linux and x86-64 all other threads of the process keep still while it looks: a signal of libc's own, number 33,
/// asks them to, which no program can block or handle by libc's functions. Their system calls go on afterwards; one
/// that waits for a time begins its time anew, and one made by `syscall(2)` with a time limit may return `EINTR`. If a
/// thread cannot keep still (it blocks all signals past libc, or waits for a child made by `vfork`), what
/// seems lost may
/// be held by its registers: then it is printed, and fails nothing. (Elsewhere nobody keeps still, and what only
/// registers hold counts as lost.)
///
/// Threads of the region that are just ending are waited for. One that sleeps, or has worked for 0.1 s of its own
/// processor time, goes on: what it holds is in use.
///
/// What goes wrong with the region's blocks fails the test, too: double frees, wrong layouts, writes past
/// the end or after the free, with their stacks.
///
/// ```
/// # #[global_allocator]
/// # static ALLOC: alloc_testing::Sentinel = alloc_testing::Sentinel::new();
/// # fn main() {
/// use std::sync::OnceLock;
///
/// static CACHE: OnceLock<Vec<u32>> = OnceLock::new();
///
/// let sum = alloc_testing::check_leaks(|| {
///     let half = std::thread::spawn(|| CACHE.get_or_init(|| vec![1, 2]).iter().sum::<u32>());
///     half.join().unwrap() + 3
/// });
/// assert_eq!(sum, 6);
/// # }
/// ```
///
/// # Panics
///
/// If the code panics, or left a leak, or misuse was found; the message has the stacks. If it did
/// both, the report is printed beside the panic. Also if the program's global allocator is no
/// [`Sentinel`](super::Sentinel), or the system does not let the process read its own memory.
#[track_caller]
pub fn check_leaks<R>(code: impl FnOnce() -> R) -> R {
    require();
    let check = LeakCheck::begin();
    let result = call(code);
    wipe_stack();
    check.finish();
    result
}

/// As [`check_leaks`]: what the code returns, and what there is to say against it. `None`, and the code does
/// not run, if the program's global allocator is no [`Sentinel`](super::Sentinel).
pub(crate) fn with_leaks<R>(code: impl FnOnce() -> R) -> Option<(R, Option<Report>)> {
    if !thread::is_installed() {
        return None;
    }
    let mut check = LeakCheck::begin();
    let result = call(code);
    wipe_stack();
    check.is_finished = true;
    let report = check.end();
    Some((result, report))
}

/// Runs the code in frames that are gone when leaks are looked for.
#[inline(never)]
fn call<R>(code: impl FnOnce() -> R) -> R {
    code()
}

/// A region of this thread, until it is dropped.
struct LeakCheck {
    region: &'static Region,
    outer: Option<&'static Region>,
    is_finished: bool,
}

impl LeakCheck {
    #[track_caller]
    fn begin() -> Self {
        let region = thread::aside(|| {
            super::inherit::prepare();
            region::open()
        });
        let region = region.expect("no memory for the heap of `check_leaks`");
        let outer = thread::with(|thread| thread.region.replace(Some(region)));
        Self { region, outer, is_finished: false }
    }

    #[track_caller]
    fn finish(mut self) {
        self.is_finished = true;
        let Some(report) = self.end() else { return };
        // A drop may have called: a second panic would end the process without a word.
        if std::thread::panicking() {
            print_beside(&report);
        } else {
            panic!("check_leaks: {report}");
        }
    }

    /// Leaves the region and returns what there is to say against the code, if anything.
    fn end(&self) -> Option<Report> {
        thread::with(|thread| thread.region.set(self.outer));
        judged(self.region, verdict)
    }
}

/// Prints what was found while the thread is panicking; that panic goes on.
fn print_beside(report: &Report) {
    crate::report::print(format_args!("beside the panic above: check_leaks: {report}\n"));
}

/// Returns what `verdict` says of a region, which ends for its test, also if that panics. The thread has
/// left it.
fn judged<R>(region: &Region, verdict: impl FnOnce(&Region) -> R) -> R {
    struct Ending<'r>(&'r Region);
    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            self.0.end();
            self.0.remove_user();
            thread::aside(|| self.0.end_if_unused());
        }
    }
    let _ending = Ending(region);
    thread::aside(|| verdict(region))
}

impl Drop for LeakCheck {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        // A panic of the verdict's own would end the process here; its message is printed already.
        if let Ok(Some(report)) = catch_unwind(AssertUnwindSafe(|| self.end())) {
            print_beside(&report);
        }
    }
}

/// What there is to say against the code of a region, if anything. The thread is aside.
#[inline(never)]
fn verdict(region: &Region) -> Option<Report> {
    let heap = region.heap();
    heap.flush();
    let leaks = match search(region) {
        Ok(leaks) => leaks.filter(|leaks| !is_doubtful(leaks, region)),
        Err(why) => {
            let (leaks, kinds) = (LeakTotals::default(), vec!["leaks_unknown"]);
            return Some(Report { leaks, findings: 0, kinds, text: why.to_string() });
        }
    };
    let findings: Vec<Finding> =
        heap.findings().filter(|finding| finding.kind.is_fault()).collect();
    if leaks.is_none() && findings.is_empty() {
        return None;
    }
    let mut kinds: Vec<_> = findings.iter().map(|finding| finding.kind.name()).collect();
    let (mut totals, mut said) = (LeakTotals::default(), Vec::new());
    if let Some(leaks) = &leaks {
        totals = lost(leaks);
        kinds.push("leak");
        said.push(sum("leaked", totals));
    }
    if !findings.is_empty() {
        said.push(counted(findings.len(), "finding").to_string());
    }
    kinds.sort_unstable();
    kinds.dedup();
    let mut text = said.join(", ") + "\n";
    findings.iter().for_each(|finding| text += &text::finding(finding));
    if let Some(leaks) = &leaks {
        text += &crate::report::trimmed(&leaks.to_string());
    }
    Some(Report { leaks: totals, findings: findings.len() as u64, kinds, text })
}

/// How many blocks are lost, or held by lost ones only.
fn lost(leaks: &Leaks) -> LeakTotals {
    let mut totals = LeakTotals::default();
    for kind in [LeakKind::Lost, LeakKind::Indirect, LeakKind::Possible] {
        totals.count += leaks.total(kind).count;
        totals.bytes += leaks.total(kind).bytes;
    }
    totals
}

/// Says how many blocks, and how long they are.
fn sum(what: &str, totals: LeakTotals) -> String {
    format!("{} {what}, {}", counted(totals.count, "block"), counted(totals.bytes, "byte"))
}

/// Whether leaks are none for certain, which is printed then: a thread may hold them that could not be asked.
fn is_doubtful(leaks: &Leaks, region: &Region) -> bool {
    /// Whether other threads keep still for a search.
    const STOPS: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    // Acquire: pairs with the Release of `inherit::leave`.
    let is_certain =
        leaks.total(LeakKind::Lost).count != 0 || !STOPS && region.threads.load(Acquire) == 0;
    if !is_certain {
        let sum = sum("perhaps leaked", lost(leaks));
        let why: String = leaks.notes().map(|note| format!("{note}\n")).collect();
        let places = crate::report::trimmed(&leaks.to_string());
        // Not by the harness, which throws away what a test prints that passes. Where it cannot be written there is
        // nowhere to tell it.
        let _ = write!(std::io::stderr(), "check_leaks: could not look: {sum}\n{why}{places}");
    }
    !is_certain
}

/// Looks for blocks that nothing leads to: `None` if there are none.
///
/// # Errors
///
/// Why it could not look.
fn search(region: &Region) -> Result<Option<Leaks>, SearchError> {
    if region.heap().detect_leaks().count == 0 {
        return Ok(None);
    }
    await_threads(region);
    if region.heap().detect_leaks().count == 0 {
        return Ok(None);
    }
    find_lost(region).map(|leaks| Some(leaks).filter(|leaks| !leaks.is_empty()))
}

/// Looks once. One thread at a time, which wipes its stack before the next one begins: a search leaves
/// addresses there of all the blocks that it has seen, those that others lost among them.
fn find_lost(region: &Region) -> Result<Leaks, SearchError> {
    static SEARCHER: AtomicI32 = AtomicI32::new(0);
    let turn = Turn::wait(&SEARCHER);
    let leaks = region.heap().find_lost();
    wipe_stack();
    drop(turn);
    leaks
}

/// The mark of a region of [`check_leaks`], to be handed to threads that were not started by it: those of
/// a pool that another test, or nobody, has started.
///
/// It does not keep the region from ending; what is allocated under the tag afterwards belongs to nobody.
///
/// ```
/// # #[global_allocator]
/// # static ALLOC: alloc_testing::Sentinel = alloc_testing::Sentinel::new();
/// # fn main() {
/// use std::sync::mpsc::channel;
///
/// use alloc_testing::{Tag, check_leaks};
///
/// type Job = Box<dyn FnOnce() + Send>;
/// let (jobs, queue) = channel::<Job>();
/// let worker = std::thread::spawn(move || queue.into_iter().for_each(|job| job()));
///
/// check_leaks(|| {
///     let (tag, (done, wait)) = (Tag::current(), channel());
///     let job = move || {
///         // What the job leaks is this test's leak, in whatever thread it runs.
///         tag.adopt(|| drop(vec![1, 2, 3]));
///         done.send(()).unwrap();
///     };
///     jobs.send(Box::new(job)).unwrap();
///     wait.recv().unwrap();
/// });
/// # drop(jobs);
/// # worker.join().unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct Tag(Option<User>);

/// A share in a region, whose heap it keeps.
struct User(&'static Region);

impl core::fmt::Debug for User {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:p}", self.0)
    }
}

impl User {
    fn new(region: &'static Region) -> Self {
        region.add_user();
        Self(region)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.0.remove_user();
    }
}

impl Tag {
    /// Returns the tag of the region that the calling thread is in; outside of all, one that belongs to
    /// none.
    #[must_use]
    pub fn current() -> Self {
        Self(thread::with(|thread| thread.region.get()).map(User::new))
    }

    /// Runs `code` as part of the region, and returns what it returns; under a tag of none, as part of
    /// none: so a thread that a test has started works for nobody.
    pub fn adopt<R>(&self, code: impl FnOnce() -> R) -> R {
        /// Goes back to the thread's own region, also when the code panics.
        struct Back(Option<&'static Region>);
        impl Drop for Back {
            fn drop(&mut self) {
                thread::with(|thread| thread.region.set(self.0));
            }
        }
        let region = self.0.as_ref().map(|user| user.0);
        let _back = Back(thread::with(|thread| thread.region.replace(region)));
        let result = call(code);
        wipe_stack();
        result
    }
}

impl Clone for Tag {
    fn clone(&self) -> Self {
        Self(self.0.as_ref().map(|user| User::new(user.0)))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;

    /// Whether a region is open after its verdict.
    fn is_open_after(verdict: impl FnOnce(&Region)) -> bool {
        let region = region::open().expect("memory");
        assert!(region.is_open());
        let _ = catch_unwind(AssertUnwindSafe(|| judged(region, verdict)));
        region.is_open()
    }

    #[test]
    fn a_region_ends_though_its_verdict_panics() {
        assert!(!is_open_after(|_| ()));
        assert!(!is_open_after(|_| resume_unwind(Box::new("the verdict's own"))));
    }
}
