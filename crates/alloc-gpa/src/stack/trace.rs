//! One captured call stack.

/// The most frames a [`Trace`] holds.
pub(crate) const FRAMES_MAX: usize = 32;

/// A captured call stack.
#[derive(Clone)]
pub(crate) struct Trace {
    /// Return addresses, innermost first; those from `len` on mean nothing.
    pub(crate) frames: [usize; FRAMES_MAX],
    /// How many frames there are, at most [`FRAMES_MAX`].
    pub(crate) len: u8,
}

impl Trace {
    /// Creates an empty trace.
    #[inline]
    pub(crate) const fn new() -> Self {
        Self { frames: [0; FRAMES_MAX], len: 0 }
    }

    /// Returns the frames, innermost first.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[usize] {
        &self.frames[..usize::from(self.len).min(FRAMES_MAX)]
    }

    /// Appends a frame; a full trace stays as it is.
    #[inline]
    pub(crate) fn push(&mut self, frame: usize) {
        if let Some(place) = self.frames.get_mut(usize::from(self.len)) {
            *place = frame;
            self.len += 1;
        }
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Trace {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#x?}", self.as_slice())
    }
}
