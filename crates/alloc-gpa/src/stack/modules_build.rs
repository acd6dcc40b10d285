//! Makes the snapshots of `modules`: reads the mappings, finds the ELF images among them.

use core::mem::MaybeUninit;
use core::ops::ControlFlow;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::elf::{self, Elf};
use super::modules::{
    BUILD_ID_MAX, MARK_LEN, ModuleRef, Range, Record, Snapshot, Unwind, same_record,
};
use super::table;
use crate::sys::maps::{self, Line};
use crate::sys::{pages, peek};

/// Bytes of text that are read at a time; a line is at most a path and 100 bytes long.
const TEXT_LEN: usize = 16 << 10;
/// Bytes of an image's head that are looked at: program headers follow the ELF header.
const HEAD_LEN: usize = 4096;
const PATH_MAX: usize = 4096;
/// Bytes that are asked of the system at a time for records.
const CHUNK_LEN: usize = 64 << 10;
const RANGES_LEN: usize = 16 << 10;

/// Memory that is used during a refresh only.
struct Scratch {
    text: [u8; TEXT_LEN],
    head: [u8; HEAD_LEN],
    path: [u8; PATH_MAX],
}

/// The one that refreshes, with what it keeps from one time to the next.
pub(crate) struct Refresher {
    scratch: Option<NonNull<Scratch>>,
    /// What is left of the last chunk for records.
    chunk: Option<NonNull<u8>>,
    chunk_left: usize,
    /// The number of this refresh.
    serial: u32,
    /// The number of the last one that read all mappings.
    last_complete: u32,
    next_id: u32,
    generation: u32,
}

// SAFETY: the pointers lead to mappings that only this value uses, or that are shared as `&` of
// `Sync` data; none of it is bound to a thread.
unsafe impl Send for Refresher {}

/// What a refresh made.
pub(crate) struct Built {
    pub(crate) snapshot: &'static Snapshot,
    /// `None` if no module is new.
    pub(crate) newest_record: Option<&'static Record>,
}

/// An ELF image whose mappings are being read.
struct Image {
    elf: Elf,
    path_len: usize,
    inode: u64,
    /// How many mappings of the file were seen.
    file_lines: u32,
    /// The first of its executable ranges.
    first_range: usize,
    eh_frame: usize,
    mark: [u8; MARK_LEN],
    /// Where the readable mappings that hold the two tables end; 0: none seen.
    hdr_limit: usize,
    eh_frame_limit: usize,
}

impl Refresher {
    /// Creates it, without memory.
    pub(crate) const fn new() -> Self {
        Self {
            scratch: None,
            chunk: None,
            chunk_left: 0,
            serial: 0,
            last_complete: 0,
            next_id: 0,
            generation: 0,
        }
    }

    /// Reads the mappings. The old snapshot comes back if nothing has changed; `None` if the system
    /// refuses memory or the file.
    pub(crate) fn read(
        &mut self,
        newest_record: Option<&'static Record>,
        old: Option<&'static Snapshot>,
    ) -> Option<Built> {
        let mut scratch = match self.scratch {
            Some(scratch) => scratch,
            None => *self.scratch.insert(pages::map(size_of::<Scratch>())?.cast()),
        };
        // SAFETY: the mapping spans a `Scratch`, of which zeroes are a valid value, and belongs to
        // this refresher, which is borrowed exclusively.
        let scratch = unsafe { scratch.as_mut() };
        let file = peek::open_self(c"/proc/thread-self/maps")?;
        let built = self.read_file(file, scratch, newest_record, old);
        peek::close(file);
        built
    }

