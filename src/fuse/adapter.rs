//! The FUSE calls. Each asks [`Vfs`] and replies; nothing here decides anything.
//!
//! A dispatch thread never waits: an open of a cold file moves its reply into a task ([`super::opening`]).

use std::ffi::OsStr;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use fuser::{
    AccessFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, Notifier, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, Version, WriteFlags,
};
use tokio::runtime::Handle;

use crate::config::Settings;
use crate::vfs::Vfs;
use crate::vfs::error::VfsError;
use crate::vfs::listing::Line;
use crate::vfs::node::{Ino, Node};
use crate::vfs::tree::{Attributes, Kind};

use super::handles::Handles;
use super::opening::{BLOCK, Caller, Shared, errno, finish_open};
use super::passthrough::Passthrough;

/// From this version of the protocol on (Linux 5.11; it is so since 5.8) a kernel that is told to forget an inode's attributes
/// drops those that are under way, too.
const FORGETS_FOR_GOOD: Version = Version(7, 32);
/// The default of 16 lets 16 parked requests freeze the readahead of the whole mount.
const MAX_BACKGROUND: u16 = 1024;
/// Bytes of the longest name, as on other file systems; the kernel lets FUSE have longer ones.
const LONGEST_NAME: u32 = 255;

/// The adapter.
#[derive(Debug)]
pub struct Adapter {
    shared: Arc<Shared>,
    /// The kernel keeps the names of directories, and asks anew when a directory's time is another one.
    keeps_directories: bool,
    runtime: Handle,
}

