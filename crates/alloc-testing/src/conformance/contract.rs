//! The directed checks: one question each, put to a fresh allocator.

use core::alloc::Layout;

use alloc_core::{Allocator, AllocatorExt};

use super::options::ALIGN_MAX;
use super::probe::{Probe, TOO_LARGE, unwinding};
use super::shadow::Id;
use super::violation::{Rule, Violation};
use crate::validated::Validated;
use alloc_gpa::counted;

/// A check and its name.
pub(super) type Check = (&'static str, fn(&mut Probe<'_>) -> Result<(), Violation>);

pub(super) const CHECKS: &[Check] = &[
    ("first block", first_block),
    ("sizes", sizes),
    ("alignments", alignments),
    ("zeroed", zeroed),
    ("grow and shrink", grow_and_shrink),
    ("neighbours", neighbours),
    ("many blocks", many_blocks),
    ("large blocks", large_blocks),
    ("many frees", many_frees),
    ("too large", too_large),
    ("refusals change nothing", refusals),
    ("zero bytes", zero_bytes),
    ("unsized", unsized_free),
];

/// Alignments that are tested, smallest first.
pub(super) fn all_alignments() -> impl Iterator<Item = usize> {
    (0..).map(|shift| 1 << shift).take_while(|&align| align <= ALIGN_MAX)
}

/// The layout of a size and alignment from the tables below, all of which make one.
fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("the tables hold valid layouts")
}

/// An allocator that declares any memory at all hands out a byte of it.
fn first_block(probe: &mut Probe<'_>) -> Result<(), Violation> {
    let id = probe.alloc_served(layout(1, 1))?;
    let declares_memory = probe.scene.options.capacity.is_none_or(|bytes| bytes != 0);
    if id.is_none() && declares_memory && !probe.scene.options.may_refuse {
        return Err(probe.violation(Rule::Serves, "a fresh allocator refused one byte".to_owned()));
    }
    Ok(())
}

/// Every size up to 72 and those around each power of two; three blocks live at a time.
fn sizes(probe: &mut Probe<'_>) -> Result<(), Violation> {
    let size_max = probe.scene.options.size_max();
    let powers = (7..=20).map(|shift| 1 << shift).flat_map(|power| [power - 1, power, power + 1]);
    for size in (1..=72).chain(powers).filter(|&size| size <= size_max) {
        for align in [1, 8, 16] {
            if align <= probe.scene.options.usual_align_max() {
                probe.alloc_served(layout(size, align))?;
            }
        }
        probe.free_all()?;
    }
    Ok(())
}

/// Alignments from 1 to 2 MiB, with sizes below, at and above them.
fn alignments(probe: &mut Probe<'_>) -> Result<(), Violation> {
    let options = *probe.scene.options;
    for align in all_alignments().filter(|&align| align <= options.align_max) {
        for size in [1, 3, align - 1, align, align + 1] {
            if size != 0 && (size <= 64 || size <= options.large_max()) {
                probe.alloc_served(layout(size, align))?;
                // Blocks of such a size are looked at one by one: all at once take long.
                if options.size_max() < size {
                    probe.free_all()?;
                }
            }
        }
        probe.free_all()?;
    }
    Ok(())
}

/// Three hundred blocks of one size at a time, where heaps begin their next page or chunk; every second is
/// freed and its place filled, and all of it once more.
fn many_blocks(probe: &mut Probe<'_>) -> Result<(), Violation> {
    const COUNT: usize = 300;
    let options = *probe.scene.options;
    let layout = layout(options.size_max().min(40), options.usual_align_max().min(8));
    let count = options.capacity.map_or(COUNT, |bytes| COUNT.min(bytes / layout.size() / 4));
    for _ in 0..2 {
        for _ in 0..count {
            probe.alloc_served(layout)?;
        }
        // The one behind it takes its place: every second one.
        for index in 0..probe.state.shadow.len() / 2 {
            if let Some(id) = probe.state.shadow.nth_from_last(index) {
                probe.free(id)?;
            }
        }
        for _ in 0..count / 2 {
            probe.alloc_served(layout)?;
        }
        probe.free_all()?;
    }
    Ok(())
}

