//! What in the cache's folder is ours, and what is not: nothing of others is ever counted, evicted or swept.
//!
//! * In the cache's root: the names of [`is_book`] are ours.
//! * In `rasters/`: directories that describe themselves, or that the ledger remembers. Within them everything is ours.
//! * In `staging/`: directories that are called by a key, and discarded ones.

use std::fs::DirEntry;

use super::entry_dir;
use super::layout::{EntryKey, TRASH};

/// The key of an entry in `rasters/`; `None` for what is not ours. `remembered` says whether the ledger knows a key.
pub fn entry_key(found: &DirEntry, remembered: impl Fn(&EntryKey) -> bool) -> Option<EntryKey> {
    let key = EntryKey::new(found.file_name().to_str()?).ok()?;
    let is_directory = found.file_type().is_ok_and(|kind| kind.is_dir());
    let is_ours = is_directory && (remembered(&key) || entry_dir::group_path(&found.path()).exists());
    is_ours.then_some(key)
}

/// Whether something in `staging/` is a working directory, of a fetch under way or of one that is over.
pub fn is_scratch(found: &DirEntry) -> bool {
    let name = found.file_name();
    let ours = name.to_str().is_some_and(|name| name.starts_with(TRASH) || EntryKey::new(name).is_ok());
    ours && found.file_type().is_ok_and(|kind| kind.is_dir())
}

/// Whether a file in the cache's root is one of ours: lock, version, ledger (with what SQLite has beside it), catalogue.
pub fn is_book(found: &DirEntry) -> bool {
    let name = found.file_name();
    let ours = name.to_str().is_some_and(|name| {
        matches!(name, "VERSION" | "VERSION.new" | "lock")
            || name.starts_with("ledger.sqlite")
            || name.starts_with("catalog.json")
    });
    ours && found.file_type().is_ok_and(|kind| kind.is_file())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn found(folder: &Path, name: &str) -> DirEntry {
        fs::read_dir(folder).unwrap().map(Result::unwrap).find(|entry| entry.file_name() == name).unwrap()
    }

    #[test]
    fn only_directories_that_describe_themselves_or_are_remembered_are_entries() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["entry", "backup", "with blank"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("entry/zarr.json"), "{").unwrap();
        fs::write(dir.path().join("with blank/zarr.json"), "{").unwrap();
        fs::write(dir.path().join("notes.txt"), "").unwrap();
        std::os::unix::fs::symlink(dir.path().join("entry"), dir.path().join("link")).unwrap();
        let key = |name, remembered| entry_key(&found(dir.path(), name), |_| remembered);
        assert_eq!(key("entry", false), EntryKey::new("entry").ok(), "even a damaged description is one");
        assert_eq!(key("backup", false), None);
        assert_eq!(key("backup", true), EntryKey::new("backup").ok(), "an entry whose description is gone");
        for name in ["with blank", "notes.txt", "link"] {
            assert_eq!(key(name, true), None, "{name}");
        }
    }

    #[test]
    fn only_working_directories_are_scratch_and_only_our_files_are_books() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["key-1", ".trash-7-0", "my data"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        for name in ["thesis.tex", "ledger.sqlite-wal", "lock"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let scratch = |name| is_scratch(&found(dir.path(), name));
        assert!(scratch("key-1") && scratch(".trash-7-0"));
        assert!(!scratch("my data") && !scratch("thesis.tex"));
        let book = |name| is_book(&found(dir.path(), name));
        assert!(book("ledger.sqlite-wal") && book("lock"));
        assert!(!book("thesis.tex") && !book("key-1"));
    }
}
