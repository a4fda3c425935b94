//! The cache directory: where everything lies, its format version, and the lock that gives it one owner.
//!
//! ```text
//! <cache>/
//! ├── VERSION          format version; an unknown one is refused, never guessed
//! ├── lock             held (flock) by the one process that may write
//! ├── ledger.sqlite    what `fetch` must not forget
//! ├── catalog.json     last catalogue seen, so that a mount needs no network
//! ├── rasters/<key>/   published entries
//! └── staging/<key>/   fetches under way: package.part, package.zip, unpacked/, entry/
//! ```

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::disk::Trouble;

/// Content of `VERSION` for the layout this release writes.
const VERSION: &str = "clmsfs-cache 1\n";
/// How the names of discarded directories in `staging/` begin.
pub(super) const TRASH: &str = ".trash-";

/// Name of an entry on disk: what is fetched and cached as one piece.
///
/// Made of letters, digits, `.`, `_` and `-` only, never starting with a dot, so it is always one safe path part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryKey(String);

impl EntryKey {
    /// Checks that `text` is one safe path part.
    ///
    /// # Errors
    /// [`StoreError::Key`] when it is empty, too long, starts with a dot or has other characters.
    pub fn new(text: impl Into<String>) -> Result<Self, StoreError> {
        let text = text.into();
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.is_empty() || text.len() > 200 || text.starts_with('.') || !text.chars().all(safe) {
            return Err(StoreError::Key { text });
        }
        Ok(Self(text))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for EntryKey {
    type Error = StoreError;
    fn try_from(text: String) -> Result<Self, StoreError> {
        Self::new(text)
    }
}

impl From<EntryKey> for String {
    fn from(key: EntryKey) -> Self {
        key.0
    }
}

/// An opened cache directory; while it lives, no other process opens it.
#[derive(Debug)]
pub struct CacheDir {
    root: PathBuf,
    /// Keeps the flock.
    _lock: File,
}

impl CacheDir {
    /// Opens or creates the cache at `root` (mode 0700 when created) and takes its lock.
    ///
    /// # Errors
    /// [`StoreError::Version`] for a cache of another release, [`StoreError::Locked`] when another process
    /// owns it, [`StoreError::Foreign`] when the directory holds something that is not a cache,
    /// [`StoreError::Unmakeable`] when there is none and none can be, [`StoreError::Io`] otherwise.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { path, source }
        };
        let unmakeable = |source| StoreError::Unmakeable { path: root.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(unmakeable)?;
        let root = root.canonicalize().map_err(fail(root))?;
        refuse_foreign(&root)?;
        let lock_path = root.join("lock");
        let lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(fail(&lock_path))?;
        take_lock(&lock, &root)?;
        check_version(&root)?;
        drop_half_catalogs(&root);
        for name in ["rasters", "staging"] {
            let path = root.join(name);
            if !path.is_dir() {
                fs::DirBuilder::new().mode(0o700).create(&path).map_err(fail(&path))?;
                // what is made durable below must not hang in the air
                sync_directory(&root).map_err(fail(&root))?;
            }
        }
        Ok(Self { root, _lock: lock })
    }

    /// The cache's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the ledger lies.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger.sqlite")
    }

    /// Where the last catalogue lies.
    pub fn catalog(&self) -> PathBuf {
        self.root.join("catalog.json")
    }

    /// Directory of all published entries.
    pub fn entries(&self) -> PathBuf {
        self.root.join("rasters")
    }

    /// Directory of one published entry.
    pub fn entry(&self, key: &EntryKey) -> PathBuf {
        self.entries().join(key.as_str())
    }

    /// Directory of all fetches under way.
    pub fn staging_root(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Working directory of one fetch; created by [`Self::stage`].
    pub fn staging(&self, key: &EntryKey) -> PathBuf {
        self.staging_root().join(key.as_str())
    }

    /// Creates the working directory of one fetch.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be created.
    pub fn stage(&self, key: &EntryKey) -> Result<PathBuf, StoreError> {
        let path = self.staging(key);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|source| StoreError::Io { path: path.clone(), source })?;
        Ok(path)
    }

