//! What a path of a view is: a directory, or a file and where its bytes come from.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// What stands at a path.
#[derive(Debug, Clone)]
pub enum Node {
    /// A directory.
    Dir,
    /// A file.
    File(ViewFile),
}

/// A file: its size, and where its bytes are.
#[derive(Debug, Clone)]
pub struct ViewFile {
    /// Size in bytes.
    pub size: u64,
    /// Where the bytes are.
    pub content: Content,
}

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory (documents, coordinates).
    Bytes(Arc<[u8]>),
    /// A whole file on disk, which the kernel may read past us.
    Whole(PathBuf),
    /// A part of an open file (chunks).
    Slice {
        /// The open file.
        file: Arc<File>,
        /// First byte of the part.
        offset: u64,
        /// Bytes of the part.
        length: u64,
    },
}

impl ViewFile {
    pub(crate) fn bytes(bytes: Arc<[u8]>) -> Self {
        Self { size: bytes.len() as u64, content: Content::Bytes(bytes) }
    }

    /// Reads up to `buffer.len()` bytes from `offset` on; fewer only at the end of the file.
    ///
    /// [`Content::Whole`] is opened anew for every call: who reads such a file often opens it once by its path.
    ///
    /// # Errors
    /// What the system said.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.size.saturating_sub(offset);
        let count = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        if count == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..count];
        match &self.content {
            Content::Bytes(bytes) => {
                let start = offset as usize;
                buffer.copy_from_slice(&bytes[start..start + count]);
            }
            Content::Whole(path) => File::open(path)?.read_exact_at(buffer, offset)?,
            Content::Slice { file, offset: start, .. } => file.read_exact_at(buffer, start + offset)?,
        }
        Ok(count)
    }
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The name, without its directory.
    pub name: Cow<'static, str>,
    /// Whether it is a directory.
    pub is_dir: bool,
}

impl Listed {
    pub(crate) fn dir(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), is_dir: true }
    }

    pub(crate) fn file(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), is_dir: false }
    }
}
