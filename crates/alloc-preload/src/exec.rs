//! Programs that start others, in their place or beside them: what they ignore stays ignored there.
//!
//! Functions with a list of arguments in the call (`execl`) make an array of it where it stands: behind
//! the registers on the stack.

use core::ffi::{c_char, c_int, c_void};

use alloc_gpa::signals::{around_exec, around_spawn};

use crate::errno;
use crate::symbols::Next;

type Strings = *const *const c_char;

/// Fails without libc.
fn fail() -> c_int {
    errno::set(libc::ENOSYS);
    -1
}

/// Writes functions that pass on to libc's.
macro_rules! execs {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        /// See exec(3).
        ///
        /// # Safety
        ///
        /// As C's: strings, and arrays of strings that null ends.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($arg: $type),*) -> c_int {
            around_exec(|| next!($name: fn($($type),*) -> c_int, ($($arg),*), else fail()))
        }
    )*};
}

execs! {
    execve(path: *const c_char, arguments: Strings, environment: Strings);
    execv(path: *const c_char, arguments: Strings);
    execvp(file: *const c_char, arguments: Strings);
    execvpe(file: *const c_char, arguments: Strings, environment: Strings);
    fexecve(file: c_int, arguments: Strings, environment: Strings);
}

/// Writes functions that pass on to libc's, which start another process and return an error's number.
macro_rules! spawns {
    ($($name:ident)*) => {$(
        /// See posix_spawn(3).
        ///
        /// # Safety
        ///
        /// As C's.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(
            pid: *mut libc::pid_t,
            path: *const c_char,
            actions: *const c_void,
            attributes: *const c_void,
            arguments: Strings,
            environment: Strings,
        ) -> c_int {
            around_spawn(|| next!($name:
                fn(*mut libc::pid_t, *const c_char, *const c_void, *const c_void, Strings, Strings)
                    -> c_int,
                (pid, path, actions, attributes, arguments, environment), else libc::ENOSYS))
        }
    )*};
}
spawns! { posix_spawn posix_spawnp }

/// Writes functions whose arguments are a list in the call: the five that stand in registers are put
/// before the others, where the return address was.
#[cfg(target_arch = "x86_64")]
macro_rules! lists {
    ($($name:ident => $function:ident;)*) => {$(
        /// See exec(3).
        ///
        /// # Safety
        ///
        /// As C's: strings, and a null pointer behind them.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub(crate) unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                ".cfi_startproc",
                "pop r10",
                ".cfi_def_cfa_offset 0",
                ".cfi_register rip, r10",
                "push r9",
                ".cfi_def_cfa_offset 8",
                "push r8",
                ".cfi_def_cfa_offset 16",
                "push rcx",
                ".cfi_def_cfa_offset 24",
                "push rdx",
                ".cfi_def_cfa_offset 32",
                "push rsi",
                ".cfi_def_cfa_offset 40",
                "mov rsi, rsp",
                "push r10",
                ".cfi_def_cfa_offset 48",
                ".cfi_offset rip, -48",
                "call {function}",
                "pop r10",
                ".cfi_def_cfa_offset 40",
                ".cfi_register rip, r10",
                "add rsp, 40",
                ".cfi_def_cfa_offset 0",
                "push r10",
                ".cfi_def_cfa_offset 8",
                ".cfi_offset rip, -8",
                "ret",
                ".cfi_endproc",
                function = sym $function,
            );
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
lists! {
    execl => execv;
    execlp => execvp;
    execle => with_environment;
}

/// `execle`: the environment stands behind the null pointer that ends the arguments.
///
/// # Safety
///
/// As C's.
#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn with_environment(path: *const c_char, arguments: Strings) -> c_int {
    let mut end = arguments;
    // SAFETY: strings up to a null pointer (contract).
    while !unsafe { end.read() }.is_null() {
        // SAFETY: before the null pointer.
        end = unsafe { end.add(1) };
    }
    // SAFETY: behind it stands one more argument (contract).
    let environment = unsafe { end.add(1) };
    // SAFETY: as above.
    let environment = unsafe { environment.cast::<Strings>().read() };
    // SAFETY: the same contract.
    unsafe { execve(path, arguments, environment) }
}
