//! The most instructions that one call of a general heap takes: `worst`, for Linux on x86-64.
//!
//! Each heap runs the adversary's sequence, which is always the same, in a child that is traced step
//! by step, so that the instructions of each call are counted exactly. What a call into the heap
//! costs around the heap itself (two stops and the copy of a layout) is in every number.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() {
    tracing::main();
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {
    eprintln!("worst: counts steps on Linux on x86-64 only");
    std::process::exit(2);
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[expect(dead_code, reason = "the other benches run their cases")]
mod contenders;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tracing {
    use std::alloc::Layout;
    use std::arch::asm;
    use std::mem::MaybeUninit;
    use std::ptr::{NonNull, null_mut};

    use std::time::Duration;

    use alloc_bench::adversary;

    use crate::contenders::fixed::{TryHeap, rlsf, talc, tlsf};

    /// A stop that the tracer sees.
    #[inline(always)]
    fn mark() {
        // SAFETY: a breakpoint touches nothing; the child is traced.
        unsafe { asm!("int3", options(nostack)) };
    }

    /// Runs the adversary over a heap, with a mark before and after each call.
    fn run(heap: &impl TryHeap) -> Duration {
        let mut blocks: Vec<Option<(NonNull<u8>, Layout)>> = Vec::with_capacity(1000);
        let blocks = std::cell::RefCell::new(&mut blocks);
        adversary(
            |size, align| {
                let layout = Layout::from_size_align(size, align).expect("the adversary's sizes");
                mark();
                let block = heap.try_take(layout);
                mark();
                let mut blocks = blocks.borrow_mut();
                blocks.push(Some((block?, layout)));
                Some(blocks.len() as u64 - 1)
            },
            |number| {
                let taken = blocks.borrow_mut()[number as usize].take();
                let (block, layout) = taken.expect("the adversary frees a block once");
                mark();
                // SAFETY: taken with this layout, and not given back: it was still in the list.
                unsafe { heap.give(block, layout) };
                mark();
            },
        );
        Duration::ZERO
    }

    /// The steps of each call of a child that runs `work`.
    fn steps(work: impl FnOnce() -> Duration) -> Vec<u64> {
        // SAFETY: this program has one thread.
        let child = unsafe { libc::fork() };
        assert!(0 <= child, "fork");
        if child == 0 {
            // SAFETY: asks the parent to trace this process.
            unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, null_mut::<u8>(), null_mut::<u8>()) };
            work();
            // SAFETY: ends the child without what the parent will do at its end.
            unsafe { libc::_exit(0) };
        }
        let mut list = Vec::new();
        let mut counting = None;
        let mut request = libc::PTRACE_CONT;
        loop {
            let mut status = 0;
            // SAFETY: the child of this process, and a place for its status.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            if libc::WIFEXITED(status) {
                return list;
            }
            assert!(libc::WIFSTOPPED(status), "the child died: {status:#x}");
            assert_eq!(libc::WSTOPSIG(status), libc::SIGTRAP, "the child was stopped otherwise");
            if is_mark(child) {
                match counting.take() {
                    None => (counting, request) = (Some(0), libc::PTRACE_SINGLESTEP),
                    Some(count) => {
                        list.push(count);
                        request = libc::PTRACE_CONT;
                    }
                }
            } else if let Some(count) = &mut counting {
                *count += 1;
            }
            // SAFETY: the child is stopped.
            unsafe { libc::ptrace(request, child, null_mut::<u8>(), null_mut::<u8>()) };
        }
    }

    /// Whether a stopped child has just executed a mark.
    fn is_mark(child: i32) -> bool {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the child is stopped; a place for what stopped it.
        unsafe {
            libc::ptrace(libc::PTRACE_GETSIGINFO, child, null_mut::<u8>(), info.as_mut_ptr())
        };
        // SAFETY: zeros or what the kernel wrote.
        let info = unsafe { info.assume_init() };
        // A breakpoint says that the kernel sent it; a step is TRAP_TRACE.
        info.si_code == libc::SI_KERNEL || info.si_code == libc::TRAP_BRKPT
    }

    fn print(name: &str, mut steps: Vec<u64>) {
        steps.sort_unstable();
        let sum: u64 = steps.iter().sum();
        let (count, max) = (steps.len(), steps.last().copied().unwrap_or_default());
        let high = steps.get(count * 99 / 100).copied().unwrap_or_default();
        println!("| {name} | {count} | {:.1} | {high} | {max} |", sum as f64 / count as f64);
    }

    pub(crate) fn main() {
        println!(
            "| heap | calls | mean | 99 of 100 | maximum |\n| --- | ---: | ---: | ---: | ---: |"
        );
        print("alloc-fixed", steps(|| tlsf(|heap| run(heap))));
        print("talc", steps(|| talc(run)));
        print("rlsf", steps(|| rlsf(|heap| run(heap))));
    }
}
