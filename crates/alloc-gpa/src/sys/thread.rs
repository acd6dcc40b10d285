//! A thread's own state: reached without a call, a lock, an allocation or a destructor.
//!
//! On Linux x86-64 (and AArch64, not run) the slot is declared in assembly with the *initial exec*
//! model: it lies in the static thread-local block, at a fixed distance from the thread pointer,
//! also in a library that is preloaded or opened with `dlopen`. The model that Rust gives a library
//! calls `__tls_get_addr`, which may call `malloc`. Elsewhere it is a `const` `thread_local!`
//! without a destructor.

use core::marker::PhantomData;
use core::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
    compiler_fence,
};

/// What this crate keeps for each thread. All zero at the start; never dropped.
///
/// The fields are atomic because signal handlers of the same thread use them too; no other thread
/// ever does, so `Relaxed` is enough everywhere.
#[repr(C, align(64))]
pub(crate) struct ThreadState {
    /// 1 while the thread is inside the allocator; see [`enter`].
    inside: AtomicU32,
    /// A small number for the thread plus one; 0: not chosen yet.
    index: AtomicU32,
    /// The kernel's id of the thread; 0: not asked yet.
    tid: AtomicU32,
    /// Bits of what the thread holds beyond one call, each one's own: 0 to 26 of `process::fork`, 27 of
    /// `heap::findings`, 28 of `told`, 29 of `registry`, 30 of this module, 31 of `process::tell`.
    pub(crate) held: AtomicU32,
    /// The thread's stack, `[low, high)`; `high` 0: not known yet, 1: cannot be known.
    pub(crate) stack_low: AtomicUsize,
    pub(crate) stack_high: AtomicUsize,
    /// The thread's alternate stack of which the program knows nothing; 0: none; see `fault`.
    pub(crate) alternate: AtomicUsize,
    /// What the thread remembers of captures; see `stack::pool`.
    pub(crate) memo: AtomicPtr<u8>,
    /// What distances of guarded blocks are drawn from; 0: nothing drawn yet; see `process::sampled`.
    pub(crate) random: AtomicU64,
    /// Allocations up to the next guarded one.
    pub(crate) countdown: AtomicU32,
    /// Keeps `&ThreadState` on its thread.
    _not_sync: PhantomData<*mut ()>,
}

/// The bit of `held` for [`ThreadState::is_unresolving`].
const UNRESOLVING: u32 = 1 << 30;

const STATE_LEN: usize = 64;
const _: () = assert!(size_of::<ThreadState>() == STATE_LEN);

#[cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]
mod slot {
    use core::arch::{asm, global_asm};

    use super::{STATE_LEN, ThreadState};

    /// The slot's symbol. It carries the version, because two versions of this crate may be linked
    /// into one program, and the unit tests have one of their own.
    macro_rules! symbol {
        () => {
            concat!(
                "alloc_gpa_thread_state_",
                env!("CARGO_PKG_VERSION_MAJOR"),
                "_",
                env!("CARGO_PKG_VERSION_MINOR"),
                "_",
                env!("CARGO_PKG_VERSION_PATCH"),
                kind!()
            )
        };
    }
    #[cfg(test)]
    macro_rules! kind {
        () => {
            "_test"
        };
    }
    #[cfg(not(test))]
    macro_rules! kind {
        () => {
            ""
        };
    }

    global_asm!(
        ".pushsection .tbss.alloc_gpa_thread_state,\"awT\",@nobits",
        concat!(".globl ", symbol!()),
        concat!(".hidden ", symbol!()),
        concat!(".type ", symbol!(), ", @tls_object"),
        concat!(".size ", symbol!(), ", {len}"),
        ".balign 64",
        concat!(symbol!(), ":"),
        ".zero {len}",
        ".popsection",
        len = const STATE_LEN,
    );

    /// Returns the address of the calling thread's slot: two instructions.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn address() -> *const ThreadState {
        let address: *const ThreadState;
        // SAFETY: the first instruction loads the slot's offset from the thread pointer out of the
        // global offset table, which the loader filled before it ran any code of this object; the
        // second adds the thread pointer, which the ABI keeps at `fs:0`. Only `address` and the
        // flags are written. The result is the same for all of a thread's life (`pure`), and the
        // memory read is constant for a thread (`nomem`).
        unsafe {
            asm!(
                concat!("mov {0}, qword ptr [rip + ", symbol!(), "@GOTTPOFF]"),
                "add {0}, qword ptr fs:[0]",
                out(reg) address,
                options(pure, nomem, nostack),
            );
        }
        address
    }

    /// Returns the address of the calling thread's slot. (Not run.)
    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    pub(super) fn address() -> *const ThreadState {
        let address: *const ThreadState;
        // SAFETY: as on x86-64, with the thread pointer in `tpidr_el0`.
        unsafe {
            asm!(
                concat!("adrp {0}, :gottprel:", symbol!()),
                concat!("ldr {0}, [{0}, :gottprel_lo12:", symbol!(), "]"),
                "mrs {1}, tpidr_el0",
                "add {0}, {0}, {1}",
                out(reg) address,
                out(reg) _,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        address
    }
}

#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
)))]
mod slot {
    use core::ptr::null_mut;

