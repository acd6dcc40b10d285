//! What a process says about all of its memory.

use core::fmt;

use crate::pages::Run;
use crate::{page_size, sys};

/// The number of the system's reason: `errno`, or `GetLastError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OsError {
    /// As the system numbers it.
    pub code: i32,
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the operating system says error {}", self.code)
    }
}

impl core::error::Error for OsError {}

#[cfg(feature = "file")]
impl From<OsError> for std::io::Error {
    /// The same error, with the system's own words.
    fn from(error: OsError) -> Self {
        Self::from_raw_os_error(error.code)
    }
}

fn told(result: Result<(), i32>) -> Result<(), OsError> {
    result.map_err(|code| OsError { code })
}

/// Keeps all memory that the process has, and all that it will have, from being swapped: on Linux each
/// page from its first touch on, so that nothing is fetched for it now.
///
/// For programs that take all their memory at the start: call it when that is done. What exceeds
/// `RLIMIT_MEMLOCK` from then on is refused as if memory had run out; a stack that cannot grow is a fatal
/// signal.
///
/// ```standalone_crate
/// if let Err(error) = alloc_page::lock_all() {
///     eprintln!("memory may be swapped: {error}");
/// }
/// ```
///
/// # Errors
///
/// What the system says: most likely `RLIMIT_MEMLOCK` is too low. Not available on Windows.
pub fn lock_all() -> Result<(), OsError> {
    told(sys::lock_all())
}

/// Bounds the addresses that the process may have in use to `len` bytes: what goes beyond is refused as
/// if memory had run out. What is in use already stays, also if it is more.
///
/// For tests and fuzzers, which shall fail, and not the machine. The hard limit stays as it is. The main
/// thread's stack grows within the limit, too: where it cannot, that is a fatal signal.
///
/// ```standalone_crate
/// # #[cfg(target_os = "linux")] {
/// use alloc_core::AllocatorExt;
/// use alloc_page::{PageAllocator, limit_address_space};
///
/// limit_address_space(1 << 36).unwrap();                      // 64 GiB
/// assert!(PageAllocator.alloc::<u8>(1 << 37).is_err());
/// # }
/// ```
///
/// # Errors
///
/// What the system says. Not available on Windows and OpenBSD, and without effect on macOS.
pub fn limit_address_space(len: usize) -> Result<(), OsError> {
    told(sys::limit_address_space(len))
}

/// Leaves the pages that hold any byte of these blocks out of core dumps; returns how many system calls
/// that took: one for each run of blocks that follow each other without a page between.
///
/// For caches that would make a dump as large as the machine. Blocks are joined with their neighbours
/// in the order given, upwards or downwards.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use alloc_core::AllocatorExt;
/// use alloc_page::{PageAllocator, dont_dump, page_size};
///
/// let cache = PageAllocator.alloc_zeroed::<u8>(100 * page_size())?;
/// assert_eq!(dont_dump(cache.chunks(page_size())).unwrap(), 1);
/// assert_eq!(dont_dump(cache.chunks(page_size()).step_by(2)).unwrap(), 50);
/// # }
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// # Errors
///
/// What the system says; runs before that one are left out. Linux and FreeBSD only.
pub fn dont_dump<'a>(blocks: impl IntoIterator<Item = &'a [u8]>) -> Result<usize, OsError> {
    let page = page_size();
    let mut count = 0;
    // The run so far, and a pointer to where it begins.
    let mut last: Option<(Run, *const u8)> = None;
    for block in blocks {
        let Some(run) = Run::of(block.as_ptr().addr(), block.len(), page) else { continue };
        let start = block.as_ptr().map_addr(|_| run.start);
        last = Some(match last {
            None => (run, start),
            Some((before, before_start)) => match before.joined(run) {
                Some(both) if both.start == before.start => (both, before_start),
                Some(both) => (both, start),
                None => {
                    hide(before, before_start)?;
                    count += 1;
                    (run, start)
                }
            },
        });
    }
    if let Some((run, start)) = last {
        hide(run, start)?;
        count += 1;
    }
    Ok(count)
}

fn hide(run: Run, start: *const u8) -> Result<(), OsError> {
    let Some(start) = core::ptr::NonNull::new(start.cast_mut()) else { return Ok(()) };
    // SAFETY: nobody's bytes change.
    told(unsafe { sys::hide_from_dumps(start, run.end - run.start) })
}
