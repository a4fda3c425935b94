//! Asks a mount whether it answers, in a process of its own.
//!
//! A mount that hangs after it has taken a question keeps whoever asks waiting in the kernel, where not even SIGKILL ends
//! him. A thread that waits so would keep the whole program from ending; a process is left behind.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use crate::fuse::mountpoint;

/// The hidden verb under which that process runs; the mount point follows.
pub const ASK_VERB: &str = "ask-mount";

/// What a mount says.
#[derive(Debug)]
pub(super) enum Answer {
    /// It answered.
    Answers,
    /// The kernel answered in its place.
    Refused(io::Error),
    /// Nothing, for this time.
    Silent(Duration),
    /// It could not be asked.
    NotAsked(io::Error),
}

/// The process's whole life: its exit code is the errno, 0 for an answer.
pub fn ask_main(mountpoint: Option<OsString>) -> ExitCode {
    let asked = mountpoint.map_or(Err(io::Error::from_raw_os_error(libc::EINVAL)), |mountpoint| {
        mountpoint::count_blocks(Path::new(&mountpoint))
    });
    let errno = asked.err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
    ExitCode::from(u8::try_from(errno).unwrap_or(u8::MAX))
}

/// Asks, and waits for so long.
pub(super) async fn ask(mountpoint: &Path, limit: Duration) -> Answer {
    let child = tokio::process::Command::new("/proc/self/exe")
        .arg(ASK_VERB)
        .arg(mountpoint)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Answer::NotAsked(error),
    };
    match tokio::time::timeout(limit, child.wait()).await {
        Err(_) => Answer::Silent(limit),
        Ok(Err(error)) => Answer::NotAsked(error),
        Ok(Ok(status)) => match status.code() {
            Some(0) => Answer::Answers,
            Some(errno) => Answer::Refused(io::Error::from_raw_os_error(errno)),
            None => Answer::NotAsked(io::Error::other(status.to_string())),
        },
    }
}
