//! The modes.

/// The value of `ALLOC_GPA` of each mode but the default, and the column of the table that says what it
/// finds.
pub(crate) const MODES: [(&str, &str); 1] = [("stacks=off", "default")];
