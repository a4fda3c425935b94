//! Files that the kernel reads without us: native speed where it is allowed (FUSE page, "Passthrough").

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use fuser::{BackingId, ReplyOpen};

use crate::vfs::node::Ino;

/// A backing file registered with the kernel, kept until the last handle of its inode is released.
#[derive(Debug)]
pub struct Backing {
    id: BackingId,
    generation: u64,
}

impl Backing {
    /// What the kernel calls it.
    pub fn id(&self) -> &BackingId {
        &self.id
    }
}

/// How an open file is read.
#[derive(Debug)]
pub enum Way {
    /// By the kernel itself.
    Passthrough(Arc<Backing>),
    /// Through us, with the kernel's page cache.
    Cached,
    /// Not now: an older, damaged publication of the same inode is still open, and the kernel wants one backing
    /// file for all its handles.
    Busy,
}

/// The backing files in use.
#[derive(Debug)]
pub struct Passthrough {
    allowed: AtomicBool,
    by_inode: Mutex<HashMap<Ino, Weak<Backing>>>,
}

impl Passthrough {
    /// `allowed` is false when the kernel does not offer it or the administrator does not want it.
    pub fn new(allowed: bool) -> Self {
        Self { allowed: AtomicBool::new(allowed), by_inode: Mutex::default() }
    }

    /// True while no attempt was refused.
    pub fn is_allowed(&self) -> bool {
        self.allowed.load(Ordering::Relaxed)
    }

    /// Chooses how `file` is read through `reply`'s handle.
    ///
    /// All handles of one inode must share one backing file, else the kernel answers EIO.
    pub fn choose(&self, ino: Ino, generation: u64, file: &File, reply: &ReplyOpen) -> Way {
        let mut by_inode = self.by_inode.lock().expect("no code panics while it holds the backing files");
        if let Some(backing) = by_inode.get(&ino).and_then(Weak::upgrade) {
            return if backing.generation == generation { Way::Passthrough(backing) } else { Way::Busy };
        }
        if !self.is_allowed() {
            return Way::Cached;
        }
        match reply.open_backing(file) {
            Ok(id) => {
                by_inode.retain(|_, backing| backing.strong_count() > 0);
                let backing = Arc::new(Backing { id, generation });
                by_inode.insert(ino, Arc::downgrade(&backing));
                Way::Passthrough(backing)
            }
            Err(error) => {
                // without CAP_SYS_ADMIN the kernel advertises it and then refuses: one try is enough
                self.allowed.store(false, Ordering::Relaxed);
                tracing::info!(%error, "passthrough is not available; files are read through the mount");
                Way::Cached
            }
        }
    }
}
