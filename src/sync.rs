//! Locks of the files whose races `tests/races` looks for: it compiles the same files with a scheduler's own locks in place
//! of these.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

/// Marks a place where the disk is asked and others may come first: the scheduler of `tests/races` switches there.
pub(crate) fn disk_is_asked() {}
