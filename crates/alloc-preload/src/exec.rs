//! Programs that start others in their place: what they ignore stays ignored there.
//!
//! Of exec(3) those whose arguments are not a list in the call: stable Rust cannot write `execl`.

use core::ffi::{c_char, c_int};

use alloc_gpa::signals::around_exec;

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
