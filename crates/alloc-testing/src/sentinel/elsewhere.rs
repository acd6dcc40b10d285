//! Threads where `pthread_create` is not the program's: they belong to no region until they adopt one.

/// As [`hook`].
pub(super) type Hook = fn();

/// Does nothing.
#[expect(clippy::extra_unused_type_parameters, reason = "as elsewhere")]
pub(super) fn hook<P>() {}

/// Nothing to prepare.
pub(super) fn prepare() {}
