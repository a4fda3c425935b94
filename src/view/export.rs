//! Writes what a view shows into a real directory, so that real readers can open it in tests.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::{EntryView, Node};

/// Writes all files of a view below `directory`; checks on the way that listing and looking up agree.
pub(crate) fn export(view: &EntryView, directory: &Path) {
    export_directory(view, "", directory);
}

fn export_directory(view: &EntryView, path: &str, directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    let listed = view.list(path).unwrap().unwrap_or_else(|| panic!("'{path}' is not listed"));
    let mut names: Vec<_> = listed.iter().map(|listed| &listed.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), listed.len(), "'{path}' lists a name twice");
    for entry in listed {
        let below = if path.is_empty() { entry.name.to_string() } else { format!("{path}/{}", entry.name) };
        let target = directory.join(entry.name.as_ref());
        match view.node(&below).unwrap().unwrap_or_else(|| panic!("'{below}' is listed but not there")) {
            Node::Dir => {
                assert!(entry.is_dir, "'{below}'");
                export_directory(view, &below, &target);
            }
            Node::File(file) => {
                assert!(!entry.is_dir, "'{below}'");
                let mut bytes = vec![0; file.size as usize + 1];
                assert_eq!(file.read_at(&mut bytes, 0).unwrap() as u64, file.size, "'{below}'");
                bytes.truncate(file.size as usize);
                std::fs::write(target, bytes).unwrap();
            }
        }
    }
}