    /// Puts `staged` (a complete, fsynced entry directory on the same file system) in its published place.
    ///
    /// A rename makes it visible whole or not at all. What lay there before, the former entry or a leftover, lies at
    /// `staged` afterwards: there is no moment without either. It is durable only after [`Self::settle`].
    ///
    /// # Errors
    /// [`StoreError::Io`]: nothing has changed.
    pub fn put(&self, staged: &Path, key: &EntryKey) -> Result<(), StoreError> {
        let target = self.entry(key);
        let fail = |source| StoreError::Io { path: target.clone(), source };
        if !target.exists() {
            return fs::rename(staged, &target).map_err(fail);
        }
        match exchange(staged, &target) {
            // not on this file system
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
                self.replace(staged, &target)
            }
            result => result.map_err(fail),
        }
    }

    /// An exchange in three renames. A crash between the first two costs a fetch, never a wrong byte.
    fn replace(&self, staged: &Path, target: &Path) -> Result<(), StoreError> {
        let former = self.move_away(target)?;
        if let Err(source) = fs::rename(staged, target) {
            if let Some(Err(error)) = former.map(|former| fs::rename(former.0, target)) {
                tracing::warn!(path = %target.display(), %error, "an entry is lost that could not be replaced");
            }
            return Err(StoreError::Io { path: target.to_owned(), source });
        }
        if let Some(former) = former
            && fs::rename(&former.0, staged).is_err()
        {
            // the newer one is in its place all the same
            former.delete();
        }
        Ok(())
    }

    /// Makes what [`Self::put`] did durable, and deletes what it replaced.
    ///
    /// # Errors
    /// [`StoreError::Io`]: the entry is visible and may not survive a power loss.
    pub fn settle(&self, staged: &Path) -> Result<(), StoreError> {
        let fail = |source| StoreError::Io { path: staged.to_owned(), source };
        sync_directory(&self.entries()).map_err(fail)?;
        if let Some(parent) = staged.parent() {
            sync_directory(parent).map_err(fail)?;
        }
        self.discard(staged)
    }

    /// Tells one publication of an entry from the next, also across restarts; `None` when there is none.
    pub fn identity(&self, key: &EntryKey) -> Option<u64> {
        fs::metadata(self.entry(key)).ok().map(|metadata| metadata.ino())
    }

    /// Makes `path` (a directory inside the cache) vanish at once and then deletes it.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be moved; a failing deletion is left to the sweep at the next start.
    pub fn discard(&self, path: &Path) -> Result<(), StoreError> {
        if let Some(apart) = self.set_apart(path)? {
            apart.delete();
        }
        Ok(())
    }

    /// Deletes what was an entry until it was set apart. Its name is gone for good first: else a loss of power could bring it
    /// back without some of its files.
    pub fn delete_entry(&self, apart: Apart) {
        if let Err(error) = sync_directory(&self.entries()) {
            tracing::warn!(path = %apart.0.display(), %error, "an evicted entry may come back after a loss of power");
        }
        apart.delete();
    }

    /// Makes `path` (a directory inside the cache) vanish at once; what it held is deleted later, which may take
    /// long. `None` when nothing is left to delete.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be moved: it is still there.
    pub fn set_apart(&self, path: &Path) -> Result<Option<Apart>, StoreError> {
        match self.move_away(path) {
            // a rename may need room that a deletion does not (btrfs over its quota). A crash meanwhile leaves a part, which
            // is swept with staging or noticed as a damaged entry
            Err(StoreError::Io { source, .. })
                if Trouble::of(&source).is_some_and(Trouble::is_lack_of_room) =>
            {
                let deleted = fs::remove_dir_all(path);
                deleted.map(|()| None).map_err(|source| StoreError::Io { path: path.to_owned(), source })
            }
            moved => moved,
        }
    }

    fn move_away(&self, path: &Path) -> Result<Option<Apart>, StoreError> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let trash = self.staging_root().join(format!("{TRASH}{}-{number}", std::process::id()));
        match fs::rename(path, &trash) {
            Ok(()) => Ok(Some(Apart(trash))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { path: path.to_owned(), source }),
        }
    }
}

/// A directory that was moved away to be deleted; if nobody does, the next start does.
#[derive(Debug)]
#[must_use = "it still takes room"]
pub struct Apart(PathBuf);

impl Apart {
    /// Deletes it.
    pub fn delete(self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a discarded directory is left for the next start");
        }
    }
}

