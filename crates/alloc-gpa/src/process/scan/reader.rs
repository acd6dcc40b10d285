//! Reads the process's own memory in large pieces, through the kernel.

use core::ffi::c_int;

use super::roots::{Pages, Root};
use crate::sys::mapped::Mapped;
use crate::sys::peek;
use crate::sys::presence::{self, Presence};

/// The most bytes read at a time; longer blocks are read by their pages.
pub(super) const LEN_MAX: usize = 256 << 10;
const WORD_LEN: usize = size_of::<usize>();
const PAGE_LEN: usize = 4096;
/// Blocks read by one call.
const BLOCK_COUNT_MAX: usize = 256;
/// Entries of the page map read at a time: 16 MiB of addresses.
const ENTRY_COUNT: usize = 4096;

/// Bits of an entry (pagemap.rst in the kernel's docs).
const PRESENT: usize = 1 << 63;
const SWAPPED: usize = 1 << 62;
const FILE: usize = 1 << 61;

/// Reads ranges of pages, and batches of blocks.
pub(super) struct Reader {
    buffer: Mapped<usize>,
    entries: Mapped<usize>,
    /// `/proc/self/pagemap`; `None`: it cannot be opened, and every page is read.
    pages: Option<c_int>,
    batch: [libc::iovec; BLOCK_COUNT_MAX],
    batch_count: usize,
    batch_len: usize,
    complete: bool,
    /// Of a forked child whose pages tell what it has written: those pages.
    written: Option<Presence>,
}

