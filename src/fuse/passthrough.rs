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
}

impl Backing {
    /// What the kernel calls it.
    pub fn id(&self) -> &BackingId {
        &self.id
    }
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

    /// What the kernel reads itself through `reply`'s handle in place of `file`; `None` where it is read through us.
    ///
    /// All handles of one inode must share one backing file, else the kernel answers EIO. What is open in one inode at a time
    /// is of one publication: the next edition has inodes of its own.
    pub fn choose(&self, ino: Ino, file: &File, reply: &ReplyOpen) -> Option<Arc<Backing>> {
        let mut by_inode = self.by_inode.lock().expect("no code panics while it holds the backing files");
        if let Some(backing) = by_inode.get(&ino).and_then(Weak::upgrade) {
            return Some(backing);
        }
        if !self.is_allowed() {
            return None;
        }
        match reply.open_backing(file) {
            Ok(id) => {
                by_inode.retain(|_, backing| backing.strong_count() > 0);
                let backing = Arc::new(Backing { id });
                by_inode.insert(ino, Arc::downgrade(&backing));
                Some(backing)
            }
            Err(error) => {
                // without CAP_SYS_ADMIN the kernel advertises it and then refuses: one try is enough
                self.allowed.store(false, Ordering::Relaxed);
                tracing::info!(%error, "passthrough is not available; files are read through the mount");
                None
            }
        }
    }
}
