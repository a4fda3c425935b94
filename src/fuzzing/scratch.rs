//! A folder for one input.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Is gone when it is dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("clmsfs-fuzz-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Self(path)
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("there is room for an input");
        path
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).expect("the folder is new");
        path
    }

    /// Names that lie in it.
    pub(super) fn names(&self) -> Vec<String> {
        list(&self.0).into_iter().map(|(name, _)| name).collect()
    }

    /// Paths of all files below `folder`, sorted. Anything but files and folders is a failure.
    pub(super) fn files(&self, folder: &Path) -> Vec<String> {
        let mut files = Vec::new();
        for (name, path) in list(folder) {
            let kind = fs::symlink_metadata(&path).expect("it was just listed").file_type();
            assert!(kind.is_dir() || kind.is_file(), "{name:?} is {kind:?}");
            match kind.is_dir() {
                true => files.extend(self.files(&path).into_iter().map(|inner| format!("{name}/{inner}"))),
                false => files.push(name),
            }
        }
        files.sort();
        files
    }

    pub(super) fn size(&self, path: &Path) -> u64 {
        fs::metadata(path).expect("it was just listed").len()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn list(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).expect("the folder is ours").filter_map(Result::ok);
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect()
}
