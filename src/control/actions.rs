//! What users ask a mount to do with products: the one way for the control socket and for the web page.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Product};
use crate::fetch::engine::{Refusal, Ticket};
use crate::store::StoreError;
use crate::vfs::Vfs;
use crate::vfs::tree::{entry_key, is_served, target};

use super::peers::own_uid;

/// What can be done with a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Fetch it, or join its fetch.
    Fetch,
    /// Fetch it anew although it is here.
    Refresh,
    /// End its fetch.
    Cancel,
    /// Delete it from the cache.
    Evict,
    /// Keep it from eviction.
    Pin,
    /// Let it be evicted again.
    Unpin,
}

/// Outcome of one of several things asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it was about.
    pub id: String,
    /// Done?
    pub ok: bool,
    /// What happened.
    pub message: String,
}

/// Ids in the body of a request.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ids {
    /// `<dataset>/<product>`, `<dataset>|<file>`, or paths below the mount.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Task ids of the service.
    #[serde(default)]
    pub tasks: Vec<String>,
}

impl Outcome {
    /// Of what was done for `id`, or why it was not.
    pub(super) fn of(id: &str, result: Result<String, String>) -> Self {
        let (ok, message) = match result {
            Ok(message) => (true, message),
            Err(message) => (false, message),
        };
        Self { id: id.to_owned(), ok, message }
    }
}

/// Does `action` with every id. May write to the disk: not for a thread that serves others.
pub(super) fn act(vfs: &Vfs, mountpoint: &Path, action: Action, ids: &[String]) -> Vec<Outcome> {
    let catalog = vfs.catalog();
    let one = |id: &String| {
        let result = resolve(&catalog, mountpoint, id).and_then(|product| perform(vfs, action, product));
        Outcome::of(id, result)
    };
    ids.iter().map(one).collect()
}

/// Finds the product that an id of the user means.
pub(super) fn resolve<'a>(catalog: &'a Catalog, mountpoint: &Path, id: &str) -> Result<Product<'a>, String> {
    let below = Path::new(id).strip_prefix(mountpoint).ok().and_then(Path::to_str);
    catalog.find(below.unwrap_or(id)).ok_or_else(|| {
        format!("no product '{id}': give <dataset>/<product>, a path below the mount, or dataset|file; see clmsfs search")
    })
}

/// Does it, and says what was done.
fn perform(vfs: &Vfs, action: Action, product: Product<'_>) -> Result<String, String> {
    let engine = vfs.engine();
    match action {
        Action::Fetch => {
            let target = target(product);
            started(product, || engine.request(&target, own_uid(), true)).map(|()| target.path)
        }
        Action::Refresh => {
            let target = target(product);
            started(product, || engine.refresh(&target, own_uid())).map(|()| target.path)
        }
        Action::Cancel if engine.cancel(&entry_key(product)) => Ok("cancelled".to_owned()),
        Action::Cancel => Err("nothing is being fetched: see clmsfs jobs".to_owned()),
        Action::Evict => {
            let evicted = engine.inventory().evict(&entry_key(product));
            evicted.map(|bytes| format!("{bytes} bytes freed")).map_err(|error: StoreError| error.to_string())
        }
        Action::Pin => pin(vfs, product, true).map(|()| "pinned".to_owned()),
        Action::Unpin => pin(vfs, product, false).map(|()| "unpinned".to_owned()),
    }
}

/// Starts a fetch, of what can be served.
fn started(product: Product<'_>, start: impl FnOnce() -> Result<Ticket, Refusal>) -> Result<(), String> {
    if !is_served(product) {
        return Err("data of this format is not served by this release: see its item.json".to_owned());
    }
    start().map(drop).map_err(|refusal| refusal.to_string())
}

fn pin(vfs: &Vfs, product: Product<'_>, pinned: bool) -> Result<(), String> {
    let target = target(product);
    vfs.engine().pin(&target.key, &target.path, pinned).map_err(|error| error.to_string())
}
