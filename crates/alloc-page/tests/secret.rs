//! Secrets: where they lie, and what is left of them.
#![cfg(all(target_os = "linux", not(miri)))]

use std::alloc::Layout;
use std::process::Command;
use std::ptr::NonNull;

use alloc_core::{AllocError, Allocator, AllocatorExt, Owned, forward};
use alloc_page::{SecretPages, page_size};
use alloc_testing::RawBlock;

/// The kernel's flags of the mapping that an address lies in.
fn flags_at(addr: usize) -> Option<String> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut is_here = false;
    for line in smaps.lines() {
        let first = line.split(' ').next().unwrap();
        if let Some((start, end)) = first.split_once('-') {
            let parse = |text| usize::from_str_radix(text, 16);
            if let (Ok(start), Ok(end)) = (parse(start), parse(end)) {
                is_here = start <= addr && addr < end;
            }
        }
        if is_here && line.starts_with("VmFlags:") {
            return Some(line.to_owned());
        }
    }
    None
}

/// Goal: locked, in no dump, in no child. Method: the kernel's own flags of the mapping.
#[test]
fn pages_are_locked_and_left_out_of_dumps_and_children() {
    for (size, align) in [(32, 1), (3 * page_size(), 8), (100, 64 * page_size())] {
        let block = RawBlock::new(SecretPages, size, align).unwrap();
        assert!(block.addr().is_multiple_of(align));
        let flags = flags_at(block.addr()).unwrap();
        for flag in [" lo", " dd", " dc"] {
            assert!(flags.contains(flag), "{flag} is missing: {flags}");
        }
    }
}

/// Goal: where the kernel has such memory, not even the kernel reads it on another's behalf. Method: the
/// call that debuggers use, on the process itself.
#[test]
fn a_debugger_reads_nothing() {
    /// `memfd_secret(2)`.
    const MEMFD_SECRET: libc::c_long = 447;
    // SAFETY: it makes a descriptor.
    let probe = unsafe { libc::syscall(MEMFD_SECRET, libc::O_CLOEXEC) };
    if probe < 0 {
        println!("not tested: this kernel has no memfd_secret");
        return;
    }
    let probe = libc::c_int::try_from(probe).unwrap();
    // SAFETY: the descriptor just made.
    unsafe { libc::close(probe) };
    let secret = SecretPages.alloc_fill(32, 7u8).unwrap();
    let plain = [7u8; 32];
    assert_eq!(read_like_a_debugger(&plain), Some(plain));
    assert_eq!(read_like_a_debugger(&secret), None);
}

fn read_like_a_debugger(bytes: &[u8]) -> Option<[u8; 32]> {
    let mut copy = [0u8; 32];
    let to = libc::iovec { iov_base: copy.as_mut_ptr().cast(), iov_len: 32 };
    let from = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: 32 };
    let this = libc::pid_t::try_from(std::process::id()).unwrap();
    // SAFETY: it writes 32 bytes to `copy` at most, and reads by way of the kernel.
    let count = unsafe { libc::process_vm_readv(this, &raw const to, 1, &raw const from, 1, 0) };
    (count == 32).then_some(copy)
}

/// Notes what a block holds between its wiping and its end: the pages outlive the free here.
#[derive(Clone, Copy)]
struct Kept(SecretPages);

// SAFETY: 1 to 7 as `SecretPages`, to which a block goes with its own layout; but for frees and shrinks
// within a page, whose memory is only looked at.
unsafe impl Allocator for Kept {
    forward!(self.0; except raw_free);

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // A shrink to one byte wipes the others, as a free does all, and leaves the pages for us to see.
        // SAFETY: live, with this layout; one byte is not zero.
        let is_shrunk = unsafe { self.0.raw_resize(block, layout, 1) };
        assert!(is_shrunk, "the test's blocks are of one page");
        for index in 1..layout.size() {
            // SAFETY: inside the page.
            let byte = unsafe { block.as_ptr().wrapping_add(index).read() };
            assert_eq!(byte, 0, "byte {index} was not wiped");
        }
        let shrunk = Layout::from_size_align(1, layout.align()).unwrap();
        // SAFETY: live, with the layout of the shrink.
        unsafe { self.0.raw_free(block, shrunk) };
    }
}

/// Shrinks wipe what they cut off, and only that.
#[test]
fn a_shrink_wipes_what_it_cuts_off() {
    let mut block = RawBlock::new(SecretPages, 3000, 1).unwrap();
    block.fill(9);
    let start = block.as_ptr();
    assert!(block.resize(1001));
    block.assert_filled(1001, 9);
    for index in 1001..3000 {
        // SAFETY: inside the block's page.
        assert_eq!(unsafe { start.as_ptr().wrapping_add(index).read() }, 0, "byte {index}");
    }
    assert!(!block.resize(page_size() + 1) && !block.remap(page_size() + 1));
    assert!(block.resize(page_size()));
}

/// Goal: a growth that moves wipes the block it leaves. Method: pages that are still there after the
/// content has moved: those of a wrapper that looks before it lets go.
#[test]
fn a_moved_growth_and_a_drop_wipe() {
    let secret = Kept(SecretPages).alloc_fill(page_size() / 2, 5u8).unwrap();
    let secret = Owned::grow_with(secret, page_size(), |_| 6).map_err(|(_, e)| e).unwrap();
    assert!(secret.iter().enumerate().all(|(i, b)| *b == if i < page_size() / 2 { 5 } else { 6 }));
    drop(secret);
}

/// Set for the child whose locked memory is limited.
const LIMITED: &str = "ALLOC_PAGE_LIMITED";

/// The child's part; does nothing in an ordinary run.
#[test]
fn child() {
    if std::env::var_os(LIMITED).is_none() {
        return;
    }
    let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: 64 << 10 };
    // SAFETY: it reads the structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) }, 0);
    // The superuser has no such limit.
    // SAFETY: numbers only.
    if unsafe { libc::geteuid() } == 0 {
        // SAFETY: numbers only; this process has no use for its privileges.
        let is_other = unsafe { libc::setuid(65_534) } == 0;
        // A user namespace need not have that user, and its superuser has the limit.
        let error = std::io::Error::last_os_error().raw_os_error();
        assert!(is_other || error == Some(libc::EINVAL), "{error:?}");
    }
    assert_eq!(SecretPages.alloc::<u8>(128 << 10).map(drop), Err(AllocError));
    let many: Vec<_> = (0..20).map_while(|_| SecretPages.alloc::<u8>(8 << 10).ok()).collect();
    assert_eq!(many.len(), 8, "as much as the limit allows");
    drop(many);
    assert!(SecretPages.alloc::<u8>(60 << 10).is_ok(), "nothing of it is kept");
    // A file that is longer ends the process, also one that is memory.
    let no_file = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it reads the structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const no_file) }, 0);
    assert!(SecretPages.alloc::<u8>(8 << 10).is_ok(), "pages that are locked will do");
    println!("limited");
}

/// Pages that cannot be locked are refused, whichever way they would have come.
#[test]
#[cfg_attr(sanitized, ignore = "the sanitizers' runtimes map more than can be locked")]
fn what_cannot_be_locked_is_refused() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(LIMITED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("limited"), "{output:?}");
}
