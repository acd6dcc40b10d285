//! A text is kept in upper case; what memory is missing for is reported, or not.

use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};

/// Takes a failed request for an empty text.
///
/// # Errors
///
/// None.
pub fn faulty<'a>(
    gpa: &'a dyn Allocator,
    text: &str,
) -> Result<Option<Owned<str, &'a dyn Allocator>>, AllocError> {
    let copy = gpa.dupe_str(text).ok(); // planted
    Ok(copy.map(upper))
}

/// Passes the failure on.
///
/// # Errors
///
/// If there is no memory.
pub fn corrected<'a>(
    gpa: &'a dyn Allocator,
    text: &str,
) -> Result<Option<Owned<str, &'a dyn Allocator>>, AllocError> {
    let copy = gpa.dupe_str(text)?;
    Ok(Some(upper(copy)))
}

fn upper(mut text: Owned<str, &dyn Allocator>) -> Owned<str, &dyn Allocator> {
    text.make_ascii_uppercase();
    text
}
