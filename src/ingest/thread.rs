//! Threads of a conversion. Where there is no memory for one, the process aborts, as it does where an allocation fails: its
//! parent tells of both in the same words.

use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// Starts a thread that works until the process ends.
pub(super) fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().spawn(work).unwrap_or_else(|error| give_up(&error))
}

/// Starts a thread of a scope.
pub(super) fn start_in<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    Builder::new().spawn_scoped(scope, work).unwrap_or_else(|error| give_up(&error))
}

fn give_up(error: &std::io::Error) -> ! {
    eprintln!("a thread cannot be started: {error}");
    std::process::abort()
}