/// Lets two directories change places, at once.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let [one, other] = [one, other].map(|path| std::ffi::CString::new(path.as_os_str().as_bytes()));
    let (one, other) = (one?, other?);
    // SAFETY: both paths are NUL-terminated and live until the call returns.
    let status = unsafe {
        libc::renameat2(libc::AT_FDCWD, one.as_ptr(), libc::AT_FDCWD, other.as_ptr(), libc::RENAME_EXCHANGE)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `VERSION` while it is written: an empty one would be refused as that of another release.
const FRESH_VERSION: &str = "VERSION.new";

/// Refuses a directory that has content but is not a cache: deleting other people's files is not our job.
fn refuse_foreign(root: &Path) -> Result<(), StoreError> {
    if root.join("VERSION").exists() || root.join("lock").exists() {
        return Ok(());
    }
    let fail = |source| StoreError::Io { path: root.to_owned(), source };
    let strange = fs::read_dir(root)
        .map_err(fail)?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name() != "lost+found" && entry.file_name() != FRESH_VERSION);
    match strange {
        Some(entry) => Err(StoreError::Foreign { path: root.to_owned(), found: entry.file_name() }),
        None => Ok(()),
    }
}

fn take_lock(mut lock: &File, root: &Path) -> Result<(), StoreError> {
    // SAFETY: flock on a descriptor that `lock` keeps open for the whole call.
    let taken = unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0;
    let fail = |source| StoreError::Io { path: root.join("lock"), source };
    if !taken {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::WouldBlock {
            return Err(fail(error));
        }
        let mut owner = String::new();
        lock.read_to_string(&mut owner).map_err(fail)?;
        return Err(StoreError::Locked { path: root.to_owned(), owner: owner.trim().to_owned() });
    }
    // only for the message of whoever comes second: a full disk does not keep the first one out
    if let Err(error) = lock.set_len(0).and_then(|()| writeln!(lock, "pid {}", std::process::id())) {
        tracing::warn!(%error, "the lock does not say who holds it");
    }
    Ok(())
}

/// Whether the directory at `root` could be opened as a cache; nothing in it is changed.
///
/// # Errors
/// As [`CacheDir::open`], but for the lock.
pub fn inspect(root: &Path) -> Result<(), StoreError> {
    refuse_foreign(root)?;
    is_versioned(root).map(drop)
}

fn check_version(root: &Path) -> Result<(), StoreError> {
    if is_versioned(root)? {
        return Ok(());
    }
    let path = root.join("VERSION");
    write_version(root, &path).map_err(|source| StoreError::Io { path, source })
}

/// Whether `VERSION` says that it is ours; false where it is still to be written.
fn is_versioned(root: &Path) -> Result<bool, StoreError> {
    let path = root.join("VERSION");
    match fs::read_to_string(&path) {
        Ok(text) if text == VERSION => Ok(true),
        // earlier builds left an empty one behind when the disk was full at their first start
        Ok(text) if text.is_empty() && !root.join("ledger.sqlite").exists() => Ok(false),
        Ok(text) => {
            // nobody knows what it is: it may be long, or move a terminal's cursor
            let found: String = text.trim().escape_debug().take(60).collect();
            Err(StoreError::Version { path, found })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StoreError::Io { path, source }),
    }
}

/// Writes `VERSION` whole or not at all: half of one would be the version of nobody.
fn write_version(root: &Path, path: &Path) -> io::Result<()> {
    let new = root.join(FRESH_VERSION);
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(VERSION.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        sync_directory(root)?;
        // the root itself may be new; a parent that we must not read cannot be synced
        let _ = root.parent().map(sync_directory);
        Ok(())
    };
    let written = write();
    if written.is_err() {
        // the first error is the one that counts
        let _ = fs::remove_file(&new);
    }
    written
}

