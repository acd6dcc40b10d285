//! Rust that is odd and allowed, with std's own allocator: one case at a time, by name. Without a name it
//! lists them. No case has a fault.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::ffi::{CStr, CString, c_char};
use std::fmt::Write;
use std::future::Future;
use std::hint::black_box;
use std::io::{BufRead, Read};
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, OnceLock, RwLock, mpsc};
use std::task::{Context, Poll, Wake, Waker};

unsafe extern "C" {
    fn strdup(text: *const c_char) -> *mut c_char;
    fn free(block: *mut c_char);
}

fn leaked_into_a_static() {
    static NAMES: OnceLock<&'static [String]> = OnceLock::new();
    static TEXT: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
    let names: Vec<String> = (0..50).map(|i| format!("a name that is long: {i}")).collect();
    NAMES.get_or_init(|| names.leak());
    TEXT.store(String::from("a text that stays").leak().as_mut_ptr(), Ordering::Relaxed);
    black_box(&TEXT);
}
fn lazy_statics() {
    static TABLE: LazyLock<Mutex<HashMap<String, Vec<u8>>>> = LazyLock::new(Mutex::default);
    static SHARED: RwLock<BTreeMap<u32, Arc<str>>> = RwLock::new(BTreeMap::new());
    for i in 0..100_u32 {
        TABLE.lock().expect("no panic").insert(i.to_string(), vec![0; i as usize]);
        SHARED.write().expect("no panic").insert(i, Arc::from(format!("shared {i}")));
    }
}
fn thread_locals_that_drop() {
    thread_local! {
        static TEXTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
        static ONCE: OnceCell<Box<[u8]>> = const { OnceCell::new() };
    }
    let fill = || {
        TEXTS.with_borrow_mut(|texts| texts.extend((0..100).map(|i| i.to_string())));
        ONCE.with(|once| once.get_or_init(|| vec![1; 1000].into()).len())
    };
    let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(fill)).collect();
    assert!(threads.into_iter().all(|thread| thread.join().expect("no panic") == 1000));
    fill();
}
fn channels() {
    let (sender, receiver) = mpsc::channel::<Box<dyn Fn() -> String + Send>>();
    let (bounded, results) = mpsc::sync_channel(3);
    let worker = std::thread::spawn(move || {
        for call in receiver {
            bounded.send(call()).expect("a receiver");
        }
    });
    let reader = std::thread::spawn(move || results.iter().map(|text| text.len()).sum::<usize>());
    for i in 0..500 {
        let text = format!("message {i}");
        sender.send(Box::new(move || text.repeat(2))).expect("a receiver");
    }
    drop(sender);
    worker.join().expect("no panic");
    println!("{}", reader.join().expect("no panic"));
}
fn detached_thread_waits() {
    static PAIR: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        let own = vec![String::from("kept on the stack of a thread"); 20];
        ready.send(()).expect("a receiver");
        let mut guard = PAIR.0.lock().expect("no panic");
        while !*guard {
            guard = PAIR.1.wait(guard).expect("no panic");
        }
        drop(black_box(own));
    });
    is_ready.recv().expect("a sender");
}
struct Flag(Mutex<u32>);
impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        *self.0.lock().expect("no panic") += 1;
    }
}
struct Twice(u32);
impl Future for Twice {
    type Output = u32;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u32> {
        context.waker().wake_by_ref();
        self.0 += 1;
        if self.0 < 2 { Poll::Pending } else { Poll::Ready(self.0) }
    }
}
fn futures_without_a_runtime() {
    let flag = Arc::new(Flag(Mutex::new(0)));
    let waker = Waker::from(Arc::clone(&flag));
    let task = |name: String| async move { Twice(0).await + Twice(0).await + name.len() as u32 };
    let mut tasks: VecDeque<Pin<Box<dyn Future<Output = u32>>>> =
        (0..20).map(|i| Box::pin(task(format!("task {i}"))) as Pin<Box<_>>).collect();
    let mut total = 0;
    while let Some(mut task) = tasks.pop_front() {
        match task.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => total += value,
            Poll::Pending => tasks.push_back(task),
        }
    }
    // One that is given up half way.
    let mut half = Box::pin(task("half".into()));
    assert!(half.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    println!("{total} {}", flag.0.lock().expect("no panic"));
}
fn panics_are_caught() {
    std::panic::set_hook(Box::new(|_| ()));
    for i in 0..20 {
        let caught = std::panic::catch_unwind(|| {
            let texts = vec![format!("dropped while it unwinds {i}"); 10];
            assert!(texts.is_empty(), "{}", texts[0]);
        });
        assert!(caught.is_err());
    }
    assert!(std::thread::spawn(|| panic!("of a thread")).join().is_err());
    drop(std::panic::take_hook());
}
fn blocks_go_to_c_and_back() {
    let text = CString::new("a text for C, and back again").expect("no zero").into_raw();
    // SAFETY: a C string; what `strdup` gives is read before it is freed by `free`, once; the first
    // comes back to the type that gave it out.
    unsafe {
        let copy = strdup(text);
        assert_eq!(CStr::from_ptr(copy), CStr::from_ptr(text));
        free(copy);
        drop(CString::from_raw(text));
    }
    let bytes = ManuallyDrop::new(vec![1_u8; 300]);
    // SAFETY: what the vector held, once.
    drop(unsafe { Vec::from_raw_parts(bytes.as_ptr().cast_mut(), 300, bytes.capacity()) });
}
fn all_layouts() {
    for align in (0..13).map(|shift| 1 << shift) {
        for size in [1, 7, 16, 100, 4096, 5000, 300_000] {
            let layout = Layout::from_size_align(size, align).expect("a layout");
            // SAFETY: sizes are not zero; each block is freed with its own layout.
            unsafe {
                let block = System.alloc_zeroed(layout);
                assert!(!block.is_null() && block.addr() % align == 0 && block.read() == 0);
                block.add(size - 1).write(1);
                let block = System.realloc(block, layout, size * 2);
                assert!(block.addr() % align == 0 && block.add(size - 1).read() == 1);
                System.dealloc(block, Layout::from_size_align(size * 2, align).expect("a layout"));
            }
        }
    }
}
struct Tree {
    parent: RefCell<Weak<Tree>>,
    children: RefCell<Vec<Rc<Tree>>>,
    name: String,
}
fn weak_parents() {
    let tree = |name: &str| {
        let (parent, children) = (RefCell::default(), RefCell::default());
        Rc::new(Tree { parent, children, name: name.into() })
    };
    let root = tree("the root of all of them");
    for i in 0..30 {
        let child = tree(&format!("child number {i}"));
        *child.parent.borrow_mut() = Rc::downgrade(&root);
        root.children.borrow_mut().push(child);
    }
    let orphan = root.children.borrow_mut().pop().expect("a child");
    drop(root);
    assert!(orphan.parent.borrow().upgrade().is_none() && orphan.name.len() == 15);
}
fn collections_that_move() {
    let mut heap: BinaryHeap<_> = (0..500).map(|i| (i * 37 % 500, vec![i; 5])).collect();
    let mut deque: VecDeque<String> = VecDeque::with_capacity(3);
    while let Some((key, _)) = heap.pop() {
        deque.push_back(key.to_string());
        if key % 3 == 0 {
            deque.pop_front();
            deque.shrink_to_fit();
        }
    }
    let mut map: HashMap<String, String> = deque.into_iter().map(|s| (s.clone(), s)).collect();
    map.retain(|key, _| key.len() > 2);
    let mut texts: Vec<String> = map.into_values().collect();
    texts.sort();
    let boxed: Box<[String]> = texts.into();
    println!("{} {:?}", boxed.len(), boxed.first());
}
fn children_and_files() {
    let output = std::process::Command::new("echo").arg("from a child").output().expect("echo");
    let mut lines = String::new();
    for line in output.stdout.lines() {
        writeln!(lines, "{}", line.expect("UTF-8")).expect("memory");
    }
    let mut status = String::new();
    let mut file = std::fs::File::open("/proc/self/status").expect("a file");
    file.read_to_string(&mut status).expect("UTF-8");
    assert!(status.starts_with("Name:"));
    print!("{lines}");
    // Vectors too large for this machine are an error that is handled.
    assert!(Vec::<u8>::new().try_reserve(1 << 46).is_err());
}

/// The cases by name.
macro_rules! cases {
    ($($name:ident)+) => { [$((stringify!($name), $name as fn())),+] };
}

fn main() {
    let cases = cases! {
        leaked_into_a_static lazy_statics thread_locals_that_drop channels detached_thread_waits
        futures_without_a_runtime panics_are_caught blocks_go_to_c_and_back all_layouts weak_parents
        collections_that_move children_and_files
    };
    let wanted = std::env::args().nth(1);
    for (name, case) in cases {
        if wanted.is_none() {
            println!("{name}");
        } else if wanted.as_deref() == Some(name) {
            case();
            println!("ended");
        }
    }
}
