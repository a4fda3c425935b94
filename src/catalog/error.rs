//! What can go wrong with the catalogue.

use std::path::PathBuf;

use crate::clms::ClmsError;
use crate::store::disk::advice;

/// Failures of the catalogue, in words that fit after "failed to …: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The service failed.
    #[error(transparent)]
    Service(#[from] ClmsError),
    /// The service answered a catalogue without a single dataset; the old one is better than that.
    #[error("the service lists no datasets; the saved catalogue stays in use, try again later")]
    Empty,
    /// The snapshot cannot be read or written.
    #[error("the catalogue snapshot {} cannot be {verb}: {source}{}", path.display(), advice(source))]
    Io {
        /// The snapshot.
        path: PathBuf,
        /// `read` or `written`.
        verb: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The snapshot is damaged.
    #[error("the catalogue snapshot {} is damaged ({what}); delete it, it is fetched anew", path.display())]
    Damaged {
        /// The snapshot.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The snapshot was written by another release.
    #[error("the catalogue snapshot {} has an unknown format; delete it, it is fetched anew", path.display())]
    UnknownFormat {
        /// The snapshot.
        path: PathBuf,
    },
}

impl CatalogError {
    /// True when fetching the catalogue anew heals the failure.
    pub const fn is_healed_by_refresh(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::UnknownFormat { .. })
    }
}