/// Deletes what a kill left of a catalogue that was being saved. Only under the lock: nobody else writes then.
fn drop_half_catalogs(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("catalog.json.") && name.ends_with(".tmp")) {
            // what stays is only a little room lost
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes renames and creations inside `path` durable.
///
/// # Errors
/// What open(2) or fsync(2) say.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Bytes that `path` and everything below it really occupy (blocks × 512), as `du` counts them.
///
/// A file that vanishes meanwhile counts as nothing.
pub fn disk_usage(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let own = metadata.blocks() * 512;
    if !metadata.is_dir() {
        return own;
    }
    let children = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    own + children.map(|child| disk_usage(&child.path())).sum::<u64>()
}

/// Free bytes for us on the file system that holds `path`.
///
/// # Errors
/// What statvfs(3) says.
pub fn free_space(path: &Path) -> io::Result<u64> {
    use std::os::unix::ffi::OsStrExt;
    let text = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let mut answer = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `text` is NUL-terminated and `answer` is a valid place for the result.
    if unsafe { libc::statvfs(text.as_ptr(), answer.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: statvfs answered 0, so it filled the structure.
    let answer = unsafe { answer.assume_init() };
    Ok(answer.f_bavail * answer.f_frsize)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_single_safe_path_parts() {
        for bad in ["", ".", "..", ".x", "a/b", "a b", "ä", "a\0", &"x".repeat(201)] {
            assert!(EntryKey::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(EntryKey::new("60aa-7cfe_x.1").unwrap().as_str(), "60aa-7cfe_x.1");
    }

    #[test]
    fn a_second_opener_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = CacheDir::open(dir.path()).unwrap();
        match CacheDir::open(dir.path()) {
            Err(StoreError::Locked { owner, .. }) => {
                assert_eq!(owner, format!("pid {}", std::process::id()));
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
        drop(first);
        CacheDir::open(dir.path()).unwrap();
    }

    #[test]
    fn unknown_versions_and_foreign_directories_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(CacheDir::open(dir.path()).unwrap());
        fs::write(dir.path().join("VERSION"), "clmsfs-cache 99\n").unwrap();
        assert!(
            matches!(CacheDir::open(dir.path()), Err(StoreError::Version { found, .. }) if found.ends_with("99"))
        );
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("thesis.tex"), "").unwrap();
        assert!(matches!(CacheDir::open(home.path()), Err(StoreError::Foreign { .. })));
        assert!(home.path().join("thesis.tex").exists());
    }

    /// A crash between making `VERSION` and filling it left an empty one, which every later start refused.
    #[test]
    fn a_crash_while_the_version_is_written_leaves_a_cache_that_opens() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FRESH_VERSION), "").unwrap();
        drop(CacheDir::open(dir.path()).unwrap());
        assert_eq!(fs::read_to_string(dir.path().join("VERSION")).unwrap(), VERSION);
        assert!(!dir.path().join(FRESH_VERSION).exists());
    }

    #[test]
    fn an_empty_version_of_a_first_start_on_a_full_disk_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("lock"), "").unwrap();
        fs::write(dir.path().join("VERSION"), "").unwrap();
        drop(CacheDir::open(dir.path()).unwrap());
        assert_eq!(fs::read_to_string(dir.path().join("VERSION")).unwrap(), VERSION);
        fs::write(dir.path().join("ledger.sqlite"), "").unwrap();
        fs::write(dir.path().join("VERSION"), "").unwrap();
        assert!(
            matches!(CacheDir::open(dir.path()), Err(StoreError::Version { .. })),
            "it was used: no guess"
        );
    }

    #[test]
    fn halves_of_saved_catalogues_go_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        drop(CacheDir::open(dir.path()).unwrap());
        for name in ["catalog.json", "catalog.json.7-00000000.tmp", "catalog.json.bak"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        drop(CacheDir::open(dir.path()).unwrap());
        assert!(dir.path().join("catalog.json").exists() && dir.path().join("catalog.json.bak").exists());
        assert!(!dir.path().join("catalog.json.7-00000000.tmp").exists());
    }

    #[test]
    fn publishing_replaces_a_leftover_whole() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CacheDir::open(dir.path()).unwrap();
        let key = EntryKey::new("k").unwrap();
        let leftover = cache.entry(&key);
        fs::create_dir_all(&leftover).unwrap();
        fs::write(leftover.join("old"), "old").unwrap();
        let staged = cache.stage(&key).unwrap().join("entry");
        fs::create_dir(&staged).unwrap();
        fs::write(staged.join("new"), "new").unwrap();
        let before = cache.identity(&key);
        cache.put(&staged, &key).unwrap();
        assert!(staged.join("old").exists(), "until it is settled");
        assert_ne!(cache.identity(&key), before);
        cache.settle(&staged).unwrap();
        assert!(leftover.join("new").exists());
        assert!(!leftover.join("old").exists());
        assert!(!staged.exists());
    }

    #[test]
    fn a_replacement_that_fails_halfway_leaves_the_former_entry() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CacheDir::open(dir.path()).unwrap();
        let key = EntryKey::new("k").unwrap();
        let (target, staged) = (cache.entry(&key), cache.staging(&key));
        fs::create_dir(&target).unwrap();
        fs::write(target.join("old"), "old").unwrap();
        // nothing is there that could be renamed
        assert!(cache.replace(&staged, &target).is_err());
        assert!(target.join("old").exists());
        fs::create_dir(&staged).unwrap();
        fs::write(staged.join("new"), "new").unwrap();
        cache.replace(&staged, &target).unwrap();
        assert!(target.join("new").exists() && staged.join("old").exists());
    }
}
