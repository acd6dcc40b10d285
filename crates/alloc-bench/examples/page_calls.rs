//! Each operation of the page allocators once, between marks that strace shows; `cargo xtask bench page` reads
//! them.
//!
//! A mark is a call that fails, with a path that says the most system calls which the operation may make, and
//! what it is. What strace cannot see is printed: `NAME|MEASURED|AT MOST`.

#[cfg(target_os = "linux")]
fn main() {
    calls::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("page_calls: for Linux only");
    std::process::exit(2);
}

#[cfg(target_os = "linux")]
mod calls {
    use std::alloc::Layout;
    use std::ffi::CString;
    use std::ptr::NonNull;

    use alloc_core::Allocator;
    use alloc_page::{
        Decommit, GuardedPages, HugePages, PageAllocator, Region, SecretPages, page_size,
    };

    const ENOUGH: &str = "an example has enough memory";
    const GIB: usize = 1 << 30;
    const BIG_ALIGN: usize = 2 << 20;

    /// The calls from here to the next mark belong to `name` and shall be `bound` at most.
    fn mark(bound: usize, name: &str) {
        let path = CString::new(format!("/page_calls/{bound}/{name}")).expect("no name has a zero");
        // SAFETY: a path that ends with a zero.
        unsafe { libc::access(path.as_ptr(), libc::F_OK) };
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("the sizes here make layouts")
    }

    fn take(heap: &dyn Allocator, layout: Layout) -> NonNull<u8> {
        heap.raw_alloc(layout).expect(ENOUGH)
    }

    fn give(heap: &dyn Allocator, block: NonNull<u8>, layout: Layout) {
        // SAFETY: every caller passes a live block of `heap` with its layout, and forgets it.
        unsafe { heap.raw_free(block, layout) };
    }

    fn remap(block: NonNull<u8>, old: Layout, size: usize) -> NonNull<u8> {
        // SAFETY: every caller passes a live block with its layout, a size that makes one, and forgets the
        // old address.
        unsafe { PageAllocator.raw_remap(block, old, size) }.expect(ENOUGH)
    }

    /// Takes and gives back, with what each may cost.
    fn pair(name: &str, heap: &dyn Allocator, layout: Layout, bounds: [usize; 2]) {
        mark(bounds[0], &format!("{name}: taken"));
        let block = take(heap, layout);
        mark(bounds[1], &format!("{name}: given back"));
        give(heap, block, layout);
        mark(0, "between");
    }

    fn plain() {
        let page = page_size();
        pair("PageAllocator, 100 bytes", &PageAllocator, layout(100, 8), [1, 1]);
        pair(
            "PageAllocator, 1 MiB, aligned to a page",
            &PageAllocator,
            layout(1 << 20, page),
            [1, 1],
        );
        pair("PageAllocator, aligned to 2 MiB", &PageAllocator, layout(page, BIG_ALIGN), [3, 1]);
        let aligned = |size| layout(size, BIG_ALIGN);
        let block = take(&PageAllocator, aligned(page));
        mark(5, "PageAllocator, aligned to 2 MiB, to 1 GiB, also where it has to move");
        let block = remap(block, aligned(page), GIB);
        mark(0, "between");
        give(&PageAllocator, block, aligned(GIB));
        let small = layout(100, 8);
        let block = take(&PageAllocator, small);
        mark(0, "PageAllocator, 100 to 4000 bytes");
        let block = remap(block, small, 4000);
        mark(1, "PageAllocator, 4000 bytes to 1 GiB");
        let block = remap(block, layout(4000, 8), GIB);
        mark(1, "PageAllocator, 1 to 2 GiB");
        let block = remap(block, layout(GIB, 8), 2 * GIB);
        mark(1, "PageAllocator, 2 GiB to 100 bytes, in place");
        // SAFETY: live, with this layout; the new size makes one.
        assert!(unsafe { PageAllocator.raw_resize(block, layout(2 * GIB, 8), 100) });
        mark(0, "between");
        give(&PageAllocator, block, small);
    }

    fn others() {
        let page = page_size();
        pair("HugePages, 2 MiB", &HugePages::transparent(), layout(BIG_ALIGN, 8), [4, 1]);
        pair("HugePages, set aside or not", &HugePages::reserved(), layout(BIG_ALIGN, 8), [5, 1]);
        pair("GuardedPages, 100 bytes", &GuardedPages::right_aligned(), layout(100, 8), [2, 1]);
        let big = layout(page, 4 * page);
        pair("GuardedPages, aligned to four pages", &GuardedPages::right_aligned(), big, [4, 1]);
        pair("SecretPages, 100 bytes", &SecretPages, layout(100, 8), [6, 1]);
        mark(1, "Region, 1 GiB reserved");
        let mut region = Region::reserve(GIB).expect(ENOUGH);
        mark(1, "Region, committed");
        region.commit(0..4 * page).expect(ENOUGH);
        mark(1, "Region, decommitted");
        region.decommit(0..page, Decommit::Zero).expect(ENOUGH);
        mark(1, "Region, decommitted, strict");
        region.decommit(page..2 * page, Decommit::Strict).expect(ENOUGH);
        mark(1, "Region, dropped");
        drop(region);
        mark(0, "between");
    }

    /// Page faults of this process that needed no disk.
    fn faults() -> i64 {
        // SAFETY: all zero bytes are a value of this record of numbers.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: a place for what the call writes.
        assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) }, 0);
        usage.ru_minflt
    }

    /// A copy would touch pages that nobody has touched yet: 1 GiB with a byte in each of 512 places.
    fn growth_copies_nothing() {
        const STEP: usize = 2 << 20;
        let one = layout(GIB, 8);
        let block = take(&PageAllocator, one);
        for offset in (0..GIB).step_by(STEP) {
            // SAFETY: within the block.
            let place = unsafe { block.add(offset) };
            // SAFETY: as above, and nobody else's.
            unsafe { place.write(7) };
        }
        let before = faults();
        let block = remap(block, one, 2 * GIB);
        let faults = faults() - before;
        for offset in (0..GIB).step_by(STEP) {
            // SAFETY: within the block, which is twice as long now.
            let place = unsafe { block.add(offset) };
            // SAFETY: written above.
            assert_eq!(unsafe { place.read() }, 7);
        }
        give(&PageAllocator, block, layout(2 * GIB, 8));
        println!("page faults while a block of 1 GiB grows to 2 GiB by remap|{faults}|0");
    }

    pub(crate) fn main() {
        // What asks once and remembers shall have asked.
        give(&PageAllocator, take(&PageAllocator, layout(1, BIG_ALIGN)), layout(1, BIG_ALIGN));
        plain();
        others();
        mark(0, "end");
        growth_copies_nothing();
    }
}
