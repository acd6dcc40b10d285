//! Texts straight into an arena: plain references to strings and C strings.

#![allow(clippy::mut_from_ref, reason = "each call returns memory of its own")]

use core::ffi::CStr;
use core::fmt::{self, Write as _};

use alloc_core::{AllocError, Allocator};

use crate::growing::Growing;
use crate::values::{Source, copy, room_for_slice, room_like};

/// Why no C string was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CStrError {
    /// No memory can be had, or a `Display` implementation reported an error of its own.
    Alloc(AllocError),
    /// There is a NUL at this index, in bytes: a C string would end there.
    InnerNul(usize),
}

impl From<AllocError> for CStrError {
    fn from(error: AllocError) -> Self {
        Self::Alloc(error)
    }
}

impl fmt::Display for CStrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alloc(error) => error.fmt(f),
            Self::InnerNul(index) => write!(f, "a NUL at index {index} would end the C string"),
        }
    }
}

impl core::error::Error for CStrError {}

/// How much room a text gets at first.
const TEXT_LEN: usize = 64;

pub(crate) fn format<'s, S: Source>(
    source: &'s S,
    arguments: fmt::Arguments<'_>,
) -> Result<&'s mut str, AllocError> {
    if let Some(text) = arguments.as_str() {
        return copy_str(source, text);
    }
    let mut growing = text_room(source)?;
    growing.write_fmt(arguments).map_err(|_| AllocError)?;
    // SAFETY: only whole `str`s were written.
    Ok(unsafe { core::str::from_utf8_unchecked_mut(growing.finish()) })
}

#[inline(always)]
pub(crate) fn copy_str<'s, S: Source>(
    source: &'s S,
    text: &str,
) -> Result<&'s mut str, AllocError> {
    let bytes = copy(room_like(source, text.as_bytes())?, text.as_bytes());
    // SAFETY: the bytes of a `str`.
    Ok(unsafe { core::str::from_utf8_unchecked_mut(bytes) })
}

/// A C string of `text`, which is copied.
pub(crate) fn copy_cstr<'s, S: Source>(source: &'s S, text: &CStr) -> Result<&'s CStr, AllocError> {
    let bytes = text.to_bytes_with_nul();
    let bytes = copy(room_like(source, bytes)?, bytes);
    // SAFETY: the bytes of a `CStr`, its NUL included.
    Ok(unsafe { CStr::from_bytes_with_nul_unchecked(bytes) })
}

/// A C string of `text`, which is copied if it has no NUL.
pub(crate) fn cstr_from<'s, S: Source>(source: &'s S, text: &str) -> Result<&'s CStr, CStrError> {
    if let Some(index) = text.find('\0') {
        return Err(CStrError::InnerNul(index));
    }
    // No overflow: a text has at most `isize::MAX` bytes.
    let room = room_for_slice(source, text.len() + 1)?;
    if let Some((last, room)) = room.split_last_mut() {
        copy(room, text.as_bytes());
        last.write(0);
    }
    // SAFETY: each was written.
    let bytes = unsafe { room.assume_init_ref() };
    // SAFETY: the last byte is NUL, and no other is: looked for above.
    Ok(unsafe { CStr::from_bytes_with_nul_unchecked(bytes) })
}

/// A C string of formatted text.
pub(crate) fn format_cstr<'s, S: Source>(
    source: &'s S,
    arguments: fmt::Arguments<'_>,
) -> Result<&'s CStr, CStrError> {
    if let Some(text) = arguments.as_str() {
        return cstr_from(source, text);
    }
    let mut growing = text_room(source)?;
    growing.write_fmt(arguments).map_err(|_| AllocError)?;
    finish_cstr(growing)
}

/// Room for a text at first: most are short. Where there is no room for that much, none.
fn text_room<S: Source>(source: &S) -> Result<Growing<'_, '_, S, u8>, AllocError> {
    Growing::new(source, TEXT_LEN).or_else(|_| Growing::new(source, 0))
}

