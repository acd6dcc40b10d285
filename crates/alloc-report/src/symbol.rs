//! From an address in a module's file to functions and source lines.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use addr2line::Loader;
use object::read::{ReadCache, ReadRef};
use object::{Object, ObjectSymbol};

use crate::model::{Frame, Module};

/// Where distributions put debug information that they cut from programs.
const DEBUG_DIR: &str = "/usr/lib/debug";
/// Longer mangled names are shown as they are: demangling may take exponential space.
const MANGLED_LEN_MAX: usize = 8192;

/// Looks up addresses. Each module's symbols are loaded once, at its first address.
pub struct Symboliser {
    debug_dir: PathBuf,
    loaders: HashMap<Module, Option<Loader>>,
    variables: HashMap<Module, Vec<Variable>>,
}

/// A variable in a module's file.
struct Variable {
    addr: u64,
    len: u64,
    name: String,
}

impl Default for Symboliser {
    fn default() -> Self {
        Self::new()
    }
}

impl Symboliser {
    /// One that looks for separate debug files under `/usr/lib/debug`.
    #[must_use]
    pub fn new() -> Self {
        Self::with_debug_dir(DEBUG_DIR)
    }

    /// One that looks for separate debug files under `debug_dir`.
    #[must_use]
    pub fn with_debug_dir(debug_dir: impl Into<PathBuf>) -> Self {
        Self { debug_dir: debug_dir.into(), loaders: HashMap::new(), variables: HashMap::new() }
    }

    /// The frames at return address `addr` in the file of `module`, innermost first: the call is the
    /// instruction before it. At least one; where nothing is known, one with the address alone.
    pub fn return_address(&mut self, module: &Module, addr: u64) -> Vec<Frame> {
        self.frames(module, addr, addr.wrapping_sub(1))
    }

    /// As [`Symboliser::return_address`], for the address of the instruction itself.
    pub fn address(&mut self, module: &Module, addr: u64) -> Vec<Frame> {
        self.frames(module, addr, addr)
    }

    /// The variable that holds address `addr` in the file of `module`, with what must be added to its
    /// own address: `table`, `table + 8`.
    pub fn variable(&mut self, module: &Module, addr: u64) -> Option<String> {
        if !self.variables.contains_key(module) {
            let found = variables(module, &self.debug_dir);
            self.variables.insert(module.clone(), found);
        }
        let all = &self.variables[module];
        let after = all.partition_point(|variable| variable.addr <= addr);
        let variable = &all[after.checked_sub(1)?];
        let offset = addr - variable.addr;
        (offset < variable.len).then(|| match offset {
            0 => demangle(&variable.name),
            _ => format!("{} + {offset}", demangle(&variable.name)),
        })
    }

    fn frames(&mut self, module: &Module, addr: u64, probe: u64) -> Vec<Frame> {
        if !self.loaders.contains_key(module) {
            let loader = load(module, &self.debug_dir);
            self.loaders.insert(module.clone(), loader);
        }
        let unresolved = Frame::unresolved(Some(module), addr);
        let Some(Some(loader)) = self.loaders.get(module) else { return vec![unresolved] };
        let mut frames = from_dwarf(loader, probe, &unresolved);
        // DWARF may know the line but not the function; then the symbol is that of the outermost.
        if frames.is_empty() {
            frames.push(unresolved);
        }
        let outermost = frames.last_mut().expect("pushed above");
        if outermost.function.is_none() {
            outermost.function = loader.find_symbol(probe).map(demangle);
        }
        let outermost = frames.len() - 1;
        for frame in &mut frames[..outermost] {
            frame.inlined = true;
        }
        frames
    }
}

fn from_dwarf(loader: &Loader, probe: u64, unresolved: &Frame) -> Vec<Frame> {
    let mut frames = Vec::new();
    let Ok(mut found) = loader.find_frames(probe) else { return frames };
    while let Ok(Some(frame)) = found.next() {
        let function =
            frame.function.and_then(|function| Some(demangle(&function.raw_name().ok()?)));
        let (file, line) = match frame.location {
            Some(location) => (location.file.map(str::to_owned), location.line),
            None => (None, None),
        };
        // Line 0 marks instructions that belong to no line.
        let line = line.filter(|line| *line != 0);
        frames.push(Frame { function, file, line, ..unresolved.clone() });
    }
    frames
}

/// Beginnings of mangled names. What begins otherwise is a name of C's: the C++ demangler takes `t` for the
/// type `unsigned short`.
const MANGLED_PREFIXES: [&str; 5] = ["_Z", "__Z", "_R", "__R", "_GLOBAL_"];

fn demangle(name: &str) -> String {
    let mangled = MANGLED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if !mangled || name.len() > MANGLED_LEN_MAX {
        return name.to_owned();
    }
    addr2line::demangle_auto(name.into(), None).into_owned()
}

/// The symbols of `module`, if its file, or a debug file of the same build, is there.
fn load(module: &Module, debug_dir: &Path) -> Option<Loader> {
    symbol_files(module, debug_dir).iter().find_map(|file| open(file, debug_dir))
}

