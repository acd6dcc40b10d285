//! Writes what `docs/testing.md` has its reader write, for `tests/newcomer.rs` and its sisters: of each file
//! that a block of code names in its first line, all blocks in their order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Where the page lies, from this package.
const PAGE: &str = "../../docs/testing.md";
/// What only a block has that the reader takes out again: its test fails, and is run by another test.
const TAKEN_OUT: &str = "fn forgets_one";
/// What only a block has that needs a package of the reader's own choice.
const NOT_HERE: &str = "#[tokio::test]";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PAGE}");
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let page = fs::read_to_string(package.join(PAGE)).expect("the page is in the repository");
    for (name, text) in files(&page) {
        fs::write(Path::new(&out_dir).join(name), text).expect("OUT_DIR can be written");
    }
}

/// The files by name; a separator of the path becomes `_`.
fn files(page: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::<String, String>::new();
    let (mut taken_out, mut left_out) = (0, 0);
    for block in page.split("\n```rust\n").skip(1) {
        let (block, _) = block.split_once("\n```").expect("a block ends");
        let (path, code) = block.split_once('\n').expect("a block has lines");
        let path = path.strip_prefix("// ").expect("a block begins with the name of its file");
        if code.contains(NOT_HERE) {
            left_out += 1;
        } else if code.contains(TAKEN_OUT) {
            taken_out += 1;
            let code = format!("#[ignore = \"it leaks\"]\n{code}\n");
            files.insert("taken_out.rs".to_owned(), code);
        } else {
            let file = files.entry(path.replace('/', "_")).or_default();
            file.push_str(code);
            file.push('\n');
        }
    }
    assert_eq!((taken_out, left_out), (1, 1), "the page has other blocks than this program knows");
    files
}
