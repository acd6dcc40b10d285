//! Names for parts of a program, of which a block's record holds a small number.
//!
//! Names are the process's, so that a finding of one heap and a snapshot of another mean the same by
//! one number; the figures are each heap's own.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicUsize};

use crate::lock::Lock;

/// Names at most; a further one is as none.
pub(crate) const TAG_COUNT_MAX: usize = 255;

/// A name: null where there is none yet.
struct Name {
    start: AtomicPtr<u8>,
    len: AtomicUsize,
}

static NAMES: [Name; TAG_COUNT_MAX] =
    [const { Name { start: AtomicPtr::new(ptr::null_mut()), len: AtomicUsize::new(0) } };
        TAG_COUNT_MAX];
/// Guards the entry of names.
static ENTRY: Lock<()> = Lock::new(());

/// The number of a name; 0: no name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TagId(pub(crate) u8);

impl TagId {
    pub(crate) const NONE: Self = Self(0);

    /// Returns the number of a name, entering it if it is new. `NONE` if there are too many.
    pub(crate) fn of(name: &'static str) -> Self {
        if let Some(known) = Self::known(name) {
            return known;
        }
        // Who cannot have the lock for long was forked while another thread had it: no name.
        let Some(_entry) = ENTRY.lock_or_give_up() else { return Self::NONE };
        if let Some(known) = Self::known(name) {
            return known;
        }
        let free = (1..=TAG_COUNT_MAX as u8)
            .zip(&NAMES)
            .find(|(_, place)| place.start.load(Relaxed).is_null());
        let Some((number, place)) = free else { return Self::NONE };
        // Relaxed: published by the Release below.
        place.len.store(name.len(), Relaxed);
        // Release: publishes the length; pairs with the Acquire in `name`.
        place.start.store(name.as_ptr().cast_mut(), Release);
        Self(number)
    }

    /// Returns the number of a name that was entered.
    fn known(name: &str) -> Option<Self> {
        (1..=TAG_COUNT_MAX as u8).map(Self).find(|tag| tag.name() == Some(name))
    }

    /// Returns the name.
    pub(crate) fn name(self) -> Option<&'static str> {
        let place = NAMES.get(usize::from(self.0).checked_sub(1)?)?;
        // Acquire: pairs with the Release in `of`.
        let start = NonNull::new(place.start.load(Acquire))?;
        let bytes = NonNull::slice_from_raw_parts(start, place.len.load(Relaxed));
        // SAFETY: start and length of a `&'static str`, which were stored together, once.
        let bytes: &'static [u8] = unsafe { bytes.as_ref() };
        // SAFETY: as above: UTF-8.
        Some(unsafe { core::str::from_utf8_unchecked(bytes) })
    }
}
