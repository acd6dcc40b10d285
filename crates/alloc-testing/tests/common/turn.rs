//! Folders of results that are kept from one run of the tests to the next.

use std::fs;
use std::path::Path;

/// Waits until no other run has the folder, which is kept for the next one; others wait while the answer lives.
pub(crate) fn turn(root: &Path) -> fs::File {
    fs::create_dir_all(root).unwrap();
    let file = fs::File::create(root.join("turn")).unwrap();
    file.lock().unwrap();
    file
}
