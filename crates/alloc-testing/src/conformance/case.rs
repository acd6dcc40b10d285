//! One check and the allocator it is run on.

use alloc_core::{Allocator, UnsizedFree};

use super::contract;
use super::probe::{Probe, Scene, State, Subject, unwinding};
use super::program::{self, Op};
use super::threads;
use super::violation::{Rule, Violation};
use alloc_gpa::counted;

/// What a case does to its allocator.
#[derive(Clone, Copy)]
pub(super) enum Plan<'c> {
    Directed(contract::Check),
    Program(&'c [Op]),
    /// A program over a backing that fails; after each failure the operation is tried again.
    Failing(&'c [Op]),
    Threads,
}

impl Plan<'_> {
    /// How many of the last calls a violation shows: all of a program, which is as short as can be;
    /// the last few of a directed check, which goes through many sizes.
    pub(super) const fn steps_shown(&self) -> usize {
        match self {
            Self::Program(_) => usize::MAX,
            Self::Directed(_) | Self::Failing(_) | Self::Threads => 12,
        }
    }
}

/// One check that waits for a fresh allocator: pass it to [`run`](Self::run), or one of its sisters,
/// once. Passing none, or two, panics: it would be a test that tests less than it says.
pub struct Case<'c> {
    pub(super) plan: Plan<'c>,
    pub(super) scene: Scene<'c>,
    pub(super) outcome: Option<Result<State, Violation>>,
}

type LiveBytes<'a, A> = Option<&'a dyn Fn(&A) -> usize>;
type AsUnsized<A> = Option<for<'a> fn(&'a A) -> &'a (dyn UnsizedFree + 'a)>;

