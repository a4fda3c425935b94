//! A disk that fails where the test wants it to: a FUSE file system over a plain folder. Everything passes through, but
//! for the calls that a [`Fault`] names; these are answered with its errno, as the kernel would for a full or broken disk.
//!
//! No device mapper is needed and no root: what the program sees comes from the kernel, at whatever call.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

/// A sort of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Whatever takes room or changes something: write, create, mkdir, growing, fallocate.
    Write,
    /// read(2), also by mmap.
    Read,
    /// fsync(2) of files and directories.
    Sync,
    /// rename(2), by the new name.
    Rename,
}

/// What fails: calls of that sort to paths that contain `path`.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    call: Call,
    path: String,
    errno: i32,
    /// Only reads that touch these bytes.
    bytes: Range<u64>,
    /// So much later, and then as if nothing had been.
    delay: Option<Duration>,
}

impl Fault {
    pub(crate) fn new(call: Call, path: &str, errno: i32) -> Self {
        Self { call, path: path.to_owned(), errno, bytes: 0..u64::MAX, delay: None }
    }

    /// Reads of these bytes of a file, and of no others.
    pub(crate) fn of_bytes(path: &str, bytes: Range<u64>, errno: i32) -> Self {
        Self { bytes, ..Self::new(Call::Read, path, errno) }
    }

    /// Reads that take so much longer, and do not fail.
    pub(crate) fn slow(path: &str, delay: Duration) -> Self {
        Self { delay: Some(delay), ..Self::new(Call::Read, path, 0) }
    }

    /// Every change anywhere.
    pub(crate) fn all_writes(errno: i32) -> [Self; 2] {
        [Call::Write, Call::Rename].map(|call| Self::new(call, "", errno))
    }
}

#[derive(Debug, Default)]
struct Faults {
    now: Mutex<Vec<Fault>>,
    /// How many calls were made to fail, or to take longer.
    struck: AtomicU64,
}

/// The disk, mounted as long as it lives. Declare it before the mount that uses it.
pub(crate) struct FaultyDisk {
    faults: Arc<Faults>,
    point: PathBuf,
    session: Option<BackgroundSession>,
}

impl FaultyDisk {
    /// Mounts one below `folder`.
    pub(crate) fn below(folder: &Path) -> Self {
        let (backing, point) = (folder.join("faulty-backing"), folder.join("faulty"));
        std::fs::create_dir_all(&backing).unwrap();
        std::fs::create_dir_all(&point).unwrap();
        let faults = Arc::new(Faults::default());
        let tree = Tree::new(backing, Arc::clone(&faults));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("faulty".to_owned())];
        config.n_threads = Some(4);
        let session = fuser::spawn_mount(tree, &point, &config).expect("a FUSE file system can be mounted");
        Self { faults, point, session: Some(session) }
    }

    /// Where the cache may lie.
    pub(crate) fn cache(&self) -> PathBuf {
        self.point.join("cache")
    }

    /// What fails from now on, and nothing else.
    pub(crate) fn fails(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.faults.now.lock().unwrap() = faults.into_iter().collect();
        self.faults.struck.store(0, Ordering::SeqCst);
    }

    /// Nothing fails any more. How many calls have failed since [`Self::fails`].
    pub(crate) fn mend(&self) -> u64 {
        self.faults.now.lock().unwrap().clear();
        self.faults.struck.load(Ordering::SeqCst)
    }

    /// How many calls have failed since [`Self::fails`].
    pub(crate) fn struck(&self) -> u64 {
        self.faults.struck.load(Ordering::SeqCst)
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        self.faults.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
        super::mount::detach(&self.point);
        // not joined: whoever still has a file open there must not keep the test
        drop(self.session.take());
    }
}

/// Nodes by number. A number is of one path for ever, and moves with it.
#[derive(Debug, Default)]
struct Nodes {
    paths: HashMap<u64, PathBuf>,
    numbers: HashMap<PathBuf, u64>,
    last: u64,
}

impl Nodes {
    fn number(&mut self, path: &Path) -> u64 {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        self.last += 1;
        self.numbers.insert(path.to_owned(), self.last);
        self.paths.insert(self.last, path.to_owned());
        self.last
    }

    fn gone(&mut self, path: &Path) {
        self.numbers.retain(|known, _| !known.starts_with(path));
    }

    fn moved(&mut self, from: &Path, to: &Path) {
        self.gone(to);
        let moving: Vec<(PathBuf, u64)> = self
            .numbers
            .iter()
            .filter(|(path, _)| path.starts_with(from))
            .map(|(path, number)| (path.clone(), *number))
            .collect();
        for (path, number) in moving {
            self.numbers.remove(&path);
            let rest = path.strip_prefix(from).unwrap();
            let now = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            self.numbers.insert(now.clone(), number);
            self.paths.insert(number, now);
        }
    }
}

#[derive(Debug)]
struct Tree {
    root: PathBuf,
    faults: Arc<Faults>,
    nodes: Mutex<Nodes>,
    files: Mutex<HashMap<u64, Arc<File>>>,
    next: AtomicU64,
}

