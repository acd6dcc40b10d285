//! In builds of the mode `check` the general heap finds what overwrote its own words, and a second
//! free: each case runs as a child, which must end with the message.
#![cfg(all(alloc_check, unix, target_pointer_width = "64", not(miri)))]

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::process::Command;
use std::ptr::NonNull;

use alloc_core::Allocator;
use alloc_fixed::TlsfHeap;

/// Says which case a child runs.
const CASE: &str = "ALLOC_FIXED_CORRUPTION";

const LAYOUT: Layout = Layout::new::<[u64; 11]>();

/// The damages: a name, what the message says, and the deed on three neighbours, of which the second
/// is 11 words with its header before it.
type Damage = (&'static str, &'static str, fn(&TlsfHeap<'_>, [NonNull<u8>; 3]));

const DAMAGES: [Damage; 5] = [
    ("overflow", "was overwritten", |heap, [first, second, _]| {
        // One word behind the first block: the header of the second.
        // SAFETY: in the buffer; that it is not in the block is the point.
        unsafe { first.cast::<u64>().add(11).write(0x4141_4141) };
        // SAFETY: live.
        unsafe { heap.raw_free(second, LAYOUT) };
    }),
    ("off by one", "was overwritten", |heap, [first, second, _]| {
        // SAFETY: as above, one byte.
        unsafe { first.add(88).write(0xff) };
        // SAFETY: live.
        unsafe { heap.raw_free(second, LAYOUT) };
    }),
    ("double free", "freed already", |heap, [_, second, _]| {
        // SAFETY: live, the first time.
        unsafe { heap.raw_free(second, LAYOUT) };
        // SAFETY: not live: the point.
        unsafe { heap.raw_free(second, LAYOUT) };
    }),
    ("double free of a joined block", "freed already", |heap, [first, second, _]| {
        // SAFETY: live.
        unsafe { heap.raw_free(first, LAYOUT) };
        // SAFETY: live, the first time; it joins the one before it.
        unsafe { heap.raw_free(second, LAYOUT) };
        // SAFETY: not live: the point.
        unsafe { heap.raw_free(second, LAYOUT) };
    }),
    ("write after free", "was overwritten", |heap, [_, second, _]| {
        // SAFETY: live.
        unsafe { heap.raw_free(second, LAYOUT) };
        // SAFETY: in the buffer; the block is dead: the point. It is where the links are.
        unsafe { second.cast::<usize>().add(1).write(heap as *const _ as usize & !15) };
        let _ = heap.raw_alloc(LAYOUT);
    }),
];

/// Runs the damage that the environment names; as a test of its own it does nothing.
#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    let (_, _, deed) = DAMAGES.iter().find(|(name, ..)| *name == case).unwrap();
    let mut memory = vec![MaybeUninit::uninit(); 4096];
    let heap = TlsfHeap::new(&mut memory);
    let blocks = [(); 3].map(|()| heap.raw_alloc(LAYOUT).unwrap());
    let _guard = heap.raw_alloc(LAYOUT).unwrap();
    deed(&heap, blocks);
}

#[test]
fn damage_is_found() {
    for (name, message, _) in DAMAGES {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "child", "--nocapture"]).env(CASE, name);
        let output = child.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name}: not found\n{stderr}");
        assert!(stderr.contains(message), "{name}: {stderr}");
    }
}
