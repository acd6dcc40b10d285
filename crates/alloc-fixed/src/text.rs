//! Formatting into given memory.

use core::fmt::{self, Write};
use core::mem::MaybeUninit;

use alloc_core::AllocError;

/// Formats into a buffer, without an allocator; usually called through [`format_into!`](crate::format_into).
///
/// # Errors
///
/// [`AllocError`] if the text does not fit, or if a `Display` implementation reports an error of its
/// own.
pub fn format_arguments<'buf>(
    buffer: &'buf mut [MaybeUninit<u8>],
    arguments: fmt::Arguments<'_>,
) -> Result<&'buf mut str, AllocError> {
    let mut text = Text::new(buffer);
    text.write_fmt(arguments).map_err(|_| AllocError)?;
    if text.is_cut { Err(AllocError) } else { Ok(text.into_str()) }
}

/// Formats text into a buffer, `&mut [MaybeUninit<u8>]` or a [`StackBuffer`](crate::StackBuffer);
/// returns `Result<&mut str, AllocError>`. Nothing else is touched, so a signal handler may do it, if
/// the arguments' `Display` allows.
///
/// ```
/// use alloc_fixed::{StackBuffer, format_into};
///
/// let mut stack = StackBuffer::<16>::new();
/// assert_eq!(format_into!(&mut stack, "{:#x} of {}", 255, 7).unwrap(), "0xff of 7");
/// assert!(format_into!(&mut stack, "{:20}", 1).is_err(), "it does not fit");
/// ```
#[macro_export]
macro_rules! format_into {
    ($buffer:expr, $($arguments:tt)+) => {
        $crate::format_arguments($buffer, ::core::format_args!($($arguments)+))
    };
}

/// Text that is written into a buffer piece by piece. What does not fit is cut off at the end of a
/// character, and [`is_cut`](Self::is_cut) says so: for lines of a log, of which a part is better than
/// none.
///
/// ```
/// use alloc_fixed::{StackBuffer, Text};
/// use core::fmt::Write;
///
/// let mut stack = StackBuffer::<8>::new();
/// let mut text = Text::new(&mut stack);
/// assert!(write!(text, "{}-{}", 12, 34).is_ok());
/// assert!(write!(text, "péché").is_err());
/// assert_eq!((text.as_str(), text.is_cut()), ("12-34pé", true));
/// ```
pub struct Text<'buf> {
    buffer: &'buf mut [MaybeUninit<u8>],
    /// Invariant: so many bytes of the buffer are written, and are UTF-8.
    len: usize,
    is_cut: bool,
}

impl<'buf> Text<'buf> {
    /// Makes an empty text.
    #[inline]
    pub const fn new(buffer: &'buf mut [MaybeUninit<u8>]) -> Self {
        Self { buffer, len: 0, is_cut: false }
    }

    /// Returns what was written.
    #[inline]
    pub fn as_str(&self) -> &str {
        let bytes = core::ptr::slice_from_raw_parts(self.buffer.as_ptr().cast(), self.len);
        // SAFETY: so many bytes are written (invariant), and borrowed.
        let bytes = unsafe { &*bytes };
        // SAFETY: they are UTF-8 (invariant).
        unsafe { core::str::from_utf8_unchecked(bytes) }
    }

    /// Returns what was written, for as long as the buffer is lent.
    #[inline]
    pub fn into_str(self) -> &'buf mut str {
        let bytes = core::ptr::slice_from_raw_parts_mut(self.buffer.as_mut_ptr().cast(), self.len);
        // SAFETY: so many bytes are written (invariant), and borrowed uniquely for `'buf`.
        let bytes = unsafe { &mut *bytes };
        // SAFETY: they are UTF-8 (invariant).
        unsafe { core::str::from_utf8_unchecked_mut(bytes) }
    }

    /// Whether something did not fit; nothing is written after that.
    #[inline]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Empties the text.
    #[inline]
    pub const fn clear(&mut self) {
        self.len = 0;
        self.is_cut = false;
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_cut {
            return Err(fmt::Error);
        }
        let free = self.buffer.get_mut(self.len..).unwrap_or_default();
        let fitting = text.floor_char_boundary(free.len());
        for (slot, byte) in free.iter_mut().zip(text.bytes().take(fitting)) {
            slot.write(byte);
        }
        // Whole characters of a `str`, as many as there was room for.
        self.len += fitting;
        self.is_cut = fitting < text.len();
        if self.is_cut { Err(fmt::Error) } else { Ok(()) }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").field("text", &self.as_str()).field("is_cut", &self.is_cut).finish()
    }
}
