//! Fail points cost nothing outside tests: seen in the code that the compiler emits.
//!
//! A library has each function twice, with fail points and without. Where the feature is off, as it is where
//! `alloc-testing` is no dependency of what is built, both come out the same, instruction by instruction,
//! with optimisation and without it. Where it is on they do not, so that the comparison can fail.
#![cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]

#[path = "common/turn.rs"]
mod turn;

use std::fs;
use std::path::Path;
use std::process::Command;

const SOURCE: &str = r#"#![forbid(unsafe_op_in_unsafe_fn)]
use alloc_core::{AllocError, fail_point};

#[derive(Debug)]
pub struct Short(pub usize);
impl From<AllocError> for Short {
    fn from(_: AllocError) -> Self { Self(0) }
}

#[inline(never)]
#[unsafe(no_mangle)]
pub fn plain_function(bytes: &[u8], scale: usize) -> Result<usize, Short> {
    let mut sum = 0;
    for byte in bytes {
        sum += usize::from(*byte) * scale;
    }
    if sum < 4 { return Err(Short(sum)); }
    Ok(sum + 1)
}

#[inline(never)]
#[unsafe(no_mangle)]
pub fn point_function(bytes: &[u8], scale: usize) -> Result<usize, Short> {
    fail_point!(load::pages);
    let mut sum = 0;
    for byte in bytes {
        fail_point!(load::byte => break);
        sum += usize::from(*byte) * scale;
    }
    fail_point!(load::sum, Short(sum));
    if sum < 4 { return Err(Short(sum)); }
    Ok(sum + 1)
}
"#;

/// The library in a folder of its own, as somebody's crate that depends on alloc-core.
fn write_crate(root: &Path, features: &str) {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("alloc-core");
    let lock = core.parent().unwrap().parent().unwrap().join("Cargo.lock");
    let manifest = format!(
        "[package]\nname = \"points\"\nedition = \"2024\"\n[workspace]\n\
         [profile.dev]\ndebug = 0\ncodegen-units = 1\nincremental = false\n\
         [profile.release]\ncodegen-units = 1\n[dependencies]\n\
         alloc-core = {{ path = {core:?}, default-features = false, features = [{features}] }}\n"
    );
    fs::create_dir_all(root.join("src")).unwrap();
    fs::write(root.join("Cargo.toml"), manifest).unwrap();
    fs::write(root.join("src/lib.rs"), SOURCE).unwrap();
    fs::copy(lock, root.join("Cargo.lock")).unwrap();
}

/// The assembly of the library.
fn assembly(name: &str, features: &str, profile: &str) -> String {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fail_point_cost").join(name);
    let _turn = turn::turn(&root);
    write_crate(&root, features);
    let out = root.join("points.s");
    let _ = fs::remove_file(&out);
    let output = Command::new(env!("CARGO"))
        .args(["rustc", "--lib", "--offline", "--quiet", "--profile", profile, "--"])
        .arg("--emit")
        .arg(format!("asm={}", out.display()))
        .current_dir(&root)
        .env("CARGO_TARGET_DIR", root.join("target"))
        .env("RUSTFLAGS", "")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(out).unwrap()
}

/// The instructions of a function, without the numbers in its labels. Of functions that came out the same,
/// the optimiser makes one and gives it the other's name.
fn body(text: &str, function: &str) -> Vec<String> {
    let merged = [format!("{function} = "), format!("\t.set\t{function}, ")];
    let merged = merged
        .iter()
        .find_map(|prefix| text.lines().find_map(|line| line.strip_prefix(prefix.as_str())));
    let function = merged.unwrap_or(function);
    let lines = text.lines().skip_while(|line| *line != format!("{function}:"));
    let lines = lines.skip(1).take_while(|line| !line.starts_with(".Lfunc_end"));
    let is_code = |line: &&str| !line.trim_start().starts_with(".cfi");
    let without_numbers = |line: &str| match line.contains(".L") {
        true => line.replace(|letter: char| letter.is_ascii_digit(), ""),
        false => line.to_owned(),
    };
    lines.filter(is_code).map(without_numbers).collect()
}

#[test]
fn a_point_is_no_instruction_where_the_feature_is_off() {
    for profile in ["dev", "release"] {
        let text = assembly("off", "", profile);
        let (plain, with_points) = (body(&text, "plain_function"), body(&text, "point_function"));
        assert!(8 < plain.len(), "{profile}: no body found\n{text}");
        assert_eq!(plain, with_points, "{profile}");
        assert!(!text.contains("alloc_fail_points") && !text.contains("load::"), "{profile}");
    }
    let text = assembly("on", "\"fail-points\"", "dev");
    assert_ne!(body(&text, "plain_function"), body(&text, "point_function"), "the control");
    assert!(text.contains("alloc_fail_points") && text.contains("load::pages"));
}
