//! What the engine needs from the world, as traits: the service, and the converter of packages.
//!
//! The engine is tested against small in-memory implementations, without network and without GDAL.

use std::path::PathBuf;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use url::Url;

use crate::clms::{Client, ClmsError, DatasetUid, Download, FileId, OrderOutcome, Task, TaskId};
use crate::ingest;

/// The calls of the service that a fetch makes.
pub trait Service: Send + Sync + 'static {
    /// Orders one file. Never repeated blindly.
    fn order<'a>(
        &'a self,
        dataset: &'a DatasetUid,
        file: &'a FileId,
    ) -> BoxFuture<'a, Result<OrderOutcome, ClmsError>>;
    /// The task, `None` when the service does not know it.
    fn task<'a>(&'a self, task: &'a TaskId) -> BoxFuture<'a, Result<Option<Task>, ClmsError>>;
    /// All tasks of the user.
    fn tasks(&self) -> BoxFuture<'_, Result<Vec<(TaskId, Task)>, ClmsError>>;
    /// Cancels a task; best effort.
    fn cancel<'a>(&'a self, task: &'a TaskId) -> BoxFuture<'a, Result<(), ClmsError>>;
    /// Opens a download at byte `from`.
    fn download<'a>(&'a self, url: &'a Url, from: u64) -> BoxFuture<'a, Result<Download, ClmsError>>;
}

impl Service for Client {
    fn order<'a>(
        &'a self,
        dataset: &'a DatasetUid,
        file: &'a FileId,
    ) -> BoxFuture<'a, Result<OrderOutcome, ClmsError>> {
        Box::pin(Self::order(self, dataset, file))
    }

    fn task<'a>(&'a self, task: &'a TaskId) -> BoxFuture<'a, Result<Option<Task>, ClmsError>> {
        Box::pin(Self::task(self, task))
    }

    fn tasks(&self) -> BoxFuture<'_, Result<Vec<(TaskId, Task)>, ClmsError>> {
        Box::pin(Self::tasks(self))
    }

    fn cancel<'a>(&'a self, task: &'a TaskId) -> BoxFuture<'a, Result<(), ClmsError>> {
        Box::pin(Self::cancel(self, task))
    }

    fn download<'a>(&'a self, url: &'a Url, from: u64) -> BoxFuture<'a, Result<Download, ClmsError>> {
        Box::pin(Self::download(self, url, from))
    }
}

/// What a conversion tells while it runs.
pub type OnProgress = Box<dyn FnMut(ingest::IngestProgress) + Send>;

/// Asked before so many bytes are written ahead.
pub type OnRoom<'a> = Box<dyn FnMut(u64) -> bool + Send + 'a>;

/// Turns a package into a staged entry.
pub trait Converter: Send + Sync + 'static {
    /// Returns the complete, fsynced entry directory. Dropping the future stops the work.
    fn convert(
        &self,
        job: ingest::IngestJob,
        on_progress: OnProgress,
    ) -> BoxFuture<'_, Result<PathBuf, ingest::IngestError>>;

    /// Unpacks a package ahead while it is downloaded, as [`ingest::follow`] does. One that cannot is none the worse.
    fn follow<'a>(
        &'a self,
        _job: ingest::AheadJob,
        _arrived: watch::Receiver<ingest::Arrived>,
        _room: OnRoom<'a>,
    ) -> BoxFuture<'a, Result<Vec<ingest::Packed>, ingest::IngestError>> {
        let reason = "does not follow downloads".to_owned();
        Box::pin(async { Err(ingest::IngestError::Child { reason }) })
    }
}

/// The real converter: a child process without rights.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChildConverter;

impl Converter for ChildConverter {
    fn convert(
        &self,
        job: ingest::IngestJob,
        on_progress: OnProgress,
    ) -> BoxFuture<'_, Result<PathBuf, ingest::IngestError>> {
        Box::pin(async move { Ok(ingest::run(job, on_progress).await?.entry) })
    }

    fn follow<'a>(
        &'a self,
        job: ingest::AheadJob,
        arrived: watch::Receiver<ingest::Arrived>,
        room: OnRoom<'a>,
    ) -> BoxFuture<'a, Result<Vec<ingest::Packed>, ingest::IngestError>> {
        Box::pin(ingest::follow(job, arrived, room))
    }
}