/// Three thousand frees in the life of one allocator, of which few blocks are live at a time: what counts
/// its frees, or its blocks, comes to another page, chunk or lap.
fn many_frees(probe: &mut Probe<'_>) -> Result<(), Violation> {
    const FREE_COUNT: usize = if cfg!(miri) { 100 } else { 3000 };
    const LIVE_COUNT: usize = 4;
    // Blocks of one size in a row: what is freed wrongly is asked for again.
    const RUN_LEN: usize = 64;
    let options = *probe.scene.options;
    let size_max = options.size_max().min(40);
    let mut is_refused = false;
    for index in 0..FREE_COUNT + LIVE_COUNT {
        let live_count = probe.state.shadow.len();
        // The oldest goes, so that others are live on both sides of it; where memory is short, all go in turn.
        if (is_refused || live_count == LIVE_COUNT)
            && let Some(oldest) = probe.state.shadow.nth_from_last(live_count - 1)
        {
            probe.free(oldest)?;
        }
        let size = 1 + index / RUN_LEN % size_max;
        is_refused = probe.alloc_served(layout(size, 1))?.is_none();
        if is_refused && probe.state.shadow.len() == 0 {
            // It takes nothing back: no free is left that it could err at.
            return Ok(());
        }
    }
    Ok(())
}

/// Blocks above the sizes of the other checks, where heaps turn to the system: those around each
/// power of two from 64 KiB to 2 MiB, fresh, zeroed after a dirty one, grown and shrunk.
fn large_blocks(probe: &mut Probe<'_>) -> Result<(), Violation> {
    let options = *probe.scene.options;
    for power in (16..=21).map(|shift| 1_usize << shift) {
        for size in [power - 1, power, power + 1] {
            let align = if size == power { options.usual_align_max() } else { 1 };
            if options.large_max() < size {
                continue;
            }
            let Some(first) = probe.alloc_served(layout(size, align))? else { continue };
            probe.alloc_served(layout(100, 1))?;
            let new_size = if size < power { power / 2 + 1 } else { size + size / 4 };
            probe.resize(first, new_size)?;
            probe.remap(first, size + 1)?;
            probe.free_all()?;
            probe.alloc_zeroed(layout(size, align))?;
            probe.free_all()?;
        }
    }
    Ok(())
}

/// Zeroed blocks are zero where dirty ones have just been freed.
fn zeroed(probe: &mut Probe<'_>) -> Result<(), Violation> {
    let options = *probe.scene.options;
    for size in [1, 7, 64, 500, 4096, 20_000, 200_000] {
        if options.size_max() < size {
            continue;
        }
        for align in [1, options.usual_align_max()] {
            for _ in 0..3 {
                probe.alloc_served(layout(size, align))?;
            }
            probe.free_all()?;
            for _ in 0..3 {
                probe.alloc_zeroed(layout(size, align))?;
            }
            probe.free_all()?;
        }
    }
    Ok(())
}

/// The sizes that a block goes through, up and down; in place, by remap, and by realloc.
fn grow_and_shrink(probe: &mut Probe<'_>) -> Result<(), Violation> {
    const SIZES: [usize; 17] =
        [2, 3, 8, 9, 16, 64, 65, 40, 300, 299, 4096, 4097, 9000, 4000, 20_000, 17, 1];
    let options = *probe.scene.options;
    for align in [1, 8, options.usual_align_max()] {
        let verbs: [Change; 3] = [
            |probe, id, size| probe.resize(id, size),
            |probe, id, size| probe.remap(id, size),
            realloc_last,
        ];
        for verb in verbs {
            let Some(id) = probe.alloc_served(layout(1, align))? else { continue };
            for size in SIZES.into_iter().filter(|&size| size <= options.size_max()) {
                verb(probe, id, size)?;
                // A second block: the first is no longer the last one.
                if size % 8 == 1 {
                    probe.alloc(layout(size.min(24), 1))?;
                }
            }
            probe.free_all()?;
        }
    }
    Ok(())
}

