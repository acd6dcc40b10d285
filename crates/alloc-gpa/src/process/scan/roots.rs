//! Where the search begins: memory that the program may keep pointers in, without the heap.

use crate::fault;
use core::ops::Range;

use crate::heap::Heap;
use crate::registry;
use crate::stack::{self, bounds};
use crate::sys::ended::Ended;
use crate::sys::mapped::{Mapped, Zeroed};
use crate::sys::maps::{self, Line};
use crate::sys::signal;

/// A range of addresses, both ends multiples of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) pages: Pages,
}

/// Which pages of a mapping may hold pointers of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Pages {
    /// Those that exist.
    Existing = 0,
    /// Those that the process has written to: a private mapping's others are the file's.
    Written = 1,
    /// As `Written`, and none if that cannot be known: it was read-only all the time, most likely.
    OnlyWritten = 2,
}

// SAFETY: numbers, and an enum of which 0 is a value.
unsafe impl Zeroed for Root {}

/// The ranges; `len` of the table are filled in.
pub(super) struct Roots {
    ranges: Mapped<Root>,
    len: usize,
    complete: bool,
}

/// Mappings that a process can have by default (`vm.max_map_count`) and some of the exclusions' cuts.
const RANGE_COUNT_MAX: usize = 1 << 18;

impl Roots {
    /// Lists the roots, without `exclusions`, without what lies below `stack_pointer` on this thread's
    /// stack, and without the memory of `others`, whose live blocks the caller reads. `None` without
    /// memory.
    pub(super) fn new(
        heap: &Heap,
        others: Option<&registry::All>,
        stack_pointer: usize,
        exclusions: &[(usize, usize)],
    ) -> Option<Self> {
        let ranges = Mapped::new(RANGE_COUNT_MAX)?;
        let for_each_heap = |visit: &mut dyn FnMut(&Heap)| {
            visit(heap);
            if let Some(others) = others {
                others.for_each_but(heap, visit);
            }
        };
        let mut chunk_count = 0;
        for_each_heap(&mut |heap| {
            heap.for_each_chunk(|_| chunk_count += 1);
            heap.for_each_region(|_| chunk_count += 1);
        });
        // Other threads may add some.
        let mut excluded = Mapped::<(usize, usize)>::new(2 * chunk_count + 4096)?;
        let mut count = 0;
        let mut exclude = |(start, len): (usize, usize)| {
            if let Some(place) = excluded.get_mut(count) {
                *place = (start, start.saturating_add(len));
                count += 1;
            }
        };
        exclusions.iter().for_each(|range| exclude(*range));
        exclude(ranges.range());
        stack::for_each_mapping(&mut exclude);
        exclude(dead_stack(stack_pointer));
        exclude(handlers_stack(stack_pointer));
        fault::stop::for_each_dead_stack(&mut exclude);
        fault::own_stack::for_each_unused(stack_pointer, &mut exclude);
        for_each_heap(&mut |heap| {
            exclude(heap.findings.range());
            exclude((heap.id(), Heap::MAP_LEN));
            heap.for_each_chunk(|chunk| chunk.ranges().into_iter().for_each(&mut exclude));
            heap.for_each_region(&mut exclude);
        });
        let excluded = &mut excluded[..count];
        sort(excluded);
        let mut roots = Self { ranges, len: 0, complete: true };
        let mut ended = Ended::new();
        roots.complete &= maps::for_each(|mapping| {
            let parts = ended.live_parts(mapping);
            if let Some(pages) = pages_of(mapping) {
                for Range { start, end } in parts {
                    roots.add_without(Root { start, end, pages }, excluded);
                }
            }
            true
        });
        Some(roots)
    }

    /// Whether they are all there.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns the ranges.
    pub(super) fn iter(&self) -> impl Iterator<Item = Root> + '_ {
        self.ranges[..self.len].iter().copied()
    }

    /// Adds a range without what is excluded, which is sorted.
    fn add_without(&mut self, root: Root, excluded: &[(usize, usize)]) {
        let Root { start, end, pages } = root;
        let mut from = start;
        // Their ends are sorted as well.
        let first = excluded.partition_point(|(_, exclusion_end)| *exclusion_end <= start);
        for (exclusion_start, exclusion_end) in &excluded[first..] {
            if end <= *exclusion_start {
                break;
            }
            self.add(from, *exclusion_start, pages);
            from = from.max(*exclusion_end);
        }
        self.add(from, end, pages);
    }

    fn add(&mut self, start: usize, end: usize, pages: Pages) {
        const WORD_LEN: usize = size_of::<usize>();
        let (start, end) = (start.next_multiple_of(WORD_LEN), end / WORD_LEN * WORD_LEN);
        if end <= start {
            return;
        }
        match self.ranges.get_mut(self.len) {
            Some(place) => {
                *place = Root { start, end, pages };
                self.len += 1;
            }
            None => self.complete = false,
        }
    }
}

