//! What a killed daemon left in its cache, and so which moment the kill has hit.

use std::fmt;
use std::path::{Path, PathBuf};

use clmsfs::fetch::job::{Job, Remote, Step};
use clmsfs::fetch::ledger::Ledger;

/// A dead daemon's books and staging.
pub(super) struct Left {
    jobs: Vec<Job>,
    cache: PathBuf,
}

/// Where a fetch stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    AtRest,
    Evicting,
    Searching,
    OrderOnItsWay,
    Queued,
    Running,
    Link,
    Downloading,
    Downloaded,
    Unpacking,
    Converting,
    BeforeRename,
    BooksOpen,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtRest => "no job in the ledger",
            Self::Evicting => "an entry half deleted",
            Self::Searching => "order: before it was sent",
            Self::OrderOnItsWay => "order: sent, no answer noted",
            Self::Queued => "poll: queued",
            Self::Running => "poll: running",
            Self::Link => "download: nothing here",
            Self::Downloading => "download: part of the package here",
            Self::Downloaded => "convert: package complete",
            Self::Unpacking => "convert: unpacking",
            Self::Converting => "convert: making the entry",
            Self::BeforeRename => "convert: entry complete, not published",
            Self::BooksOpen => "published, books not closed",
        })
    }
}

impl Left {
    /// Reads a copy of the ledger: opening it would change it.
    #[track_caller]
    pub(super) fn read(cache: &Path, scratch: &Path) -> Self {
        let _ = std::fs::remove_dir_all(scratch);
        std::fs::create_dir(scratch).unwrap();
        for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
            match std::fs::copy(cache.join(name), scratch.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{name}: {error}"),
                _ => {}
            }
        }
        let jobs = Ledger::open(&scratch.join("ledger.sqlite")).unwrap().jobs().unwrap();
        Self { jobs, cache: cache.to_owned() }
    }

    pub(super) fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    fn entry(&self, job: &Job) -> PathBuf {
        self.cache.join("rasters").join(job.key.as_str())
    }

    pub(super) fn is_published(&self, job: &Job) -> bool {
        use std::os::unix::fs::MetadataExt;
        job.is_published(self.entry(job).metadata().ok().map(|entry| entry.ino()))
    }

    /// Where the fetch of `path` stood, or else what became of an eviction.
    pub(super) fn found(&self, path: &str) -> Found {
        let staging = self.cache.join("staging");
        let trash = std::fs::read_dir(&staging).into_iter().flatten().filter_map(Result::ok);
        let evicting =
            trash.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(".trash"));
        if evicting {
            return Found::Evicting;
        }
        let Some(job) = self.jobs.iter().find(|job| job.path == path) else { return Found::AtRest };
        if self.is_published(job) {
            return Found::BooksOpen;
        }
        let here = |name: &str| staging.join(job.key.as_str()).join(name).exists();
        match (&job.step, job.remote) {
            (Step::Order, _) if job.sent.is_some() => Found::OrderOnItsWay,
            (Step::Order, _) => Found::Searching,
            (Step::Poll, Some(Remote::Running)) => Found::Running,
            (Step::Poll, _) => Found::Queued,
            (Step::Download, _) if here("package.part") => Found::Downloading,
            (Step::Download, _) if here("package.zip") => Found::Downloaded,
            (Step::Download, _) => Found::Link,
            _ if here("entry") && !here("package.zip") && !here("package.consumed") => Found::BeforeRename,
            _ if here("entry") => Found::Converting,
            _ if here("unpacked") => Found::Unpacking,
            _ => Found::Downloaded,
        }
    }
}