/// A way to change a block's size.
type Change = fn(&mut Probe<'_>, Id, usize) -> Result<bool, Violation>;

/// Reallocates whichever block was allocated last: a realloc may end one block and begin another.
fn realloc_last(probe: &mut Probe<'_>, _: Id, size: usize) -> Result<bool, Violation> {
    let Some(id) = probe.state.shadow.nth_from_last(0) else { return Ok(false) };
    Ok(probe.realloc(id, size)?.is_some())
}

/// A block between two neighbours grows, shrinks and is freed, and a new one takes its place.
fn neighbours(probe: &mut Probe<'_>) -> Result<(), Violation> {
    let size_max = probe.scene.options.size_max();
    for size in [1, 8, 24, 64, 512, 3000, 5000].into_iter().filter(|&size| 2 * size <= size_max) {
        for new_size in [2 * size, size / 2, size + 1, size - 1] {
            let blocks = [
                probe.alloc_served(layout(size, 1))?,
                probe.alloc(layout(size, 1))?,
                probe.alloc(layout(size, 1))?,
            ];
            if let (Some(middle), 1..) = (blocks[1], new_size) {
                probe.resize(middle, new_size)?;
                probe.remap(middle, new_size)?;
                probe.alloc(layout(size, 1))?;
                probe.free(middle)?;
                for _ in 0..3 {
                    probe.alloc(layout(size, 1))?;
                }
            }
            probe.free_all()?;
        }
    }
    Ok(())
}

/// Sizes that no address space holds, at every alignment: refused, with nothing changed.
fn too_large(probe: &mut Probe<'_>) -> Result<(), Violation> {
    let max = isize::MAX as usize;
    let Some(small) = probe.alloc_served(layout(16, 1))? else { return Ok(()) };
    for align in [1, 8, 4096, ALIGN_MAX] {
        let top = max + 1 - align;
        for size in [top, top - 1, top / 2, max / 4, max / 8, TOO_LARGE] {
            let large = layout(size, align);
            // The probe itself takes a block of such a size for a violation.
            probe.alloc(large)?;
            probe.alloc_zeroed(large)?;
        }
    }
    for size in [max, max - 15, max / 2, max / 4, TOO_LARGE] {
        probe.resize(small, size)?;
        probe.remap(small, size)?;
    }
    probe.alloc_served(layout(16, 1))?;
    Ok(())
}

/// After a hundred refused requests of several sizes, as many blocks fit as before.
///
/// Only for an allocator of limited capacity: one whose limit is not rolled back, or whose buffer
/// loses bytes to a failed request, holds fewer blocks than it did.
fn refusals(probe: &mut Probe<'_>) -> Result<(), Violation> {
    let options = *probe.scene.options;
    let Some(capacity) = options.capacity.filter(|&bytes| 64 <= bytes && !options.may_refuse)
    else {
        return Ok(());
    };
    let unit = layout((capacity / 32).max(1), 1);
    let fill = |probe: &mut Probe<'_>| -> Result<usize, Violation> {
        // The bound ends the loop for an allocator that has more than it declares.
        for count in 0..64 {
            if probe.alloc(unit)?.is_none() {
                return Ok(count);
            }
        }
        Ok(64)
    };
    let before = fill(probe)?;
    if let Some(last) = probe.state.shadow.nth_from_last(0) {
        for size in [2 * capacity, 3 * capacity, 100 * capacity] {
            probe.resize(last, size)?;
            probe.remap(last, size)?;
        }
    }
    while let Some(last) = probe.state.shadow.nth_from_last(0) {
        probe.free(last)?;
    }
    let again = fill(probe)?;
    while let Some(last) = probe.state.shadow.nth_from_last(0) {
        probe.free(last)?;
    }
    for round in 0..100 {
        let size = capacity * (2 + round % 7) + round;
        if let Some(id) = probe.alloc(layout(size, 1 << (round % 5)))? {
            probe.free(id)?;
        }
    }
    let after = fill(probe)?;
    if after < again {
        let detail = format!(
            "after refused requests {} of {} fit, before them {again} did \
             ({before} when it was fresh)",
            counted(after, "block"),
            counted(unit.size(), "byte")
        );
        return Err(probe.violation(Rule::CleanFailure, detail));
    }
    Ok(())
}

/// The verbs with zero items, zero-sized types and overflowing sizes never reach the allocator.
fn zero_bytes(probe: &mut Probe<'_>) -> Result<(), Violation> {
    match wrong_verb(probe.subject.alloc, zero_byte_verbs) {
        Some(detail) => Err(probe.violation(Rule::ZeroBytes, detail)),
        None => Ok(()),
    }
}

/// What `verbs` do to the allocator that they must not, if anything.
fn wrong_verb(
    alloc: &dyn Allocator,
    verbs: impl FnOnce(&Validated<&dyn Allocator>) -> Result<(), &'static str>,
) -> Option<String> {
    let validated = Validated::new(alloc);
    match unwinding(|| verbs(&validated)) {
        Err(message) => return Some(format!("a verb panicked: {message}")),
        Ok(Err(detail)) => return Some(detail.to_owned()),
        Ok(Ok(())) => {}
    }
    if let Some(misuse) = validated.misuses().first() {
        return Some(misuse.to_string());
    }
    let count = validated.live_count();
    (count != 0).then(|| format!("the verbs left {}", counted(count, "block")))
}

