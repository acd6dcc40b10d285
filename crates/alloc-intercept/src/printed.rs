//! `sprintf` and its like, whose arguments vary in number.
//!
//! Rust cannot define such a function, but what it begins with is the same for each: the registers that may
//! hold arguments are stored, and a list is made of them and of what lies on the stack (System V's ABI for
//! x86-64, section 3.5.7). With it the form that takes a list is called, libc's, which does the work. What was
//! written is known, and told, afterwards; that the block was freed is told before.

use core::arch::naked_asm;
use core::ffi::{c_char, c_int, c_void};
use core::mem;

use crate::next::Next;
use crate::streams::{room_for, wrote};
use crate::strings::length;

/// A `va_list`, as it is passed: where the list is.
type Arguments = *mut c_void;

const ALL: usize = usize::MAX;

/// Tells if what was printed, with its end, at most `size` bytes of it, does not fit.
#[inline]
fn printed(to: *mut c_char, room: usize, size: usize, got: c_int, name: &'static str) {
    let Ok(len) = usize::try_from(got) else { return };
    wrote(to, room, size.min(len.saturating_add(1)), name);
}

/// Writes each form that takes a list: `size` is how much it may write.
macro_rules! lists {
    ($(
        $(#[$export:meta])?
        $name:ident($to:ident, $format:ident; $($arg:ident: $type:ty),*), $next:literal, $as:literal: $size:expr;
    )*) => {$(
        #[doc = concat!("libc's `", $as, "`, with a list of arguments: see its manual page.")]
        ///
        /// # Safety
        ///
        /// As C's.
        $(#[$export])?
        pub(crate) unsafe extern "C-unwind" fn $name($($arg: $type),*) -> c_int {
            type Function = unsafe extern "C-unwind" fn($($type),*) -> c_int;
            static NEXT: Next = Next::new($next);
            // SAFETY: the same contract.
            unsafe { length($format, ALL, $as) };
            let size = $size;
            let room = if size == 0 { ALL } else { room_for($to, $as) };
            // SAFETY: libc has the function, of this type: it is older than any libc that Rust's
            // standard library runs on.
            let next = unsafe { mem::transmute::<*mut c_void, Function>(NEXT.get()) };
            // SAFETY: the same contract.
            let got = unsafe { next($($arg),*) };
            printed($to, room, size, got, $as);
            got
        }
    )*};
}

lists! {
    #[unsafe(no_mangle)]
    vsprintf(to, format; to: *mut c_char, format: *const c_char, list: Arguments), c"vsprintf", "vsprintf": ALL;
    #[unsafe(no_mangle)]
    vsnprintf(to, format; to: *mut c_char, size: usize, format: *const c_char, list: Arguments),
        c"vsnprintf", "vsnprintf": size;
    #[unsafe(no_mangle)]
    __vsprintf_chk(to, format; to: *mut c_char, flag: c_int, len: usize, format: *const c_char, list: Arguments),
        c"__vsprintf_chk", "vsprintf": ALL;
    #[unsafe(no_mangle)]
    __vsnprintf_chk(to, format; to: *mut c_char, size: usize, flag: c_int, len: usize, format: *const c_char, list: Arguments),
        c"__vsnprintf_chk", "vsnprintf": size;
    sprintf_list(to, format; to: *mut c_char, format: *const c_char, list: Arguments), c"vsprintf", "sprintf": ALL;
    snprintf_list(to, format; to: *mut c_char, size: usize, format: *const c_char, list: Arguments),
        c"vsnprintf", "snprintf": size;
    sprintf_chk_list(to, format; to: *mut c_char, flag: c_int, len: usize, format: *const c_char, list: Arguments),
        c"__vsprintf_chk", "sprintf": ALL;
    snprintf_chk_list(to, format; to: *mut c_char, size: usize, flag: c_int, len: usize, format: *const c_char, list: Arguments),
        c"__vsnprintf_chk", "snprintf": size;
}

/// Writes each form whose arguments vary: how many come before those, in bytes of their registers, and the
/// register in which the other form takes its list.
macro_rules! varying {
    ($( $name:ident => $list:ident, $named:literal, $register:literal; )*) => {$(
        #[doc = concat!("libc's `", stringify!($name), "`: see its manual page.")]
        ///
        /// # Safety
        ///
        /// As C's, with the arguments that it has there.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C-unwind" fn $name() {
            // 24 bytes for the list, 8 of nothing, 48 and 128 for the registers, and 8 so that the stack is
            // aligned at the call. The vector registers are stored if the caller says that they are used.
            naked_asm!(
                ".cfi_startproc",
                "sub rsp, 216",
                ".cfi_def_cfa_offset 224",
                "mov qword ptr [rsp + 32], rdi",
                "mov qword ptr [rsp + 40], rsi",
                "mov qword ptr [rsp + 48], rdx",
                "mov qword ptr [rsp + 56], rcx",
                "mov qword ptr [rsp + 64], r8",
                "mov qword ptr [rsp + 72], r9",
                "test al, al",
                "je 2f",
                "movaps xmmword ptr [rsp + 80], xmm0",
                "movaps xmmword ptr [rsp + 96], xmm1",
                "movaps xmmword ptr [rsp + 112], xmm2",
                "movaps xmmword ptr [rsp + 128], xmm3",
                "movaps xmmword ptr [rsp + 144], xmm4",
                "movaps xmmword ptr [rsp + 160], xmm5",
                "movaps xmmword ptr [rsp + 176], xmm6",
                "movaps xmmword ptr [rsp + 192], xmm7",
                "2:",
                concat!("mov dword ptr [rsp], ", $named),
                "mov dword ptr [rsp + 4], 48",
                "lea rax, [rsp + 224]",
                "mov qword ptr [rsp + 8], rax",
                "lea rax, [rsp + 32]",
                "mov qword ptr [rsp + 16], rax",
                concat!("mov ", $register, ", rsp"),
                "call {list}",
                "add rsp, 216",
                ".cfi_def_cfa_offset 8",
                "ret",
                ".cfi_endproc",
                list = sym $list,
            );
        }
    )*};
}

varying! {
    sprintf => sprintf_list, 16, "rdx";
    snprintf => snprintf_list, 24, "rcx";
    __sprintf_chk => sprintf_chk_list, 32, "r8";
    __snprintf_chk => snprintf_chk_list, 40, "r9";
}
