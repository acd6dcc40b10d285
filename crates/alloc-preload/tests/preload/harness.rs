//! Compiles programs and runs them with the library.

use std::borrow::BorrowMut;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Both strategies.
pub(crate) const STRATEGIES: [&str; 2] = ["gpa", "c"];

/// Longer than any program here takes on a slow machine with much else to do: then it hangs.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(900);

/// The library under test.
pub(crate) fn library() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var_os("ALLOC_PRELOAD_LIB") {
        Some(path) => PathBuf::from(path).canonicalize().expect("ALLOC_PRELOAD_LIB names a file"),
        None => build("alloc-preload", "release", "liballoc_preload.so"),
    })
}

/// The library that looks at libc's functions on memory and strings.
pub(crate) fn intercept_library() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var_os("ALLOC_PRELOAD_LIB") {
        Some(_) => library().with_file_name("liballoc_intercept.so"),
        None => build("alloc-intercept", "release", "liballoc_intercept.so"),
    })
}

/// The program `alloc-check`.
pub(crate) fn alloc_check() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| build("alloc-report", "release", "alloc-check"))
}

/// Builds a package into the target folder of this test, and returns one of its files.
fn build(package: &str, profile: &str, file: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let target = test.ancestors().nth(3).expect("a test is in target/PROFILE/deps");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", package, "--target-dir"]).arg(target);
    if profile == "release" {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "{package} does not build");
    target.join(profile).join(file)
}

/// Builds an example of `alloc-gpa`: a Rust program whose allocator is this library's.
pub(crate) fn build_example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let target = test.ancestors().nth(3).expect("a test is in target/PROFILE/deps");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "alloc-gpa", "--example", name]);
    let built = cargo.arg("--target-dir").arg(target).status().expect("cargo runs");
    assert!(built.success(), "{name} does not build");
    target.join("debug/examples").join(name)
}

/// A folder for a test's programs.
pub(crate) struct Bench {
    dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Compiles a file of `tests/programs` with `cc` or, by its name's end, `c++` or `rustc`.
    pub(crate) fn compile(&self, source: &str, flags: &[&str]) -> PathBuf {
        let compiler = match source.rsplit_once('.') {
            Some((_, "cpp")) => "c++",
            Some((_, "rs")) => "rustc",
            _ => "cc",
        };
        let name = Path::new(source).file_stem().expect("a name");
        let program = self.dir.path().join(name);
        self.compile_to(compiler, source, flags, &program);
        program
    }

    /// Compiles a shared library.
    pub(crate) fn compile_library(&self, source: &str, flags: &[&str]) -> PathBuf {
        let compiler = if source.ends_with(".cpp") { "c++" } else { "cc" };
        let name = Path::new(source).file_stem().expect("a name").display();
        let library = self.dir.path().join(format!("lib{name}.so"));
        let flags = [&["-shared", "-fPIC"], flags].concat();
        self.compile_to(compiler, source, &flags, &library);
        library
    }

    fn compile_to(&self, compiler: &str, source: &str, flags: &[&str], out: &Path) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
        let options: &[&str] = match compiler {
            "rustc" => &["--edition=2024", "-g", "-Copt-level=1", "-o"],
            // No builtins: what the program asks for is what the library shall see.
            _ => &["-g", "-O1", "-Wall", "-fno-builtin", "-pthread", "-o"],
        };
        let built = Command::new(compiler)
            .args(options)
            .arg(out)
            .arg(folder.join(source))
            .args(flags)
            .output()
            .unwrap_or_else(|error| panic!("the tests need {compiler}: {error}"));
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{source} does not compile: {errors}");
    }
}

/// Whether there is a C++ compiler; says so if not.
pub(crate) fn has_cxx() -> bool {
    let found = Command::new("c++").arg("--version").output().is_ok_and(|run| run.status.success());
    if !found {
        println!("skipped: no C++ compiler `c++`");
    }
    found
}

/// Whether so many blocks with mappings of their own are more than a process may have; says so if not.
pub(crate) fn mappings_are_fewer_than(count: u64) -> bool {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    let are_fewer = text.trim().parse().is_ok_and(|most: u64| most < count);
    if !are_fewer {
        println!("skipped: that {count} mappings are too many");
    }
    are_fewer
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
}

impl Run {
    /// The program said this and nothing else, and ended with status 0.
    #[track_caller]
    pub(crate) fn is(&self, out: &str) {
        assert_eq!(
            (self.out.as_str(), self.err.as_str(), self.code),
            (out, "", Some(0)),
            "{self:#?}"
        );
    }

    /// The program ended well, and nothing was found.
    #[track_caller]
    pub(crate) fn is_clean(&self) {
        assert_eq!((self.err.as_str(), self.code), ("", Some(0)), "{self:#?}");
    }
}

/// A command with the library loaded into it.
pub(crate) fn command(program: impl AsRef<Path>, strategy: &str) -> Command {
    let mut command = bare(program);
    command.env("LD_PRELOAD", library()).env("ALLOC_PRELOAD", strategy);
    command
}

/// The same command without the library, and without any variable of its own.
pub(crate) fn bare(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    for name in ["LD_PRELOAD", "ALLOC_PRELOAD", "ALLOC_GPA", "ALLOC_GPA_RECORDS"] {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// Runs a command to its end, or fails if it hangs.
#[track_caller]
pub(crate) fn run(mut command: impl BorrowMut<Command>) -> Run {
    let command = command.borrow_mut();
    let mut out = tempfile::tempfile().expect("a temporary file");
    let mut err = tempfile::tempfile().expect("a temporary file");
    command.stdout(out.try_clone().expect("a descriptor"));
    command.stderr(err.try_clone().expect("a descriptor"));
    // A group of its own: what hangs is ended with all that it started.
    let mut child =
        command.process_group(0).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if TIME_MAX < begun.elapsed() {
            let group = i32::try_from(child.id()).expect("process ids are positive i32");
            // SAFETY: no contract; the group is the child's own, which is not waited for yet.
            unsafe { libc::kill(-group, libc::SIGKILL) };
            child.wait().expect("a child can be waited for");
            let (out, err) = (text(&mut out), text(&mut err));
            panic!("{command:?} hangs; its output: {out}\n{err}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Run { out: text(&mut out), err: text(&mut err), code: status.code(), signal: status.signal() }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("a file can be read again");
    file.read_to_end(&mut bytes).expect("a file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs a program under both strategies; it shall write `out`, nothing else, and succeed.
#[track_caller]
pub(crate) fn runs_clean(program: &Path, args: &[&str], out: &str) {
    for strategy in STRATEGIES {
        println!("strategy {strategy}");
        run(command(program, strategy).args(args)).is(out);
    }
}
