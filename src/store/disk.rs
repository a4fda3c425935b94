//! What the disk below the cache answers when it refuses: what kind of refusal it is, and the way out.

use std::io;

/// What stands between us and writing to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No free bytes, or no free inodes: df shows the one, df -i the other.
    Full,
    /// The quota of the user, group or project is used up.
    Quota,
    /// Mounted read-only, perhaps by the kernel after an error.
    ReadOnly,
    /// Reads or writes fail.
    Failing,
    /// The user that mounts may not write there.
    Forbidden,
}

impl Trouble {
    /// The trouble that an errno tells of; `None` for what is no matter of the disk.
    pub fn of_errno(errno: i32) -> Option<Self> {
        match errno {
            libc::ENOSPC => Some(Self::Full),
            libc::EDQUOT => Some(Self::Quota),
            libc::EROFS => Some(Self::ReadOnly),
            libc::EIO | libc::ENODEV | libc::ENXIO | libc::EUCLEAN => Some(Self::Failing),
            libc::EACCES | libc::EPERM => Some(Self::Forbidden),
            _ => None,
        }
    }

    /// The trouble that an error tells of.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.raw_os_error().and_then(Self::of_errno)
    }

    /// True where room is missing: evicting or deleting helps, ordering again does not.
    pub const fn is_lack_of_room(self) -> bool {
        matches!(self, Self::Full | Self::Quota)
    }

    /// What the user can do.
    pub const fn way_out(self) -> &'static str {
        match self {
            Self::Full => "the disk is full: make room on it (df shows bytes, df -i inodes)",
            Self::Quota => "the quota is used up: raise it, or set --cache-size below it",
            Self::ReadOnly => {
                "the disk is read-only: mount it writable again (dmesg says why), or name another --cache-dir"
            }
            Self::Failing => "the disk fails: see dmesg, check it, or name a --cache-dir on another one",
            Self::Forbidden => {
                "give the user that mounts the right to write there, or name another --cache-dir"
            }
        }
    }
}

/// The way out as the end of a message, empty where the error is no matter of the disk.
pub fn advice(error: &io::Error) -> String {
    Trouble::of(error).map(|trouble| format!("; {}", trouble.way_out())).unwrap_or_default()
}

/// The same for a folder that cannot be made: where the disk is not to blame, its name is.
pub(super) fn advice_for_folder(error: &io::Error) -> String {
    match advice(error) {
        advice if advice.is_empty() => "; name another --cache-dir".to_owned(),
        advice => advice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_disk_refuses_has_a_way_out_and_the_rest_has_none() {
        let error = io::Error::from_raw_os_error;
        for (errno, word) in [
            (libc::ENOSPC, "make room"),
            (libc::EDQUOT, "quota"),
            (libc::EROFS, "read-only"),
            (libc::EIO, "dmesg"),
            (libc::EACCES, "right"),
        ] {
            assert!(advice(&error(errno)).contains(word), "{errno}");
        }
        assert_eq!(advice(&error(libc::ENOENT)), "");
        assert_eq!(advice(&io::Error::other("no errno")), "");
        assert!(Trouble::of_errno(libc::EDQUOT).is_some_and(Trouble::is_lack_of_room));
        assert!(!Trouble::of_errno(libc::EIO).is_some_and(Trouble::is_lack_of_room));
    }
}
