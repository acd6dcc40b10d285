//! The variables that the process was started with, read where the kernel put them.
//!
//! The first call of `malloc` comes before libc knows its environment, and `getenv` is the
//! program's to change.

use core::ffi::{CStr, c_char};

unsafe extern "C" {
    /// Where the kernel put the argument count; the loader's, set before anything else.
    static __libc_stack_end: *const usize;
}

/// Whether the kernel started the process with more rights than its caller has: then nothing that
/// the caller set is followed.
pub(crate) fn is_secure() -> bool {
    // SAFETY: reads a word that the kernel gave the process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Returns the value of a variable at the start of the process. For the first call only: a program
/// may write over the place later, to change its title.
pub(crate) fn initial(name: &str) -> Option<&'static [u8]> {
    // SAFETY: the loader set it before it ran any code of this object.
    let count_at = unsafe { __libc_stack_end };
    if count_at.is_null() {
        return None;
    }
    // SAFETY: the process's start block: count, arguments, null, variables, null (System V ABI,
    // "Process Initialization"), which stays mapped.
    let count = unsafe { count_at.read() };
    // SAFETY: as above: past the count, the arguments and their null.
    let first = unsafe { count_at.add(count + 2) }.cast::<*const c_char>();
    // SAFETY: as above: a list of C strings with a null at its end.
    unsafe { find(first, name) }
}

/// Returns the value of `name` in a list of `NAME=value`.
///
/// # Safety
///
/// The list holds pointers to C strings that live for ever, and ends with null.
unsafe fn find(mut list: *const *const c_char, name: &str) -> Option<&'static [u8]> {
    loop {
        // SAFETY: not past the null at the end: the loop ends there.
        let entry = unsafe { list.read() };
        if entry.is_null() {
            return None;
        }
        // SAFETY: a C string that lives for ever, by the contract.
        let entry = unsafe { CStr::from_ptr(entry) }.to_bytes();
        let value = entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        if value.is_some() {
            return value;
        }
        // SAFETY: this entry is not the last.
        list = unsafe { list.add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A variable is found by its whole name, junk in between is passed over.
    #[test]
    fn variables_are_found() {
        let entries = [c"", c"=", c"AB=no", c"A", c"A=\xff=1", c"A=2", c"=A=3"];
        let mut list = entries.map(CStr::as_ptr).to_vec();
        list.push(core::ptr::null());
        let value = |name| {
            // SAFETY: constant C strings, and a null at the end.
            unsafe { find(list.as_ptr(), name) }
        };
        assert_eq!(value("A"), Some(&b"\xff=1"[..]));
        assert_eq!(value("AB"), Some(&b"no"[..]));
        assert_eq!(value("B"), None);
        assert_eq!(value("ABC"), None);
    }

    #[test]
    fn the_start_block_is_read() {
        let path = std::env::var_os("PATH").expect("a test has a path");
        assert_eq!(initial("PATH"), Some(path.as_encoded_bytes()));
        assert_eq!(initial("ALLOC_PRELOAD_IS_NOT_SET"), None);
        assert!(!is_secure());
    }
}
