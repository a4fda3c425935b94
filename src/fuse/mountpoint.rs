//! The mount point: is it fit, is a dead mount in the way, how is it taken away again.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Type of our mounts in `/proc/self/mountinfo` when fusermount3 made them.
const FS_TYPE: &str = "fuse.clmsfs";
/// What they are mounted from in the tables of mounts; that of an instance has its name behind it: `clmsfs#lab`.
pub const SOURCE: &str = "clmsfs";

/// The instance that a source names (`clmsfs#lab` → `lab`); empty for none, `None` if the source is not ours.
pub fn instance(source: &str) -> Option<&str> {
    match source.strip_prefix(SOURCE)? {
        "" => Some(""),
        rest => rest.strip_prefix('#').filter(|name| !name.is_empty() && !name.contains('/')),
    }
}

/// Most dead mounts that are taken off one directory.
const MOST_DEAD: usize = 16;

/// Why a directory cannot be mounted on.
#[derive(Debug, thiserror::Error)]
pub enum MountpointError {
    /// It does not exist.
    #[error("mount point {} does not exist: create it with mkdir -p", .0.display())]
    Missing(PathBuf),
    /// It is no directory.
    #[error("mount point {} is not a directory: name an empty directory", .0.display())]
    NotADirectory(PathBuf),
    /// It has content.
    #[error("mount point {} is not empty: name an empty directory", .0.display())]
    NotEmpty(PathBuf),
    /// A living clmsfs is mounted there.
    #[error("{} is mounted already: use it, or unmount it with clmsfs umount {}", .0.display(), .0.display())]
    Mounted(PathBuf),
    /// It cannot be looked at.
    #[error("mount point {}: {source}", path.display())]
    Io {
        /// The mount point.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Unmounting failed.
    #[error("{} cannot be unmounted: {reason}", path.display())]
    Unmount {
        /// The mount point.
        path: PathBuf,
        /// What the system or fusermount3 said.
        reason: String,
    },
}

/// Creates a mount point that is missing, if this user may; if not, [`prepare`] says so.
pub fn make(path: &Path) {
    if fs::create_dir(path).is_ok() {
        // whatever the process makes for itself is private; this one is to be seen by all
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o755));
    }
}

/// Makes sure that `path` is an empty directory without a mount of ours; detaches dead ones left by crashes.
///
/// # Errors
/// [`MountpointError`] says what is in the way.
pub fn prepare(path: &Path) -> Result<PathBuf, MountpointError> {
    // a dead mount may lie over another dead one, but not without end
    for _ in 0..MOST_DEAD {
        match inspect(path) {
            Err(MountpointError::Io { source, .. }) if means_dead(&source) => {
                tracing::warn!(mountpoint = %path.display(), "a dead mount is in the way; it is detached");
                detach(path)?;
            }
            fit => return fit,
        }
    }
    inspect(path)
}

/// Takes away the dead mounts at `path`. One that lives stays.
///
/// # Errors
/// [`MountpointError::Unmount`].
pub fn detach_dead(path: &Path) -> Result<(), MountpointError> {
    for _ in 0..MOST_DEAD {
        if !is_dead(path) {
            break;
        }
        detach(path)?;
    }
    Ok(())
}

/// The canonical path of an empty directory without a mount of ours.
fn inspect(path: &Path) -> Result<PathBuf, MountpointError> {
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => MountpointError::Missing(path.to_owned()),
        _ => MountpointError::Io { path: path.to_owned(), source },
    };
    if !fs::metadata(path).map_err(io)?.is_dir() {
        return Err(MountpointError::NotADirectory(path.to_owned()));
    }
    let full = path.canonicalize().map_err(io)?;
    // the kernel may still hold the attributes of a dead mount, but nobody opens its directory or counts its blocks
    count_blocks(&full).map_err(io)?;
    let mut entries = fs::read_dir(&full).map_err(io)?;
    if mounts().contains(&full) {
        return Err(MountpointError::Mounted(full));
    }
    match entries.next().transpose().map_err(io)? {
        Some(_) => Err(MountpointError::NotEmpty(full)),
        None => Ok(full),
    }
}

/// True where the process behind a mount is gone. One that hangs keeps whoever asks waiting.
pub fn is_dead(path: &Path) -> bool {
    count_blocks(path).is_err_and(|error| means_dead(&error))
}

/// True for what the kernel answers when the process behind a mount is gone.
fn means_dead(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOTCONN)
}

