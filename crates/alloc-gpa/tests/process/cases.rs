//! What the children do.

use std::alloc::{Layout, dealloc, realloc};
use std::ffi::c_int;
use std::hint::black_box;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::leaky;

/// Size of the blocks that the search is tried with.
pub(crate) const SIZE: usize = 480;

/// A place that is a root.
static KEPT: AtomicUsize = AtomicUsize::new(0);
/// A place that hides what it holds.
static HIDDEN: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn run(name: &str) {
    match name {
        "leaky" => leaky::leak(),
        "clean" => println!("clean"),
        "lost" => lost(),
        "double_free" => double_free(),
        "hostile_name" => hostile_name(),
        "fork" => fork(),
        "bare_fork" => bare_fork(),
        "shared_memory" => shared_memory(),
        "exit_handler" => exit_handler(),
        "leave_by_force" => leave_by_force(),
        "close_all" => close_all(),
        "closed_standard_error" => closed_standard_error(),
        "many_findings" => many_findings(),
        "busy_threads" => busy_threads(),
        "other_thread" => other_thread(),
        "stack" => on_stack(),
        "thread_local" => thread_local(),
        "other_heap" => other_heap(),
        "mapping" => mapping(libc::PROT_READ | libc::PROT_WRITE),
        "overflow" => overflow(),
        "overflow_in_thread" => std::thread::Builder::new()
            .name("deep".to_owned())
            .spawn(overflow)
            .and_then(|thread| thread.join().map_err(|_| std::io::ErrorKind::Other.into()))
            .unwrap(),
        "trap" => trap(),
        "own_handler" => own_handler(),
        "sealed" => mapping(libc::PROT_READ),
        "asks" => asks(),
        "grows" => grows(),
        "asked" => asked(),
        "repeats" => repeats(),
        "damages" => damages(),
        _ => scan(name),
    }
}

/// Leaks, is asked for a report twice by a signal, and goes on.
fn asked() {
    for size in [SIZE, 2 * SIZE] {
        wiped(|| _ = black_box(block(size)));
        // SAFETY: raise(3) has no contract; the signal has a handler, which sets a flag.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);
        // A block with pages of its own: the next look at the flag.
        drop(black_box(vec![1u8; 1 << 20]));
    }
    println!("went on");
}

/// Asks what leaked, what grew, and goes on.
fn asks() {
    use alloc_gpa::{LeakKind, process};
    wiped(|| KEPT.store(block(SIZE), Relaxed));
    assert_eq!(lost_now(), (0, 0), "nothing is lost yet");
    wiped(|| {
        black_box(block(SIZE));
    });
    let first = process::snapshot().unwrap();
    assert_eq!(lost_now(), (1, SIZE as u64));
    // What an answer holds hides nothing from the next question.
    let kept = process::detect_leaks().unwrap();
    assert_eq!(lost_now(), (1, SIZE as u64));
    assert!(kept.to_string().contains("cases.rs:"), "{kept}");
    wiped(|| HIDDEN.store(!KEPT.swap(0, Relaxed), Relaxed));
    assert_eq!(lost_now(), (2, 2 * SIZE as u64));
    let more = block(3 * SIZE);
    let second = process::snapshot().unwrap();
    let diff = first.diff(&second).unwrap();
    let most = diff.iter().next().unwrap();
    assert_eq!((most.blocks, most.bytes), (1, 3 * SIZE as i64));
    assert!(diff.to_string().contains("cases.rs:"), "{diff}");
    free(more, 3 * SIZE);
    // Found again: it is in use.
    wiped(|| KEPT.store(!HIDDEN.load(Relaxed), Relaxed));
    assert_eq!(lost_now(), (1, SIZE as u64));
    assert!(process::stats().allocations > process::stats().frees);
    println!("asked {}", LeakKind::Lost.name());

    #[inline(never)]
    fn lost_now() -> (u64, u64) {
        let found = process::detect_leaks().unwrap();
        let total = found.total(LeakKind::Lost);
        (total.count, total.bytes)
    }
}

