//! Pages that trap. Ranges are whole pages of mappings that this crate made.

use core::ptr::{self, NonNull};

use super::peek;

/// madvise(2), Linux 6.13: makes pages trap and gives their memory back, without a mapping of their own.
const MADV_GUARD_INSTALL: libc::c_int = 102;
/// madvise(2), Linux 6.13: what was made to trap is fresh memory again.
const MADV_GUARD_REMOVE: libc::c_int = 103;
/// Mappings that a process may have where the system does not say: `vm.max_map_count`'s default.
const MAP_COUNT_DEFAULT: usize = 65_530;

/// How pages are made to trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// Guard markers in the page tables: any number of them.
    Madvise,
    /// Protection: each run of pages is a mapping, of which the system grants some ten thousand.
    Mprotect,
}

impl Means {
    /// Makes pages trap and gives their memory back; returns whether it could. May change `errno`,
    /// as may all here.
    ///
    /// # Safety
    ///
    /// Mapped by this crate, and nobody needs the bytes any more.
    pub(crate) unsafe fn close(self, start: NonNull<u8>, len: usize) -> bool {
        match self {
            // SAFETY: this function's contract.
            Self::Madvise => unsafe { install(start, len) },
            Self::Mprotect => {
                // SAFETY: this function's contract: whoever uses the bytes is at fault.
                if unsafe { libc::mprotect(start.as_ptr().cast(), len, libc::PROT_NONE) } != 0 {
                    return false;
                }
                // SAFETY: a private mapping whose bytes nobody needs. It fails for locked pages
                // only, which then keep their memory.
                unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_DONTNEED) };
                true
            }
        }
    }

    /// Makes pages that trap readable and writable again, all zero; returns whether it could.
    ///
    /// # Safety
    ///
    /// Closed by [`close`](Self::close) by the same means.
    pub(crate) unsafe fn open(self, start: NonNull<u8>, len: usize) -> bool {
        let start = start.as_ptr().cast();
        match self {
            // SAFETY: removes markers from a mapping of ours; pages without one stay as they are.
            Self::Madvise => unsafe { libc::madvise(start, len, MADV_GUARD_REMOVE) == 0 },
            Self::Mprotect => {
                // SAFETY: gives access to pages of ours that nobody uses.
                unsafe { libc::mprotect(start, len, libc::PROT_READ | libc::PROT_WRITE) == 0 }
            }
        }
    }
}

/// Installs guard markers. The kernel refuses for locked pages, which all are in a process that called
/// mlockall(2): those are unlocked first.
///
/// # Safety
///
/// As [`Means::close`].
unsafe fn install(start: NonNull<u8>, len: usize) -> bool {
    let at = start.as_ptr().cast();
    // SAFETY: a mapping of ours whose bytes nobody needs (contract).
    if unsafe { libc::madvise(at, len, MADV_GUARD_INSTALL) } == 0 {
        return true;
    }
    // SAFETY: locks matter to bytes that are needed only.
    if unsafe { libc::munlock(at, len) } != 0 {
        return false;
    }
    // SAFETY: as above.
    unsafe { libc::madvise(at, len, MADV_GUARD_INSTALL) == 0 }
}

/// Makes a range trap for ever: memory and page tables go back, the addresses stay, and neighbours that
/// were closed so become one mapping. Returns whether it could.
///
/// # Safety
///
/// Mapped by this crate, and nobody needs the bytes any more.
pub(crate) unsafe fn close_for_good(start: NonNull<u8>, len: usize) -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
    // SAFETY: replaces mappings of ours in one step, so that the addresses are never free in between;
    // nobody needs the bytes (contract).
    let closed = unsafe { libc::mmap(start.as_ptr().cast(), len, libc::PROT_NONE, flags, -1, 0) };
    closed != libc::MAP_FAILED
}

/// Whether this kernel has guard markers. Asked of a page of its own.
pub(crate) fn has_markers() -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let (len, rw) = (super::pages::PAGE_LEN, libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: a new private mapping touches nothing.
    let page = unsafe { libc::mmap(ptr::null_mut(), len, rw, flags, -1, 0) };
    let Some(start) = NonNull::new(page.cast()).filter(|_| page != libc::MAP_FAILED) else {
        return false;
    };
    // SAFETY: just mapped, unused.
    let done = unsafe { install(start, len) };
    // SAFETY: as above.
    unsafe { super::pages::unmap(start, len) };
    done
}

/// Whether the system's pages are as long as the geometry of guarded blocks has it.
pub(crate) fn page_len_fits() -> bool {
    // SAFETY: reads a word that the kernel gave the process.
    let len = unsafe { libc::getauxval(libc::AT_PAGESZ) };
    usize::try_from(len) == Ok(super::pages::PAGE_LEN)
}

/// Returns how many mappings the system grants a process.
pub(crate) fn map_count_max() -> usize {
    let Some(file) = peek::open_self(c"/proc/sys/vm/max_map_count") else {
        return MAP_COUNT_DEFAULT;
    };
    let mut text = [0; 24];
    let len = peek::read_some(file, &mut text).unwrap_or(0);
    peek::close(file);
    let text = core::str::from_utf8(&text[..len]).unwrap_or_default();
    text.trim_ascii_end().parse().unwrap_or(MAP_COUNT_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{pages, peek};

    fn is_readable(at: NonNull<u8>) -> bool {
        peek::read(at.addr().get(), &mut [0])
    }

    /// By both means: closed pages trap, their neighbours do not, and what is opened again is zero.
    #[test]
    fn closed_pages_trap() {
        let page = pages::PAGE_LEN;
        for means in [Means::Madvise, Means::Mprotect] {
            if means == Means::Madvise && !has_markers() {
                std::println!("not run: this kernel has no guard markers");
                continue;
            }
            let start = pages::map(3 * page).expect("pages");
            // SAFETY: inside the mapping.
            let [second, third] = [1, 2].map(|index| unsafe { start.add(index * page) });
            // SAFETY: mapped, and only this test knows it.
            unsafe { start.write_bytes(0xff, 3 * page) };
            // SAFETY: as above.
            assert!(unsafe { means.close(second, page) });
            assert_eq!([start, second, third].map(is_readable), [true, false, true], "{means:?}");
            // SAFETY: closed above.
            assert!(unsafe { means.open(second, page) });
            // SAFETY: mapped and open.
            let bytes = unsafe { NonNull::slice_from_raw_parts(second, page).as_ref() };
            assert!(bytes.iter().all(|byte| *byte == 0), "{means:?}");
            // SAFETY: mapped; `bytes` is not used any more.
            assert!(unsafe { close_for_good(start, 3 * page) });
            assert_eq!([start, second, third].map(is_readable), [false; 3], "{means:?}");
            // SAFETY: mapped above.
            unsafe { pages::unmap(start, 3 * page) };
        }
    }

    #[test]
    fn the_system_says_how_many_mappings() {
        assert!(1000 < map_count_max());
        assert!(page_len_fits(), "tests run where pages have 4,096 bytes");
    }
}
