//! Pages of the system.

use alloc_page::{
    Decommit, GuardedPages, HugePages, PageAllocator, Region, SecretPages, page_size,
};
use alloc_testing::conformance::{self, Options};

use super::{choose, passed};

/// Kinds of allocators.
pub const KINDS: u8 = 6;

/// Pages of the region.
const PAGE_COUNT: usize = 16;

/// Runs a program on one of the allocators.
pub fn run(data: &[u8]) {
    let Some((kind, how, program)) = choose(data, KINDS) else { return };
    // Each call is one of the system, and secrets may have to do with few locked pages.
    let program = &program[..program.len().min(256)];
    let options = Options::new();
    let outcome = match kind {
        0 => conformance::run_bytes(program, |case| case.run(PageAllocator), &options),
        1 => {
            let pages = GuardedPages::right_aligned();
            conformance::run_bytes(program, |case| case.run(pages), &options)
        }
        2 => {
            let pages = GuardedPages::left_aligned();
            conformance::run_bytes(program, |case| case.run(pages), &options)
        }
        3 => {
            let program = &program[..program.len().min(32)];
            conformance::run_bytes(program, |case| case.run(HugePages::transparent()), &options)
        }
        4 => {
            let options = Options::new().may_refuse();
            conformance::run_bytes(program, |case| case.run(SecretPages), &options)
        }
        _ => return region(how, program),
    };
    passed(outcome);
}

/// A region against a list of its pages; three bytes an operation.
fn region(how: usize, program: &[u8]) {
    let page = page_size();
    let Ok(mut region) = Region::reserve(PAGE_COUNT * page) else { return };
    // What every byte of a page is; `None` if it is not committed.
    let mut pages = [None::<u8>; PAGE_COUNT];
    for operation in program.chunks_exact(3) {
        let start = usize::from(operation[1]) * (page / 8) % region.len();
        let end = (start + usize::from(operation[2]) * (page / 8)).min(region.len());
        let whole = start.div_ceil(page)..end / page;
        match operation[0] % 4 {
            0 if region.commit(start..end).is_ok() && start < end => {
                pages[start / page..end.div_ceil(page)].iter_mut().for_each(|content| {
                    content.get_or_insert(0);
                });
            }
            1 if region.decommit(start..end, Decommit::Strict).is_ok() => {
                pages.get_mut(whole).unwrap_or_default().fill(None);
            }
            2 => {
                // Only committed pages stay so, and there their content is gone.
                let committed = pages.get(whole.clone()).unwrap_or_default();
                if committed.iter().all(Option::is_some)
                    && region.decommit(start..end, Decommit::Zero).is_ok()
                {
                    pages.get_mut(whole).unwrap_or_default().fill(Some(0));
                }
            }
            3 => {
                let index = start / page;
                let value = operation[2] ^ how as u8;
                if pages[index].is_some() {
                    // SAFETY: the page is committed by the list.
                    unsafe { region.bytes_mut(index * page..(index + 1) * page) }.fill(value);
                    pages[index] = Some(value);
                }
            }
            _ => {}
        }
        for (index, content) in pages.iter().enumerate() {
            let Some(content) = content else { continue };
            // SAFETY: the page is committed by the list.
            let bytes = unsafe { region.bytes(index * page..(index + 1) * page) };
            assert!(bytes.iter().all(|byte| byte == content), "page {index} is not all {content}");
        }
    }
}
