//! Where the preload library is.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

const NAME: &str = "liballoc_preload.so";
const INTERCEPT_NAME: &str = "liballoc_intercept.so";
const VARIABLE: &str = "ALLOC_CHECK_LIBRARY";

/// The library that was asked for, or the one that was installed or built with this program.
pub(crate) fn find(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = asked {
        return usable(path, "--library");
    }
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return usable(Path::new(&path), VARIABLE);
    }
    let program = std::env::current_exe().context("cannot tell where alloc-check itself is")?;
    let dir = program.parent().unwrap_or(Path::new("/"));
    let places = [dir.to_owned(), dir.join("../lib"), dir.join("../release")];
    let Some(found) = places.iter().map(|dir| dir.join(NAME)).find(|path| path.is_file()) else {
        bail!("no {NAME} beside {}; name it with --library or {VARIABLE}", program.display());
    };
    usable(&found, NAME)
}

/// The library that looks at libc's functions on memory and strings: beside the preload library.
pub(crate) fn find_intercept(library: &Path) -> anyhow::Result<PathBuf> {
    let path = library.with_file_name(INTERCEPT_NAME);
    if !path.is_file() {
        bail!("no {INTERCEPT_NAME} beside {}", library.display());
    }
    usable(&path, INTERCEPT_NAME)
}

/// The absolute path, if the loader can take it: `LD_PRELOAD` separates names by space and colon.
fn usable(path: &Path, what: &str) -> anyhow::Result<PathBuf> {
    let absolute =
        path.canonicalize().with_context(|| format!("{what}: cannot use {}", path.display()))?;
    if !absolute.is_file() {
        bail!("{what}: {} is not a file", absolute.display());
    }
    if absolute.as_os_str().as_bytes().iter().any(|byte| matches!(byte, b' ' | b':')) {
        bail!("{what}: the loader takes no path with a space or a colon: {}", absolute.display());
    }
    Ok(absolute)
}
