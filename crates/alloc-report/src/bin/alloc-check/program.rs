//! Whether a program can be checked, looked up before it is run.

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use object::elf;
use object::read::ReadCache;
use object::read::elf::{FileHeader, ProgramHeader, Sym};

/// How many `#!` lines are followed; Linux follows as many.
const SCRIPTS_MAX: u32 = 5;
/// As much of a `#!` line as Linux reads.
const SCRIPT_LINE_LEN: usize = 256;

#[cfg(target_arch = "x86_64")]
const MACHINE: elf::Machine = elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: elf::Machine = elf::EM_AARCH64;

/// A program that can be checked.
#[derive(Debug)]
pub(crate) struct Program {
    /// The file to run.
    pub(crate) path: PathBuf,
    /// Whether it, or the interpreter that runs it, defines `malloc` itself.
    pub(crate) has_own_malloc: bool,
}

/// Why a program cannot be checked.
#[derive(Debug)]
pub(crate) struct Refusal {
    path: OsString,
    reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot check {}: {}", self.path.to_string_lossy().escape_debug(), self.reason)
    }
}

/// Finds `name` as a shell does and looks whether a library can be loaded into it.
pub(crate) fn inspect(name: &OsStr) -> Result<Program, Refusal> {
    let path = find(name).map_err(|reason| Refusal { path: name.to_owned(), reason })?;
    let has_own_malloc = inspect_file(&path, SCRIPTS_MAX)?;
    Ok(Program { path, has_own_malloc })
}

/// The file that `name` means: itself if it has a slash, else the first in `PATH`.
fn find(name: &OsStr) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("its name is empty".to_owned());
    }
    if name.as_bytes().contains(&b'/') {
        runnable(Path::new(name))?;
        return Ok(PathBuf::from(name));
    }
    let path_var = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut refused = None;
    for dir in std::env::split_paths(&path_var) {
        // An empty entry is the working directory.
        let dir = if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir };
        let candidate = dir.join(name);
        match runnable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(reason) if fs::symlink_metadata(&candidate).is_ok() => {
                refused = refused.or(Some(format!("{}: {reason}", candidate.display())));
            }
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| "not found in PATH".to_owned()))
}

/// Whether the file is there and may be run.
fn runnable(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        _ => error.to_string(),
    })?;
    if metadata.is_dir() {
        return Err("it is a directory".to_owned());
    }
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let Ok(c_path) = CString::new(path.as_os_str().as_bytes()) else {
        return Err("its name holds a zero byte".to_owned());
    };
    // SAFETY: `c_path` is a C string that lives through the call.
    let refused = unsafe { libc::access(c_path.as_ptr(), libc::X_OK) } != 0;
    if refused { Err("it is not executable".to_owned()) } else { Ok(()) }
}

/// Whether the program in `path`, or the interpreter of the script, defines `malloc`.
fn inspect_file(path: &Path, scripts_left: u32) -> Result<bool, Refusal> {
    let refuse = |reason: String| Refusal { path: path.as_os_str().to_owned(), reason };
    let mut file = File::open(path).map_err(|error| refuse(format!("cannot read it: {error}")))?;
    let mut head = Vec::new();
    let limit = SCRIPT_LINE_LEN as u64;
    Read::by_ref(&mut file)
        .take(limit)
        .read_to_end(&mut head)
        .map_err(|error| refuse(format!("cannot read it: {error}")))?;
    if let Some(interpreter) = interpreter(&head) {
        if scripts_left == 0 {
            return Err(refuse("its interpreters are scripts without end".to_owned()));
        }
        let interpreter = PathBuf::from(OsString::from_vec(interpreter.to_vec()));
        return runnable(&interpreter)
            .map_err(|reason| format!("its interpreter {}: {reason}", interpreter.display()))
            .map_err(refuse)
            .and_then(|()| inspect_file(&interpreter, scripts_left - 1));
    }
    check_privileges(path, &file).map_err(refuse)?;
    inspect_elf(&head, file).map_err(refuse)
}

/// The interpreter that a script names in its first line.
fn interpreter(head: &[u8]) -> Option<&[u8]> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let name = line.trim_ascii_start().split(|byte| matches!(byte, b' ' | b'\t')).next()?;
    let name = name.strip_suffix(b"\r").unwrap_or(name);
    (!name.is_empty()).then_some(name)
}

/// The loader ignores `LD_PRELOAD` in a program that gains privileges.
fn check_privileges(path: &Path, file: &File) -> Result<(), String> {
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if metadata.mode() & libc::S_ISUID != 0 {
        return Err("it is set-uid, and the loader then preloads nothing".to_owned());
    }
    // Without the group's execute bit, set-gid meant mandatory locking.
    if metadata.mode() & libc::S_ISGID != 0 && metadata.mode() & libc::S_IXGRP != 0 {
        return Err("it is set-gid, and the loader then preloads nothing".to_owned());
    }
    let Ok(c_path) = CString::new(path.as_os_str().as_bytes()) else { return Ok(()) };
    let name = c"security.capability".as_ptr();
    // SAFETY: both strings are C strings that live through the call; a null value with size 0 asks
    // for the attribute's length only (getxattr(2)).
    let len = unsafe { libc::getxattr(c_path.as_ptr(), name, std::ptr::null_mut(), 0) };
    if len > 0 {
        return Err("it has file capabilities, and the loader then preloads nothing".to_owned());
    }
    Ok(())
}

