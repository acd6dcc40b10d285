//! The capture: from the caller's registers to a [`Trace`].

use super::trace::{FRAMES_MAX, Trace};
use crate::sys::{errno::KeepErrno, thread};

/// Captures the caller's stack, at most `max` frames (and [`FRAMES_MAX`]): `frames[0]` is where this
/// call returns to. The thread should be inside the allocator; if it is not, it is for this call.
///
/// Never fails: where the stack cannot be followed, the trace ends.
#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
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

/// Captures the caller's stack as [`capture`] does, and returns its id in the process's depot. The thread
/// is inside the allocator.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[unsafe(naked)]
pub(crate) extern "C" fn capture_stored(max: usize) -> u32 {
    // As above. (AArch64: not run.)
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "mov rsi, qword ptr [rsp]",
        "lea rdx, [rsp + 8]",
        "mov rcx, rbp",
        "jmp {recall}",
        recall = sym unwind::recall,
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "mov x1, x30",
        "mov x2, sp",
        "mov x3, x29",
        "b {recall}",
        recall = sym unwind::recall,
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

/// Captures the caller's stack and returns its id in the process's depot.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn capture_stored(max: usize) -> u32 {
    let mut trace = Trace::new();
    capture(max, &mut trace);
    super::depot().insert(&trace).0
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
    use crate::stack::depot::StackId;
    use crate::stack::memo::{Ended, Memo, Miss, Start};
    use crate::stack::modules::{self, Snapshot};
    use crate::stack::pool;
    use crate::stack::rule::{Lost, Registers, Rule, strip};
    use crate::stack::rules::View;
    use crate::stack::table::{self, Found};

    /// Where [`capture`](super::capture()) goes on, with the registers as they are in its caller.
    #[cfg(test)]
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
        let walk = Walk::new(snapshot, Window::of_thread(sp));
        walk.run(Registers { pc: strip(pc), sp, fp }, 1, max.min(FRAMES_MAX), trace, None);
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
        let walk = || Walk::new(snapshot, window);
        walk().run(Registers { pc, sp, fp }, 0, max, trace, None);
        if trace.len != 0 {
            trace.frames[0] += 1;
            return;
        }
        // Not code: somebody called it, and the return address is the last word on the stack.
        let Some(caller) = window.read(sp).filter(|_| 0 < max) else { return };
        let registers =
            Registers { pc: strip(caller), sp: sp.wrapping_add(size_of::<usize>()), fp };
        let mut callers = Trace::new();
        walk().run(registers, 1, max - 1, &mut callers, None);
        trace.push(pc.wrapping_add(1));
        callers.as_slice().iter().for_each(|frame| trace.push(*frame));
    }

    /// Where [`capture_stored`](super::capture_stored) goes on, likewise.
    pub(super) extern "C" fn recall(max: usize, pc: usize, sp: usize, fp: usize) -> u32 {
        let start = Start {
            registers: Registers { pc: strip(pc), sp, fp },
            max: max.min(FRAMES_MAX),
            window: Window::if_known(sp),
        };
        let found = match pool::mine() {
            Some(memo) if memo.is_for(modules::stamp()) && !start.window.is_empty() => {
                memo.find(&start)
            }
            _ => return first(start),
        };
        match found {
            Ok(id) => id.0,
            Err(miss) => walk_and_store(&start, Some(miss)),
        }
    }

    /// Captures without a memo, or with one that has become old.
    #[cold]
    #[inline(never)]
    fn first(start: Start) -> u32 {
        let _errno = KeepErrno::new();
        // Asked before the modules are: if these change in between, the memo is renewed once more.
        let stamp = modules::stamp();
        let start = Start { window: Window::of_thread(start.registers.sp), ..start };
        let memo = pool::mine_or_new().filter(|_| !start.window.is_empty());
        if modules::snapshot().is_none() {
            return StackId::NONE.0;
        }
        let miss = memo.and_then(|memo| {
            memo.renew(stamp);
            memo.find(&start).err()
        });
        walk_and_store(&start, miss)
    }

    /// Captures by a walk, and has it remembered where it was missed.
    #[inline(never)]
    fn walk_and_store(start: &Start, miss: Option<Miss>) -> u32 {
        let _errno = KeepErrno::new();
        let Some(snapshot) = modules::snapshot() else { return StackId::NONE.0 };
        let mut trace = Trace::new();
        let memo = if miss.is_some() { pool::mine() } else { None };
        let walk = Walk::new(snapshot, start.window);
        let (steps, ended) = walk.run(start.registers, 1, start.max, &mut trace, memo);
        let id = crate::stack::depot().insert(&trace);
        if let (Some(memo), Some(miss)) = (memo, miss) {
            memo.remember(miss, start, steps, ended, id);
        }
        id.0
    }

    struct Walk {
        window: Window,
        snapshot: &'static Snapshot,
        rules: View<'static>,
    }

    /// Where a step leads.
    enum Step {
        /// To the caller; by a packed rule, or by something that was computed.
        Next(Registers, table::Interrupted, Option<u32>),
        /// Nowhere: the frame is the last one, for this reason.
        Last(Ended),
        /// The address is not code: there is no frame.
        NotCode,
        /// Nothing is known about the address.
        Lost,
    }

    impl Walk {
        fn new(snapshot: &'static Snapshot, window: Window) -> Self {
            Self { window, snapshot, rules: modules::RULES.view() }
        }

        /// Walks from the registers up. `called` is 1 if `pc` is a return address, which may already belong
        /// to the next function, and 0 if it is the instruction itself. Returns how many steps led to what the trace holds, all noted in
        /// `memo`, and how it ended.
        fn run(
            mut self,
            mut registers: Registers,
            mut called: usize,
            max: usize,
            trace: &mut Trace,
            memo: Option<&Memo>,
        ) -> (usize, Ended) {
            let (mut len, mut steps, mut ended) = (0, 0, Ended::Outermost);
            while len < max {
                let lookup = registers.pc.wrapping_sub(called);
                let known = self.rules.get(lookup);
                let quick = known.and_then(|rule| {
                    let next = Rule::step_packed(rule, registers, |addr| self.window.load(addr))?;
                    Some(Step::Next(next, table::Interrupted::No, Some(rule)))
                });
                let step = match quick {
                    Some(step) => step,
                    None => self.step(known, lookup, registers),
                };
                if matches!(step, Step::NotCode | Step::Lost) {
                    let is_sure = matches!(step, Step::NotCode);
                    ended = if is_sure { ended } else { Ended::Unsure };
                    break;
                }
                trace.frames[len] = registers.pc;
                len += 1;
                let (next, interrupted, rule) = match step {
                    Step::Next(next, interrupted, rule) => (next, interrupted, rule),
                    Step::Last(why) if ended != Ended::Unsure => {
                        ended = why;
                        break;
                    }
                    _ => break,
                };
                match (rule, memo) {
                    (Some(rule), Some(memo)) => memo.note(steps, rule, next),
                    (None, _) => ended = Ended::Unsure,
                    (Some(_), None) => {}
                }
                steps += 1;
                (registers, called) = (next, usize::from(interrupted == table::Interrupted::No));
            }
            // At most `FRAMES_MAX`, as `max` is.
            trace.len = len as u8;
            // A step out of the last frame that was wanted decides nothing.
            (if len == max { steps.min(len.saturating_sub(1)) } else { steps }, ended)
        }

        /// Takes any step.
        #[inline(never)]
        fn step(&mut self, known: Option<u32>, lookup: usize, registers: Registers) -> Step {
            let rule = match known {
                Some(bits) => Rule::unpack(bits),
                None => match self.find(lookup, registers) {
                    Ok(Found::Rule(rule)) => rule,
                    Ok(Found::Step(next, interrupted)) => {
                        return Step::Next(next, interrupted, None);
                    }
                    Err(Lost) => return Step::Lost,
                },
            };
            if rule == Rule::NotCode {
                return Step::NotCode;
            }
            match rule.step(registers, |addr| self.window.read(addr)) {
                Ok(Some(next)) => Step::Next(next, table::Interrupted::No, rule.pack()),
                Ok(None) if rule == Rule::FramePointer => Step::Last(Ended::NoFramePointer),
                Ok(None) => Step::Last(Ended::Outermost),
                Err(Lost) => Step::Last(Ended::Unsure),
            }
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