/// Allocates more and more, for long enough that there is something to see.
fn grows() {
    let mut kept = Vec::new();
    // One place: a loop that the compiler does not write out.
    for _ in 0..black_box(2) {
        let begin = std::time::Instant::now();
        // However slow the machine is: so many take memory of a slab of their own, and what is due is told.
        let mut left = 64;
        while left != 0 {
            left -= i32::from(1100 <= begin.elapsed().as_millis());
            kept.push(vec![1u8; 4000]);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    println!("{}", kept.len());
}

/// The same fault again and again.
fn repeats() {
    let (first, second) = (block(SIZE), block(SIZE));
    free(first, SIZE);
    free(first, SIZE);
    // One place: a loop that the compiler does not write out.
    for _ in 0..black_box(6) {
        free(second, SIZE);
    }
}

/// Damages a block, lets that be told, and dies.
fn damages() {
    let block = block(SIZE);
    put(block, SIZE, 5);
    alloc_gpa::process::flush();
    // SAFETY: no preconditions.
    unsafe { libc::_exit(0) };
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

/// Returns the address of a new block whose words are all zero.
#[inline(never)]
fn block(size: usize) -> usize {
    // SAFETY: the size is not zero.
    unsafe { std::alloc::alloc_zeroed(layout(size)) }.expose_provenance()
}

/// Writes a word into a block.
fn put(block: usize, offset: usize, word: usize) {
    let at = std::ptr::with_exposed_provenance_mut::<usize>(block + offset);
    // SAFETY: the callers stay inside a block of theirs, at a multiple of a word.
    unsafe { at.write(word) };
}

fn free(block: usize, size: usize) {
    // SAFETY: the allocator defines what happens for every address and layout.
    unsafe { dealloc(std::ptr::with_exposed_provenance_mut(block), layout(size)) };
}

/// Runs what keeps addresses in registers and on the stack, and wipes the stack afterwards.
fn wiped(work: impl FnOnce()) {
    #[inline(never)]
    fn inner(work: impl FnOnce()) {
        work();
    }
    #[inline(never)]
    fn wipe() {
        black_box([0usize; 4096]);
    }
    inner(work);
    wipe();
}

/// Calls itself until the stack ends.
fn overflow() {
    #[inline(never)]
    fn deeper(depth: usize) -> usize {
        let room = black_box([depth; 100]);
        if depth == usize::MAX { 0 } else { deeper(depth + 1) + room[3] }
    }
    // What std's handler stood behind when the program began.
    free(block(10), 10);
    println!("{}", deeper(0));
}

/// Reads and writes a guarded block behind its end and after its free.
fn trap() {
    let block = block(40);
    let at = |offset| std::ptr::with_exposed_provenance_mut::<u8>(block + offset);
    // SAFETY: the guard page behind the block is opened by the handler.
    black_box(unsafe { at(40).read_volatile() }); // reads past the end
    free(block, 40);
    // SAFETY: as above, the block's own page.
    unsafe { at(3).write_volatile(1) }; // writes after the free
    println!("goes on");
}

/// A handler that the program installs is in force, and can pass on.
fn own_handler() {
    extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the arguments are the kernel's.
        if !unsafe { alloc_gpa::handle_fault(signal, info, context) } {
            // SAFETY: no preconditions.
            unsafe { libc::_exit(6) };
        }
    }
    // SAFETY: all zero bytes are a valid action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    free(block(10), 10);
    // SAFETY: the handler calls nothing that a handler may not.
    unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut()) };
    trap();
    let closed = mmap(libc::PROT_NONE);
    // SAFETY: the fault ends the process with status 6.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(closed).write_volatile(1) };
}

/// Maps a page.
fn mmap(protection: c_int) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping touches nothing.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    page.expose_provenance()
}

/// The cases in which the search decides.
fn scan(name: &str) {
    wiped(|| match name {
        "static" => KEPT.store(block(SIZE), Relaxed),
        "block" => {
            let outer = block(64);
            put(outer, 56, block(SIZE));
            KEPT.store(outer, Relaxed);
        }
        "interior" => KEPT.store(block(SIZE) + 100, Relaxed),
        "last_byte" => KEPT.store(block(SIZE) + SIZE - 1, Relaxed),
        "one_past_the_end" => KEPT.store(block(SIZE) + SIZE, Relaxed),
        "hidden" => HIDDEN.store(!block(SIZE), Relaxed),
        "large" => {
            let large = block(64 << 20);
            put(large, 40 << 20, block(SIZE));
            KEPT.store(large + 5, Relaxed);
        }
        "large_chain" => put(block(8 << 20), 5 << 20, block(SIZE)),
        "chain" => {
            let blocks = [block(SIZE), block(SIZE), block(SIZE)];
            put(blocks[2], 0, blocks[0]);
            put(blocks[0], SIZE - 8, blocks[1]);
        }
        "ring" | "ring_with_a_tail" => {
            let blocks = [block(SIZE), block(SIZE), block(SIZE)];
            (0..3).for_each(|index| put(blocks[index], 8, blocks[(index + 1) % 3]));
            if name == "ring_with_a_tail" {
                put(block(SIZE), 0, blocks[1]);
            }
        }
        "many" => {
            for size in 1..101 {
                black_box(block(size));
            }
        }
        _ => panic!("no such case: {name}"),
    });
}

fn on_stack() {
    let mut kept = [0, block(SIZE), 0];
    black_box(&mut kept);
    // Leaves without the frame being given up.
    std::process::exit(0);
}

fn thread_local() {
    use std::cell::Cell;
    std::thread_local!(static PLACE: Cell<usize> = const { Cell::new(0) });
    wiped(|| {
        PLACE.with(|place| {
            place.set(block(SIZE));
            // Somebody may read it.
            black_box(place);
        });
    });
}

/// A block of an explicit allocator is memory like any other.
fn other_heap() {
    use alloc_core::Allocator;
    static GPA: alloc_gpa::Gpa = alloc_gpa::Gpa::builder().quiet().build();
    wiped(|| {
        let place = GPA.raw_alloc(layout(64)).unwrap();
        put(place.as_ptr().expose_provenance(), 16, block(SIZE));
    });
}

