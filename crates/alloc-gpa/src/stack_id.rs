//! What users see of a stored stack.

use crate::stack::{self, FRAMES_MAX, StackId, Trace};

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
}
