//! Faults that are not the allocator's: the program's own handler gets them as if the kernel had called
//! it, on the stack and with the mask that its flags ask for.
//!
//! ```text
//!   the kernel's frame is where the handler wants it ──► jump there: the same frame, no trace of ours
//!   it is on an alternate stack, and should not be ────► a copy of it on the interrupted stack; the
//!                                                         return from our handler leads there
//!   no handler ────────────────────────────────────────► the default again, and the signal once more
//! ```

use core::ptr;

use super::action;
use super::context::{Context, vectors_len};
use super::{own_stack, program};
use crate::sys::signal::{self, Action, bit};

/// The frame that the kernel makes for a signal, `struct rt_sigframe`. Its address is 8 more than a
/// multiple of 16, as that of every frame at a function's entry.
#[repr(C)]
struct Frame {
    /// Where the handler returns to: libc's call of `rt_sigreturn`.
    return_address: usize,
    context: Context,
    info: [u64; 16],
}

const _: () = assert!(size_of::<Frame>() == 440);

/// Bytes below the stack pointer that code may use without moving it (System V ABI, 3.2.2).
const RED_ZONE_LEN: usize = 128;
/// Flags that a handler starts without: trap, direction, resume.
const FLAGS_CLEARED: u64 = 1 << 8 | 1 << 10 | 1 << 16;

/// Does with a signal what the program wants. Returns the handler to jump to with the kernel's own
/// arguments, or 0 if it is enough to return.
///
/// # Safety
///
/// The arguments are those that the kernel gave to this crate's handler, which returns to the kernel
/// after this call or jumps to the result.
pub(super) unsafe fn to_program(
    signal: libc::c_int,
    info: *const libc::siginfo_t,
    context: *mut Context,
) -> usize {
    // SAFETY: valid by this function's contract.
    let (code, _) = unsafe { super::context::fault(info) };
    // SAFETY: as above; this call alone uses it.
    let now = unsafe { &mut *context };
    let is_sent = code <= 0;
    let action = action::get(signal);
    if program::is_blocked(signal, now.mask) {
        if !is_sent {
            // What a thread does not let through kills it (signal(7)).
            die(signal, info);
        } else {
            // It waits in the kernel until the thread lets it through.
            now.mask |= bit(signal);
            signal::send_to_self(signal, info);
        }
        return 0;
    }
    match action.handler {
        libc::SIG_IGN if is_sent => return 0,
        libc::SIG_DFL | libc::SIG_IGN => {
            die(signal, info);
            return 0;
        }
        _ => {}
    }
    let action = action::take(signal);
    if action.handler == libc::SIG_DFL {
        // Another thread took a handler for one time.
        die(signal, info);
        return 0;
    }
    let mask = program::handler_mask(signal, now.mask, &action);
    if is_in_place(&action, context, now) {
        // It cannot fail: the number is right.
        let _ = signal::mask(libc::SIG_SETMASK, Some(mask));
        return action.handler;
    }
    // SAFETY: the kernel made the frame (contract).
    unsafe { move_to_interrupted(signal, &action, context, mask) };
    0
}

/// Whether the frame is on the stack that the program's flags ask for.
fn is_in_place(action: &Action, context: *const Context, now: &Context) -> bool {
    let start = now.stack.ss_sp.addr();
    let alternate = start..start + now.stack.ss_size;
    let is_on_alternate = alternate.contains(&context.addr());
    let was_on_alternate = alternate.contains(&now.register(libc::REG_RSP));
    let wants_it = action.flags & libc::SA_ONSTACK != 0 && !own_stack::is_hidden(&now.stack);
    !is_on_alternate || was_on_alternate || wants_it
}

/// Ends the process by the signal, as it would end without this crate's handler.
fn die(signal: libc::c_int, info: *const libc::siginfo_t) {
    signal::action(signal, Some(&Action::DEFAULT));
    // All signals are blocked: it comes when the handler returns, before the instruction is tried
    // again, with what the kernel said. If it cannot be sent, the instruction faults again.
    signal::send_to_self(signal, info);
}

/// Makes the return from this crate's handler lead to the program's, on the interrupted stack, with a
/// copy of the kernel's frame. If there is no room there, the process dies by the fault that the
/// copying makes, as the kernel lets it die.
///
/// # Safety
///
/// `context` stands in a frame that the kernel made, which is not on the interrupted stack.
unsafe fn move_to_interrupted(
    signal: libc::c_int,
    action: &Action,
    context: *mut Context,
    mask: u64,
) {
    let offset = core::mem::offset_of!(Frame, context);
    // SAFETY: a frame's context lies behind the return address (contract).
    let frame = unsafe { context.byte_sub(offset) }.cast::<Frame>();
    // SAFETY: the kernel made it (contract).
    let now = unsafe { &mut (*frame).context };
    let old_vectors = now.vectors;
    let vectors_len = if old_vectors == 0 {
        0
    } else {
        // SAFETY: not null: where the kernel saved them.
        unsafe { vectors_len(ptr::with_exposed_provenance(old_vectors)) }
    };
    let free = now.register(libc::REG_RSP) - RED_ZONE_LEN;
    let vectors = (free - vectors_len) & !63;
    let below = if vectors_len == 0 { free } else { vectors };
    let new_frame = ((below - size_of::<Frame>()) & !15) - 8;
    if vectors_len != 0 {
        let from = ptr::with_exposed_provenance::<u8>(old_vectors);
        let to = ptr::with_exposed_provenance_mut::<u8>(vectors);
        // SAFETY: from the saved registers to the unused part of the interrupted stack; see above for
        // what happens if there is none.
        unsafe { to.copy_from_nonoverlapping(from, vectors_len) };
        now.vectors = vectors;
    }
    let to = ptr::with_exposed_provenance_mut::<Frame>(new_frame);
    // SAFETY: as above; the copy keeps what the original is about to lose.
    unsafe { to.copy_from_nonoverlapping(frame, 1) };
    let info = new_frame + core::mem::offset_of!(Frame, info);
    // SAFETY: as above. Taken anew: the copy was read past the reference before.
    let now = unsafe { &mut (*frame).context };
    for (register, value) in [
        (libc::REG_RIP, action.handler),
        (libc::REG_RSP, new_frame),
        (libc::REG_RDI, signal as usize),
        (libc::REG_RSI, info),
        (libc::REG_RDX, new_frame + offset),
        (libc::REG_RAX, 0),
    ] {
        now.registers[register as usize] = value as u64;
    }
    now.registers[libc::REG_EFL as usize] &= !FLAGS_CLEARED;
    now.mask = mask;
    // A handler starts with fresh vector registers.
    now.vectors = 0;
}