/// A C string of the bytes so far; they are given back if there is a NUL in them.
pub(crate) fn finish_cstr<'s, S: Allocator>(
    mut growing: Growing<'_, 's, S, u8>,
) -> Result<&'s CStr, CStrError> {
    growing.push(0)?;
    // There is a NUL, so one is found.
    let text = CStr::from_bytes_until_nul(growing.items());
    let len = text.map_or(0, CStr::count_bytes);
    if len + 1 != growing.items().len() {
        return Err(CStrError::InnerNul(len));
    }
    // SAFETY: the last byte is NUL, and no other is: compared above.
    Ok(unsafe { CStr::from_bytes_with_nul_unchecked(growing.finish()) })
}

/// Writes the methods that put texts into something, as `impl_values` does.
macro_rules! impl_texts {
    (impl[$($generics:tt)*] $type:ty, $self:ident => $source:expr, $lifetime:lifetime) => {
        /// # Texts
        ///
        /// As plain references.
        #[allow(clippy::mut_from_ref, reason = "each call returns memory of its own")]
        impl<$($generics)*> $type {
            /// Puts a copy of a string here.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had.
            #[inline]
            pub fn put_str(&$self, text: &str) -> Result<&$lifetime mut str, AllocError> {
                $crate::texts::copy_str($source, text)
            }

            /// Puts formatted text here: `put_fmt(format_args!("{x} of {y}"))`. It is formatted once.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had, or if a `Display` implementation reports an error of
            /// its own.
            pub fn put_fmt(
                &$self,
                arguments: core::fmt::Arguments<'_>,
            ) -> Result<&$lifetime mut str, AllocError> {
                $crate::texts::format($source, arguments)
            }

            /// Puts a copy of a C string here.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had.
            #[inline]
            pub fn put_cstr(
                &$self,
                text: &core::ffi::CStr,
            ) -> Result<&$lifetime core::ffi::CStr, AllocError> {
                $crate::texts::copy_cstr($source, text)
            }

            /// Puts a copy of a string here, with a NUL behind it.
            ///
            /// # Errors
            ///
            /// [`CStrError`](crate::CStrError) if the text has a NUL, or no memory can be had; nothing is taken
            /// then.
            #[inline]
            pub fn put_cstr_from(
                &$self,
                text: &str,
            ) -> Result<&$lifetime core::ffi::CStr, $crate::CStrError> {
                $crate::texts::cstr_from($source, text)
            }

            /// As [`put_fmt`](Self::put_fmt), with a NUL behind the text.
            ///
            /// ```
            /// use alloc_arena::{Arena, CStrError};
            ///
            /// let arena = Arena::new();
            /// assert_eq!(arena.put_cstr_fmt(format_args!("/proc/{}/maps", 1))?, c"/proc/1/maps");
            /// assert_eq!(arena.put_cstr_from("two\0three"), Err(CStrError::InnerNul(3)));
            /// # Ok::<(), CStrError>(())
            /// ```
            ///
            /// # Errors
            ///
            /// [`CStrError`](crate::CStrError) if the text has a NUL, or no memory can be had, or a `Display`
            /// implementation reports an error of its own; nothing is taken then.
            pub fn put_cstr_fmt(
                &$self,
                arguments: core::fmt::Arguments<'_>,
            ) -> Result<&$lifetime core::ffi::CStr, $crate::CStrError> {
                $crate::texts::format_cstr($source, arguments)
            }

            /// As [`put_str`](Self::put_str).
            ///
            /// # Panics
            ///
            /// If no memory can be had.
            #[inline]
            #[track_caller]
            pub fn put_str_or_panic(&$self, text: &str) -> &$lifetime mut str {
                match $self.put_str(text) {
                    Ok(place) => place,
                    Err(AllocError) => $crate::values::out_of_memory(),
                }
            }

            /// As [`put_fmt`](Self::put_fmt).
            ///
            /// # Panics
            ///
            /// If no memory can be had, or if a `Display` implementation reports an error of its own.
            #[track_caller]
            pub fn put_fmt_or_panic(
                &$self,
                arguments: core::fmt::Arguments<'_>,
            ) -> &$lifetime mut str {
                match $self.put_fmt(arguments) {
                    Ok(place) => place,
                    Err(AllocError) => $crate::values::out_of_memory(),
                }
            }
        }
    };
}
pub(crate) use impl_texts;
