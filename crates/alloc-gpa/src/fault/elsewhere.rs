//! Where faults are not caught: a trap ends the process. (Not run.)
#![allow(dead_code, reason = "what a fault's handler would use is there for the others")]

/// What an instruction wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// To be executed.
    Code,
}

/// Installs nothing.
pub(crate) fn install() {}

/// Installs nothing.
pub(crate) fn install_interposed() {}

/// Installs nothing.
pub(crate) fn install_behind_std() {}

/// Called when a heap takes new memory.
pub(crate) fn heap_grows() {}

/// Runs `exec`.
pub fn around_exec<R>(exec: impl FnOnce() -> R) -> R {
    exec()
}

/// Runs `spawn`.
pub fn around_spawn<R>(spawn: impl FnOnce() -> R) -> R {
    spawn()
}

/// Called for each thread at its first allocation.
pub(crate) fn thread_begins() {}

/// A forked child's first step.
///
/// # Safety
///
/// None asked for; as where there is something to do.
pub(crate) unsafe fn after_fork_child() {}

pub(crate) mod own_stack {
    //! No stacks.

    pub(crate) fn for_each_unused(_: usize, _: impl FnMut((usize, usize))) {}
}

pub(crate) mod stop {
    //! No thread is kept still.

    use core::sync::atomic::AtomicI32;

    use crate::sys::tasks;
    use crate::turn::Turn;

    /// The right to stop the others, which one thread of the process has at a time.
    pub(crate) struct Right(#[expect(dead_code, reason = "held")] Turn<'static>);

    impl Right {
        pub(crate) fn wait_at_most(nanoseconds: u64) -> Option<Self> {
            static STOPPER: AtomicI32 = AtomicI32::new(0);
            Turn::wait_at_most(&STOPPER, nanoseconds).map(Self)
        }

        pub(crate) fn stop(self) -> Stopped {
            Stopped(self)
        }
    }

    /// Threads that keep still until this is dropped: none.
    pub(crate) struct Stopped(#[expect(dead_code, reason = "held")] Right);

    impl Stopped {
        pub(crate) fn is_complete(&self) -> bool {
            tasks::is_alone()
        }

        pub(crate) fn for_each_word(&self, _: impl FnMut(usize)) {}
    }

    pub(crate) fn for_each_dead_stack(_: impl FnMut((usize, usize))) {}
}

pub(crate) mod program {
    //! Nothing is kept from the kernel.
    #![allow(missing_docs, reason = "as where there is something to do")]

    use crate::sys::signal::Action;

    #[must_use]
    pub fn is_interposed() -> bool {
        false
    }

    #[must_use]
    pub fn is_kept(_: libc::c_int) -> bool {
        false
    }

    pub fn program_action(_: libc::c_int, _: Option<&Action>) -> Action {
        Action::DEFAULT
    }

    #[must_use]
    pub fn kernel_mask(program: u64) -> u64 {
        program
    }

    #[must_use]
    pub fn program_mask(kernel: u64) -> u64 {
        kernel
    }

    pub fn change_mask(how: libc::c_int, set: Option<u64>) -> Result<u64, libc::c_int> {
        crate::sys::signal::mask(how, set)
    }

    pub fn change_alternate_stack(
        new: Option<&libc::stack_t>,
    ) -> Result<libc::stack_t, libc::c_int> {
        crate::sys::signal::alternate_stack(new)
    }
}

pub(crate) mod reopened {
    //! No page is ever opened again.

    pub(crate) fn holds(_: usize) -> bool {
        false
    }
}

/// Returns `false`: faults are not caught on this system.
///
/// # Safety
///
/// None asked for; as where they are.
pub unsafe fn handle_fault(
    _: libc::c_int,
    _: *const libc::siginfo_t,
    _: *const libc::c_void,
) -> bool {
    false
}