impl Reader {
    /// Maps its buffers.
    pub(super) fn new() -> Option<Self> {
        const EMPTY: libc::iovec = libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 };
        Some(Self {
            buffer: Mapped::new(LEN_MAX / WORD_LEN)?,
            entries: Mapped::new(ENTRY_COUNT)?,
            pages: peek::open_self(c"/proc/thread-self/pagemap"),
            batch: [EMPTY; BLOCK_COUNT_MAX],
            batch_count: 0,
            batch_len: 0,
            complete: true,
            written: None,
        })
    }

    /// Reads from now on only what a forked child has written itself, if that can be known.
    pub(super) fn skip_what_was_forked(&mut self) {
        let pages = Presence::open();
        if self.pages.is_some() && pages.tells_own_pages() {
            self.written = Some(pages);
        }
    }

    /// Whether a range of the heap counts; all does where that cannot be known.
    pub(super) fn counts(&mut self, start: usize, len: usize) -> bool {
        self.written.as_mut().is_none_or(|pages| pages.may_be_written((start, len)))
    }

    /// Where its buffer is, which holds copies of what was read.
    pub(super) fn range(&self) -> (usize, usize) {
        self.buffer.range()
    }

    /// Whether memory can be read at all.
    pub(super) fn works(&self) -> bool {
        let probe = 5usize;
        peek::read_word((&raw const probe).addr()) == Some(probe)
    }

    /// Whether every block that was to be read could be read.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Adds a block, both numbers multiples of a word, to those that are read together; `false` if
    /// there is no room.
    pub(super) fn add(&mut self, start: usize, len: usize) -> bool {
        if self.batch_count == BLOCK_COUNT_MAX || LEN_MAX < self.batch_len + len {
            return false;
        }
        self.batch[self.batch_count] =
            libc::iovec { iov_base: core::ptr::without_provenance_mut(start), iov_len: len };
        self.batch_count += 1;
        self.batch_len += len;
        true
    }

    /// Reads the blocks that were added, and gives their words to `each`.
    pub(super) fn read_added(&mut self, each: &mut dyn FnMut(&[usize])) {
        let (count, len) = (self.batch_count, self.batch_len);
        (self.batch_count, self.batch_len) = (0, 0);
        if count == 0 {
            return;
        }
        let local = libc::iovec { iov_base: self.buffer.as_mut_ptr().cast(), iov_len: len };
        // SAFETY: no preconditions. A thread's id: that of the process is worth nothing once its first
        // thread has ended.
        let pid = unsafe { libc::gettid() };
        // SAFETY: `local` spans the first `len` bytes of the buffer; `count` vectors are filled in,
        // whose addresses the kernel checks.
        let read = unsafe {
            libc::process_vm_readv(pid, &local, 1, self.batch.as_ptr(), count as libc::c_ulong, 0)
        };
        if usize::try_from(read) == Ok(len) {
            each(&self.buffer[..len / WORD_LEN]);
            return;
        }
        // One cannot be read, or the call is forbidden: one by one.
        for index in 0..count {
            let block = self.batch[index];
            match self.read(block.iov_base.addr(), block.iov_len) {
                Some(words) => each(words),
                None => self.complete = false,
            }
        }
    }

    /// Reads one range that fits the buffer.
    fn read(&mut self, start: usize, len: usize) -> Option<&[usize]> {
        let words = &mut self.buffer[..len / WORD_LEN];
        let base = words.as_mut_ptr().cast::<u8>();
        // SAFETY: the same memory as bytes, borrowed exclusively.
        let bytes = unsafe { core::slice::from_raw_parts_mut(base, len) };
        peek::read(start, bytes).then_some(&self.buffer[..len / WORD_LEN])
    }

    /// Reads the words of a block, of `LEN_MAX` bytes at most, and gives them to `each`; none if they
    /// cannot be read.
    pub(super) fn read_block(&mut self, start: usize, size: usize, each: &mut dyn FnMut(&[usize])) {
        let first = start.next_multiple_of(WORD_LEN);
        let len = (start + size).saturating_sub(first) / WORD_LEN * WORD_LEN;
        if len != 0
            && let Some(words) = self.read(first, len.min(LEN_MAX))
        {
            each(words);
        }
    }

    /// Reads the pages of a range that count, and gives their words to `each`. Pages that cannot be
    /// read (a device's) hold nothing.
    pub(super) fn read_pages(
        &mut self,
        Root { start, end, pages }: Root,
        each: &mut dyn FnMut(&[usize]),
    ) {
        let mut from = start;
        while from < end {
            let first = from / PAGE_LEN;
            let count = (end.div_ceil(PAGE_LEN) - first).min(ENTRY_COUNT);
            let known = self.read_entries(first, count);
            if !known && pages == Pages::OnlyWritten {
                return;
            }
            let mut index = 0;
            while index < count {
                let run = self.run(index, count, known.then_some(pages));
                if run.is_empty() {
                    break;
                }
                let run_start = from.max((first + run.start) * PAGE_LEN);
                let run_end = end.min((first + run.end) * PAGE_LEN);
                self.read_run(run_start, run_end, each);
                index = run.end;
            }
            from = (first + count) * PAGE_LEN;
        }
    }

    /// Reads the entries of pages; `false` if they cannot be known.
    fn read_entries(&mut self, first: usize, count: usize) -> bool {
        let Some(file) = self.pages else { return false };
        peek::read_words(file, &mut self.entries[..count], first) == count
    }

    /// Returns the next pages from `index` on that count, all if nothing is known of them; empty if
    /// there are no more.
    fn run(&self, index: usize, count: usize, known: Option<Pages>) -> core::ops::Range<usize> {
        let Some(pages) = known else { return index..count };
        let file = if pages == Pages::Existing { 0 } else { FILE };
        // A shared mapping's pages are others' as well, however new they are.
        let is_any = pages == Pages::Existing || self.written.is_none();
        let exists = |entry: &usize| {
            entry & (PRESENT | SWAPPED) != 0
                && entry & file == 0
                && (is_any || presence::may_be_written(*entry))
        };
        let entries = &self.entries[..count];
        let Some(skip) = entries[index..].iter().position(exists) else { return count..count };
        let start = index + skip;
        let len = entries[start..].iter().position(|entry| !exists(entry));
        start..len.map_or(count, |len| start + len)
    }

    fn read_run(&mut self, start: usize, end: usize, each: &mut dyn FnMut(&[usize])) {
        let mut from = start;
        while from < end {
            let len = (end - from).min(LEN_MAX);
            if let Some(words) = self.read(from, len) {
                each(words);
            } else {
                self.read_page_by_page(from, from + len, each);
            }
            from += len;
        }
    }

    #[cold]
    fn read_page_by_page(&mut self, start: usize, end: usize, each: &mut dyn FnMut(&[usize])) {
        let mut from = start;
        while from < end {
            let to = end.min((from / PAGE_LEN + 1) * PAGE_LEN);
            if let Some(words) = self.read(from, to - from) {
                each(words);
            }
            from = to;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(file) = self.pages {
            peek::close(file);
        }
    }
}
