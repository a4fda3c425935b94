//! What can go wrong between a package and an entry; travels over the child's pipe as JSON.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Why a package did not become an entry. Messages fit after "failed to ingest: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum IngestError {
    /// The downloaded file is not a zip at all (an HTML page, a text, an empty file).
    #[error("'{name}' is not a zip package: {reason}")]
    NotAPackage {
        /// File name of the package.
        name: String,
        /// What it is instead.
        reason: String,
    },
    /// A zip member that would be dangerous to unpack.
    #[error("the package holds an unsafe member '{name}': {reason}")]
    UnsafeMember {
        /// Name of the member as the zip gives it, control characters escaped.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// One of [`super::Limits`] was reached.
    #[error("the package is beyond the limit of {limit} {what}, which no package of the service comes near")]
    TooLarge {
        /// Which limit: "unpacked bytes", "members", "times the package's size" …
        what: String,
        /// The limit.
        limit: u64,
    },
    /// A zip member does not have the bytes the zip promises (CRC, size, truncated stream).
    #[error("'{name}' is damaged: {reason}")]
    Damaged {
        /// Name of the member or the package.
        name: String,
        /// What the reader said.
        reason: String,
    },
    /// Nothing in the package is geodata that can be served.
    #[error(
        "the package holds no raster (GeoTIFF) and no vector data (GeoPackage, file geodatabase, shapefile): found {found}"
    )]
    NoGeodata {
        /// What was found instead.
        found: String,
    },
    /// A raster that cannot be read.
    #[error("cannot read raster '{name}': {reason}")]
    Raster {
        /// Path of the raster inside the package.
        name: String,
        /// What GDAL said.
        reason: String,
    },
    /// A raster of a kind this release does not convert.
    #[error("raster '{name}' is not supported: {reason}")]
    Unsupported {
        /// Path of the raster inside the package.
        name: String,
        /// Which property is not supported.
        reason: String,
    },
    /// Tiles of one layer that do not fit together.
    #[error("tile '{name}' does not fit its mosaic: {reason}")]
    Mosaic {
        /// Path of the tile inside the package.
        name: String,
        /// In what it differs from the first tile.
        reason: String,
    },
    /// Vector data that is not what its name says, or that cannot be served.
    #[error("cannot read vector data '{name}': {reason}")]
    Vector {
        /// Path of the file inside the package.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk refused: full, read-only, permission.
    #[error("cannot {action}: {reason}")]
    Disk {
        /// What was tried, e.g. "write 'c/0/0'".
        action: String,
        /// The system's message.
        reason: String,
        /// `errno`, so that ENOSPC can be told from the rest.
        errno: Option<i32>,
    },
    /// The conversion's child process died: crash, abort, out of memory, killed.
    #[error("the conversion process {reason}")]
    Child {
        /// How it ended and the tail of what it printed.
        reason: String,
    },
    /// The conversion took longer than its limit.
    #[error(
        "the conversion took longer than the {seconds} s that a package of its size may take; fetch it again when the machine has less to do"
    )]
    Timeout {
        /// The limit in seconds.
        seconds: u64,
    },
    /// The job itself makes no sense (unsafe product name, staging folder missing).
    #[error("the conversion job is invalid: {reason}")]
    Job {
        /// What is wrong.
        reason: String,
    },
}

impl IngestError {
    /// True when the package's bytes are to blame and downloading it again may help.
    pub fn is_damaged_download(&self) -> bool {
        matches!(self, Self::NotAPackage { .. } | Self::Damaged { .. })
    }

    /// The same, with paths as they are in the package: nobody can look into the staging folder afterwards.
    pub(super) fn within(mut self, unpacked: &Path) -> Self {
        if let Self::Raster { reason, .. } = &mut self {
            *reason = reason.replace(&format!("{}/", unpacked.display()), "");
        }
        self
    }

    pub(super) fn disk(action: impl Into<String>, error: &io::Error) -> Self {
        Self::Disk { action: action.into(), reason: error.to_string(), errno: error.raw_os_error() }
    }

    /// A zip, or a member of it, cannot be read: the disk's fault, want of memory, or else the package's own.
    pub(super) fn unreadable(name: &str, error: &io::Error) -> Self {
        // a zip that lies about a place makes the system refuse to go there: EINVAL
        let is_systems = error.raw_os_error().is_some_and(|errno| errno != libc::EINVAL);
        if is_systems || error.kind() == io::ErrorKind::OutOfMemory {
            return Self::disk(format!("read '{name}'"), error);
        }
        Self::Damaged { name: name.to_owned(), reason: error.to_string() }
    }

    pub(super) fn raster(name: impl Into<String>, reason: impl ToString) -> Self {
        Self::Raster { name: name.into(), reason: reason.to_string() }
    }
}

/// Names the action an I/O error belongs to.
pub(super) trait DiskContext<T> {
    /// Turns an I/O error into [`IngestError::Disk`]; `action` is a verb phrase.
    fn disk(self, action: impl FnOnce() -> String) -> Result<T, IngestError>;
}

impl<T> DiskContext<T> for io::Result<T> {
    fn disk(self, action: impl FnOnce() -> String) -> Result<T, IngestError> {
        self.map_err(|error| IngestError::disk(action(), &error))
    }
}
