//! Opening and reading files: what is here is served, what is cold is decided by policy, fetched, waited for.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::config::{Answer, Opener, decide};
use crate::fetch::engine::{Refusal, Target, Ticket};
use crate::fetch::state::ProductState;
use crate::store::inventory::Lease;
use crate::view::Content;

use super::Vfs;
use super::error::VfsError;
use super::node::{Edition, Node, ProductPath};
use super::tree::{self, Inside, dataset_document};
use super::views::Purpose;

/// Fetches that may be lost to an eviction before a single waiting open gives up.
const RACES: u32 = 3;

/// Where an open file's bytes are.
#[derive(Debug)]
pub enum Bytes {
    /// In memory.
    Memory(Arc<[u8]>),
    /// A whole file of the cache: fit for passthrough.
    Whole(Arc<File>),
    /// A part of a file of the cache.
    Slice {
        /// The file.
        file: Arc<File>,
        /// First byte.
        offset: u64,
    },
}

/// An open file.
#[derive(Debug)]
pub struct OpenFile {
    /// Bytes.
    pub bytes: Bytes,
    /// Size when it was opened; files of ready products never change.
    pub size: u64,
    /// Live files bypass the page cache.
    pub live: bool,
    /// Keeps the entry from eviction.
    lease: Option<Lease>,
}

impl OpenFile {
    /// Which publication of the entry the bytes belong to; `None` for documents, which may change at any time.
    pub fn generation(&self) -> Option<u64> {
        self.lease.as_ref().map(Lease::generation)
    }

    fn memory(bytes: Arc<[u8]>, live: bool) -> Self {
        Self { size: bytes.len() as u64, bytes: Bytes::Memory(bytes), live, lease: None }
    }

    /// Reads into `buffer` from `offset` on; returns how many bytes there were.
    ///
    /// # Errors
    /// [`VfsError::Local`] when the disk fails.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, VfsError> {
        let rest = self.size.saturating_sub(offset);
        let count = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let buffer = &mut buffer[..count];
        match &self.bytes {
            Bytes::Memory(bytes) if count > 0 => {
                let start = usize::try_from(offset).expect("an offset inside a slice fits");
                buffer.copy_from_slice(&bytes[start..start + count]);
                Ok(())
            }
            Bytes::Memory(_) => Ok(()),
            Bytes::Whole(file) => file.read_exact_at(buffer, offset),
            Bytes::Slice { file, offset: start } => file.read_exact_at(buffer, start + offset),
        }
        .map_err(|error| VfsError::Local(error.to_string()))?;
        Ok(count)
    }
}

/// Answer of [`Vfs::open_cold`].
#[derive(Debug)]
pub enum Opening {
    /// Open: the product became ready meanwhile.
    Now(OpenFile),
    /// The content is on its way.
    Wait(PendingOpen),
}

/// An open that waits for a fetch.
#[derive(Debug)]
pub struct PendingOpen {
    ticket: Ticket,
    target: Target,
    path: ProductPath,
    inner: Arc<str>,
    edition: Edition,
    uid: u32,
}

impl PendingOpen {
    /// Key of the product it waits for.
    pub fn key(&self) -> &crate::store::layout::EntryKey {
        &self.target.key
    }

    /// Waits for the fetch and opens the file. Dropping the future gives up the wait; the fetch goes on.
    ///
    /// # Errors
    /// Why there is no data; [`VfsError::TimedOut`] after the mount's block timeout.
    pub async fn wait(self, vfs: Arc<Vfs>) -> Result<OpenFile, VfsError> {
        let patience = vfs.options.get().block_timeout;
        match patience {
            None => self.wait_for_ever(&vfs).await,
            Some(patience) => tokio::time::timeout(patience, self.wait_for_ever(&vfs))
                .await
                .unwrap_or(Err(VfsError::TimedOut)),
        }
    }

    async fn wait_for_ever(self, vfs: &Arc<Vfs>) -> Result<OpenFile, VfsError> {
        let mut ticket = self.ticket;
        for _ in 0..RACES {
            ticket.wait().await.map_err(VfsError::Fetch)?;
            // the first of those who waited proves the entry, the others wait for that: not on the runtime's few threads
            let open = {
                let (vfs, path, inner) = (Arc::clone(vfs), self.path.clone(), Arc::clone(&self.inner));
                move || vfs.open_edition(&path, &inner, self.edition)
            };
            let opened = tokio::task::spawn_blocking(open).await;
            if let Some(file) = opened.unwrap_or_else(|panic| Err(VfsError::Local(panic.to_string())))? {
                return Ok(file);
            }
            // evicted between the end of the fetch and our open: fetch it again
            ticket = vfs.engine.request(&self.target, self.uid, false).map_err(refused)?;
        }
        Err(VfsError::NotReady(
            "the product was evicted again and again before it could be opened; the cache is too small for this many readers"
                .to_owned(),
        ))
    }
}

/// A view that cannot find its bytes is an I/O error, never "no such file".
pub(super) fn damaged(error: crate::view::ViewError) -> VfsError {
    VfsError::Local(error.to_string())
}

fn refused(refusal: Refusal) -> VfsError {
    match refusal {
        Refusal::Failed(failure) => VfsError::Fetch(failure),
        refusal => VfsError::NotReady(refusal.to_string()),
    }
}