const ZERO: Duration = Duration::ZERO;

impl Tree {
    fn new(root: PathBuf, faults: Arc<Faults>) -> Self {
        let mut nodes = Nodes::default();
        assert_eq!(nodes.number(&root), 1, "the root is number 1");
        Self { root, faults, nodes: Mutex::new(nodes), files: Mutex::default(), next: AtomicU64::new(1) }
    }

    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap()
    }

    fn path(&self, ino: INodeNo) -> io::Result<PathBuf> {
        let missing = || io::Error::from_raw_os_error(libc::ESTALE);
        self.nodes().paths.get(&ino.0).cloned().ok_or_else(missing)
    }

    fn child(&self, parent: INodeNo, name: &OsStr) -> io::Result<PathBuf> {
        Ok(self.path(parent)?.join(name))
    }

    /// Fails where the test wants it.
    fn may(&self, call: Call, path: &Path) -> io::Result<()> {
        self.may_touch(call, path, 0..u64::MAX)
    }

    fn may_touch(&self, call: Call, path: &Path, bytes: Range<u64>) -> io::Result<()> {
        let relative = path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned();
        let strikes = |fault: &&Fault| {
            let touches = fault.bytes.start < bytes.end && bytes.start < fault.bytes.end;
            fault.call == call && relative.contains(&fault.path) && touches
        };
        let Some(fault) = self.faults.now.lock().unwrap().iter().find(strikes).cloned() else {
            return Ok(());
        };
        self.faults.struck.fetch_add(1, Ordering::SeqCst);
        let Some(delay) = fault.delay else { return Err(io::Error::from_raw_os_error(fault.errno)) };
        std::thread::sleep(delay);
        Ok(())
    }

    fn attr(&self, path: &Path, ino: u64) -> io::Result<FileAttr> {
        Ok(attr(&std::fs::symlink_metadata(path)?, ino))
    }

    fn entry(&self, path: &Path) -> io::Result<FileAttr> {
        let metadata = std::fs::symlink_metadata(path)?;
        Ok(attr(&metadata, self.nodes().number(path)))
    }

    fn keep(&self, file: File) -> FileHandle {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        self.files.lock().unwrap().insert(number, Arc::new(file));
        FileHandle(number)
    }

    fn file(&self, handle: FileHandle) -> io::Result<Arc<File>> {
        let missing = || io::Error::from_raw_os_error(libc::EBADF);
        self.files.lock().unwrap().get(&handle.0).cloned().ok_or_else(missing)
    }

    fn open_file(&self, path: &Path, flags: i32, mode: u32) -> io::Result<File> {
        let (read, write) = match flags & libc::O_ACCMODE {
            libc::O_WRONLY => (false, true),
            libc::O_RDWR => (true, true),
            _ => (true, false),
        };
        let mut options = OpenOptions::new();
        // the kernel reads pages back of files that are only written
        options.read(read || write).write(write).mode(mode);
        if flags & libc::O_CREAT != 0 {
            options.create(true).custom_flags(flags & libc::O_EXCL);
        }
        options.open(path)
    }

    fn set(
        &self,
        ino: INodeNo,
        mode: Option<u32>,
        size: Option<u64>,
        fh: Option<FileHandle>,
    ) -> io::Result<FileAttr> {
        let path = self.path(ino)?;
        if let Some(mode) = mode {
            self.may(Call::Write, &path)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode & 0o7777))?;
        }
        if let Some(size) = size {
            let file = match fh {
                Some(fh) => self.file(fh)?,
                None => Arc::new(OpenOptions::new().write(true).open(&path)?),
            };
            if size > file.metadata()?.len() {
                self.may(Call::Write, &path)?;
            }
            file.set_len(size)?;
            return Ok(attr(&file.metadata()?, ino.0));
        }
        self.attr(&path, ino.0)
    }

    fn rename_to(&self, from: PathBuf, to: PathBuf, flags: RenameFlags) -> io::Result<()> {
        self.may(Call::Rename, &to)?;
        if !flags.is_empty() {
            // as file systems answer that cannot exchange two names
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let mut nodes = self.nodes();
        std::fs::rename(&from, &to)?;
        nodes.moved(&from, &to);
        Ok(())
    }
}

fn attr(metadata: &std::fs::Metadata, ino: u64) -> FileAttr {
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    FileAttr {
        ino: INodeNo(ino),
        size: metadata.len(),
        blocks: metadata.blocks(),
        atime: modified,
        mtime: modified,
        ctime: modified,
        crtime: modified,
        kind: FileType::from_std(metadata.file_type()).unwrap_or(FileType::RegularFile),
        perm: (metadata.mode() & 0o7777) as u16,
        nlink: metadata.nlink() as u32,
        uid: metadata.uid(),
        gid: metadata.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn empty(result: io::Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error.into()),
    }
}

