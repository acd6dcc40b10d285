//! What users see of a stored stack.

use core::fmt;

use crate::stack::{self, FRAMES_MAX, StackId, Trace, thread};

impl StackId {
    /// The number that a slot's record holds.
    #[inline]
    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// The id behind a number that [`get`](Self::get) returned.
    #[inline]
    pub(crate) const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// Returns the return addresses of the stack, innermost first; none if there is no stack.
    pub fn frames(self) -> impl Iterator<Item = usize> {
        let mut trace = Trace::new();
        let len = if stack::depot().get(self, &mut trace) { trace.len as usize } else { 0 };
        trace.frames.into_iter().take(len.min(FRAMES_MAX))
    }

    /// Captures the calling thread's stack, at most 32 frames, the caller's first among those that
    /// [`write`](Self::write) shows: for tools that tell where something happened. Some hundred
    /// nanoseconds; takes no memory from any heap.
    ///
    /// ```
    /// let mut text = String::new();
    /// alloc_gpa::StackId::capture().write(&mut text).unwrap();
    /// assert!(text.contains("main"), "{text}");
    /// ```
    #[must_use]
    #[inline(never)]
    pub fn capture() -> Self {
        let inside = thread::enter();
        // From a signal handler that interrupted a capture: capturing is not re-entrant.
        if inside.is_none() { Self::NONE } else { stack::capture_id(FRAMES_MAX) }
    }

    /// Writes the functions of the stack from the user's first on, one a line behind four spaces, with
    /// file and line where they are known; nothing if there is no stack. It allocates, and takes long
    /// the first time: symbols are read from the program's file.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write(self, out: &mut dyn fmt::Write) -> fmt::Result {
        let mut trace = Trace::new();
        match stack::depot().get(self, &mut trace) {
            true => stack::write_resolved(&trace, out),
            false => Ok(()),
        }
    }
}