    fn read_file(
        &mut self,
        file: libc::c_int,
        scratch: &mut Scratch,
        newest_record: Option<&'static Record>,
        old: Option<&'static Snapshot>,
    ) -> Option<Built> {
        self.serial += 1;
        let ranges = Ranges::new()?;
        let mut reader =
            Reader { refresher: self, newest_record, new_record: None, ranges, image: None };
        let complete = reader.read_lines(file, scratch).is_some();
        let Reader { ranges, new_record, .. } = reader;
        if !complete {
            ranges.free();
            return None;
        }
        self.last_complete = self.serial;
        if let Some(old) = old.filter(|old| same(old.ranges, ranges.as_slice())) {
            ranges.free();
            return Some(Built { snapshot: old, newest_record: new_record });
        }
        self.generation = self.generation.wrapping_add(1).max(1);
        let snapshot = Snapshot {
            generation: self.generation,
            ranges: ranges.publish(),
            wanted: AtomicU32::new(0),
        };
        Some(Built { snapshot: self.keep(snapshot)?, newest_record: new_record })
    }

    /// Moves `value` to memory that is never freed.
    fn keep<T>(&mut self, value: T) -> Option<&'static T> {
        let place = self.take(size_of::<T>())?.cast::<T>();
        // SAFETY: `take` gives fresh memory of that length, aligned for every type used here (the
        // assertion in `take`), which nobody else knows.
        unsafe { place.write(value) };
        // SAFETY: the value was just written, is never written again, and is never freed.
        Some(unsafe { place.as_ref() })
    }

    /// Copies `bytes` to memory that is never freed.
    fn keep_bytes(&mut self, bytes: &[u8]) -> Option<&'static [u8]> {
        if bytes.is_empty() {
            return Some(&[]);
        }
        let place = self.take(bytes.len())?;
        let source = NonNull::from(bytes).cast();
        // SAFETY: `take` gives fresh memory of that length; `bytes` is as long.
        unsafe { place.copy_from_nonoverlapping(source, bytes.len()) };
        // SAFETY: the bytes were just written, are never written again, and never freed.
        Some(unsafe { NonNull::slice_from_raw_parts(place, bytes.len()).as_ref() })
    }

    /// Returns fresh memory, aligned to 16 bytes.
    fn take(&mut self, len: usize) -> Option<NonNull<u8>> {
        const ALIGN: usize = 16;
        const { assert!(align_of::<Record>() <= ALIGN && align_of::<Snapshot>() <= ALIGN) };
        let len = len.next_multiple_of(ALIGN);
        if self.chunk_left < len {
            let chunk_len = CHUNK_LEN.max(len);
            self.chunk = Some(pages::map(chunk_len)?);
            self.chunk_left = chunk_len;
        }
        let place = self.chunk?;
        self.chunk_left -= len;
        // SAFETY: `len` bytes are left in the chunk that `place` points into, checked above.
        self.chunk = Some(unsafe { place.add(len) });
        Some(place)
    }
}

/// Whether two lists name the same mappings of the same modules.
fn same(a: &[Range], b: &[Range]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| a.start == b.start && a.end == b.end && same_record(a, b))
}

/// One pass over the mappings.
struct Reader<'a> {
    refresher: &'a mut Refresher,
    newest_record: Option<&'static Record>,
    /// The last record made in this pass.
    new_record: Option<&'static Record>,
    ranges: Ranges,
    image: Option<Image>,
}

