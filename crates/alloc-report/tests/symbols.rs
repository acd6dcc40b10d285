//! From addresses to functions and lines, in programs that the system's C compiler builds.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use alloc_report::{Frame, Module, Symboliser, resolve_text};
use support::{address, build_id, compile, tool};

/// A built program, and what was known of it when it ran.
struct Built {
    dir: tempfile::TempDir,
    program: PathBuf,
    module: Module,
}

fn built(flags: &[&str]) -> Built {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    compile("program.c", &program, &[&["-O1", "-Wl,--build-id"], flags].concat());
    let module = Module { path: utf8(&program), build_id: build_id(&program) };
    Built { dir, program, module }
}

fn utf8(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

impl Built {
    /// The frames whose return address follows the first byte of `symbol`.
    fn frames(&self, addr: u64) -> Vec<Frame> {
        let debug_dir = self.dir.path().join("debug");
        Symboliser::with_debug_dir(debug_dir).return_address(&self.module, addr + 1)
    }
}

fn named(frame: &Frame) -> (&str, &str, u32) {
    let file = frame.file.as_deref().unwrap_or("").rsplit('/').next().unwrap();
    (frame.function.as_deref().unwrap_or(""), file, frame.line.unwrap_or(0))
}

/// Inlined functions come first, each with its own line.
#[test]
fn inlined_frames() {
    let built = built(&["-g"]);
    let frames = built.frames(address(&built.program, "mark"));
    let names: Vec<_> = frames.iter().map(named).collect();
    assert_eq!(names, [("inner", "program.c", 11), ("outer", "program.c", 15)]);
    assert_eq!([frames[0].inlined, frames[1].inlined], [true, false]);
}

/// Names are shown as C++ and Rust write them, with and without DWARF.
#[test]
fn names_are_demangled() {
    for flags in [&["-g"][..], &[]] {
        let built = built(flags);
        let name = |symbol| {
            let frames = built.frames(address(&built.program, symbol));
            frames[0].function.clone().unwrap()
        };
        if flags.is_empty() {
            assert_eq!(name("_ZN3app4poolIiE4growEv"), "app::pool<int>::grow()");
            assert_eq!(name("_ZN3app5cache6insert17h0123456789abcdefE"), "app::cache::insert");
        }
        assert_eq!(name("main"), "main");
    }
}

/// Without a symbol table the dynamic one names what a library exports.
#[test]
fn dynamic_symbols() {
    let built = built(&["-rdynamic", "-s"]);
    let frames = built.frames(address(&built.program, "outer"));
    assert_eq!(named(&frames[0]), ("outer", "", 0));
    assert_eq!(frames[0].module, built.module.path);
}

/// A stripped program's debug file is found by build id, also when the program is gone, and by the
/// name in its `.gnu_debuglink`.
#[test]
fn separate_debug_files() {
    let built = built(&["-g"]);
    let mark = address(&built.program, "mark");
    let program = utf8(&built.program);
    let debug = utf8(&built.dir.path().join("program.debug"));
    tool("objcopy", &["--only-keep-debug", &program, &debug]);
    tool("objcopy", &["--strip-all", &program]);
    assert_ne!(named(&built.frames(mark)[0]), ("inner", "program.c", 11), "stripped");

    tool("objcopy", &[&format!("--add-gnu-debuglink={debug}"), &program]);
    assert_eq!(named(&built.frames(mark)[0]), ("inner", "program.c", 11), "by link");

    let (first, rest) = built.module.build_id.split_at(2);
    let by_id = built.dir.path().join("debug/.build-id").join(first);
    fs::create_dir_all(&by_id).unwrap();
    fs::rename(&debug, by_id.join(format!("{rest}.debug"))).unwrap();
    assert_eq!(named(&built.frames(mark)[0]), ("inner", "program.c", 11), "by id");

    fs::remove_file(&built.program).unwrap();
    assert_eq!(named(&built.frames(mark)[0]), ("inner", "program.c", 11), "program gone");
}

/// Another build at the same path, a module that is gone, or what is no file at all: the address.
#[test]
fn unknown_modules() {
    let mut built = built(&["-g"]);
    let mark = address(&built.program, "mark");
    built.module.build_id = "00".repeat(20);
    let frames = built.frames(mark);
    assert_eq!((frames.len(), &frames[0].function), (1, &None));
    assert_eq!(frames[0].to_string(), format!("program+{:#x}", mark + 1));
    let fifo = utf8(&built.dir.path().join("fifo"));
    tool("mkfifo", &[&fifo]);
    for path in ["/gone/app", "[vdso]", "", "/tmp", "/etc/passwd", &fifo] {
        built.module = Module { path: path.to_owned(), build_id: String::new() };
        assert_eq!(built.frames(mark)[0].function, None, "{path}");
    }
    built.module = Module { path: utf8(&built.program), build_id: String::new() };
    assert_eq!(named(&built.frames(mark)[0]).0, "inner", "no build id was recorded");
    for addr in [0, 1, u64::MAX - 1] {
        assert_eq!(built.frames(addr).len(), 1);
    }
}

fn resolved(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    resolve_text(&mut &*text, &mut out, &mut Symboliser::new()).unwrap();
    out
}

/// Addresses in text are replaced; everything else stays, to the byte.
#[test]
fn text_is_resolved() {
    let built = built(&["-g"]);
    let (program, mark) = (utf8(&built.program), address(&built.program, "mark"));
    let source = utf8(&support::fixture("program.c"));
    let frames = format!("inner {source}:11 (inlined into) outer {source}:15");
    let text = |middle: &str| format!("  at {middle}, then\x01 +0x10 a/b+0x1\r\n").into_bytes();
    let unresolved = text(&format!("{program}+{mark:#x}"));
    assert_eq!(resolved(&unresolved), text(&frames));
    for same in [
        text(&format!("{program}+0x0")),
        text(&format!("/gone{program}+{mark:#x}")),
        text(&format!("{program}+0xfffffffffffffffffff")),
        text(&format!("{program}+0x")),
        b"\xff\xfe/+0x1 no newline at the end".to_vec(),
        Vec::new(),
    ] {
        assert_eq!(resolved(&same), same);
    }
    let spaced = built.dir.path().join("my program");
    fs::copy(&built.program, &spaced).unwrap();
    let two = format!("{0}+{mark:#x} {0}+{mark:#x}", utf8(&spaced));
    assert_eq!(resolved(&text(&two)), text(&format!("{frames} {frames}")));
}
