//! The modes.

/// The value of `ALLOC_GPA` of each mode but the default, and the column of the table that says what it
/// finds.
pub(crate) const MODES: [(&str, &str); 6] = [
    ("stacks=off", "default"),
    ("guard_impl=mprotect", "default"),
    ("guard=every", "every"),
    ("guard=every,guard_impl=mprotect", "every"),
    ("guard=every,guard_align=exact", "exact"),
    ("guard=every,guard_align=left", "left"),
];