/// statfs(2), which a mount answers itself, each time. One that hangs keeps whoever asks waiting.
///
/// # Errors
/// What statfs(2) says: ENOTCONN where the process behind the mount is gone.
pub fn count_blocks(path: &Path) -> io::Result<()> {
    let text = CString::new(path.as_os_str().as_bytes())?;
    let mut answer = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `text` is NUL-terminated, `answer` has room for a statfs; it is not read.
    let status = unsafe { libc::statfs(text.as_ptr(), answer.as_mut_ptr()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The absolute path of a mount point without asking the mount itself, which may be dead: only the folders above
/// it are resolved.
///
/// # Errors
/// When the working directory is unknown.
pub fn without_asking(path: &Path) -> io::Result<PathBuf> {
    let full = std::path::absolute(path)?;
    Ok(match (full.parent().map(Path::canonicalize), full.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => full,
    })
}

/// Mount points of all clmsfs mounts that this process can see.
pub fn mounts() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter_map(our_mount).collect()
}

/// Those of them that `user` has mounted.
pub fn mounts_of(user: u32) -> Vec<PathBuf> {
    lines_of(user, &[]).iter().filter_map(|line| our_mount(line)).collect()
}

/// The lines of the kernel's table (proc(5), mountinfo) about them, and about clmsfs mounts at these `places`.
pub fn lines_of(user: u32, places: &[PathBuf]) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let is_wanted = |line: &&str| {
        our_mount(line).is_some_and(|place| mounted_by(line) == Some(user) || places.contains(&place))
    };
    table.lines().filter(is_wanted).map(str::to_owned).collect()
}

/// Who has mounted what a line of mountinfo tells of, for FUSE.
fn mounted_by(line: &str) -> Option<u32> {
    let options = line.split_once(" - ")?.1.split(' ').nth(2)?;
    options.split(',').find_map(|option| option.strip_prefix("user_id="))?.parse().ok()
}

/// The mount point of a line of mountinfo (proc(5)) if the mount is ours.
fn our_mount(line: &str) -> Option<PathBuf> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    // a mount by root of an earlier build has only the source
    let ours = match (after.next()?, after.next()?) {
        (FS_TYPE, _) => true,
        (kind, source) => kind == "fuse" && instance(source).is_some(),
    };
    ours.then(|| before.split(' ').nth(4).map(unescape)).flatten()
}

/// Undoes the octal escapes of mountinfo.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.get(..3)).flatten();
        let code = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|d| u8::from_str_radix(d, 8).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes))
}

/// Detaches whatever is mounted at `path`, dead or alive, at once; open files stay usable until they are closed.
///
/// # Errors
/// [`MountpointError::Unmount`].
pub fn detach(path: &Path) -> Result<(), MountpointError> {
    let fail = |reason: String| MountpointError::Unmount { path: path.to_owned(), reason };
    let text = CString::new(path.as_os_str().as_bytes()).map_err(|error| fail(error.to_string()))?;
    // SAFETY: `text` is NUL-terminated and lives through the call.
    if unsafe { libc::umount2(text.as_ptr(), libc::MNT_DETACH) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::EPERM) {
        return Err(fail(error.to_string()));
    }
    // an ordinary user has fusermount3 do it
    let output = Command::new("fusermount3")
        .args(["-u", "-z", "--"])
        .arg(path)
        .output()
        .map_err(|error| fail(format!("fusermount3: {error}; install the package fuse3")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(fail(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Raises the readahead of the mount to 1 MiB; only root may, and it doubles sequential speed.
///
/// # Errors
/// What stat(2) or writing to sysfs say.
pub fn raise_readahead(path: &Path) -> io::Result<()> {
    let device = fs::metadata(path)?.dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    fs::write(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"), "1024")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn our_lines_of_mountinfo_are_found() {
        let line = r"36 35 0:42 / /mnt/with\040blank rw,nosuid - fuse.clmsfs clmsfs rw,user_id=0";
        assert_eq!(our_mount(line), Some(PathBuf::from("/mnt/with blank")));
        assert_eq!(our_mount("36 35 0:42 / /mnt rw - ext4 /dev/vda rw"), None);
        assert_eq!(our_mount("nonsense"), None);
        assert_eq!(our_mount("36 35 0:42 / /mnt rw - fuse.clmsfs"), None, "cut");
    }

    #[test]
    fn who_has_mounted_stands_among_the_options_of_the_kind() {
        let line = "36 35 0:42 / /mnt rw,user_id=7 - fuse.clmsfs clmsfs rw,user_id=1000,group_id=8";
        assert_eq!(mounted_by(line), Some(1000));
        assert_eq!(mounted_by("36 35 0:42 / /mnt rw,user_id=7 - ext4 /dev/vda rw"), None);
    }

    #[test]
    fn mounts_made_by_root_are_ours_by_their_source() {
        let line = |kind: &str, source: &str| {
            format!("36 35 0:42 / /mnt rw,nosuid shared:1 - {kind} {source} rw,user_id=0,group_id=0")
        };
        assert_eq!(our_mount(&line("fuse", "clmsfs")), Some(PathBuf::from("/mnt")));
        assert_eq!(our_mount(&line("fuse.clmsfs", "anything")), Some(PathBuf::from("/mnt")));
        for (kind, source) in [("fuse", "sshfs"), ("fuse.sshfs", "clmsfs"), ("ext4", "clmsfs")] {
            assert_eq!(our_mount(&line(kind, source)), None, "{kind} {source}");
        }
    }

    #[test]
    fn only_the_folders_above_a_mount_point_are_resolved() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap().join("real");
        fs::create_dir(&real).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(without_asking(&link.join("dead")).unwrap(), real.join("dead"));
    }

    #[test]
    fn unfit_mount_points_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        assert!(matches!(prepare(&missing), Err(MountpointError::Missing(path)) if path == missing));
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(matches!(prepare(&dir.path().join("file")), Err(MountpointError::NotADirectory(_))));
        assert!(matches!(prepare(dir.path()), Err(MountpointError::NotEmpty(_))));
        let empty = dir.path().join("empty");
        make(&empty);
        make(&empty.join("deep/er"));
        assert_eq!(prepare(&empty).unwrap(), empty.canonicalize().unwrap());
    }
}