fn entry(result: io::Result<FileAttr>, reply: ReplyEntry) {
    match result {
        Ok(attr) => reply.entry(&ZERO, &attr, Generation(0)),
        Err(error) => reply.error(error.into()),
    }
}

fn attribute(result: io::Result<FileAttr>, reply: ReplyAttr) {
    match result {
        Ok(attr) => reply.attr(&ZERO, &attr),
        Err(error) => reply.error(error.into()),
    }
}

impl Filesystem for Tree {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(self.child(parent, name).and_then(|path| self.entry(&path)), reply);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        let open = fh.and_then(|fh| self.file(fh).ok());
        let result = match open {
            Some(file) => file.metadata().map(|metadata| attr(&metadata, ino.0)),
            None => self.path(ino).and_then(|path| self.attr(&path, ino.0)),
        };
        attribute(result, reply);
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<std::time::SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<std::time::SystemTime>,
        _chgtime: Option<std::time::SystemTime>,
        _bkuptime: Option<std::time::SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        attribute(self.set(ino, mode, size, fh), reply);
    }

    fn mkdir(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let result = self.child(parent, name).and_then(|path| {
            self.may(Call::Write, &path)?;
            std::fs::create_dir(&path)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode & 0o7777))?;
            self.entry(&path)
        });
        entry(result, reply);
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let result = self.child(parent, name).and_then(|path| {
            std::fs::remove_file(&path)?;
            self.nodes().gone(&path);
            Ok(())
        });
        empty(result, reply);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let result = self.child(parent, name).and_then(|path| {
            std::fs::remove_dir(&path)?;
            self.nodes().gone(&path);
            Ok(())
        });
        empty(result, reply);
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let paths = self.child(parent, name).and_then(|from| Ok((from, self.child(newparent, newname)?)));
        empty(paths.and_then(|(from, to)| self.rename_to(from, to, flags)), reply);
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.path(ino).and_then(|path| self.open_file(&path, flags.0 & !libc::O_CREAT, 0));
        match opened {
            Ok(file) => reply.opened(self.keep(file), FopenFlags::empty()),
            Err(error) => reply.error(error.into()),
        }
    }

    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let created = self.child(parent, name).and_then(|path| {
            self.may(Call::Write, &path)?;
            let file = self.open_file(&path, flags | libc::O_CREAT, mode & 0o7777)?;
            Ok((self.entry(&path)?, file))
        });
        match created {
            Ok((attr, file)) => {
                reply.created(&ZERO, &attr, Generation(0), self.keep(file), FopenFlags::empty())
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let result = self.path(ino).and_then(|path| {
            self.may_touch(Call::Read, &path, offset..offset + u64::from(size))?;
            let file = self.file(fh)?;
            let mut buffer = vec![0; size as usize];
            let mut done = 0;
            while done < buffer.len() {
                match file.read_at(&mut buffer[done..], offset + done as u64)? {
                    0 => break,
                    count => done += count,
                }
            }
            buffer.truncate(done);
            Ok(buffer)
        });
        match result {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error.into()),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let result = self.path(ino).and_then(|path| {
            self.may(Call::Write, &path)?;
            self.file(fh)?.write_all_at(data, offset)
        });
        match result {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error.into()),
        }
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let result = self.path(ino).and_then(|path| {
            self.may(Call::Write, &path)?;
            let file = self.file(fh)?;
            // SAFETY: the descriptor is open as long as `file` lives; the call takes plain numbers.
            let status = unsafe { libc::fallocate(file.as_raw_fd(), mode, offset as i64, length as i64) };
            if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        });
        empty(result, reply);
    }

    fn flush(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let result = self.path(ino).and_then(|path| {
            self.may(Call::Sync, &path)?;
            // durability is not what is tested here, and real syncs would be slow
            self.file(fh).map(|_| ())
        });
        empty(result, reply);
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        empty(self.path(ino).and_then(|path| self.may(Call::Sync, &path)), reply);
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
        self.files.lock().unwrap().remove(&fh.0);
        reply.ok();
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listing = self.path(ino).and_then(|path| {
            let mut names =
                vec![(ino.0, FileType::Directory, ".".into()), (ino.0, FileType::Directory, "..".into())];
            let mut found: Vec<_> = std::fs::read_dir(&path)?.collect::<io::Result<_>>()?;
            found.sort_by_key(std::fs::DirEntry::file_name);
            for entry in found {
                let kind = FileType::from_std(entry.file_type()?).unwrap_or(FileType::RegularFile);
                names.push((self.nodes().number(&entry.path()), kind, entry.file_name()));
            }
            Ok(names)
        });
        match listing {
            Ok(names) => {
                for (at, (number, kind, name)) in names.into_iter().enumerate().skip(offset as usize) {
                    if reply.add(INodeNo(number), at as u64 + 1, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        // more than any test needs
        let blocks = 1 << 20;
        reply.statfs(blocks, blocks, blocks, blocks, blocks, 4096, 255, 4096);
    }

    fn access(&self, _req: &Request, _ino: INodeNo, _mask: fuser::AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }
}
