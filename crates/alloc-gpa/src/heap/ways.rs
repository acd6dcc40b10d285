//! What of the settings decides which way a block goes, and with what, as the short ways need it.
#![forbid(unsafe_code)]

use crate::config::{Config, Guard};

/// What of the settings a block's way depends on.
pub(super) struct Ways {
    /// Whether allocations go the way of those that are limited, guarded, or of used slots.
    pub(super) alloc_is_special: bool,
    /// Whether a free has more to do than usual: for a limit, or a quarantine.
    pub(super) free_is_special: bool,
    /// What freed bytes are filled with, eight times.
    pub(super) junk: u64,
}

impl Ways {
    pub(super) fn of(config: &Config) -> Self {
        let free_is_special = config.memory_limit.is_some() || config.quarantine.is_some();
        let alloc_is_special = free_is_special || config.guard != Guard::Off;
        let junk = u64::from_ne_bytes([config.junk; 8]);
        Self { alloc_is_special, free_is_special, junk }
    }
}
