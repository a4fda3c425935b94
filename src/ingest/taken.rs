//! Which paths are taken while a package is unpacked.

use std::collections::BTreeSet;

use super::member::SafePath;

/// Paths that exist already, so that no member overwrites another.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) files: BTreeSet<String>,
    folders: BTreeSet<String>,
}

impl Taken {
    /// Takes a folder, and those around it.
    ///
    /// # Errors
    /// What is in its way.
    pub(super) fn add_folders(&mut self, parts: &[String]) -> Result<(), String> {
        for depth in 1..=parts.len() {
            let folder = parts[..depth].join("/");
            if self.files.contains(&folder) {
                return Err("it is a folder and a file at once".to_owned());
            }
            self.folders.insert(folder);
        }
        Ok(())
    }

    /// Takes a file, and the folders around it.
    ///
    /// # Errors
    /// What is in its way.
    pub(super) fn add_file(&mut self, path: &SafePath) -> Result<(), String> {
        let (_, folders) = path.0.split_last().ok_or("it has no name")?;
        self.add_folders(folders)?;
        let path = path.text();
        if self.folders.contains(&path) {
            return Err("it is a folder and a file at once".to_owned());
        }
        if self.files.insert(path) { Ok(()) } else { Err("its name appears twice".to_owned()) }
    }
}