impl Reader<'_> {
    /// Reads all lines; `None` if that fails.
    fn read_lines(&mut self, file: libc::c_int, scratch: &mut Scratch) -> Option<()> {
        let Scratch { text, head, path } = scratch;
        let ended = maps::for_each_line(file, text, |line| match self.line(line, head, path) {
            Some(()) => ControlFlow::Continue(()),
            None => ControlFlow::Break(()),
        });
        if ended?.is_break() {
            return None;
        }
        self.finish(path)
    }

    fn line(&mut self, line: &Line<'_>, head: &mut [u8], path: &mut [u8]) -> Option<()> {
        if !self.image.as_ref().is_some_and(|image| image.goes_on(line)) {
            self.finish(path)?;
            self.image = self.begin(line, head, path);
        }
        if let Some(image) = &mut self.image {
            image.file_lines += u32::from(line.inode != 0);
            if line.readable {
                image.note_readable(line.start, line.end);
            }
        }
        if line.executable {
            let range = Range { start: line.start, end: line.end, record: None };
            self.ranges.push(range)?;
        }
        Some(())
    }

    /// Starts an image if the mapping is the head of one.
    fn begin(&mut self, line: &Line<'_>, head: &mut [u8], path: &mut [u8]) -> Option<Image> {
        let is_file = line.inode != 0 || line.name == b"[vdso]";
        if !is_file || line.offset != 0 || !line.readable {
            return None;
        }
        let head = &mut head[..HEAD_LEN.min(line.end - line.start)];
        if !peek::read(line.start, head) {
            return None;
        }
        let elf = elf::parse_elf(head, line.start)?;
        let path_len = line.name.len().min(path.len());
        path[..path_len].copy_from_slice(&line.name[..path_len]);
        let mut mark = [0; MARK_LEN];
        let eh_frame = if elf.hdr != 0 && peek::read(elf.hdr, &mut mark) {
            table::eh_frame_addr(&mark, elf.hdr).unwrap_or(0)
        } else {
            0
        };
        Some(Image {
            elf,
            path_len,
            inode: line.inode,
            file_lines: 0,
            first_range: self.ranges.len,
            eh_frame,
            mark,
            hdr_limit: 0,
            eh_frame_limit: 0,
        })
    }

    /// Ends the image that is being read: its executable ranges get its record.
    fn finish(&mut self, path: &[u8]) -> Option<()> {
        let Some(image) = self.image.take() else { return Some(()) };
        if image.first_range == self.ranges.len {
            return Some(());
        }
        let record = self.record(&image, &path[..image.path_len])?;
        for range in &mut self.ranges.as_mut_slice()[image.first_range..] {
            range.record = Some(record);
        }
        Some(())
    }

    /// Returns the record of the image: that of the last refresh, or a new one.
    fn record(&mut self, image: &Image, path: &[u8]) -> Option<&'static Record> {
        let mut id_bytes = [0; BUILD_ID_MAX];
        let build_id = read_build_id(&image.elf, &mut id_bytes);
        let Refresher { serial, last_complete, .. } = *self.refresher;
        let newest = self.new_record.or(self.newest_record);
        let mut records = core::iter::successors(newest, |record| record.older);
        let known = records.find(|record| {
            let module = &record.module;
            // Relaxed: only the holder of the refresher's lock writes it.
            last_complete <= record.seen.load(Relaxed)
                && (module.start, module.end) == (image.elf.start, image.elf.end)
                && record.inode == image.inode
                && module.path == path
                && module.build_id == build_id
                && record.unwind.is_some() == image.unwind().is_some()
        });
        if let Some(record) = known {
            record.seen.store(serial, Relaxed);
            return Some(record);
        }
        let module = ModuleRef {
            id: self.refresher.next_id,
            path: self.refresher.keep_bytes(path)?,
            start: image.elf.start,
            end: image.elf.end,
            bias: image.elf.bias,
            build_id: self.refresher.keep_bytes(build_id)?,
        };
        let record = self.refresher.keep(Record {
            module,
            inode: image.inode,
            unwind: image.unwind(),
            seen: AtomicU32::new(serial),
            older: newest,
        })?;
        self.refresher.next_id += 1;
        self.new_record = Some(record);
        Some(record)
    }
}

impl Image {
    /// Whether the mapping is a further one of the image: of its file in the right place, or memory
    /// of no file within it (its zeroes, or code that was moved to huge pages). A file that is
    /// mapped as data looks like an image at first, but has one mapping only.
    fn goes_on(&self, line: &Line<'_>) -> bool {
        let within = line.start < self.elf.end;
        if line.inode == 0 {
            within && 2 <= self.file_lines
        } else {
            within && line.inode == self.inode && self.elf.holds(line)
        }
    }

