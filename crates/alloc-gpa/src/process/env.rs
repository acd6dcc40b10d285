//! The variables of the environment that set the process's heap up, read without libc's help:
//! `getenv` may take a lock, and the heap may be the first thing that runs.

use core::ffi::{CStr, c_char};

use crate::sys::peek;

/// What a variable was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is not set.
    Not,
    /// It has this many bytes, which were copied.
    Copied(usize),
    /// It does not fit.
    TooLong,
}

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// Whose variables the process got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// Those of somebody with its own rights.
    Equal,
    /// Those of somebody with other rights (`AT_SECURE`): no variable counts.
    Raised,
}

impl Rights {
    /// Asks the kernel's word for it.
    pub(super) fn of_process() -> Self {
        // SAFETY: no preconditions.
        match unsafe { libc::getauxval(libc::AT_SECURE) } {
            0 => Self::Equal,
            _ => Self::Raised,
        }
    }
}

/// Copies the value of the variable `name` to `into`.
pub(super) fn variable(rights: Rights, name: &[u8], into: &mut [u8]) -> Found {
    if rights == Rights::Raised {
        return Found::Not;
    }
    // SAFETY: libc's variable; it is written by `setenv` in other threads at most, and read here
    // when the heap is first used.
    let list = unsafe { environ };
    if list.is_null() {
        return from_file(name, into);
    }
    for index in 0.. {
        // SAFETY: the list ends with a null pointer, before which this stops.
        let entry = unsafe { list.add(index) };
        // SAFETY: as above.
        let entry = unsafe { entry.read() };
        if entry.is_null() {
            break;
        }
        // SAFETY: entries of `environ` are C strings.
        let entry = unsafe { CStr::from_ptr(entry) }.to_bytes();
        if let Some(value) = entry.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"=")) {
            let Some(place) = into.get_mut(..value.len()) else { return Found::TooLong };
            place.copy_from_slice(value);
            return Found::Copied(value.len());
        }
    }
    Found::Not
}

/// Copies the value from `/proc/self/environ`: before libc has started.
fn from_file(name: &[u8], into: &mut [u8]) -> Found {
    let Some(file) = peek::open_self(c"/proc/self/environ") else { return Found::Not };
    let mut buffer = [0; 1024];
    let (mut len, mut at) = (0, 0);
    let found = from_bytes(name, into, || {
        if at == len {
            (len, at) = (peek::read_some(file, &mut buffer).unwrap_or(0), 0);
        }
        let byte = buffer[..len].get(at).copied();
        at += 1;
        byte
    });
    peek::close(file);
    found
}

/// Copies the value of `name` from entries that end with a NUL.
fn from_bytes(name: &[u8], into: &mut [u8], mut next: impl FnMut() -> Option<u8>) -> Found {
    loop {
        let mut matched = 0;
        // Reads the entry's name as far as it is the one that is wanted.
        let mut byte = next();
        while matched < name.len() && byte == Some(name[matched]) {
            matched += 1;
            byte = next();
        }
        if matched == name.len() && byte == Some(b'=') {
            for len in 0.. {
                match (next(), into.get_mut(len)) {
                    (None | Some(0), _) => return Found::Copied(len),
                    (Some(_), None) => return Found::TooLong,
                    (Some(byte), Some(place)) => *place = byte,
                }
            }
        }
        while byte.is_some_and(|byte| byte != 0) {
            byte = next();
        }
        if byte.is_none() {
            return Found::Not;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8], len: usize) -> (Found, [u8; 8]) {
        let mut into = [0; 8];
        let mut bytes = text.iter().copied();
        (from_bytes(b"KEY", &mut into[..len], || bytes.next()), into)
    }

    #[test]
    fn entries_are_told_apart() {
        let text = b"KEYS=a\0KE=b\0=c\0\0KEY=value\0KEY=x\0";
        assert_eq!(parse(text, 8), (Found::Copied(5), *b"value\0\0\0"));
        assert_eq!(parse(text, 5).0, Found::Copied(5));
        assert_eq!(parse(text, 4).0, Found::TooLong);
        for (text, found) in [
            (&b""[..], Found::Not),
            (b"KEY", Found::Not),
            (b"KEY=", Found::Copied(0)),
            (b"KEY\0KEYKEY=1\0AKEY=2", Found::Not),
            (b"A=KEY=1\0", Found::Not),
            (b"A\0KEY=1", Found::Copied(1)),
        ] {
            assert_eq!(parse(text, 8).0, found, "{}", text.escape_ascii());
        }
    }

    /// Both sources say the same of a variable that was there from the start.
    #[test]
    fn both_sources_agree() {
        let (mut a, mut b) = ([0; 4096], [0; 4096]);
        let found = variable(Rights::of_process(), b"PATH", &mut a);
        assert!(matches!(found, Found::Copied(1..)));
        assert_eq!(found, from_file(b"PATH", &mut b));
        assert_eq!(a, b);
        assert_eq!(variable(Rights::Equal, b"ALLOC_GPA_NO_SUCH", &mut a), Found::Not);
    }

    /// Whoever starts a set-uid program cannot set it up.
    #[test]
    fn raised_rights_see_no_variable() {
        let mut value = [0; 4096];
        assert_eq!(variable(Rights::Raised, b"PATH", &mut value), Found::Not);
        assert!(value.iter().all(|byte| *byte == 0));
        assert_eq!(Rights::of_process(), Rights::Equal, "tests are not set-uid");
    }
}