/// Returns which pages of a mapping may hold pointers of the program.
fn pages_of(mapping: &Line<'_>) -> Option<Pages> {
    let Line { readable, writable, shared, name, .. } = mapping;
    let pages = match (readable, writable, shared) {
        (true, true, true) => Pages::Existing,
        (true, true, false) => Pages::Written,
        // What was made read-only after it was written: relocated tables, sealed data.
        (true, false, false) => Pages::OnlyWritten,
        _ => return None,
    };
    let kernels = name.starts_with(b"[v") || name.starts_with(b"anon_inode:");
    let device = name.starts_with(b"/dev/")
        && !name.starts_with(b"/dev/shm/")
        && !name.starts_with(b"/dev/zero");
    (!kernels && !device).then_some(pages)
}

/// The part of this thread's stack that is not in use: start and length.
fn dead_stack(stack_pointer: usize) -> (usize, usize) {
    let (low, high) = bounds::of_thread();
    // Elsewhere than on its own stack, a coroutine's: nothing is known to be unused.
    let on_stack = low != 0 && low <= stack_pointer && stack_pointer < high;
    if on_stack { (low, stack_pointer - low) } else { (0, 0) }
}

/// The stack of this thread's signal handlers, in none of which it is: what stands there are registers of the
/// past. Start and length.
fn handlers_stack(stack_pointer: usize) -> (usize, usize) {
    let Ok(stack) = signal::alternate_stack(None) else { return (0, 0) };
    let (start, len) = (stack.ss_sp.addr(), stack.ss_size);
    let is_on_it = start <= stack_pointer && stack_pointer - start < len;
    if stack.ss_flags & libc::SS_DISABLE != 0 || is_on_it { (0, 0) } else { (start, len) }
}

/// Sorts ranges so that their ends are sorted as well: one that lies in another ends with it.
fn sort(ranges: &mut [(usize, usize)]) {
    ranges.sort_unstable();
    let mut last_end = 0;
    for (_, end) in ranges {
        *end = last_end.max(*end);
        last_end = *end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(range: (usize, usize), excluded: &[(usize, usize)]) -> std::vec::Vec<(usize, usize)> {
        let mut roots = Roots { ranges: Mapped::new(64).expect("memory"), len: 0, complete: true };
        let pages = Pages::Existing;
        roots.add_without(Root { start: range.0, end: range.1, pages }, excluded);
        roots.iter().map(|root| (root.start, root.end)).collect()
    }

    #[test]
    fn exclusions_are_cut_out() {
        let excluded = [(0, 0), (0x1000, 0x2000), (0x3000, 0x4004), (0x8000, 0x9000)];
        assert_eq!(cut((0x100, 0x200), &excluded), [(0x100, 0x200)]);
        assert_eq!(cut((0x1000, 0x2000), &excluded), []);
        assert_eq!(cut((0x1800, 0x3800), &excluded), [(0x2000, 0x3000)]);
        assert_eq!(
            cut((0x2000, 0xa000), &excluded),
            [(0x2000, 0x3000), (0x4008, 0x8000), (0x9000, 0xa000)]
        );
    }

    /// Ranges may overlap.
    #[test]
    fn overlapping_exclusions_are_cut_out() {
        let mut excluded = [(0x5000, 0x6000), (0x1000, 0x4000), (0x2000, 0x3000), (0x5000, 0x5800)];
        sort(&mut excluded);
        assert_eq!(
            cut((0x800, 0x7000), &excluded),
            [(0x800, 0x1000), (0x4000, 0x5000), (0x6000, 0x7000)]
        );
        assert_eq!(cut((0x3800, 0x4800), &excluded), [(0x4000, 0x4800)]);
        assert_eq!(cut((0x5a00, 0x6800), &excluded), [(0x6000, 0x6800)]);
    }

    #[test]
    fn mappings_are_told_apart() {
        let pages = |perms: &[u8; 4], name: &'static [u8]| {
            let line = [b"1000-2000 ", &perms[..], b" 0 0:0 0 ", name].concat();
            pages_of(&maps::parse(&line).expect("a line"))
        };
        assert_eq!(pages(b"rw-p", b""), Some(Pages::Written));
        assert_eq!(pages(b"rw-s", b"/dev/shm/x"), Some(Pages::Existing));
        assert_eq!(pages(b"r--p", b"/usr/lib/libc.so.6"), Some(Pages::OnlyWritten));
        assert_eq!(pages(b"rw-p", b"[stack]"), Some(Pages::Written));
        for (perms, name) in [
            (b"---p", &b""[..]),
            (b"r--s", b"/file"),
            (b"rw-s", b"/dev/dri/card0"),
            (b"r--p", b"[vvar]"),
            (b"r-xp", b"[vdso]"),
        ] {
            assert_eq!(pages(perms, name), None, "{}", name.escape_ascii());
        }
    }
}
