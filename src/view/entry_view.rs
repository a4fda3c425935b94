//! [`EntryView`]: everything below `<product>/` of a ready product.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::names::served_names;
use super::node::{Content, Listed, Node, ViewFile};
use super::pam;
use super::zarr::ZarrTree;
use crate::store::entry::{EntryMeta, SideFile};
use crate::store::entry_dir::{self, EntryError};
use crate::store::raster_file::{RasterError, RasterFile};

/// Why an entry cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The entry does not describe itself.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// A raster file is damaged or cannot be read.
    #[error(transparent)]
    Raster(#[from] RasterError),
}

/// The files that are made from one published entry.
///
/// Cheap to share, needs no lock: chunks are found by reading a table in memory or in the page cache, documents are
/// built when the view is opened. Paths are relative to the product's directory, without a slash at either end.
#[derive(Debug)]
pub struct EntryView {
    directory: PathBuf,
    meta: EntryMeta,
    rasters: Vec<RasterView>,
    /// Size of `preview.png` when there is one.
    preview: Option<u64>,
    /// Side files by path, in the order of their bytes.
    originals: Vec<SideFile>,
}

#[derive(Debug)]
struct RasterView {
    /// `<name>.tif`, `<name>.zarr`.
    name: String,
    raster: Arc<RasterFile>,
    pam: Option<Arc<[u8]>>,
    zarr: ZarrTree,
}

impl EntryView {
    /// Opens the entry in `entry_dir`: reads its description and the directories of its raster files. What costs
    /// more, such as proving checksums, is [`crate::store::verify`]'s.
    ///
    /// # Errors
    /// [`ViewError`] when the description or a raster file is missing or damaged.
    pub fn open(entry_dir: &Path) -> Result<Self, ViewError> {
        let meta = entry_dir::read_meta(entry_dir)?;
        let rasters = meta
            .rasters
            .iter()
            .zip(served_names(&meta))
            .map(|(raster_meta, name)| {
                let path = entry_dir::raster_path(entry_dir, raster_meta);
                let raster = Arc::new(RasterFile::open(&path, raster_meta)?);
                let pam = pam::document(raster_meta).map(|xml| Arc::from(xml.into_bytes()));
                let zarr = ZarrTree::new(raster.clone(), raster_meta);
                Ok(RasterView { name, raster, pam, zarr })
            })
            .collect::<Result<_, RasterError>>()?;
        let preview = std::fs::metadata(entry_dir::preview_path(entry_dir)).ok();
        let preview = preview.filter(std::fs::Metadata::is_file).map(|found| found.len());
        let mut originals = meta.originals.clone();
        originals.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Self { directory: entry_dir.to_owned(), meta, rasters, preview, originals })
    }

    /// What the entry says about itself.
    pub fn meta(&self) -> &EntryMeta {
        &self.meta
    }

    /// What stands at `path` ("" is the product's directory itself); `None` for nothing. A chunk that is missing
    /// is nothing: to a reader of Zarr that means the fill value.
    ///
    /// # Errors
    /// [`ViewError::Raster`] when the place of a chunk cannot be read: that is EIO, never "nothing", which would
    /// show wrong pixels.
    pub fn node(&self, path: &str) -> Result<Option<Node>, ViewError> {
        let (first, rest) = split(path);
        for raster in &self.rasters {
            let Some(suffix) = first.strip_prefix(raster.name.as_str()) else { continue };
            match (suffix, rest) {
                (".zarr", rest) => return Ok(raster.zarr.node(rest.unwrap_or(""))?),
                (".tif", None) => return Ok(Some(Node::File(raster.tif()))),
                (".tif.aux.xml", None) if raster.pam.is_some() => {
                    return Ok(raster.pam.clone().map(|bytes| Node::File(ViewFile::bytes(bytes))));
                }
                _ => (),
            }
        }
        Ok(match (first, rest) {
            ("", None) => Some(Node::Dir),
            ("preview.png", None) => self.preview.map(|size| {
                let content = Content::Whole(entry_dir::preview_path(&self.directory));
                Node::File(ViewFile { size, content })
            }),
            ("original", None) if !self.originals.is_empty() => Some(Node::Dir),
            ("original", Some(rest)) => self.original(rest),
            _ => None,
        })
    }

    /// What the directory at `path` holds; `None` when there is no such directory. Chunks that are missing are not
    /// listed.
    ///
    /// # Errors
    /// As [`EntryView::node`].
    pub fn list(&self, path: &str) -> Result<Option<Vec<Listed>>, ViewError> {
        let (first, rest) = split(path);
        for raster in &self.rasters {
            if first.strip_prefix(raster.name.as_str()) == Some(".zarr") {
                return Ok(raster.zarr.list(rest.unwrap_or(""))?);
            }
        }
        Ok(match (first, rest) {
            ("", None) => Some(self.list_root()),
            ("original", rest) => self.list_originals(rest.unwrap_or("")),
            _ => None,
        })
    }

    fn list_root(&self) -> Vec<Listed> {
        let mut listed = Vec::new();
        for raster in &self.rasters {
            listed.push(Listed::file(format!("{}.tif", raster.name)));
            if raster.pam.is_some() {
                listed.push(Listed::file(format!("{}.tif.aux.xml", raster.name)));
            }
            listed.push(Listed::dir(format!("{}.zarr", raster.name)));
        }
        if self.preview.is_some() {
            listed.push(Listed::file("preview.png"));
        }
        if !self.originals.is_empty() {
            listed.push(Listed::dir("original"));
        }
        listed
    }

    fn original(&self, path: &str) -> Option<Node> {
        if let Ok(found) = self.originals.binary_search_by(|side| side.path.as_str().cmp(path)) {
            let content = Content::Whole(entry_dir::original_path(&self.directory, path));
            return Some(Node::File(ViewFile { size: self.originals[found].size, content }));
        }
        self.originals_below(path).next().map(|_| Node::Dir)
    }

    fn list_originals(&self, path: &str) -> Option<Vec<Listed>> {
        let mut listed: Vec<Listed> = self
            .originals_below(path)
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

    /// Paths of the side files below a directory of `original/`, relative to it.
    fn originals_below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        let start = self.originals.partition_point(|side| side.path.as_str() < path);
        self.originals[start..].iter().take_while(move |side| side.path.starts_with(path)).filter_map(
            move |side| match path {
                "" => Some(side.path.as_str()),
                _ => side.path[path.len()..].strip_prefix('/'),
            },
        )
    }
}

impl RasterView {
    fn tif(&self) -> ViewFile {
        ViewFile { size: self.raster.size(), content: Content::Whole(self.raster.path().to_owned()) }
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    }
}
