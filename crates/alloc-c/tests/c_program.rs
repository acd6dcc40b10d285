//! A C program and a Rust library that use each other's allocators: `tests/c/program.c` and
//! `examples/c_side.rs`, through `include/alloc.h`.
#![cfg(all(unix, not(miri)))]

use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// Builds the Rust library, and returns the folder it is in.
fn library_folder() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--package", "alloc-c", "--example", "c_side"])
        .arg("--message-format=json")
        .current_dir(PACKAGE)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let is_it = |word: &&str| word.contains("libc_side.");
    let file = text.split('"').find(is_it).expect("cargo tells the file that it made");
    Path::new(file).parent().unwrap().to_owned()
}

/// The compiler, as C projects choose it.
fn compiler() -> Command {
    let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"]);
    command.arg(format!("-I{PACKAGE}/include"));
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

/// Goal: memory of either side is used and freed by the other. Method: the program checks what it sees, and
/// that no block of either allocator is left.
#[test]
#[cfg_attr(sanitized, ignore = "a C program is linked without the sanitizer's runtime")]
fn each_side_uses_the_others_allocator() {
    let folder = library_folder();
    // A name of its own: another run of this test may run the program while this one writes it.
    let name = format!("alloc_c_program_{}", std::process::id());
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let folder = folder.to_str().unwrap();
    run(compiler()
        .arg(format!("{PACKAGE}/tests/c/program.c"))
        .args(["-L", folder, "-lc_side"])
        .arg(format!("-Wl,-rpath,{folder}"))
        .arg("-o")
        .arg(&program));
    assert_eq!(run(&mut Command::new(&program)), "ok\n");
    std::fs::remove_file(&program).unwrap();
}

/// Goal: the header compiles where `free` is a macro, as debugging libraries make it. Method: all members of the
/// table are macros of one argument.
#[test]
fn the_header_bears_macros_of_the_same_names() {
    let header = format!("{PACKAGE}/include/alloc.h");
    let mut command = compiler();
    for name in ["alloc", "alloc_zeroed", "resize", "remap", "free"] {
        command.arg(format!("-D{name}(block)=traced_{name}((block), __FILE__, __LINE__)"));
    }
    run(command.args(["-x", "c", "-fsyntax-only", &header]));
}

/// The header is C++ as well.
#[test]
fn the_header_is_cplusplus() {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let header = format!("{PACKAGE}/include/alloc.h");
    let mut command = Command::new(&compiler);
    command.args(["-x", "c++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", &header]);
    if command.output().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        println!("not tested: there is no C++ compiler");
        return;
    }
    run(&mut command);
}
