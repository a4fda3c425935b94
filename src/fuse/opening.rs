//! Answers to open(): at once for what is here; a cold file's reply waits in a task, which also watches whether the reader was
//! told to die.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use fuser::{Errno, FileAttr, FileHandle, FileType, FopenFlags, INodeNo, Notifier, ReplyOpen, Request};
use tokio::runtime::Handle;

use crate::vfs::Vfs;
use crate::vfs::counters::Opened;
use crate::vfs::error::VfsError;
use crate::vfs::node::{Ino, Node};
use crate::vfs::open::{Bytes, OpenFile, Opening};
use crate::vfs::opener::{is_told_to_die, opener};
use crate::vfs::tree::{Attributes, Kind};

use super::handles::Handles;
use super::invalidate::forget_attributes;
use super::passthrough::{Backing, Passthrough};

/// How often a waiting reader is asked whether it was told to die.
const ASK: Duration = Duration::from_millis(100);
/// Longest wait of a reader that cannot be watched.
const UNWATCHED: Duration = Duration::from_secs(10);
/// Block size for `stat` and `statfs`.
pub(super) const BLOCK: u32 = 4096;

/// An open file as the kernel sees it.
#[derive(Debug)]
pub(super) struct OpenHandle {
    /// Its inode.
    pub(super) ino: Ino,
    /// Must live as long as the handle, and not longer than the lease of `file`: hence it is dropped first.
    _backing: Option<Arc<Backing>>,
    /// Its bytes.
    pub(super) file: OpenFile,
}

/// What calls and waiting opens have in common.
#[derive(Debug)]
pub(super) struct Shared {
    /// The file system.
    pub(super) vfs: Arc<Vfs>,
    /// Open files.
    pub(super) files: Handles<OpenHandle>,
    /// Files that the kernel reads itself.
    pub(super) passthrough: Passthrough,
    /// Publication whose pages the kernel may still hold, by inode.
    pub(super) pages: Mutex<HashMap<Ino, u64>>,
    /// Where the kernel is told to forget, or a size; set before the first call is taken.
    pub(super) notifier: Arc<OnceLock<Notifier>>,
    /// True when being told to forget an inode makes the kernel drop what is under way to it, too.
    pub(super) forgets_for_good: bool,
    /// Who owns all files.
    pub(super) uid: u32,
    /// Their group.
    pub(super) gid: u32,
    /// Who mounted.
    pub(super) mounter: u32,
}

impl Shared {
    /// Attributes as the kernel is told them, and how long it may believe them.
    pub(super) fn told(&self, ino: Ino, attributes: &Attributes) -> (Duration, FileAttr) {
        let mut trust = attributes.trust;
        if attributes.provisional {
            self.vfs.inodes.mark_provisional(ino);
            if !self.forgets_for_good {
                trust = Duration::ZERO;
            }
        }
        (trust, self.attr(ino, attributes))
    }

    fn attr(&self, ino: Ino, attributes: &Attributes) -> FileAttr {
        let directory = attributes.kind == Kind::Directory;
        let time: SystemTime = attributes.modified;
        FileAttr {
            ino: INodeNo(ino.0),
            size: attributes.size,
            blocks: attributes.size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: if directory { FileType::Directory } else { FileType::RegularFile },
            perm: if directory { 0o555 } else { 0o444 },
            nlink: if directory { 2 } else { 1 },
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        }
    }

    /// Makes the kernel ask for the size of a file that is about to be open, if it may believe in another one, and for the names
    /// around it: whoever has opened a file of a product finds the others, too.
    fn forget_provisional(&self, ino: Ino) -> std::io::Result<()> {
        match self.notifier.get() {
            Some(notifier) if self.vfs.inodes.is_provisional(ino) => {
                for directory in self.vfs.directories_when_cold(ino) {
                    forget_attributes(notifier, directory);
                }
                // attributes only; the kernel waits for nobody
                notifier.inval_inode(INodeNo(ino.0), -1, 0)
            }
            _ => Ok(()),
        }
    }

    /// Answers an open with `file`, at once or, where the kernel must be told a size first, from a thread of `runtime`.
    pub(super) fn opened(self: Arc<Self>, runtime: &Handle, ino: Ino, file: OpenFile, reply: ReplyOpen) {
        if let Err(error) = self.forget_provisional(ino) {
            // with a size of 0 the reader would take the file for empty
            tracing::error!(ino = ino.0, %error, "the kernel does not forget a size; the open is refused");
            return self.refused(&VfsError::Local(error.to_string()), reply);
        }
        let backing = match &file.bytes {
            Bytes::Whole(disk) => self.passthrough.choose(ino, disk, &reply),
            Bytes::Memory(_) | Bytes::Slice { .. } => None,
        };
        // of what it reads itself the kernel sees the size
        if backing.is_none() && self.vfs.inodes.is_provisional(ino) {
            runtime.spawn_blocking(move || {
                self.tell_size(ino, &file);
                self.answer(ino, file, backing, reply);
            });
        } else {
            self.answer(ino, file, backing, reply);
        }
    }