impl Adapter {
    /// An adapter over `vfs`; waits happen on `runtime`. Files are shown as of the user and group of the settings, else of
    /// whoever mounts.
    pub fn new(vfs: Arc<Vfs>, runtime: Handle, settings: &Settings) -> Self {
        // SAFETY: both calls take nothing, always succeed and touch no memory.
        let (mounter, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        let shared = Shared {
            vfs,
            files: Handles::default(),
            passthrough: Passthrough::new(settings.passthrough),
            pages: Mutex::default(),
            notifier: Arc::default(),
            forgets_for_good: false,
            uid: settings.uid.unwrap_or(mounter),
            gid: settings.gid.unwrap_or(group),
            mounter,
        };
        Self { shared: Arc::new(shared), keeps_directories: false, runtime }
    }

    /// Where the session's notifier goes, before the session takes its first call.
    pub fn notifier(&self) -> Arc<OnceLock<Notifier>> {
        Arc::clone(&self.shared.notifier)
    }

    fn vfs(&self) -> &Vfs {
        &self.shared.vfs
    }

    fn node(&self, ino: INodeNo) -> Result<Node, VfsError> {
        self.vfs().node(Ino(ino.0))
    }

    fn find(&self, parent: INodeNo, name: &OsStr) -> Result<(Duration, FileAttr), VfsError> {
        if name.len() > LONGEST_NAME as usize {
            return Err(VfsError::NameTooLong);
        }
        let name = name.to_str().ok_or(VfsError::NotFound)?;
        let (ino, attributes) = self.vfs().look_up(Ino(parent.0), name)?;
        Ok(self.shared.told(ino, &attributes))
    }

    /// What a file is that is open here and elsewhere no more: a newer edition has its name.
    fn replaced(&self, ino: Ino, node: &Node) -> Option<Attributes> {
        let open = self.shared.files.find(|open| open.ino == ino && !open.file.live)?;
        let product = Node::Product(node.product()?.clone());
        let modified = self.vfs().attributes(&product).ok()?.modified;
        Some(Attributes {
            kind: Kind::File,
            size: open.file.size,
            modified,
            trust: Duration::ZERO,
            provisional: false,
        })
    }

    fn writable_xattr(&self, req: &Request) -> bool {
        req.uid() == 0 || req.uid() == self.shared.mounter
    }
}

macro_rules! read_only {
    ($($name:ident($($arg:ident: $type:ty),*) -> $reply:ty;)*) => {
        $(fn $name(&self, _req: &Request, $($arg: $type,)* reply: $reply) {
            $(let _ = $arg;)*
            reply.error(Errno::EROFS);
        })*
    };
}

impl Filesystem for Adapter {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let shared = Arc::get_mut(&mut self.shared).expect("init runs before anything is shared");
        shared.forgets_for_good = config.kernel_abi() >= FORGETS_FOR_GOOD;
        // each is asked for alone: an older kernel gives what it has
        let mut lacks = InitFlags::empty();
        for flag in [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_CACHE_SYMLINKS,
            // else the kernel opens first and truncates then: a cold file would be fetched to be refused
            InitFlags::FUSE_ATOMIC_O_TRUNC,
            InitFlags::FUSE_NO_OPENDIR_SUPPORT,
            // else it would not look at the time of a directory whose names it has
            InitFlags::FUSE_AUTO_INVAL_DATA,
            InitFlags::FUSE_PASSTHROUGH,
        ] {
            if let Err(missing) = config.add_capabilities(flag) {
                tracing::debug!(?missing, "the kernel lacks a FUSE feature");
                lacks |= missing;
            }
        }
        if lacks.contains(InitFlags::FUSE_PASSTHROUGH) {
            shared.passthrough = Passthrough::new(false);
        }
        self.keeps_directories = shared.forgets_for_good
            && !lacks.intersects(InitFlags::FUSE_NO_OPENDIR_SUPPORT | InitFlags::FUSE_AUTO_INVAL_DATA);
        if self.shared.passthrough.is_allowed() {
            let _ = config.set_max_stack_depth(1);
        }
        let _ = config.set_max_background(MAX_BACKGROUND);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.find(parent, name) {
            Ok((trust, attr)) => reply.entry(&trust, &attr, Generation(0)),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        if self.vfs().inodes.forget(Ino(ino.0), nlookup) {
            self.shared
                .pages
                .lock()
                .expect("no code panics while it holds the page table")
                .remove(&Ino(ino.0));
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        let result = self.node(ino).and_then(|node| {
            let mut attributes = match self.vfs().attributes(&node) {
                Err(error) => self.replaced(Ino(ino.0), &node).ok_or(error)?,
                Ok(attributes) => attributes,
            };
            // an open document keeps the size it was opened with
            if let Some(open) = fh.and_then(|fh| self.shared.files.get(fh.0)).filter(|open| !open.file.live) {
                attributes.size = open.file.size;
            }
            Ok(attributes)
        });
        match result {
            Ok(attributes) => {
                let (trust, attr) = self.shared.told(Ino(ino.0), &attributes);
                reply.attr(&trust, &attr);
            }
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.node(ino).and_then(|node| Ok((self.vfs().open(&node, flags.0)?, node)));
        match opened {
            Ok((Some(file), _)) => {
                Arc::clone(&self.shared).opened(&self.runtime, Ino(ino.0), file, reply);
            }
            Ok((None, node)) => {
                let shared = Arc::clone(&self.shared);
                self.runtime.spawn(finish_open(shared, node, Ino(ino.0), flags.0, Caller::of(req), reply));
            }
            Err(error) => self.shared.refused(&error, reply),
        }
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        thread_local! {
            static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        let Some(open) = self.shared.files.get(fh.0) else { return reply.error(Errno::EBADF) };
        BUFFER.with_borrow_mut(|buffer| {
            let size = size as usize;
            if buffer.len() < size {
                buffer.resize(size, 0);
            }
            let counters = &self.vfs().counters;
            counters.reads.one();
            match open.file.read_at(&mut buffer[..size], offset) {
                Ok(count) => {
                    counters.read_bytes.add(count as u64);
                    reply.data(&buffer[..count]);
                }
                Err(error) => {
                    counters.read_errors.one();
                    tracing::error!(%error, "read failed");
                    reply.error(errno(&error));
                }
            }
        });
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.shared.files.remove(fh.0);
        reply.ok();
    }

    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        // nothing is ever written: the kernel takes this for "done" and does not ask again at any close
        reply.error(Errno::ENOSYS);
    }

    fn opendir(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        if self.keeps_directories {
            // the kernel takes this for "nothing to do", does not ask again, and keeps the names that it reads
            reply.error(Errno::ENOSYS);
        } else {
            reply.opened(FileHandle(0), FopenFlags::empty());
        }
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listing = match self.vfs().listing(Ino(ino.0), offset) {
            Ok(listing) => listing,
            Err(error) => return reply.error(errno(&error)),
        };
        let live = self.vfs().live_names();
        for (next, line) in listing.behind(offset) {
            let (name, child_ino, kind) = match line {
                Line::Dots(name) => (name, ino, FileType::Directory),
                Line::Child(child) => {
                    let wished = self.vfs().inodes.remember(child.node.clone(), &child.node.path(&live), 0);
                    (child.name.as_str(), INodeNo(wished.0), file_type(child.kind))
                }
            };
            if reply.add(child_ino, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let listing = match self.vfs().listing(Ino(ino.0), offset) {
            Ok(listing) => listing,
            Err(error) => return reply.error(errno(&error)),
        };
        let live = self.vfs().live_names();
        for (next, line) in listing.behind(offset) {
            match line {
                Line::Dots(name) => {
                    let attributes = Attributes {
                        kind: Kind::Directory,
                        size: 0,
                        modified: SystemTime::UNIX_EPOCH,
                        trust: Duration::ZERO,
                        provisional: false,
                    };
                    let (trust, attr) = self.shared.told(Ino(ino.0), &attributes);
                    if reply.add(ino, next, name, &trust, &attr, Generation(0)) {
                        break;
                    }
                }
                Line::Child(child) => {
                    // a name that vanished since the listing was made is left out
                    let Ok(attributes) = self.vfs().attributes(&child.node) else { continue };
                    // an entry in the reply counts as a lookup
                    let path = child.node.path(&live);
                    let known = self.vfs().inodes.remember(child.node.clone(), &path, 1);
                    let (trust, attr) = self.shared.told(known, &attributes);
                    let ino = INodeNo(known.0);
                    if reply.add(ino, next, &child.name, &trust, &attr, Generation(0)) {
                        // it did not fit, so the kernel never hears of it
                        self.vfs().inodes.forget(known, 1);
                        break;
                    }
                }
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let space = self.vfs().space();
        let blocks = |bytes: u64| bytes / u64::from(BLOCK);
        let free = blocks(space.free);
        reply.statfs(blocks(space.total), free, free, space.files, 0, BLOCK, LONGEST_NAME, BLOCK);
    }

    fn access(&self, _req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        match self.node(ino).and_then(|node| self.vfs().attributes(&node)) {
            Err(error) => reply.error(errno(&error)),
            Ok(_) if mask.contains(AccessFlags::W_OK) => reply.error(Errno::EROFS),
            Ok(attributes) if mask.contains(AccessFlags::X_OK) && attributes.kind == Kind::File => {
                reply.error(Errno::EACCES);
            }
            Ok(_) => reply.ok(),
        }
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let name = name.to_str().unwrap_or_default();
        match self.node(ino).and_then(|node| self.vfs().xattr(&node, name)) {
            Ok(value) => answer_xattr(value.as_bytes(), size, reply),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        match self.node(ino).and_then(|node| self.vfs().list_xattrs(&node)) {
            Ok(names) => {
                let list: Vec<u8> = names.iter().flat_map(|name| name.bytes().chain([0])).collect();
                answer_xattr(&list, size, reply);
            }
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        if !self.writable_xattr(req) {
            return reply.error(Errno::EPERM);
        }
        let node = match self.node(ino) {
            Ok(node) => node,
            Err(error) => return reply.error(errno(&error)),
        };
        let (shared, name, value) =
            (Arc::clone(&self.shared), name.to_string_lossy().into_owned(), value.to_owned());
        self.runtime.spawn_blocking(move || match shared.vfs.set_xattr(&node, &name, &value) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(&error)),
        });
    }

    fn setattr(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.error(Errno::EROFS);
    }

    fn readlink(&self, _req: &Request, _ino: INodeNo, reply: ReplyData) {
        reply.error(Errno::EINVAL);
    }

    fn write(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _offset: u64,
        _data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::EROFS);
    }

    fn create(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(Errno::EROFS);
    }

    read_only! {
        mknod(parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32) -> ReplyEntry;
        mkdir(parent: INodeNo, name: &OsStr, mode: u32, umask: u32) -> ReplyEntry;
        unlink(parent: INodeNo, name: &OsStr) -> ReplyEmpty;
        rmdir(parent: INodeNo, name: &OsStr) -> ReplyEmpty;
        symlink(parent: INodeNo, name: &OsStr, target: &std::path::Path) -> ReplyEntry;
        rename(parent: INodeNo, name: &OsStr, new_parent: INodeNo, new_name: &OsStr, flags: RenameFlags) -> ReplyEmpty;
        link(ino: INodeNo, new_parent: INodeNo, new_name: &OsStr) -> ReplyEntry;
        removexattr(ino: INodeNo, name: &OsStr) -> ReplyEmpty;
        fallocate(ino: INodeNo, fh: FileHandle, offset: u64, length: u64, mode: i32) -> ReplyEmpty;
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File => FileType::RegularFile,
    }
}

/// The protocol of getxattr and listxattr: size 0 asks for the size.
fn answer_xattr(value: &[u8], size: u32, reply: ReplyXattr) {
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    match size {
        0 => reply.size(length),
        size if size < length => reply.error(Errno::ERANGE),
        _ => reply.data(value),
    }
}
