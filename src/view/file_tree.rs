//! Files on disk under other paths, with the directories that follow from the paths.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;

use super::node::{Content, Listed, Node, ViewFile};

/// Files by path, relative to where the tree begins. Directories are those that the paths name, none is empty.
#[derive(Debug, Default)]
pub(super) struct FileTree {
    files: BTreeMap<String, File>,
}

#[derive(Debug)]
struct File {
    size: u64,
    on_disk: PathBuf,
}

impl FileTree {
    /// Adds a file; the first one of a path stays.
    pub(super) fn add(&mut self, path: String, size: u64, on_disk: PathBuf) {
        self.files.entry(path).or_insert(File { size, on_disk });
    }

    /// What stands at `path` ("" is the tree itself).
    pub(super) fn node(&self, path: &str) -> Option<Node> {
        if let Some(file) = self.files.get(path) {
            return Some(Node::File(ViewFile {
                size: file.size,
                content: Content::Whole(file.on_disk.clone()),
            }));
        }
        self.below(path).next().map(|_| Node::Dir)
    }

    /// What the directory at `path` holds; `None` when there is none.
    pub(super) fn list(&self, path: &str) -> Option<Vec<Listed>> {
        let mut listed: Vec<Listed> = self
            .below(path)
            .map(|below| match below.split_once('/') {
                Some((directory, _)) => Listed::dir(directory.to_owned()),
                None => Listed::file(below.to_owned()),
            })
            .collect();
        // "a.txt" stands between "a/b" and "a/c" when a name sorts before the slash.
        listed.sort();
        listed.dedup();
        (!listed.is_empty()).then_some(listed)
    }

    /// Paths of the files below a directory, relative to it.
    fn below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        let start = (Bound::Included(path), Bound::Unbounded);
        let files = self.files.range::<str, _>(start).take_while(move |(file, _)| file.starts_with(path));
        files.filter_map(move |(file, _)| match path {
            "" => Some(file.as_str()),
            _ => file[path.len()..].strip_prefix('/'),
        })
    }
}
