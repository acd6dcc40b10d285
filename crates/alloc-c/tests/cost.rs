//! What the contract costs over malloc: nothing, and one indirect call behind `dyn`.
#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu", not(miri)))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Waits until no other run has the folder, which is kept for the next one; others wait while the answer lives.
fn turn(root: &Path) -> fs::File {
    fs::create_dir_all(root).unwrap();
    let file = fs::File::create(root.join("turn")).unwrap();
    file.lock().unwrap();
    file
}

/// Builds `tests/cost/probe.rs` with optimisation as a crate of its own, and returns its folder of results,
/// which is this run's while the file lives.
fn build() -> (PathBuf, fs::File) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cost");
    let turn = turn(&root);
    fs::create_dir_all(root.join("src")).unwrap();
    fs::copy(package.join("tests/cost/probe.rs"), root.join("src/main.rs")).unwrap();
    fs::copy(package.join("../../Cargo.lock"), root.join("Cargo.lock")).unwrap();
    let manifest = format!(
        "[package]\nname = \"probe\"\nedition = \"2024\"\n[workspace]\n[profile.release]\n\
         codegen-units = 1\n[dependencies]\n\
         alloc-c = {{ path = {package:?}, default-features = false }}\n\
         alloc-core = {{ path = {:?}, default-features = false }}\n",
        package.join("../alloc-core")
    );
    fs::write(root.join("Cargo.toml"), manifest).unwrap();
    let target = root.join("target");
    // What an older run left would be read as well.
    let _ = fs::remove_dir_all(&target);
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--offline"])
        .current_dir(&root)
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", "--emit=asm")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (target.join("release"), turn)
}

/// Instructions of one loop for each of its rounds, by two runs; `None` without valgrind.
fn instructions(program: &Path, name: &str) -> Option<f64> {
    let run = |count: u64| -> Option<u64> {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        let output = valgrind.arg(program).args([name, &count.to_string()]).output().ok()?;
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        log.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
    };
    Some((run(30_000)? - run(10_000)?) as f64 / 20_000.0)
}

/// The instructions of a function, from the compiler's assembly; of a jump only that it is one.
fn body<'a>(assembly: &'a str, name: &str) -> Vec<&'a str> {
    let start = assembly.find(&format!("\n{name}:\n")).unwrap_or_else(|| panic!("no {name}"));
    let lines = assembly[start + 1..].lines().skip(1);
    let code = lines.take_while(|line| !line.contains(".cfi_endproc"));
    let is_instruction =
        |line: &&str| line.starts_with('\t') && !line.starts_with("\t.") && !line.contains('#');
    // Labels are numbered through the file.
    code.filter(is_instruction).map(|line| line.split(".LBB").next().unwrap_or(line)).collect()
}

/// Goal: a direct call costs what malloc does, a call behind `dyn` one indirect call more. Method: the
/// assembly of a typed request, which is that of malloc and free themselves, and of a call behind `dyn`,
/// which is one indirect jump; and loops of them counted by callgrind.
#[test]
#[cfg_attr(sanitized, ignore = "a sanitizer's instructions are counted as well")]
fn malloc_costs_what_malloc_costs() {
    let (results, _turn) = build();
    let deps = fs::read_dir(results.join("deps")).unwrap().map(|entry| entry.unwrap().path());
    let assembly = deps
        .filter(|path| path.extension().is_some_and(|extension| extension == "s"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect::<String>();
    for function in ["take_erased", "give_erased"] {
        let code = body(&assembly, function);
        let calls: Vec<_> =
            code.iter().filter(|line| line.contains("call") || line.contains("jmp")).collect();
        assert!(calls.len() == 1 && calls[0].contains('*'), "{function}: {code:#?}");
    }
    let (ours, direct) = (body(&assembly, "pair_ours"), body(&assembly, "pair_direct"));
    assert_eq!(ours, direct, "a typed request costs what malloc does");
    let program = results.join("probe");
    let output = Command::new(&program).arg("optimised").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let Some(direct) = instructions(&program, "direct") else {
        println!("not counted: there is no valgrind");
        return;
    };
    let of = |name| instructions(&program, name).unwrap();
    let (ours, erased) = (of("ours"), of("erased"));
    println!("direct {direct}, ours {ours}, behind dyn {erased}");
    assert!((ours - direct).abs() < 0.01, "a typed request costs what malloc does");
    // In each of the two functions: arguments, and a jump to C's; in one the look at the alignment.
    assert!(erased - ours <= 13.01, "{erased} instructions behind dyn, {ours} without");
    // A layout from memory: both look at the alignment.
    let (ours, direct) = (of("ours of memory"), of("direct of memory"));
    println!("a layout from memory: direct {direct}, ours {ours}");
    assert!(ours < direct + 0.01, "{ours} instructions, malloc itself {direct}");
}