fn zero_byte_verbs(alloc: &Validated<&dyn Allocator>) -> Result<(), &'static str> {
    let ok = |holds: bool, what: &'static str| if holds { Ok(()) } else { Err(what) };
    ok(alloc.create(()).is_ok(), "create(()) failed")?;
    ok(alloc.alloc::<u64>(0).is_ok_and(|slice| slice.is_empty()), "alloc(0) failed")?;
    ok(alloc.alloc::<()>(usize::MAX).is_ok(), "alloc of zero-sized items failed")?;
    ok(alloc.alloc_zeroed::<u32>(0).is_ok(), "alloc_zeroed(0) failed")?;
    ok(alloc.dupe::<u16>(&[]).is_ok(), "dupe of nothing failed")?;
    ok(alloc.dupe_str("").is_ok(), "dupe_str of nothing failed")?;
    let aligned = alloc.aligned_alloc::<u8, 4096>(0);
    let is_aligned = aligned.is_ok_and(|slice| slice.as_ptr().addr().is_multiple_of(4096));
    ok(is_aligned, "aligned_alloc(0) failed or is not aligned")?;
    ok(alloc.alloc::<u64>(usize::MAX).is_err(), "alloc(usize::MAX) of u64 succeeded")?;
    ok(alloc.alloc::<u64>(usize::MAX / 8 + 2).is_err(), "a size that wraps to 8 succeeded")?;
    ok(alloc.alloc_zeroed::<u64>(usize::MAX / 8 + 2).is_err(), "a zeroed size that wraps")?;
    let Ok(mut slice) = alloc.alloc::<u8>(8) else { return Ok(()) };
    ok(!alloc.resize(&mut slice, usize::MAX), "resize to usize::MAX succeeded")?;
    ok(alloc.resize(&mut slice, 0), "resize to nothing failed")?;
    ok(!alloc.resize(&mut slice, 8), "an empty slice grew in place")?;
    let Ok(slice) = alloc.realloc(slice, 0) else { return Err("realloc from 0 to 0 failed") };
    let Ok(slice) = alloc.realloc(slice, 24) else { return Ok(()) };
    let Ok(slice) = alloc.realloc(slice, 0) else { return Err("realloc to 0 failed") };
    ok(slice.is_empty(), "realloc to 0 left items")
}

/// What [`UnsizedFree`](alloc_core::UnsizedFree) says is true of every block.
fn unsized_free(probe: &mut Probe<'_>) -> Result<(), Violation> {
    let Some(subject) = probe.subject.unsized_free else { return Ok(()) };
    let options = *probe.scene.options;
    for size in [1, 8, 24, 100, 1000, 5000, 40_000] {
        for align in [1, 16, 256] {
            if options.size_max() < size || options.usual_align_max() < align {
                continue;
            }
            let Some(id) = probe.alloc_served(layout(size, align))? else { continue };
            probe.check_usable_size(subject, id)?;
            probe.realloc_unsized(subject, id, layout(2 * size, align))?;
            probe.realloc_unsized(subject, id, layout(size.div_ceil(3), align))?;
            probe.check_usable_size(subject, id)?;
            probe.alloc(layout(size, align))?;
            probe.free_unsized(subject, id)?;
        }
        probe.free_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::Backing;

    /// The check of the verbs can fail: verbs that break each of its rules are told.
    #[test]
    fn broken_verbs_are_told() {
        let backing = Backing::new();
        let told = |verbs: fn(&Validated<&dyn Allocator>) -> Result<(), &'static str>| {
            wrong_verb(&backing, verbs).unwrap_or_default()
        };
        assert_eq!(told(zero_byte_verbs), "");
        assert_eq!(told(|_| Err("alloc(0) failed")), "alloc(0) failed");
        assert_eq!(told(|_| panic!("capacity overflow")), "a verb panicked: capacity overflow");
        let passed_on = told(|alloc| match alloc.raw_alloc(Layout::new::<()>()) {
            Ok(_) => Err("a block of nothing"),
            Err(_) => Ok(()),
        });
        assert_eq!(passed_on, "raw_alloc was called for zero bytes (align 1)");
        let kept = told(|alloc| {
            let block = alloc.create(1u8).map(alloc_core::Owned::into_raw_parts);
            block.map(drop).map_err(|_| "no memory")
        });
        assert_eq!(kept, "the verbs left 1 block");
    }
}
