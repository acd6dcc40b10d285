//! Captures in all kinds of code. `#[inline(never)]` and `black_box` keep the frames apart.

use std::hint::black_box;

use super::{FRAMES_MAX, Trace, capture, modules, resolve, thread};

/// The functions of a stack, innermost first, inlined ones included.
fn names(trace: &Trace) -> Vec<String> {
    let mut names = Vec::new();
    for pc in trace.as_slice() {
        let before = names.len();
        resolve(*pc, &mut |frame| names.push(frame.function.unwrap_or("?").to_owned()));
        if before == names.len() {
            names.push(format!("{pc:#x}"));
        }
    }
    names
}

/// Whether the names occur in this order, others between them or not.
fn in_order(names: &[String], wanted: &[&str]) -> bool {
    let mut names = names.iter();
    // With line tables only, functions have no path.
    wanted.iter().all(|wanted| names.any(|name| name.rsplit("::").next() == Some(wanted)))
}

fn captured(max: usize) -> Trace {
    // Another test may be making the process's first snapshot.
    while modules::snapshot().is_none() {
        std::thread::yield_now();
    }
    let mut trace = Trace::new();
    capture(max, &mut trace);
    trace
}

#[inline(never)]
fn f(max: usize) -> Trace {
    black_box(g(black_box(max)))
}

#[inline(never)]
fn g(max: usize) -> Trace {
    black_box(h(black_box(max)))
}

#[inline(never)]
fn h(max: usize) -> Trace {
    black_box(captured(black_box(max)))
}

/// Every caller up to the thread's start is found, in order, again and again.
#[test]
fn callers_are_found() {
    for _ in 0..3 {
        let trace = f(FRAMES_MAX);
        let names = names(&trace);
        assert!(in_order(&names, &["h", "g", "f", "callers_are_found"]), "{names:#?}");
        // The whole stack: this test runs in a thread that libc started.
        assert!(names.iter().any(|name| name.contains("start_thread") || name.contains("clone")));
        assert!(usize::from(trace.len) < FRAMES_MAX);
    }
    assert!(!thread::is_inside());
}

/// The trace holds as many frames as were asked for, and never more than it has room for.
#[test]
fn traces_are_cut() {
    #[inline(never)]
    fn deep(depth: usize) -> Trace {
        if depth == 0 { captured(usize::MAX) } else { black_box(deep(black_box(depth) - 1)) }
    }
    assert_eq!(captured(0).len, 0);
    let all = f(FRAMES_MAX);
    for max in 1..5 {
        let some = f(max);
        assert_eq!(usize::from(some.len), max);
        // The innermost addresses are those of `captured` and of its callers in `h` and `g`.
        assert_eq!(some.as_slice()[..max.min(3)], all.as_slice()[..max.min(3)]);
    }
    let deep = deep(100);
    assert_eq!(usize::from(deep.len), FRAMES_MAX);
    let addr = deep.frames[FRAMES_MAX - 1];
    assert_eq!(addr, deep.frames[FRAMES_MAX - 2], "the same call, again and again");
}

/// A capture leaves `errno` alone, also the first one of a thread.
#[test]
fn errno_is_kept() {
    std::thread::spawn(|| {
        crate::sys::errno::set(77);
        black_box(captured(8));
        assert_eq!(crate::sys::errno::get(), 77);
    })
    .join()
    .expect("no panic");
}

/// A C library that was compiled and opened; closed, and its files removed, when dropped.
pub(super) struct Library {
    pub(super) handle: *mut libc::c_void,
    dir: std::path::PathBuf,
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the tests use nothing of the library any more.
        unsafe { libc::dlclose(self.handle) };
        let _ = std::fs::remove_dir_all(&self.dir);
        // The folder of all libraries goes with the last.
        let _ = self.dir.parent().map(std::fs::remove_dir);
    }
}

