//! What the kernel tells a handler: where the fault was, what the code did there, and its registers.

use crate::stack::Interrupted;

/// `struct ucontext` of Linux on x86-64, as it stands in a signal's frame (`asm/ucontext.h`): libc's
/// is longer.
#[repr(C)]
pub(super) struct Context {
    flags: u64,
    link: usize,
    /// The alternate stack, as it was set when the signal arrived.
    pub(super) stack: libc::stack_t,
    /// `REG_…` of libc say which is which.
    pub(super) registers: [u64; 23],
    /// Address of the saved vector registers, or null.
    pub(super) vectors: usize,
    reserved: [u64; 8],
    /// The thread's mask, which comes back when the handler returns.
    pub(super) mask: u64,
}

const _: () = assert!(size_of::<Context>() == 304);

/// What an instruction wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// To be executed.
    Code,
}

impl Context {
    pub(super) fn register(&self, index: libc::c_int) -> usize {
        self.registers[index as usize] as usize
    }

    /// Returns what the faulting instruction wanted, as the processor says (Intel's manual, volume 3,
    /// "Page-Fault Exceptions": bit 1 a write, bit 4 an instruction fetch).
    pub(super) fn access(&self) -> Access {
        let code = self.register(libc::REG_ERR);
        match (code & 1 << 4 != 0, code & 1 << 1 != 0) {
            (true, _) => Access::Code,
            (_, true) => Access::Write,
            _ => Access::Read,
        }
    }

    /// Returns where the thread was.
    pub(super) fn interrupted(&self) -> Interrupted {
        Interrupted {
            pc: self.register(libc::REG_RIP),
            sp: self.register(libc::REG_RSP),
            fp: self.register(libc::REG_RBP),
        }
    }
}

/// What a signal's `siginfo_t` says of a fault: its code, and the address.
///
/// # Safety
///
/// `info` is what a handler of `SIGSEGV` or `SIGBUS` got.
pub(super) unsafe fn fault(info: *const libc::siginfo_t) -> (libc::c_int, usize) {
    // SAFETY: valid by this function's contract.
    let info = unsafe { &*info };
    // SAFETY: the signals of the contract have an address; sent by another process it is another
    // field's bytes, which are there as well.
    let addr = unsafe { info.si_addr() };
    (info.si_code, addr.addr())
}
