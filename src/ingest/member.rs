//! A member of a zip: where it lies, and the safe path it will have.

use super::ahead::Packed;

/// Deepest folder, longest name and longest path that are unpacked.
const MOST_PARTS: usize = 32;
const LONGEST_PART: usize = 255;
const LONGEST_PATH: usize = 2048;

/// A path that stays below its root: no empty part, no `.`, no `..`, nothing absolute, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SafePath(pub(super) Vec<String>);

impl SafePath {
    /// Normalises a name.
    ///
    /// # Errors
    /// What makes it unsafe.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        if name.chars().any(char::is_control) {
            return Err("its name has control characters".to_owned());
        }
        // Marks that turn the direction of writing, and letters that nobody sees, are of no use in a name.
        let name: String = name.chars().filter(|letter| crate::text::is_harmless(*letter)).collect();
        let normal = name.replace('\\', "/");
        if normal.starts_with('/') || normal.as_bytes().get(1) == Some(&b':') {
            return Err("its path is absolute".to_owned());
        }
        let parts: Vec<String> =
            normal.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect();
        if parts.iter().any(|part| part == "..") {
            return Err("its path leaves the package".to_owned());
        }
        if parts.is_empty() {
            return Err("it has no name".to_owned());
        }
        if parts.iter().any(|part| part.len() > LONGEST_PART) {
            return Err(Self::TOO_LONG.to_owned());
        }
        Self(parts).if_short()
    }

    /// True for the name of the package's own folder, `./` or `/`: packers that are given a whole folder list it.
    pub(super) fn is_root(name: &str) -> bool {
        name.split(['/', '\\']).all(|part| matches!(part, "" | "."))
    }

    /// The same path below folders.
    ///
    /// # Errors
    /// When it is too long there.
    pub(super) fn below<'a>(&'a self, folders: impl Iterator<Item = &'a String>) -> Result<Self, String> {
        Self(folders.chain(&self.0).cloned().collect()).if_short()
    }

    const TOO_LONG: &'static str = "its path is too long";

    fn if_short(self) -> Result<Self, String> {
        let is_short = self.0.len() <= MOST_PARTS && self.text().len() <= LONGEST_PATH;
        if is_short { Ok(self) } else { Err(Self::TOO_LONG.to_owned()) }
    }

    /// Its parts with `/` in between.
    pub(super) fn text(&self) -> String {
        self.0.join("/")
    }
}

/// A member of a zip that may be unpacked.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Its number in the directory of the zip.
    pub(super) index: usize,
    /// Its name as the zip gives it.
    pub(super) name: String,
    /// The path it will have.
    pub(super) path: SafePath,
    /// True for a directory.
    pub(super) is_dir: bool,
    /// Where its header begins in the zip.
    pub(super) start: u64,
    /// What may be given back once it is read ends here.
    pub(super) end: u64,
    /// Where its bytes begin and how many they are, if they lie in the zip as they are.
    pub(super) stored: Option<(u64, u64)>,
    /// What it is for those who unpack ahead, if it lies in the package itself.
    pub(super) packed: Option<Packed>,
}

impl Member {
    /// True for a file that is called `*.zip`.
    pub(super) fn is_zip(&self) -> bool {
        !self.is_dir && self.stem_of_zip().is_some()
    }

    /// `<stem>` of `<stem>.zip`.
    pub(super) fn stem_of_zip(&self) -> Option<&str> {
        let file = self.path.0.last()?;
        let cut = file.len().checked_sub(4)?;
        (file.get(cut..)?.eq_ignore_ascii_case(".zip") && cut > 0).then(|| &file[..cut])
    }
}
