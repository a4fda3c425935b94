//! [`EntryView`]: everything below `<product>/` of a ready product.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file_tree::FileTree;
use super::names::served_names;
use super::node::{Content, Listed, Node, ViewFile};
use super::pam;
use super::vector;
use super::zarr::ZarrTree;
use crate::store::entry::EntryMeta;
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
    /// Vector data under its served names: further names of side files.
    vectors: FileTree,
    /// What lies below `original/`.
    originals: FileTree,
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
        Self::with(entry_dir, entry_dir::read_meta(entry_dir)?)
    }

    /// [`EntryView::open`], with files named after `product`: the service may have renamed it since it was fetched.
    ///
    /// # Errors
    /// Those of [`EntryView::open`].
    pub fn open_as(entry_dir: &Path, product: &str) -> Result<Self, ViewError> {
        let mut meta = entry_dir::read_meta(entry_dir)?;
        product.clone_into(&mut meta.product);
        Self::with(entry_dir, meta)
    }

    fn with(entry_dir: &Path, meta: EntryMeta) -> Result<Self, ViewError> {
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
        let vectors = vector::tree(entry_dir, &meta);
        let mut originals = FileTree::default();
        for side in &meta.originals {
            originals.add(side.path.clone(), side.size, entry_dir::original_path(entry_dir, &side.path));
        }
        Ok(Self { directory: entry_dir.to_owned(), meta, rasters, preview, vectors, originals })
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
            ("original", rest) => self.originals.node(rest.unwrap_or("")),
            _ => self.vectors.node(path),
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
            ("original", rest) => self.originals.list(rest.unwrap_or("")),
            _ => self.vectors.list(path),
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
        listed.extend(self.vectors.list("").unwrap_or_default());
        if self.preview.is_some() {
            listed.push(Listed::file("preview.png"));
        }
        if !self.meta.originals.is_empty() {
            listed.push(Listed::dir("original"));
        }
        listed
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
