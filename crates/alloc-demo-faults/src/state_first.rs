//! A cursor that counts the lines which it keeps.

use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};

/// The last line, and how many there were.
pub struct Cursor<'a> {
    gpa: &'a dyn Allocator,
    /// How many lines came.
    pub count: usize,
    last: Option<Owned<str, &'a dyn Allocator>>,
}

/// Takes a line.
pub type Push = for<'a> fn(&mut Cursor<'a>, &str) -> Result<(), AllocError>;

impl<'a> Cursor<'a> {
    /// Makes a cursor before the first line.
    pub fn new(gpa: &'a dyn Allocator) -> Self {
        Self { gpa, count: 0, last: None }
    }

    /// Returns the last line.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }
}

/// Counts the line before it is kept; if it cannot be, the count is wrong.
///
/// # Errors
///
/// If there is no memory.
pub fn faulty(cursor: &mut Cursor<'_>, line: &str) -> Result<(), AllocError> {
    cursor.count += 1;
    cursor.last = Some(cursor.gpa.dupe_str(line)?); // planted
    Ok(())
}

/// Counts what is kept.
///
/// # Errors
///
/// If there is no memory.
pub fn corrected(cursor: &mut Cursor<'_>, line: &str) -> Result<(), AllocError> {
    cursor.last = Some(cursor.gpa.dupe_str(line)?);
    cursor.count += 1;
    Ok(())
}