fn inspect_elf(head: &[u8], file: File) -> Result<bool, String> {
    if !head.starts_with(b"\x7fELF") {
        return Err("it is neither a program nor a script with #!".to_owned());
    }
    match head.get(4) {
        Some(&class) if class == elf::ELFCLASS64.0 => {}
        Some(&class) if class == elf::ELFCLASS32.0 => {
            return Err("it is a 32-bit program; only 64-bit ones can be checked".to_owned());
        }
        _ => return Err("its ELF class is unknown".to_owned()),
    }
    let damaged = |error: object::read::Error| format!("it is damaged: {error}");
    let cache = ReadCache::new(file);
    let header = elf::FileHeader64::<object::Endianness>::parse(&cache).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    if header.e_machine(endian) != MACHINE {
        return Err("it was built for another machine".to_owned());
    }
    if !matches!(header.e_type(endian), elf::ET_EXEC | elf::ET_DYN) {
        return Err("it is an object file, not a program".to_owned());
    }
    let mut loader = None;
    for segment in header.program_headers(endian, &cache).map_err(damaged)? {
        loader = loader.or(segment.interpreter(endian, &cache).map_err(damaged)?);
    }
    match loader {
        None => return Err("it is statically linked: nothing can be preloaded".to_owned()),
        Some(loader) if loader.windows(4).any(|bytes| bytes == b"musl") => {
            return Err("its loader is musl's; the preload library needs glibc".to_owned());
        }
        Some(_) => {}
    }
    let sections = header.sections(endian, &cache).map_err(damaged)?;
    let symbols = sections.symbols(endian, &cache, elf::SHT_DYNSYM).map_err(damaged)?;
    let names = symbols.strings();
    Ok(symbols.iter().any(|symbol| {
        symbol.is_definition(endian, names) && symbol.name(endian, names) == Ok(b"malloc")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The interpreter is the first word, with and without a space, argument or newline.
    #[test]
    fn script_lines() {
        assert_eq!(interpreter(b"#!/bin/sh\necho"), Some(&b"/bin/sh"[..]));
        assert_eq!(interpreter(b"#! /usr/bin/env python3"), Some(&b"/usr/bin/env"[..]));
        assert_eq!(interpreter(b"#!/bin/sh\t-e\n"), Some(&b"/bin/sh"[..]));
        assert_eq!(interpreter(b"#!\n"), None);
        assert_eq!(interpreter(b"\x7fELF"), None);
    }

    fn refusal(path: &Path) -> String {
        inspect(path.as_os_str()).unwrap_err().to_string()
    }

    fn file(dir: &Path, name: &str, mode: u32, bytes: &[u8]) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// A header of an ELF file with no segments.
    fn elf_header(class: u8, machine: u8) -> Vec<u8> {
        let mut header = vec![0; 64];
        header[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1, 1]);
        header[16] = 2;
        header[18] = machine;
        header[20] = 1;
        header[52] = 64;
        header[54] = 56;
        header
    }

    /// Each reason has its own words.
    #[test]
    fn refusals() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let has = |path: &Path, words: &str| {
            let text = refusal(path);
            assert!(text.contains(words), "{text:?} does not say {words:?}");
            assert!(!text.contains('\n'));
        };
        has(Path::new("no-such-program-anywhere"), "not found in PATH");
        has(&dir.join("missing"), "no such file");
        has(dir, "it is a directory");
        has(&file(dir, "plain", 0o644, b"#!/bin/sh\n"), "it is not executable");
        has(&file(dir, "text", 0o755, b"hello"), "neither a program nor a script");
        has(&file(dir, "empty", 0o755, b""), "neither a program nor a script");
        has(&file(dir, "script", 0o755, b"#!/missing\n"), "its interpreter /missing: no such file");
        let endless = dir.join("endless");
        let line = format!("#!{}\n", endless.display());
        has(&file(dir, "endless", 0o755, line.as_bytes()), "scripts without end");
        let machine = u8::try_from(MACHINE.0).unwrap();
        has(&file(dir, "static", 0o755, &elf_header(2, machine)), "statically linked");
        has(&file(dir, "32", 0o755, &elf_header(1, 3)), "32-bit");
        has(&file(dir, "other", 0o755, &elf_header(2, 8)), "another machine");
        has(&file(dir, "class", 0o755, &elf_header(9, machine)), "ELF class");
        has(&file(dir, "cut", 0o755, &elf_header(2, machine)[..20]), "damaged");
        has(&file(dir, "suid", 0o4755, &elf_header(2, machine)), "set-uid");
        has(&file(dir, "sgid", 0o2755, &elf_header(2, machine)), "set-gid");
    }

    /// Programs and scripts of the system pass.
    #[test]
    fn systems_programs_pass() {
        let dir = tempfile::tempdir().unwrap();
        let script = file(dir.path(), "script", 0o755, b"#!/bin/sh\n:\n");
        for name in [OsStr::new("true"), OsStr::new("/bin/sh"), script.as_os_str()] {
            assert!(!inspect(name).unwrap().has_own_malloc, "{name:?}");
        }
    }
}
