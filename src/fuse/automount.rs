//! Mounting on a directory that systemd watches for an automount unit (autofs).
//!
//! Whoever opens such a directory waits until something is mounted there. fuser opens it before it mounts, and would wait for
//! itself; mount(2) alone does not.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fuser::{Config, Session, SessionACL};

use super::adapter::Adapter;
use super::mountpoint;

/// Mounts at `path`, by hand where an automount waits there.
///
/// # Errors
/// What the system says; nothing is mounted then.
pub(super) fn session(
    adapter: Adapter,
    source: &str,
    path: &Path,
    config: &Config,
) -> io::Result<Session<Adapter>> {
    if !mountpoint::is_automount(path) {
        return Session::new(adapter, path, config);
    }
    let device = mount(source, path, config.acl)?;
    Session::from_fd(adapter, device, config.acl, config.clone()).inspect_err(|_| {
        if let Err(error) = mountpoint::detach(path) {
            tracing::warn!(%error, "a mount that does not answer is left");
        }
    })
}

/// mount(2) of the kernel's FUSE, for root only; the descriptor is where its questions come from.
fn mount(source: &str, path: &Path, acl: SessionACL) -> io::Result<OwnedFd> {
    let device = OwnedFd::from(File::options().read(true).write(true).open("/dev/fuse")?);
    // SAFETY: geteuid and getegid take nothing, always succeed and touch no memory.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let others = if acl == SessionACL::Owner { "" } else { ",allow_other" };
    let data = format!("fd={},rootmode=40000,user_id={user},group_id={group}{others}", device.as_raw_fd());
    let (source, data) = (CString::new(source)?, CString::new(data)?);
    let target = CString::new(path.as_os_str().as_bytes())?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC | libc::MS_NOATIME;
    // SAFETY: all texts are NUL-terminated and live through the call.
    let status = unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), c"fuse.clmsfs".as_ptr(), flags, data.as_ptr().cast())
    };
    if status == 0 { Ok(device) } else { Err(io::Error::last_os_error()) }
}
