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

    /// Calls `visit` for every word of the vector registers as the kernel saved them, however wide they are: of a
    /// thread whose frame this is.
    pub(super) fn for_each_vector_word(&self, visit: &mut impl FnMut(usize)) {
        if self.vectors == 0 {
            return;
        }
        // The sixteen registers of SSE come behind those of the old coprocessor; then what the kernel says of the
        // rest, and the rest.
        const REGISTERS_OFFSET: usize = 160;
        let vectors = core::ptr::with_exposed_provenance::<u8>(self.vectors);
        // SAFETY: where the kernel saved the registers.
        let len = unsafe { vectors_len(vectors) };
        // A magic number of four bytes is the last of it.
        let len = len / size_of::<usize>() * size_of::<usize>();
        for offset in (REGISTERS_OFFSET..len).step_by(size_of::<usize>()) {
            // SAFETY: inside of what the kernel saved.
            let word = unsafe { vectors.add(offset) }.cast::<usize>();
            // SAFETY: as above; aligned to 64 at the start.
            visit(unsafe { word.read() });
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

/// What saved vector registers have in front: `struct fxregs_state`.
const LEGACY_LEN: usize = 512;
/// Where in it the kernel says how long all is: `sw_reserved`.
const EXTENSION_OFFSET: usize = 464;
/// `FP_XSTATE_MAGIC1`: there is more than the front.
const EXTENSION_MAGIC: u32 = 0x4650_5853;

/// Returns how many bytes of vector registers the kernel saved.
///
/// # Safety
///
/// `vectors` is where a signal's frame says that they are.
pub(super) unsafe fn vectors_len(vectors: *const u8) -> usize {
    // SAFETY: inside the legacy part, which is always there.
    let reserved = unsafe { vectors.add(EXTENSION_OFFSET) }.cast::<u32>();
    // SAFETY: as above: the magic number and the length.
    let (magic, len) = unsafe { reserved.cast::<(u32, u32)>().read_unaligned() };
    if magic == EXTENSION_MAGIC { len as usize } else { LEGACY_LEN }
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