    /// Notes that `[start, end)` can be read: which may hold the tables, or go on where a mapping
    /// that does has ended.
    fn note_readable(&mut self, start: usize, end: usize) {
        for (addr, limit) in
            [(self.elf.hdr, &mut self.hdr_limit), (self.eh_frame, &mut self.eh_frame_limit)]
        {
            if (start..end).contains(&addr) || *limit == start {
                *limit = end;
            }
        }
    }

    /// Returns where the tables are, if all of the header and some of `.eh_frame` can be read.
    fn unwind(&self) -> Option<Unwind> {
        let hdr_end = self.elf.hdr.checked_add(self.elf.hdr_len)?;
        let there = self.elf.hdr != 0
            && self.eh_frame != 0
            && MARK_LEN <= self.elf.hdr_len
            && hdr_end <= self.hdr_limit
            && self.eh_frame < self.eh_frame_limit;
        there.then(|| Unwind {
            hdr: (self.elf.hdr, self.elf.hdr_len),
            eh_frame: (self.eh_frame, self.eh_frame_limit - self.eh_frame),
            mark: self.mark,
        })
    }
}

/// Returns the build id of an image, or nothing.
fn read_build_id<'a>(elf: &Elf, bytes: &'a mut [u8; BUILD_ID_MAX]) -> &'a [u8] {
    const NOTES_LEN_MAX: usize = 512;
    let mut buffer = [0; NOTES_LEN_MAX];
    for (addr, len) in elf.notes {
        let notes = &mut buffer[..len.min(NOTES_LEN_MAX)];
        if notes.is_empty() || !peek::read(addr, notes) {
            continue;
        }
        if let Some(id) = elf::build_id(notes) {
            let len = id.len().min(BUILD_ID_MAX);
            bytes[..len].copy_from_slice(&id[..len]);
            return &bytes[..len];
        }
    }
    &[]
}

/// A growing list of ranges in a mapping of its own.
struct Ranges {
    /// Invariant: a mapping of `mapped` bytes; the first `len` ranges in it were written.
    base: NonNull<MaybeUninit<Range>>,
    mapped: usize,
    len: usize,
}

impl Ranges {
    fn new() -> Option<Self> {
        Some(Self { base: pages::map(RANGES_LEN)?.cast(), mapped: RANGES_LEN, len: 0 })
    }

    /// Appends a range; `None` without memory.
    fn push(&mut self, range: Range) -> Option<()> {
        if self.mapped < (self.len + 1) * size_of::<Range>() {
            // SAFETY: base and length are those of our mapping, and no pointer into it is kept:
            // the slices below are borrowed from `self`.
            let base = unsafe { pages::grow(self.base.cast(), self.mapped, self.mapped * 2) }?;
            self.base = base.cast();
            self.mapped *= 2;
        }
        // SAFETY: room for one more is mapped, checked above.
        let place = unsafe { self.base.add(self.len) };
        // SAFETY: as above; the mapping is ours to write, and aligned to a page.
        unsafe { place.write(MaybeUninit::new(range)) };
        self.len += 1;
        Some(())
    }

    fn as_slice(&self) -> &[Range] {
        // SAFETY: by the invariant on `base`; the borrow of `self` keeps it so.
        unsafe { NonNull::slice_from_raw_parts(self.base.cast(), self.len).as_ref() }
    }

    fn as_mut_slice(&mut self) -> &mut [Range] {
        // SAFETY: by the invariant on `base`; the borrow of `self` is exclusive.
        unsafe { NonNull::slice_from_raw_parts(self.base.cast(), self.len).as_mut() }
    }

    /// Gives the mapping back.
    fn free(self) {
        // SAFETY: base and length are those of our mapping; `self` is consumed.
        unsafe { pages::unmap(self.base.cast(), self.mapped) };
    }

    /// Keeps the ranges for ever.
    fn publish(self) -> &'static [Range] {
        // SAFETY: by the invariant on `base`; `self` is consumed and the mapping never freed, so
        // nobody writes to it again.
        unsafe { NonNull::slice_from_raw_parts(self.base.cast(), self.len).as_ref() }
    }
}