/// The files that may hold the symbols of `module`, the best first: its own, if it has debug information,
/// else a debug file of the same build.
fn symbol_files(module: &Module, debug_dir: &Path) -> Vec<PathBuf> {
    let by_id = debug_file(debug_dir, &module.build_id);
    let path = locate(&module.path);
    let facts = path.as_deref().and_then(facts_of);
    let same_build = facts.as_ref().is_some_and(|facts| {
        module.build_id.is_empty() || facts.build_id == module.build_id.to_ascii_lowercase()
    });
    let Some((path, facts)) = path.zip(facts).filter(|_| same_build) else {
        return by_id.into_iter().collect();
    };
    if facts.has_dwarf {
        return vec![path];
    }
    let linked = || linked_file(&path, facts.debug_link.as_deref()?, debug_dir);
    let debug = by_id.or_else(|| debug_file(debug_dir, &facts.build_id)).or_else(linked);
    debug.into_iter().chain([path]).collect()
}

/// The variables of `module` by address. Of several at one address one is kept.
fn variables(module: &Module, debug_dir: &Path) -> Vec<Variable> {
    let mut found = Vec::new();
    for file in symbol_files(module, debug_dir) {
        let Ok(file) = File::open(file) else { continue };
        let cache = ReadCache::new(file);
        let Ok(object) = object::File::parse(&cache) else { continue };
        let symbols = object.symbols().chain(object.dynamic_symbols());
        let data = symbols.filter(|symbol| {
            symbol.kind() == object::SymbolKind::Data && symbol.is_definition() && symbol.size() > 0
        });
        found.extend(data.filter_map(|symbol| {
            let name = symbol.name().ok()?.to_owned();
            Some(Variable { addr: symbol.address(), len: symbol.size(), name })
        }));
        if !found.is_empty() {
            break;
        }
    }
    found.sort_by(|a, b| (a.addr, &a.name).cmp(&(b.addr, &b.name)));
    found.dedup_by_key(|variable| variable.addr);
    found
}

/// The file that `path` of a record names. Bytes that are not UTF-8 are recorded as the character of
/// the same number.
fn locate(path: &str) -> Option<PathBuf> {
    let plain = PathBuf::from(path);
    if plain.is_file() {
        return Some(plain);
    }
    let bytes: Option<Vec<u8>> = path.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    let path = PathBuf::from(OsString::from_vec(bytes?));
    path.is_file().then_some(path)
}

/// `<debug_dir>/.build-id/ab/cdef….debug`, if it is there.
fn debug_file(debug_dir: &Path, build_id: &str) -> Option<PathBuf> {
    if build_id.len() < 3 || !build_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let build_id = build_id.to_ascii_lowercase();
    let (dir, name) = build_id.split_at(2);
    let path = debug_dir.join(".build-id").join(dir).join(format!("{name}.debug"));
    path.is_file().then_some(path)
}

/// The file that a `.gnu_debuglink` section names, in the places where gdb looks for it.
fn linked_file(module: &Path, name: &str, debug_dir: &Path) -> Option<PathBuf> {
    let module = fs::canonicalize(module).ok()?;
    let dir = module.parent()?;
    let global = debug_dir.join(dir.strip_prefix("/").ok()?);
    [dir.join(name), dir.join(".debug").join(name), global.join(name)]
        .into_iter()
        .find(|path| *path != module && path.is_file())
}

/// What decides where a module's symbols come from.
struct Facts {
    build_id: String,
    has_dwarf: bool,
    debug_link: Option<String>,
}

fn facts_of(path: &Path) -> Option<Facts> {
    let cache = ReadCache::new(File::open(path).ok()?);
    facts(&cache)
}

fn facts<'data>(data: impl ReadRef<'data>) -> Option<Facts> {
    let object = object::File::parse(data).ok()?;
    let build_id = object.build_id().ok().flatten().unwrap_or_default();
    let link = object.gnu_debuglink().ok().flatten();
    Some(Facts {
        build_id: hex(build_id),
        has_dwarf: object.has_debug_symbols(),
        debug_link: link
            .and_then(|(name, _crc)| String::from_utf8(name.to_vec()).ok())
            .filter(|name| !name.is_empty() && !name.contains('/')),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Loads `path`, with the file of shared debug information (dwz) that it refers to, if any.
fn open(path: &Path, debug_dir: &Path) -> Option<Loader> {
    match shared_file(path, debug_dir) {
        Some(shared) => {
            Loader::new_with_sup(path, Some(shared)).or_else(|_| Loader::new(path)).ok()
        }
        None => Loader::new(path).ok(),
    }
}

fn shared_file(path: &Path, debug_dir: &Path) -> Option<PathBuf> {
    let cache = ReadCache::new(File::open(path).ok()?);
    let object = object::File::parse(&cache).ok()?;
    let (name, build_id) = object.gnu_debugaltlink().ok()??;
    if let Some(found) = debug_file(debug_dir, &hex(build_id)) {
        return Some(found);
    }
    let name = PathBuf::from(OsString::from_vec(name.to_vec()));
    let found = path.parent()?.join(name);
    found.is_file().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of C functions that spell types of the C++ mangling stay as they are.
    #[test]
    fn only_mangled_names_are_demangled() {
        for name in ["t", "d", "f", "main", "Pc", "_d", "R", "ZN", ""] {
            assert_eq!(demangle(name), name);
        }
        assert_eq!(demangle("_Z1fv"), "f()");
        assert_eq!(demangle("_ZN3app4main17h0123456789abcdefE"), "app::main");
        assert_eq!(demangle("_RNvC3app4main"), "app::main");
    }
}
