//! What happens beside a test: the words of its panics, and the errors that it logs.
#![forbid(unsafe_code)]

use core::cell::RefCell;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::thread;

use log::{LevelFilter, Log, Metadata, Record};

/// What was seen during a test, in its own thread.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Each panic with its place.
    pub(super) panics: String,
    /// Errors that were logged, and their lines.
    pub(super) errors: u64,
    pub(super) lines: String,
}

thread_local! {
    /// What this thread has seen; none while it runs no test.
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// Errors that were logged by threads that run no test. Relaxed: a number that publishes nothing; it
/// is read after the tests ended, by the thread that joined theirs.
static STRAY_ERRORS: AtomicU64 = AtomicU64::new(0);

/// Begins to watch the process. It allocates nothing: what is boxed has no size.
pub(super) fn install() {
    panic::set_hook(Box::new(on_panic));
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(LevelFilter::Error);
    }
}

/// Runs a test; what was seen meanwhile.
pub(super) fn during<R>(test: fn() -> R) -> (R, Seen) {
    SEEN.set(Some(Seen::default()));
    let result = test();
    (result, SEEN.take().unwrap_or_default())
}

/// Calls `look` with the words of the panics of the test that this thread runs. It takes no memory and no lock.
#[cfg(unix)]
pub(super) fn with_panics(look: impl FnOnce(&str)) {
    let _ = SEEN.try_with(|seen| {
        if let Ok(Some(seen)) = seen.try_borrow().as_deref() {
            look(&seen.panics);
        }
    });
}

/// How many errors threads have logged that run no test.
pub(super) fn stray_errors() -> u64 {
    STRAY_ERRORS.load(Relaxed)
}

/// Calls `look` with what this thread's test has seen; whether it runs one.
fn with_seen(look: impl FnOnce(&mut Seen)) -> bool {
    let seen = SEEN.try_with(|seen| match seen.try_borrow_mut().as_deref_mut() {
        Ok(Some(seen)) => {
            look(seen);
            true
        }
        _ => false,
    });
    seen.unwrap_or(false)
}

/// Keeps the words for the report of the test. Those of a thread that runs none are printed at once.
fn on_panic(info: &PanicHookInfo<'_>) {
    let message = crate::panics::shown(info.payload());
    let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
    // Only if `RUST_BACKTRACE` asks for it.
    let stack = Backtrace::capture();
    let stack = match stack.status() {
        BacktraceStatus::Captured => format!("stack backtrace:\n{stack}\n"),
        _ => String::new(),
    };
    let text = format!("panicked{place}: {message}\n{stack}");
    if !with_seen(|seen| seen.panics += &text) {
        let thread = thread::current();
        let name = thread.name().unwrap_or("without a name");
        crate::report::print(format_args!("thread {name} {text}"));
    }
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() == log::Level::Error
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // Before anything is borrowed: what is shown may panic, or log an error itself.
        let line = format!("logged an error: {}: {}\n", record.target(), record.args());
        let is_kept = with_seen(|seen| {
            seen.errors += 1;
            seen.lines += &line;
        });
        if !is_kept {
            STRAY_ERRORS.fetch_add(1, Relaxed);
            crate::report::print(format_args!("{line}"));
        }
    }

    fn flush(&self) {}
}
