//! What may be shown of a product besides its files: its description and its preview. A look is no use: it does not change
//! which product is evicted next.

use std::io::Read;
use std::sync::Arc;

use crate::catalog::Product;
use crate::store::entry::EntryMeta;
use crate::view::{Content, Node, ViewFile};

use super::Vfs;
use super::error::VfsError;
use super::open::damaged;
use super::views::Purpose;

/// Largest preview that is shown; conversions draw at most 512 × 512 pixels.
const LARGEST_PREVIEW: u64 = 4 << 20;

impl Vfs {
    /// Describes a product that is here with `describe`; `None` when it is cold. Reads the local disk.
    ///
    /// # Errors
    /// [`VfsError::Local`] when this machine cannot look into the entry now.
    pub fn look<T>(
        &self,
        product: Product<'_>,
        describe: impl FnOnce(&EntryMeta) -> T,
    ) -> Result<Option<T>, VfsError> {
        let view = self.views.get(product, Purpose::Look)?;
        Ok(view.map(|(view, _lease)| describe(view.meta())))
    }

    /// `item.json` of a product as it is now. Reads the local disk.
    ///
    /// # Errors
    /// As [`Vfs::look`].
    pub fn description(&self, product: Product<'_>) -> Result<Arc<[u8]>, VfsError> {
        self.item(product)
    }

    /// `preview.png` of a product; `None` when it is cold or has none. Reads the local disk.
    ///
    /// # Errors
    /// As [`Vfs::look`].
    pub fn preview(&self, product: Product<'_>) -> Result<Option<Vec<u8>>, VfsError> {
        let Some((view, _lease)) = self.views.get(product, Purpose::Look)? else { return Ok(None) };
        let Some(Node::File(ViewFile { content: Content::Whole(path), .. })) =
            view.node("preview.png").map_err(damaged)?
        else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&path)
            .and_then(|file| file.take(LARGEST_PREVIEW).read_to_end(&mut bytes))
            .map_err(|error| VfsError::Local(format!("{}: {error}", path.display())));
        read.map(|_| Some(bytes))
    }
}
