//! Finds out, by compiling one line each, whether this compiler has `core::alloc::Allocator`, and
//! whether it has it only behind `feature(allocator_api)`.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

const STABLE: &str = "#![no_std] pub fn f<A: core::alloc::Allocator>(_: &A) {}";
const GATED: &str =
    "#![no_std] #![feature(allocator_api)] pub fn f<A: core::alloc::Allocator>(_: &A) {}";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(std_allocator, gated_allocator)");
    if compiles("stable", STABLE) {
        println!("cargo::rustc-cfg=std_allocator");
    } else if env::var_os("CARGO_FEATURE_NIGHTLY").is_some() && compiles("gated", GATED) {
        println!("cargo::rustc-cfg=gated_allocator");
    }
}

/// Whether the compiler of this build, with this build's flags, accepts `source` as a library.
/// A compiler that cannot be run counts as one that refuses.
fn compiles(name: &str, source: &str) -> bool {
    let (Some(rustc), Some(out_dir)) = (env::var_os("RUSTC"), env::var_os("OUT_DIR")) else {
        return false;
    };
    let file = Path::new(&out_dir).join(name).with_extension("rs");
    if std::fs::write(&file, source).is_err() {
        return false;
    }
    let mut command = Command::new(rustc);
    command.args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--cap-lints=allow"]);
    command.arg("--out-dir").arg(&out_dir).arg(&file);
    if let Some(target) = env::var_os("TARGET") {
        command.arg("--target").arg(target);
    }
    if let Ok(flags) = env::var("CARGO_ENCODED_RUSTFLAGS") {
        command.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
