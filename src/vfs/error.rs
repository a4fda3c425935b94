//! Why a file system call fails, and the one place that turns it into an errno.

use crate::fetch::failure::{Failure, FailureKind};

/// Failure of a file system call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VfsError {
    /// No such name.
    #[error("no such file")]
    NotFound,
    /// No file system here has such long names.
    #[error("the name is longer than 255 bytes")]
    NameTooLong,
    /// A file of an edition that was replaced by a newer one, or whose name another product has: the name leads there.
    #[error("replaced by a newer edition; look the name up again")]
    Replaced,
    /// A file where a directory is needed.
    #[error("not a directory")]
    NotADirectory,
    /// A directory where a file is needed.
    #[error("is a directory")]
    IsADirectory,
    /// Any attempt to change something.
    #[error("the mount is read-only")]
    ReadOnly,
    /// No such extended attribute.
    #[error("no such attribute")]
    NoAttribute,
    /// An attribute of a namespace that does not exist here (`security.`, `system.`, `trusted.`).
    #[error("only user attributes exist here")]
    NoSuchNamespace,
    /// A value that an attribute does not take.
    #[error("{0}")]
    BadValue(String),
    /// Policy refuses this program.
    #[error("refused by {0}")]
    Denied(String),
    /// Not here yet, or not now.
    #[error("{0}")]
    NotReady(String),
    /// The reader's patience, as configured, is at its end; the fetch goes on.
    #[error("not ready within the block timeout; the fetch goes on")]
    TimedOut,
    /// The reader was told to die.
    #[error("the reader was interrupted")]
    Interrupted,
    /// The fetch failed.
    #[error("{0}")]
    Fetch(Failure),
    /// A local file could not be read.
    #[error("{0}")]
    Local(String),
}

impl VfsError {
    /// The errno for the kernel (DESIGN section 2).
    pub fn errno(&self) -> i32 {
        match self {
            Self::NotFound => libc::ENOENT,
            Self::NameTooLong => libc::ENAMETOOLONG,
            Self::Replaced => libc::ESTALE,
            Self::NotADirectory => libc::ENOTDIR,
            Self::IsADirectory => libc::EISDIR,
            Self::ReadOnly => libc::EROFS,
            Self::NoAttribute => libc::ENODATA,
            Self::NoSuchNamespace => libc::EOPNOTSUPP,
            Self::BadValue(_) => libc::EINVAL,
            Self::Denied(_) => libc::EACCES,
            Self::NotReady(_) => libc::EAGAIN,
            Self::TimedOut => libc::ETIMEDOUT,
            Self::Interrupted => libc::EINTR,
            Self::Local(_) => libc::EIO,
            Self::Fetch(failure) => match failure.kind {
                FailureKind::Credentials => libc::EACCES,
                FailureKind::NoSpace => libc::ENOSPC,
                FailureKind::Offline => libc::ENETDOWN,
                FailureKind::Budget => libc::EAGAIN,
                FailureKind::Cancelled => libc::ECANCELED,
                FailureKind::Service | FailureKind::Package | FailureKind::Disk | FailureKind::Local => {
                    libc::EIO
                }
            },
        }
    }
}