impl Vfs {
    /// Opens a file whose content is here; `None` when it is cold. `flags` are those of open(2).
    ///
    /// # Errors
    /// [`VfsError::ReadOnly`] for every way of writing, [`VfsError::IsADirectory`], [`VfsError::NotFound`].
    pub fn open(&self, node: &Node, flags: i32) -> Result<Option<OpenFile>, VfsError> {
        if flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0 {
            return Err(VfsError::ReadOnly);
        }
        let catalog = self.catalog();
        let memory = |bytes| Ok(Some(OpenFile::memory(bytes, false)));
        match node {
            Node::Root | Node::Live | Node::Dataset(_) | Node::Product(_) => Err(VfsError::IsADirectory),
            Node::LiveFile(index) => {
                let file = self.live.get(*index).ok_or(VfsError::NotFound)?;
                Ok(Some(OpenFile::memory((file.content)().into(), true)))
            }
            Node::RootFile(file) => memory(self.root_document(*file)),
            Node::DatasetFile(name, file) => {
                let dataset = Self::dataset(&catalog, name)?;
                memory(dataset_document(&catalog, dataset, *file)?)
            }
            Node::Item(path) => memory(self.item(Self::find(&catalog, path)?)?),
            Node::Inside(path, inner, edition) => self.open_edition(path, inner, *edition),
        }
    }

    /// Opens a file of a ready product in this very edition; `None` when the product is cold.
    /// [`VfsError::Replaced`] where its name leads to another edition by now.
    fn open_edition(
        &self,
        path: &ProductPath,
        inner: &str,
        edition: Edition,
    ) -> Result<Option<OpenFile>, VfsError> {
        let opened = self.open_ready(path, inner);
        // the edition changes together with the files: what was opened before it changed is of the one before
        let now = self.edition(Self::find(&self.catalog(), path)?);
        if now == edition || edition == Edition::NONE { opened } else { Err(VfsError::Replaced) }
    }

    /// Opens a file of a ready product; `None` when the product is cold.
    fn open_ready(&self, path: &ProductPath, inner: &str) -> Result<Option<OpenFile>, VfsError> {
        let catalog = self.catalog();
        let product = Self::find(&catalog, path)?;
        let Some((view, lease)) = self.views.get(product, Purpose::Read)? else {
            return Ok(None);
        };
        let file = match view.node(inner).map_err(damaged)?.ok_or(VfsError::NotFound)? {
            crate::view::Node::Dir => return Err(VfsError::IsADirectory),
            crate::view::Node::File(file) => file,
        };
        let bytes = match file.content {
            Content::Bytes(bytes) => Bytes::Memory(bytes),
            Content::Slice { file, offset, .. } => Bytes::Slice { file, offset },
            Content::Whole(path) => {
                let file = File::open(&path)
                    .map_err(|error| VfsError::Local(format!("{}: {error}", path.display())))?;
                Bytes::Whole(Arc::new(file))
            }
        };
        Ok(Some(OpenFile { bytes, size: file.size, live: false, lease: Some(lease) }))
    }

    /// Decides what the open of a cold file does, and does it. Writes to the ledger: not for dispatch threads.
    ///
    /// # Errors
    /// What policy, the order budget or an earlier failure say.
    pub fn open_cold(&self, node: &Node, flags: i32, opener: &Opener) -> Result<Opening, VfsError> {
        let Node::Inside(path, inner, edition) = node else { return Err(VfsError::NotFound) };
        if let Some(file) = self.open_edition(path, inner, *edition)? {
            return Ok(Opening::Now(file));
        }
        let catalog = self.catalog();
        let product = Self::find(&catalog, path)?;
        if let Inside::Directory { .. } = self.inside_kind(&catalog, path, inner)? {
            return Err(VfsError::IsADirectory);
        }
        let target = tree::target(product);
        let full = format!("{path}/{inner}");
        let options = self.options.get();
        let decision = decide(&options.rules, opener, flags, &full, options.on_miss);
        tracing::debug!(
            path = full, process = opener.comm, thread = opener.thread, uid = opener.uid,
            answer = ?decision.answer, reason = %decision.reason, "cold open"
        );
        self.counters.cold.one(decision.answer.into());
        let note = |text: String| {
            if self.engine.product_state(&target.key) == ProductState::Cold {
                self.engine.note(&target.key, text);
            }
        };
        match decision.answer {
            Answer::Deny => {
                let reason = format!("{} (process '{}')", decision.reason, opener.comm);
                note(format!(
                    "not fetched for this program: {reason}; allow it with a rule in the configuration, or run clmsfs fetch"
                ));
                Err(VfsError::Denied(reason))
            }
            Answer::EagainNoOrder => {
                note(format!("not fetched for a scan: {} (process '{}')", decision.reason, opener.comm));
                Err(VfsError::NotReady(decision.reason.to_string()))
            }
            Answer::Eagain => {
                self.engine.request(&target, opener.uid, false).map_err(refused)?;
                Err(VfsError::NotReady("the fetch is under way; open it again later".to_owned()))
            }
            Answer::Block => {
                let ticket = self.engine.request(&target, opener.uid, false).map_err(refused)?;
                Ok(Opening::Wait(PendingOpen {
                    ticket,
                    target,
                    path: path.clone(),
                    inner: Arc::clone(inner),
                    edition: *edition,
                    uid: opener.uid,
                }))
            }
        }
    }
}
