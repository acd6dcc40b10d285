//! No fallible way in can panic: not in the source, but in the code that is emitted.
//!
//! A library that calls each of them is built without std, and its panic handler calls a function that does
//! not exist. It links only if nothing reaches the handler.
#![cfg(all(target_os = "linux", not(miri), not(loom), not(sanitized)))]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The library; `BODY` is what `extra` does.
const SOURCE: &str = r#"#![no_std]
use core::ptr::NonNull;

use alloc_arena::{Arena, Growth, Reset, Scope, SharedArena};
use alloc_core::{Allocator, Layout};
use alloc_fixed::FixedBuffer;

type Over<'a> = Arena<&'a FixedBuffer<'a>>;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn a_panic_can_be_reached() -> !;
    }
    // SAFETY: there is no such function: what calls it does not link, so nothing ever calls it.
    unsafe { a_panic_can_be_reached() }
}

#[unsafe(no_mangle)]
pub fn put<'a>(arena: &'a Over<'_>, value: u64) -> Option<&'a mut u64> {
    arena.put(value).ok()
}
#[unsafe(no_mangle)]
pub fn put_or_return<'a>(arena: &'a Over<'_>, value: [u64; 9]) -> bool {
    arena.put_or_return(value).is_ok()
}
#[unsafe(no_mangle)]
pub fn put_with<'a>(arena: &'a Over<'_>, value: u64) -> Option<&'a mut [u64; 3]> {
    arena.put_with(|| [value; 3]).ok()
}
#[unsafe(no_mangle)]
pub fn put_str<'a>(arena: &'a Over<'_>, text: &str) -> Option<&'a mut str> {
    arena.put_str(text).ok()
}
#[unsafe(no_mangle)]
pub fn put_slice_copy<'a>(arena: &'a Over<'_>, items: &[u32]) -> Option<&'a mut [u32]> {
    arena.put_slice_copy(items).ok()
}
#[unsafe(no_mangle)]
pub fn put_slice_fill<'a>(arena: &'a Over<'_>, count: usize) -> Option<&'a mut [u32]> {
    arena.put_slice_fill(count, 7).ok()
}
#[unsafe(no_mangle)]
pub fn put_slice_with<'a>(arena: &'a Over<'_>, count: usize) -> Option<&'a mut [usize]> {
    arena.put_slice_with(count, |index| index).ok()
}
#[unsafe(no_mangle)]
pub fn put_slice_zeroed<'a>(arena: &'a Over<'_>, count: usize) -> Option<&'a mut [u32]> {
    arena.put_slice_zeroed(count).ok()
}
#[unsafe(no_mangle)]
pub fn put_iter<'a>(arena: &'a Over<'_>, items: &[u32]) -> Option<&'a mut [u32]> {
    arena.put_iter(items.iter().copied().filter(|item| item % 2 == 0)).ok()
}
#[unsafe(no_mangle)]
pub fn reserve(arena: &Over<'_>, bytes: usize) -> bool {
    arena.reserve(bytes).is_ok()
}
#[unsafe(no_mangle)]
pub fn raw_alloc(arena: &Over<'_>, layout: Layout) -> bool {
    arena.raw_alloc(layout).is_ok()
}
/// # Safety
///
/// As `Allocator::raw_remap`.
#[unsafe(no_mangle)]
pub unsafe fn raw_remap(arena: &Over<'_>, block: NonNull<u8>, layout: Layout, size: usize) -> bool {
    // SAFETY: the caller keeps the same contract.
    unsafe { arena.raw_remap(block, layout, size) }.is_some()
}
/// # Safety
///
/// As `Allocator::raw_free`.
#[unsafe(no_mangle)]
pub unsafe fn raw_free(arena: &Over<'_>, block: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller keeps the same contract.
    unsafe { arena.raw_free(block, layout) }
}
#[unsafe(no_mangle)]
pub fn reset(arena: &mut Over<'_>, limit: usize) -> bool {
    arena.reset(Reset::RetainWithLimit(limit)) && arena.reset(Reset::RetainCapacity)
}
#[unsafe(no_mangle)]
pub fn scope(arena: &mut Over<'_>, body: fn(&mut Scope<'_, &FixedBuffer<'_>>)) -> usize {
    arena.scope(|inner| inner.put(5u8).is_ok());
    let _ = body;
    arena.high_water()
}
#[unsafe(no_mangle)]
pub fn shared(arena: &SharedArena<alloc_core::NeverAlloc>, value: u64) -> bool {
    arena.put(value).is_ok() && arena.local_with_growth(Growth::exact()).put(value).is_ok()
}
#[unsafe(no_mangle)]
pub fn extra(arena: &Over<'_>) -> bool {
    BODY
}
"#;

fn build(name: &str, body: &str) -> Output {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("no-panic-{name}"));
    fs::create_dir_all(&root).unwrap();
    let dependencies = ["alloc-arena", "alloc-core", "alloc-fixed"].map(|name| {
        format!("{name} = {{ path = {:?}, default-features = false }}\n", crates.join(name))
    });
    let manifest = format!(
        "[package]\nname = \"bare\"\nedition = \"2024\"\n[workspace]\n[lib]\npath = \"lib.rs\"\n\
         crate-type = [\"cdylib\"]\n[profile.release]\npanic = \"abort\"\nlto = \"fat\"\n\
         codegen-units = 1\n[dependencies]\n{}",
        dependencies.concat()
    );
    fs::write(root.join("Cargo.toml"), manifest).unwrap();
    fs::write(root.join("lib.rs"), SOURCE.replace("BODY", body)).unwrap();
    fs::copy(crates.join("../Cargo.lock"), root.join("Cargo.lock")).unwrap();
    Command::new(env!("CARGO"))
        .args(["build", "--release", "--offline"])
        .current_dir(&root)
        .env("CARGO_TARGET_DIR", root.join("target"))
        .env("RUSTFLAGS", "-Clink-arg=-Wl,--gc-sections -Clink-arg=-Wl,-z,defs -Clink-arg=-lc")
        .output()
        .unwrap()
}

/// Goal: no panic is in the emitted code; and the test would see one. Method: the library links; with one
/// call that can panic it does not, for the name of the missing function.
#[test]
fn no_fallible_way_in_can_panic() {
    let none = build("none", "arena.used() == 0");
    assert!(none.status.success(), "{}", String::from_utf8_lossy(&none.stderr));
    let one = build("one", "*arena.put_or_panic(5u8) == 5");
    let stderr = String::from_utf8_lossy(&one.stderr);
    assert!(!one.status.success() && stderr.contains("a_panic_can_be_reached"), "{stderr}");
}