/// A mapping of the program's own, which is made read-only perhaps.
fn mapping(protection: c_int) {
    let (protect, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), 1 << 30, protect, flags, -1, 0) };
    wiped(|| put(base.expose_provenance(), 600 << 20, block(SIZE)));
    // SAFETY: the mapping made above, which nothing refers to.
    unsafe { libc::mprotect(base, 1 << 30, protection) };
}

fn lost() {
    wiped(|| HIDDEN.store(!block(SIZE), Relaxed));
    // SAFETY: a C string.
    unsafe { libc::puts(c"buffered by C".as_ptr()) };
    std::process::exit(3);
}

fn double_free() {
    let twice = block(40);
    free(twice, 40);
    free(twice, 40);
    free(block(40), 41);
    let odd = Layout::from_size_align(40, 2).unwrap();
    // SAFETY: the allocator defines what happens for every layout.
    unsafe { dealloc(std::ptr::with_exposed_provenance_mut(block(40)), odd) };
    // SAFETY: as above.
    let moved =
        unsafe { realloc(std::ptr::with_exposed_provenance_mut(block(40)), layout(39), 4000) };
    free(moved.expose_provenance(), 4000);
}

fn hostile_name() {
    // SAFETY: a C string; the system cuts it at 15 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"a\"\\\x01\xe9b".as_ptr()) };
    let twice = block(40);
    free(twice, 40);
    free(twice, 40);
}

/// A double free, always from the same place.
#[inline(never)]
fn fault() {
    let twice = block(40);
    free(twice, 40);
    free(twice, 40);
}

fn fork() {
    wiped(|| HIDDEN.store(!block(1000), Relaxed));
    fault();
    // SAFETY: this program has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        wiped(|| HIDDEN.store(!block(77), Relaxed));
        fault();
        std::process::exit(5);
    }
    let mut status = 0;
    // SAFETY: the child's id, and a place for its status.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(libc::WEXITSTATUS(status), 5);
}

fn bare_fork() {
    // SAFETY: this program has one thread; the child ends by `_exit`.
    let child = unsafe { libc::syscall(libc::SYS_fork) };
    if child == 0 {
        fault();
        // SAFETY: no preconditions.
        unsafe { libc::_exit(0) };
    }
    let child = libc::pid_t::try_from(child).unwrap();
    // SAFETY: the child's id; its status is not wanted.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
}

/// What `vfork` does, on a stack of the child's own.
fn shared_memory() {
    extern "C" fn child(_: *mut libc::c_void) -> c_int {
        let twice = block(41);
        free(twice, 41);
        free(twice, 41);
        0
    }
    fault();
    let mut stack = vec![0u128; 1 << 16];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let end = stack.as_mut_ptr_range().end;
    // SAFETY: the parent waits until the child ends; the stack is the child's alone and large enough.
    let child = unsafe { libc::clone(child, end.cast(), flags, std::ptr::null_mut()) };
    // SAFETY: the child's id; its status is not wanted.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    let twice = block(42);
    free(twice, 42);
    free(twice, 42);
}

fn exit_handler() {
    extern "C" fn handler() {
        free(!HIDDEN.load(Relaxed), SIZE);
    }
    wiped(|| HIDDEN.store(!block(SIZE), Relaxed));
    // SAFETY: a function that stays.
    unsafe { libc::atexit(handler) };
}

fn leave_by_force() {
    wiped(|| HIDDEN.store(!block(SIZE), Relaxed));
    // SAFETY: no preconditions.
    unsafe { libc::_exit(4) };
}

fn close_all() {
    fault();
    for descriptor in 0..1024 {
        // SAFETY: closes whatever there is: nothing here uses one that was open.
        unsafe { libc::close(descriptor) };
    }
    let file = std::env::temp_dir().join(format!("alloc-gpa-{}", std::process::id()));
    let files = (0..1000).map_while(|_| std::fs::File::create(&file).ok()).collect::<Vec<_>>();
    assert!(200 < files.len());
    let twice = block(48);
    free(twice, 48);
    free(twice, 48);
    let len = std::fs::metadata(&file).unwrap().len();
    std::fs::remove_file(&file).unwrap();
    drop(files);
    assert_eq!(len, 0, "the program's own files hold what the program wrote");
}

fn closed_standard_error() {
    // SAFETY: nothing here uses it.
    unsafe { libc::close(2) };
    fault();
}

/// Findings without stacks count as different.
fn many_findings() {
    (0..10_100).for_each(|_| fault());
}

/// Leaves while threads allocate and free.
fn busy_threads() {
    for size in [80, 4000, 100_000] {
        std::thread::spawn(move || {
            let mut kept = block(size);
            loop {
                let next = block(size);
                free(kept, size);
                kept = next;
            }
        });
    }
    std::thread::sleep(std::time::Duration::from_millis(30));
}

fn other_thread() {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let kept = [block(SIZE)];
        sender.send(()).unwrap();
        black_box(&kept);
        loop {
            std::thread::park();
            black_box(&kept);
        }
    });
    receiver.recv().unwrap();
}