    use super::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, PhantomData, ThreadState};

    std::thread_local! {
        static STATE: ThreadState = const {
            ThreadState {
                inside: AtomicU32::new(0),
                index: AtomicU32::new(0),
                tid: AtomicU32::new(0),
                held: AtomicU32::new(0),
                stack_low: AtomicUsize::new(0),
                stack_high: AtomicUsize::new(0),
                alternate: AtomicUsize::new(0),
                memo: AtomicPtr::new(null_mut()),
                random: AtomicU64::new(0),
                countdown: AtomicU32::new(0),
                _not_sync: PhantomData,
            }
        };
    }

    /// Returns the address of the calling thread's slot.
    #[inline]
    pub(super) fn address() -> *const ThreadState {
        STATE.with(|state| &raw const *state)
    }
}

impl ThreadState {
    /// Returns a small number that no other thread of the process has, counted from 0 in the order
    /// of first calls. Numbers of ended threads are not given out again.
    #[inline]
    pub(crate) fn index(&self) -> u32 {
        match self.index.load(Relaxed) {
            0 => self.choose_index(),
            index => index - 1,
        }
    }

    #[cold]
    fn choose_index(&self) -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        // Relaxed: only that the numbers differ matters.
        let index = NEXT.fetch_add(1, Relaxed);
        self.index.store(index, Relaxed);
        super::ended::note(pointer());
        crate::fault::thread_begins();
        index.wrapping_sub(1)
    }

    /// Returns the kernel's id of the calling thread, asked for once.
    #[inline]
    pub(crate) fn tid(&self) -> u32 {
        match self.tid.load(Relaxed) {
            0 => self.ask_tid(),
            tid => tid,
        }
    }

    #[cold]
    fn ask_tid(&self) -> u32 {
        // SAFETY: the call has no preconditions.
        let tid = unsafe { libc::syscall(libc::SYS_gettid) };
        let tid = u32::try_from(tid).unwrap_or(0);
        self.tid.store(tid, Relaxed);
        tid
    }

    /// Marks the thread as outside again: for a guard that was not dropped.
    #[inline]
    pub(crate) fn leave(&self) {
        // Pairs with the fence in `enter`.
        compiler_fence(SeqCst);
        self.inside.store(0, Relaxed);
    }

    /// Whether symbols must not be resolved: the thread was interrupted where it may hold the locks
    /// that this takes.
    pub(crate) fn is_unresolving(&self) -> bool {
        self.held.load(Relaxed) & UNRESOLVING != 0
    }

    /// Says whether symbols must not be resolved.
    pub(crate) fn set_unresolving(&self, on: bool) {
        if on {
            self.held.fetch_or(UNRESOLVING, Relaxed);
        } else {
            self.held.fetch_and(!UNRESOLVING, Relaxed);
        }
    }

    /// Forgets what a forked child must not inherit: the id of the parent's thread.
    pub(crate) fn after_fork(&self) {
        self.tid.store(0, Relaxed);
    }
}

/// Returns the thread pointer, which libc places at the upper end of a thread's stack.
pub(crate) fn pointer() -> usize {
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return 0;
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let pointer: usize;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the ABI keeps the thread pointer's own value at `fs:0`; nothing is written.
        unsafe {
            core::arch::asm!(
                "mov {}, qword ptr fs:[0]",
                out(reg) pointer,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the register is readable from user mode; nothing is written.
        unsafe {
            core::arch::asm!(
                "mrs {}, tpidr_el0",
                out(reg) pointer,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        pointer
    }
}

/// Returns the calling thread's state. It lives as long as the thread, and cannot leave it.
#[inline(always)]
pub(crate) fn current() -> &'static ThreadState {
    // SAFETY: the address is that of this thread's slot: aligned, spanning a `ThreadState`, all zero
    // at first, which is a valid one, and alive as long as the thread. `&ThreadState` is not `Send`,
    // so no code of another thread sees it after that.
    unsafe { &*slot::address() }
}

/// Proof that the calling thread is inside the allocator; leaves when dropped.
pub(crate) struct Guard {
    state: &'static ThreadState,
}

/// Marks the calling thread as inside the allocator; `None` if it is already: then the call comes
/// from something the allocator itself called, or from a signal handler that interrupted it.
///
/// A handler that leaves by `siglongjmp` past a guard leaves its thread inside for good.
#[inline]
pub(crate) fn enter() -> Option<Guard> {
    let state = current();
    if state.inside.load(Relaxed) != 0 {
        return None;
    }
    state.inside.store(1, Relaxed);
    // Keeps what follows behind the store, as a signal handler of this thread sees it. Pairs with
    // the fence in `drop`.
    compiler_fence(SeqCst);
    Some(Guard { state })
}

/// Whether the calling thread is inside the allocator.
#[inline]
pub(crate) fn is_inside() -> bool {
    current().inside.load(Relaxed) != 0
}

impl Guard {
    /// As [`ThreadState::index`].
    #[inline]
    pub(crate) fn index(&self) -> u32 {
        self.state.index()
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        self.state.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::{ThreadState, current, enter, is_inside};

    /// One state for each thread, entered once at a time.
    #[test]
    fn threads_have_states_of_their_own() {
        let guard = enter().expect("not inside");
        assert!(is_inside());
        assert!(enter().is_none());
        let mine = (&raw const *current()).addr();
        assert_eq!(mine % align_of::<ThreadState>(), 0);
        let index = current().index();
        let (other, other_index, inside) = std::thread::scope(|scope| {
            let thread =
                scope.spawn(|| ((&raw const *current()).addr(), current().index(), is_inside()));
            thread.join().expect("no panic")
        });
        assert_ne!(mine, other);
        assert_ne!(index, other_index);
        assert!(!inside);
        assert_eq!(index, current().index());
        assert_ne!(current().tid(), 0);
        drop(guard);
        assert!(!is_inside());
        assert!(enter().is_some());
    }
}