    fn answer(&self, ino: Ino, file: OpenFile, backing: Option<Arc<Backing>>, reply: ReplyOpen) {
        let flags = match file.generation() {
            _ if file.live => FopenFlags::FOPEN_DIRECT_IO,
            Some(generation) if backing.is_none() => self.keep(ino, generation),
            _ => FopenFlags::empty(),
        };
        let outcome = match (&file.bytes, &backing) {
            (_, Some(_)) => Opened::Passthrough,
            (Bytes::Memory(_), None) => Opened::Memory,
            (_, None) => Opened::ThroughMount,
        };
        self.vfs.counters.opens.one(outcome);
        let handle = FileHandle(self.files.add(OpenHandle { ino, _backing: backing.clone(), file }));
        match backing {
            Some(backing) => reply.opened_passthrough(handle, flags, backing.id()),
            None => reply.opened(handle, flags),
        }
    }

    /// Answers an open that cannot be.
    pub(super) fn refused(&self, error: &VfsError, reply: ReplyOpen) {
        self.vfs.counters.opens.one(error.into());
        reply.error(errno(error));
    }

    /// Tells the kernel the size of a file that had another one until now, and that it reads through us, by its last byte.
    ///
    /// read() and fstat() ask for the size; sendfile() and splice() believe what the kernel knows, and would end at once.
    /// May wait for the kernel's locks: not for a dispatch thread.
    fn tell_size(&self, ino: Ino, file: &OpenFile) {
        let (Some(notifier), Some(last)) = (self.notifier.get(), file.size.checked_sub(1)) else { return };
        let mut byte = [0];
        if file.read_at(&mut byte, last).is_err() {
            return;
        }
        if let Err(error) = notifier.store(INodeNo(ino.0), last, &byte) {
            tracing::debug!(ino = ino.0, %error, "the kernel is not told the size; it will ask");
        }
    }

    /// The kernel may keep its pages when they are of this very publication.
    fn keep(&self, ino: Ino, generation: u64) -> FopenFlags {
        let mut pages = self.pages.lock().expect("no code panics while it holds the page table");
        if pages.insert(ino, generation) == Some(generation) {
            FopenFlags::FOPEN_KEEP_CACHE
        } else {
            FopenFlags::empty()
        }
    }
}

/// The errno of a failure; a value outside of errno's range would be our bug and becomes EIO.
pub(super) fn errno(error: &VfsError) -> Errno {
    Errno::from_i32(error.errno())
}

/// Who asks, as FUSE tells it. `pid` is a thread's id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pid: u32,
    uid: u32,
    gid: u32,
}

impl Caller {
    /// The one who sent a request.
    pub(super) fn of(req: &Request) -> Self {
        Self { pid: req.pid(), uid: req.uid(), gid: req.gid() }
    }
}

/// Parks an open until its product is here, the reader is told to die, or patience ends.
pub(super) async fn finish_open(
    shared: Arc<Shared>,
    node: Node,
    ino: Ino,
    flags: i32,
    caller: Caller,
    reply: ReplyOpen,
) {
    let vfs = Arc::clone(&shared.vfs);
    let pid = caller.pid;
    let decided = tokio::task::spawn_blocking(move || {
        vfs.open_cold(&node, flags, &opener(caller.pid, caller.uid, caller.gid))
    })
    .await;
    let result = match decided {
        Ok(Ok(Opening::Now(file))) => Ok(file),
        Ok(Ok(Opening::Wait(pending))) => {
            let begun = Instant::now();
            let result = tokio::select! {
                result = pending.wait(Arc::clone(&shared.vfs)) => result,
                end = end_of_patience(pid) => Err(end),
            };
            shared.vfs.counters.waits.took(begun.elapsed());
            result
        }
        Ok(Err(error)) => Err(error),
        Err(panic) => Err(VfsError::Local(panic.to_string())),
    };
    match result {
        Ok(file) => {
            // whatever size the kernel has seen is not that of what has just come
            shared.vfs.inodes.mark_provisional(ino);
            shared.opened(&Handle::current(), ino, file, reply);
        }
        Err(error) => {
            tracing::debug!(ino = ino.0, pid, %error, "open refused");
            shared.refused(&error, reply);
        }
    }
}

/// Returns when the reader has to be let go without its file.
async fn end_of_patience(pid: u32) -> VfsError {
    if pid == 0 {
        // of a pid namespace that we cannot see into: nobody could kill it while it waits
        tokio::time::sleep(UNWATCHED).await;
        let why = "the fetch is under way; this reader's process cannot be seen from the mount's pid namespace and could \
                   not be killed while it waits: open again later, or run the mount in the host's pid namespace";
        return VfsError::NotReady(why.to_owned());
    }
    let mut ask = tokio::time::interval(ASK);
    loop {
        ask.tick().await;
        if is_told_to_die(pid) {
            return VfsError::Interrupted;
        }
    }
}