/// Writes a C source, compiles it with `options` to a library, and opens that.
pub(super) fn open_c(name: &str, source: &str, options: &[&str]) -> Library {
    let dir = std::env::temp_dir().join(format!("alloc-gpa-{}/{name}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary directory");
    let (code, library) = (dir.join("code.c"), dir.join("code.so"));
    std::fs::write(&code, source).expect("writable");
    let status = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-g", "-o"])
        .args([&library, &code])
        .args(options)
        .status()
        .expect("a C compiler named cc");
    assert!(status.success());
    let path = std::ffi::CString::new(library.to_str().expect("UTF-8")).expect("no zero byte");
    // SAFETY: the path is a C string; the library has no constructors.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null());
    Library { handle, dir }
}

type Callback = extern "C" fn(*mut Trace);

extern "C" fn capture_into(trace: *mut Trace) {
    while modules::snapshot().is_none() {
        std::thread::yield_now();
    }
    // SAFETY: the tests below pass a pointer to a trace of their own, and wait.
    let trace = unsafe { &mut *trace };
    capture(FRAMES_MAX, trace);
    black_box(trace);
}

/// Calls the C function `symbol` of the library with a callback that captures, until the modules are
/// up to date: other tests may be refreshing them, or have made it too early to look again.
fn call_c(library: &Library, symbol: &std::ffi::CStr) -> Trace {
    let mut trace = Trace::new();
    for _ in 0..1000 {
        modules::invalidate();
        trace = call_c_once(library, symbol);
        if 4 <= trace.len {
            break;
        }
        // Longer than a refresh takes, also by a thread that has to wait for a processor.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    trace
}

#[inline(never)]
fn call_c_once(library: &Library, symbol: &std::ffi::CStr) -> Trace {
    // SAFETY: the library is open and the name a C string.
    let function = unsafe { libc::dlsym(library.handle, symbol.as_ptr()) };
    assert!(!function.is_null());
    // SAFETY: the C sources below define the function with this signature.
    let function: extern "C" fn(Callback, *mut Trace) -> libc::c_int =
        unsafe { std::mem::transmute(function) };
    let mut trace = Trace::new();
    black_box(function(capture_into, &raw mut trace));
    trace
}

const C_CHAIN: &str = "
__attribute__((noinline)) int inner(void (*f)(void *), void *p) {
    volatile char room[40]; room[0] = 1; f(p); return room[0] + 1; }
__attribute__((noinline)) int middle(int n, void (*f)(void *), void *p) {
    char room[n * 64]; room[n] = 1;
    __asm__ volatile(\"\" :: \"r\"(room) : \"memory\"); return inner(f, p) + room[n]; }
int outer(void (*f)(void *), void *p) { return middle(3, f, p) + 1; }
";

/// C code with and without frame pointers does not hide its callers.
#[test]
fn c_code_is_unwound() {
    for (name, options) in [
        ("omit", &["-O1", "-fomit-frame-pointer"][..]),
        ("o2", &["-O2"]),
        ("keep", &["-O1", "-fno-omit-frame-pointer"]),
        // Without tables, the frame-pointer walk.
        ("bare", &["-O1", "-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables"]),
    ] {
        let library = open_c(name, C_CHAIN, options);
        let trace = call_c(&library, c"outer");
        let names = names(&trace);
        let wanted =
            ["capture_into", "inner", "middle", "outer", "call_c_once", "c_code_is_unwound"];
        assert!(in_order(&names, &wanted), "{name}: {names:#?}");
    }
}

/// Modules say where their code is; one that was closed still does, and gets a new id when it is
/// opened again.
#[test]
fn closed_modules_are_remembered() {
    let library = open_c("closed", C_CHAIN, &["-O1"]);
    let trace = call_c(&library, c"outer");
    let inner = trace.as_slice().iter().find_map(|pc| {
        modules::lookup(*pc).filter(|module| module.path.ends_with(b"closed/code.so"))
    });
    let module = inner.expect("a frame in the library");
    assert!(module.start < module.end && !module.build_id.is_empty());
    assert_eq!(module.bias, module.start);
    drop(library);
    modules::invalidate();
    black_box(captured(4));
    let mut seen = false;
    modules::for_each(&mut |other| seen |= other == module);
    assert!(seen);
    let own = modules::lookup(captured as fn(usize) -> Trace as usize).expect("this program");
    assert!(own.path.starts_with(b"/"));
    assert_ne!(own.id, module.id);
    assert!(modules::lookup(16).is_none());
}

/// A file whose head is mapped as data is not taken for an image that reaches over what lies behind.
#[test]
fn data_mappings_are_not_images() {
    const PAGE: usize = 0x1000;
    let library = open_c("data", C_CHAIN, &["-O1"]);
    let path = library.dir.join("code.so");
    let path = std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("no zero byte");
    // SAFETY: the path is a C string.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) };
    assert!(0 <= file);
    let map = |at: *mut libc::c_void, len, protection, flags, file| {
        // SAFETY: a fresh mapping, or one over a part of the mapping that this test made.
        let base = unsafe { libc::mmap(at, len, protection, libc::MAP_PRIVATE | flags, file, 0) };
        assert_ne!(base, libc::MAP_FAILED);
        base
    };
    let base = map(core::ptr::null_mut(), 8 * PAGE, libc::PROT_NONE, libc::MAP_ANONYMOUS, -1);
    map(base, PAGE, libc::PROT_READ, libc::MAP_FIXED, file);
    let code = base.wrapping_byte_add(PAGE);
    let readable = libc::PROT_READ | libc::PROT_EXEC;
    map(code, PAGE, readable, libc::MAP_FIXED | libc::MAP_ANONYMOUS, -1);
    let found = (0..1000).find_map(|_| {
        modules::invalidate();
        let found = modules::snapshot().and_then(|snapshot| snapshot.find(code.addr()));
        if found.is_none() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        found
    });
    assert!(found.expect("an executable mapping").record.is_none());
    // SAFETY: the mapping made above.
    unsafe { libc::munmap(base, 8 * PAGE) };
    // SAFETY: opened above.
    unsafe { libc::close(file) };
}

/// A signal handler on an alternate stack captures its own frames and those it interrupted.
#[test]
fn signal_handlers_are_unwound() {
    static FOUND: std::sync::atomic::AtomicPtr<Trace> =
        std::sync::atomic::AtomicPtr::new(core::ptr::null_mut());
    extern "C" fn handler(_: libc::c_int) {
        capture_into(FOUND.load(std::sync::atomic::Ordering::Relaxed));
    }
    let mut trace = Trace::new();
    FOUND.store(&raw mut trace, std::sync::atomic::Ordering::Relaxed);
    #[inline(never)]
    fn interrupted() -> libc::c_int {
        // SAFETY: raising a signal that has a handler.
        black_box(unsafe { libc::raise(libc::SIGUSR2) })
    }
    let stack = vec![0_u8; 64 << 10];
    let alternate = libc::stack_t {
        ss_sp: stack.as_ptr().cast_mut().cast(),
        ss_flags: 0,
        ss_size: stack.len(),
    };
    // SAFETY: the memory outlives its use: the handler runs within `interrupted` below, and the
    // alternate stack is taken away again.
    assert_eq!(unsafe { libc::sigaltstack(&alternate, core::ptr::null_mut()) }, 0);
    // SAFETY: zeroes are a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = handler as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: the action is complete; no other test uses this signal.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR2, &action, core::ptr::null_mut()) }, 0);
    interrupted();
    let none =
        libc::stack_t { ss_sp: core::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    // SAFETY: this thread runs on its ordinary stack again.
    assert_eq!(unsafe { libc::sigaltstack(&none, core::ptr::null_mut()) }, 0);
    let names = names(&trace);
    assert!(
        in_order(&names, &["handler", "interrupted", "signal_handlers_are_unwound"]),
        "{names:#?}"
    );
    drop(stack);
}

/// On a foreign stack (a coroutine's) the walk stays on it and ends cleanly.
#[test]
fn foreign_stacks_are_safe() {
    // SAFETY: zeroes are a valid context to be filled.
    let mut main: libc::ucontext_t = unsafe { core::mem::zeroed() };
    // SAFETY: as above.
    let mut other: libc::ucontext_t = unsafe { core::mem::zeroed() };
    let mut stack = vec![0_u8; 64 << 10];
    extern "C" fn body() {
        let mut trace = Trace::new();
        capture_into(&raw mut trace);
        LEN.store(trace.len, std::sync::atomic::Ordering::Relaxed);
    }
    static LEN: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);
    // SAFETY: `other` is ours to fill.
    unsafe { libc::getcontext(&mut other) };
    other.uc_stack.ss_sp = stack.as_mut_ptr().cast();
    other.uc_stack.ss_size = stack.len();
    other.uc_link = &raw mut main;
    // SAFETY: the context has a stack and a successor, which both outlive it.
    unsafe { libc::makecontext(&mut other, body, 0) };
    // SAFETY: `other` was made above; it comes back through `uc_link`.
    unsafe { libc::swapcontext(&mut main, &other) };
    assert!(2 <= LEN.load(std::sync::atomic::Ordering::Relaxed));
}

/// Captures, the first of all included, in a thread with the smallest stack that libc allows.
#[test]
fn small_stacks_are_enough() {
    extern "C" fn body(trace: *mut libc::c_void) -> *mut libc::c_void {
        let trace: *mut Trace = trace.cast();
        modules::invalidate();
        capture_into(trace);
        capture_into(trace);
        core::ptr::null_mut()
    }
    // SAFETY: zeroes are memory for the attributes.
    let mut attributes: libc::pthread_attr_t = unsafe { core::mem::zeroed() };
    // SAFETY: the attributes are ours.
    assert_eq!(unsafe { libc::pthread_attr_init(&mut attributes) }, 0);
    // SAFETY: the attributes were initialised.
    let len = unsafe { libc::sysconf(libc::_SC_THREAD_STACK_MIN) };
    // Unoptimised code needs more.
    let len = len.max(if cfg!(debug_assertions) { 64 << 10 } else { 16 << 10 });
    // SAFETY: the attributes were initialised.
    let result = unsafe { libc::pthread_attr_setstacksize(&mut attributes, len as usize) };
    assert_eq!(result, 0);
    let mut trace = Trace::new();
    let mut handle = 0;
    // SAFETY: `body` takes a trace, which lives until the join.
    let result =
        unsafe { libc::pthread_create(&mut handle, &attributes, body, (&raw mut trace).cast()) };
    assert_eq!(result, 0);
    // SAFETY: the thread was created above and is joined once.
    unsafe { libc::pthread_join(handle, core::ptr::null_mut()) };
    assert!(2 <= trace.len, "{trace:?}");
}

/// A child forked while another thread held the refresher's lock captures, once it was told.
#[test]
fn forked_children_capture() {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                modules::invalidate();
                black_box(captured(4));
            }
        });
        for _ in 0..50 {
            // SAFETY: the child calls nothing but the capture, which takes no lock and no memory of
            // the heap, and `_exit`.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                super::after_fork_child();
                modules::invalidate();
                let trace = f(FRAMES_MAX);
                let tid = thread::current().tid();
                // SAFETY: the call has no preconditions.
                let own = unsafe { libc::getpid() }.cast_unsigned();
                // SAFETY: ends the child without running anything of the parent's.
                unsafe { libc::_exit(if 4 <= trace.len && tid == own { 0 } else { 1 }) };
            }
            let mut status = -1;
            // SAFETY: the child was forked above; `status` is ours.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            assert_eq!(status, 0);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// Many threads capture while modules come and go.
#[test]
fn captures_race_with_refreshes() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..300 {
                    if i % 10 == 0 {
                        modules::invalidate();
                    }
                    let trace = f(FRAMES_MAX);
                    assert!(4 <= trace.len, "{trace:?}");
                }
            });
        }
    });
}

