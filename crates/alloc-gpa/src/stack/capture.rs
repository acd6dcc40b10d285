//! The capture: from the caller's registers to a [`Trace`].

use super::trace::{FRAMES_MAX, Trace};
use crate::sys::{errno::KeepErrno, thread};

/// Captures the caller's stack, at most `max` frames (and [`FRAMES_MAX`]): `frames[0]` is where this
/// call returns to. The thread should be inside the allocator; if it is not, it is for this call.
///
/// Never fails: where the stack cannot be followed, the trace ends.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[unsafe(naked)]
pub(crate) extern "C" fn capture(max: usize, trace: &mut Trace) {
    // The callee-saved registers are still the caller's here: they are handed over before any Rust
    // code changes them. (AArch64: not run.)
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "mov rdx, qword ptr [rsp]",
        "lea rcx, [rsp + 8]",
        "mov r8, rbp",
        "jmp {walk}",
        walk = sym unwind::walk_from,
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "mov x2, x30",
        "mov x3, sp",
        "mov x4, x29",
        "b {walk}",
        walk = sym unwind::walk_from,
    );
}

/// Captures the caller's stack through the `backtrace` crate, which is slower, at most `max` frames.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn capture(max: usize, trace: &mut Trace) {
    let _inside = thread::enter();
    let _errno = KeepErrno::new();
    trace.len = 0;
    let max = max.min(FRAMES_MAX);
    // SAFETY: tracing, unlike resolving, shares no state between threads, which is what the lock
    // that this form does without is for.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            trace.push(frame.ip().addr());
            usize::from(trace.len) < max
        });
    }
}

/// Where a signal interrupted a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interrupted {
    /// The instruction that was not done.
    pub(crate) pc: usize,
    pub(crate) sp: usize,
    pub(crate) fp: usize,
}

/// Captures the stack of interrupted code, at most `max` frames. All frames are looked up by the
/// address before them, as a return address follows its call; so the first one is that of the
/// instruction, plus one.
pub(crate) fn capture_interrupted(interrupted: Interrupted, max: usize, trace: &mut Trace) {
    unwind::walk_interrupted(interrupted, max, trace);
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod unwind {
    use super::{FRAMES_MAX, Interrupted, KeepErrno, Trace, thread};
    use crate::stack::bounds::Window;
    use crate::stack::modules::{self, Snapshot};
    use crate::stack::rule::{Lost, Registers, Rule, strip};
    use crate::stack::rules::View;
    use crate::stack::table::{self, Found};

    /// Where [`capture`](super::capture) goes on, with the registers as they are in its caller.
    pub(super) extern "C" fn walk_from(
        max: usize,
        trace: &mut Trace,
        pc: usize,
        sp: usize,
        fp: usize,
    ) {
        let _inside = thread::enter();
        let _errno = KeepErrno::new();
        trace.len = 0;
        let Some(snapshot) = modules::snapshot() else { return };
        let walk = Walk { window: Window::of_thread(sp), snapshot, rules: modules::RULES.view() };
        walk.run(Registers { pc: strip(pc), sp, fp }, 1, max.min(FRAMES_MAX), trace);
    }

    /// Captures from registers that a signal saved.
    pub(super) fn walk_interrupted(interrupted: Interrupted, max: usize, trace: &mut Trace) {
        let _inside = thread::enter();
        let _errno = KeepErrno::new();
        trace.len = 0;
        let max = max.min(FRAMES_MAX);
        let Some(snapshot) = modules::snapshot() else { return };
        let Interrupted { pc, sp, fp } = interrupted;
        let window = Window::of_thread(sp);
        let walk = || Walk { window, snapshot, rules: modules::RULES.view() };
        walk().run(Registers { pc, sp, fp }, 0, max, trace);
        if trace.len != 0 {
            trace.frames[0] += 1;
            return;
        }
        // Not code: somebody called it, and the return address is the last word on the stack.
        let Some(caller) = window.read(sp).filter(|_| 0 < max) else { return };
        let registers =
            Registers { pc: strip(caller), sp: sp.wrapping_add(size_of::<usize>()), fp };
        let mut callers = Trace::new();
        walk().run(registers, 1, max - 1, &mut callers);
        trace.push(pc.wrapping_add(1));
        callers.as_slice().iter().for_each(|frame| trace.push(*frame));
    }

    struct Walk {
        window: Window,
        snapshot: &'static Snapshot,
        rules: View<'static>,
    }

    impl Walk {
        /// Walks from `registers` on. `called` is 1 if `pc` is a return address, which may already
        /// belong to the next function, and 0 if it is the instruction itself.
        fn run(
            mut self,
            mut registers: Registers,
            mut called: usize,
            max: usize,
            trace: &mut Trace,
        ) {
            let mut len = 0;
            while len < max {
                let lookup = registers.pc.wrapping_sub(called);
                let known = self.rules.get(lookup);
                let quick = known.and_then(|rule| {
                    Rule::step_packed(rule, registers, |addr| self.window.load(addr))
                });
                if let Some(next) = quick {
                    trace.frames[len] = registers.pc;
                    (len, registers, called) = (len + 1, next, 1);
                    continue;
                }
                let Some((next, interrupted)) = self.step(known, lookup, registers) else { break };
                trace.frames[len] = registers.pc;
                len += 1;
                let Some(next) = next else { break };
                (registers, called) = (next, usize::from(interrupted == table::Interrupted::No));
            }
            // At most `FRAMES_MAX`, as `max` is.
            trace.len = len as u8;
        }

        /// Takes any step: returns the caller's registers, or `None` for them if they are not known;
        /// `None` at all if `lookup` is not code.
        #[inline(never)]
        fn step(
            &mut self,
            known: Option<u32>,
            lookup: usize,
            registers: Registers,
        ) -> Option<(Option<Registers>, table::Interrupted)> {
            let rule = match known {
                Some(bits) => Rule::unpack(bits),
                None => match self.find(lookup, registers).ok()? {
                    Found::Rule(rule) => rule,
                    Found::Step(next, interrupted) => return Some((Some(next), interrupted)),
                },
            };
            if rule == Rule::NotCode {
                return None;
            }
            let next = rule.step(registers, |addr| self.window.read(addr));
            Some((next.unwrap_or(None), table::Interrupted::No))
        }

        /// Finds what stands at an address that the table does not know, and has it remembered.
        #[cold]
        #[inline(never)]
        fn find(&mut self, lookup: usize, registers: Registers) -> Result<Found, Lost> {
            let found = self.find_in_modules(lookup, registers)?;
            if let Found::Rule(rule) = &found {
                modules::RULES.put(lookup, *rule, self.snapshot.generation);
            }
            Ok(found)
        }

        fn find_in_modules(&mut self, lookup: usize, registers: Registers) -> Result<Found, Lost> {
            let mut range = self.snapshot.find(lookup);
            if range.is_none() {
                let snapshot = modules::look_again().ok_or(Lost)?;
                self.snapshot = snapshot;
                range = snapshot.find(lookup);
            }
            let Some(range) = range else { return Ok(Found::Rule(Rule::NotCode)) };
            let Some(unwind) = range.record.and_then(|record| record.unwind) else {
                return Ok(Found::Rule(Rule::FramePointer));
            };
            let window = self.window;
            let answer =
                unwind.with(|tables| tables.find(lookup, registers, &|addr| window.read(addr)));
            match answer {
                Some(found) => Ok(found?.unwrap_or(Found::Rule(Rule::FramePointer))),
                None => {
                    // The module is not there any more, and nobody said so.
                    modules::invalidate();
                    Err(Lost)
                }
            }
        }
    }
}
