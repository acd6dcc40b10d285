//! A small map whose entries are two blocks: a key, and a value.

use core::mem::ManuallyDrop;

use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};

/// A text in memory of an allocator, which its map frees.
type Text<'a> = ManuallyDrop<Owned<str, &'a dyn Allocator>>;

/// Room for entries.
const CAPACITY: usize = 4;

/// A map of up to four entries.
pub struct Map<'a> {
    gpa: &'a dyn Allocator,
    keys: [Option<Text<'a>>; CAPACITY],
    values: [Option<Text<'a>>; CAPACITY],
    len: usize,
}

/// Puts an entry into a map.
pub type Insert = for<'a> fn(&mut Map<'a>, &str, &str) -> Result<(), AllocError>;

impl<'a> Map<'a> {
    /// Makes an empty map.
    pub fn new(gpa: &'a dyn Allocator) -> Self {
        Self { gpa, keys: [const { None }; CAPACITY], values: [const { None }; CAPACITY], len: 0 }
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let is_key = |kept: &Option<Text<'a>>| kept.as_ref().is_some_and(|kept| &***kept == key);
        let index = self.keys[..self.len].iter().position(is_key)?;
        self.values[index].as_ref().map(|value| &***value)
    }
}

impl Drop for Map<'_> {
    /// Frees the entries, of which there are `len`.
    fn drop(&mut self) {
        for text in self.keys[..self.len].iter_mut().chain(&mut self.values[..self.len]) {
            text.take().map(ManuallyDrop::into_inner);
        }
    }
}

/// Keeps the key before there is a value; if there is none, no entry counts it.
///
/// # Errors
///
/// If there is no memory.
pub fn faulty(map: &mut Map<'_>, key: &str, value: &str) -> Result<(), AllocError> {
    map.keys[map.len] = Some(ManuallyDrop::new(map.gpa.dupe_str(key)?)); // planted
    map.values[map.len] = Some(ManuallyDrop::new(map.gpa.dupe_str(value)?));
    map.len += 1;
    Ok(())
}

/// Has both before it keeps either.
///
/// # Errors
///
/// If there is no memory.
pub fn corrected(map: &mut Map<'_>, key: &str, value: &str) -> Result<(), AllocError> {
    let key = map.gpa.dupe_str(key)?;
    let value = map.gpa.dupe_str(value)?;
    map.keys[map.len] = Some(ManuallyDrop::new(key));
    map.values[map.len] = Some(ManuallyDrop::new(value));
    map.len += 1;
    Ok(())
}
