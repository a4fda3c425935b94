//! The signals that a mount heeds; caught from before it answers.

use std::fs::File;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// To unmount; why.
    End(&'static str),
    /// To read the settings anew.
    Reload,
}

/// What SIGHUP means to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HangUp {
    /// Its terminal was closed.
    End,
    /// What daemons take it for.
    Reload,
}

/// Signals that were asked for.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    hang_up_means: HangUp,
}

impl Signals {
    /// Catches them. A process on a terminal ends with that, unless it was started to outlive it (nohup(1)); any other one,
    /// and so every service, is asked to reload, if it can.
    ///
    /// # Errors
    /// They cannot be caught.
    pub(super) fn new(can_reload: bool) -> io::Result<Self> {
        // before it is caught; and before the terminal goes, which takes it away from all its processes
        let means = meaning(can_reload, has_terminal(), is_ignored(libc::SIGHUP));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            hang_up_means: means,
        })
    }

    /// What the next one asks for.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::End("interrupted"),
            _ = self.terminate.recv() => Wish::End("terminated"),
            _ = self.hang_up.recv() => match self.hang_up_means {
                HangUp::End => Wish::End("hung up"),
                HangUp::Reload => Wish::Reload,
            },
        }
    }
}

fn meaning(can_reload: bool, has_terminal: bool, is_ignored: bool) -> HangUp {
    if can_reload && (is_ignored || !has_terminal) { HangUp::Reload } else { HangUp::End }
}

/// Whether the process belongs to a terminal (tty(4)).
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Whether a signal was ignored by whoever started this process.
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks only: nothing is set, and `action` has room for the answer.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } == 0;
    // SAFETY: zeroed, which is a valid value, and written by the call if it succeeded.
    asked && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_terminal_ends_a_mount_and_a_service_reloads() {
        assert_eq!(meaning(true, false, false), HangUp::Reload, "a service");
        assert_eq!(meaning(true, true, false), HangUp::End, "on a terminal");
        assert_eq!(meaning(true, true, true), HangUp::Reload, "under nohup");
        assert_eq!(meaning(false, false, false), HangUp::End, "a demo");
    }
}