/// How much stack a capture takes, and how long it does: printed; the bound on the stack is checked.
#[test]
fn captures_take_little_stack() {
    /// Returns how many bytes below this frame `work` has written.
    #[inline(never)]
    fn depth_of(work: impl FnOnce()) -> usize {
        const LEN: usize = 64 << 10;
        const MARK: usize = 0xa5a5_5a5a;
        let here = (&raw const work).addr() & !15;
        // What this function itself needs lies above.
        let top = here - 512;
        for addr in (top - LEN..top).step_by(8) {
            // SAFETY: stack below every live frame, within the megabytes that a test thread has.
            unsafe { core::ptr::with_exposed_provenance_mut::<usize>(addr).write_volatile(MARK) };
        }
        work();
        let clean = (top - LEN..top).step_by(8).take_while(|addr| {
            // SAFETY: as above.
            let word =
                unsafe { core::ptr::with_exposed_provenance::<usize>(*addr).read_volatile() };
            word == MARK
        });
        512 + LEN - 8 * clean.count()
    }
    let mut trace = Trace::new();
    // The thread's first: makes the cache, finds the stack, refreshes the modules.
    let first = std::thread::spawn(|| {
        let mut trace = Trace::new();
        modules::invalidate();
        depth_of(|| capture(FRAMES_MAX, &mut trace))
    });
    let first = first.join().expect("no panic");
    let later = depth_of(|| capture(FRAMES_MAX, &mut trace));
    println!("stack of a first capture {first} bytes, of a later one {later} bytes");
    assert!(first < if cfg!(debug_assertions) { 16 << 10 } else { 6 << 10 }, "{first}");
}

/// Run by hand: `cargo test --release -p alloc-gpa -- --ignored --nocapture capture_speed`.
#[test]
#[ignore = "prints a figure, checks nothing"]
fn capture_speed() {
    let _inside = thread::enter();
    let mut trace = Trace::new();
    for frames in [1, 8, FRAMES_MAX] {
        const ROUNDS: u32 = 20_000;
        capture(frames, &mut trace);
        let round = || {
            let start = std::time::Instant::now();
            for _ in 0..ROUNDS {
                capture(black_box(frames), black_box(&mut trace));
            }
            start.elapsed()
        };
        // The quickest of many: the others were disturbed.
        let best = std::iter::repeat_with(round).take(100).min().expect("not empty");
        println!("{} frames: {:.1} ns", trace.len, best.as_nanos() as f64 / f64::from(ROUNDS));
    }
    let generation = modules::snapshot().expect("made").generation;
    let mut missing = || {
        assert!(modules::RULES.forget(super::rules::Forget::All, generation));
        let start = std::time::Instant::now();
        capture(black_box(8), black_box(&mut trace));
        start.elapsed()
    };
    let best = std::iter::repeat_with(&mut missing).take(2000).min().expect("not empty");
    println!("8 frames, none remembered: {best:?}");
}