impl Case<'_> {
    /// Runs the check on a fresh allocator.
    pub fn run<A: Allocator>(&mut self, alloc: A) {
        self.set(self.drive(alloc, None, None));
    }

    /// As [`run`](Self::run) for an allocator that threads may share.
    pub fn run_sync<A: Allocator + Sync>(&mut self, alloc: A) {
        match self.plan {
            Plan::Threads => self.set(self.drive_threads(alloc)),
            _ => self.run(alloc),
        }
    }

    /// As [`run`](Self::run) for an allocator that counts its live bytes: after each call
    /// `live_bytes` must tell their true number.
    pub fn run_counting<A: Allocator>(&mut self, alloc: A, live_bytes: impl Fn(&A) -> usize) {
        self.set(self.drive(alloc, Some(&live_bytes), None));
    }

    /// As [`run`](Self::run) for an allocator that knows its blocks' sizes: those are checked too.
    pub fn run_unsized<A: UnsizedFree>(&mut self, alloc: A) {
        self.set(self.drive(alloc, None, Some(|alloc| alloc)));
    }

    fn set(&mut self, outcome: Result<State, Violation>) {
        assert!(self.outcome.is_none(), "the body handed two allocators to one case");
        self.outcome = Some(outcome);
    }

    /// The life of an allocator: the first half of the plan where it was made, the second after a
    /// move, then all blocks are freed and it is dropped.
    ///
    /// After a violation it is dropped at once, its live blocks with it: it cannot be trusted to take
    /// them back. A drop that unwinds then says nothing new.
    fn drive<A: Allocator>(
        &self,
        alloc: A,
        live_bytes: LiveBytes<'_, A>,
        as_unsized: AsUnsized<A>,
    ) -> Result<State, Violation> {
        let mut state = State::default();
        let outcome = self
            .with_probe(&alloc, live_bytes, as_unsized, &mut state, |probe| self.first_half(probe));
        state.note_move();
        let alloc = Box::new(alloc);
        let outcome = outcome.and_then(|()| {
            self.with_probe(&*alloc, live_bytes, as_unsized, &mut state, |probe| {
                probe.check_others(None, Rule::Stable)?;
                self.second_half(probe)?;
                probe.free_all()
            })
        });
        state.note_drop();
        let dropped = unwinding(|| drop(alloc));
        outcome?;
        self.finish(dropped, &state)?;
        Ok(state)
    }

    fn with_probe<A: Allocator>(
        &self,
        alloc: &A,
        live_bytes: LiveBytes<'_, A>,
        as_unsized: AsUnsized<A>,
        state: &mut State,
        body: impl FnOnce(&mut Probe<'_>) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let told = live_bytes.map(|live_bytes| move || live_bytes(alloc));
        let subject = Subject {
            alloc,
            own: own_range(alloc),
            live_bytes: told.as_ref().map(|told| told as &dyn Fn() -> usize),
            unsized_free: as_unsized.map(|as_unsized| as_unsized(alloc)),
        };
        body(&mut Probe { subject, scene: &self.scene, state })
    }

    fn first_half(&self, probe: &mut Probe<'_>) -> Result<(), Violation> {
        match self.plan {
            Plan::Directed((_, check)) => check(probe),
            Plan::Program(ops) => run_ops(probe, &ops[..ops.len() / 2]),
            Plan::Failing(ops) => run_failing(probe, ops),
            Plan::Threads => panic!("a check with threads was not given to `run_sync`"),
        }
    }

    fn second_half(&self, probe: &mut Probe<'_>) -> Result<(), Violation> {
        match self.plan {
            Plan::Program(ops) => run_ops(probe, &ops[ops.len() / 2..]),
            _ => Ok(()),
        }
    }

    fn drive_threads<A: Allocator + Sync>(&self, alloc: A) -> Result<State, Violation> {
        let outcome = threads::check(&alloc, &self.scene, own_range(&alloc));
        let mut state = State::default();
        state.note_drop();
        let dropped = unwinding(|| drop(alloc));
        state.operation_count = outcome?;
        self.finish(dropped, &state)?;
        Ok(state)
    }

    /// The drop did not unwind, and nothing is left at the backing.
    fn finish(&self, dropped: Result<(), String>, state: &State) -> Result<(), Violation> {
        dropped.map_err(|message| {
            let detail = format!("the drop unwound with \"{message}\"");
            state.violation(&self.scene, Rule::NoUnwind, detail)
        })?;
        let Some(backing) = self.scene.backing else { return Ok(()) };
        if let Some(&misuse) = backing.misuses().first() {
            let detail = format!("at its backing, {misuse}");
            return Err(state.violation(&self.scene, Rule::of(misuse), detail));
        }
        let (count, bytes) = (backing.live_count(), backing.live_bytes());
        if count != 0 {
            let (rule, when) = match backing.failed_count() {
                0 => (Rule::Returns, ""),
                _ => (Rule::CleanFailure, ", after that refused a request"),
            };
            let (blocks, bytes) = (counted(count, "block"), counted(bytes, "byte"));
            let detail = format!("{blocks}, {bytes}, left at its backing{when}");
            return Err(state.violation(&self.scene, rule, detail));
        }
        Ok(())
    }
}

/// Where the value of an allocator lies: half-open, empty for a zero-sized one.
fn own_range<A>(alloc: &A) -> (usize, usize) {
    let start = (&raw const *alloc).addr();
    (start, start + size_of::<A>())
}

fn run_ops(probe: &mut Probe<'_>, ops: &[Op]) -> Result<(), Violation> {
    ops.iter().try_for_each(|&op| program::step(probe, op).map(drop))
}

/// Runs a program over a failing backing. What was refused because of an induced failure is asked
/// for again; unless the backing fails for good it must be served then.
fn run_failing(probe: &mut Probe<'_>, ops: &[Op]) -> Result<(), Violation> {
    let Some(backing) = probe.scene.backing else { return Ok(()) };
    let limited = probe.scene.options.may_refuse || probe.scene.options.capacity.is_some();
    for &op in ops {
        let before = backing.induced_count();
        if !program::step(probe, op)? || backing.induced_count() == before || limited {
            continue;
        }
        let between = backing.induced_count();
        if program::step(probe, op)? && backing.induced_count() == between {
            let detail = "the request was refused again although the backing has recovered";
            return Err(probe.violation(Rule::Serves, detail.to_owned()));
        }
    }
    Ok(())
}
