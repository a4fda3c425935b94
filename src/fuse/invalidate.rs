//! Tells the kernel what left the cache or was replaced: names, sizes and pages it may still believe in.

use std::ffi::OsStr;
use std::sync::Arc;

use fuser::{INodeNo, Notifier};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::fetch::engine::Change;
use crate::store::layout::EntryKey;
use crate::vfs::Vfs;
use crate::vfs::node::{Ino, Node};

/// Follows the changes until the engine is gone.
pub async fn follow(vfs: Arc<Vfs>, notifier: Notifier, mut changes: broadcast::Receiver<Change>) {
    loop {
        let key = match changes.recv().await {
            // what became ready was never cached: cold files are told with no trust at all
            Ok(Change::Ready { path }) => {
                let vfs = Arc::clone(&vfs);
                tokio::task::spawn_blocking(move || vfs.warm(&path));
                continue;
            }
            Ok(Change::Gone { key } | Change::Replaced { key }) => Some(key),
            // too many at once: everything may have changed
            Err(RecvError::Lagged(_)) => None,
            Err(RecvError::Closed) => return,
        };
        let (vfs, notifier) = (Arc::clone(&vfs), notifier.clone());
        // the kernel may make us wait for its locks
        let done = tokio::task::spawn_blocking(move || {
            if let Some(key) = &key {
                vfs.close_view(key);
            }
            forget(&vfs, &notifier, key.as_ref());
        });
        if done.await.is_err() {
            tracing::error!("the kernel's caches could not be invalidated");
        }
    }
}

/// Invalidates everything below the product of `key`, or below every product.
fn forget(vfs: &Vfs, notifier: &Notifier, key: Option<&EntryKey>) {
    // the ledger knows the path of everything that ever was in the cache; without it all products are invalidated
    let path = key.and_then(|key| vfs.engine().ledger().path_of(key).ok().flatten());
    let wanted = path.as_deref().and_then(|path| path.split_once('/'));
    let of_product = |node: &Node| {
        node.product().is_some_and(|product| {
            wanted.is_none_or(|(dataset, name)| *product.dataset == *dataset && *product.product == *name)
        })
    };
    let live = vfs.live_names();
    for (ino, node) in vfs.inodes.select(of_product) {
        if let Node::Product(_) = node {
            continue;
        }
        if let Err(error) = notifier.inval_inode(INodeNo(ino.0), 0, 0) {
            tracing::debug!(ino = ino.0, %error, "not invalidated");
        }
        if let Some((parent, name)) = parent(vfs, &node, &live)
            && let Err(error) = notifier.inval_entry(INodeNo(parent.0), OsStr::new(&name))
        {
            tracing::debug!(ino = ino.0, %error, "not invalidated");
        }
    }
}

/// Inode of the directory a node lies in, and its name there.
fn parent(vfs: &Vfs, node: &Node, live: &[&str]) -> Option<(Ino, String)> {
    let product = node.product()?;
    let (parent, name) = match node {
        Node::Inside(_, inner, _) => match inner.rsplit_once('/') {
            Some((directory, name)) => (Node::Inside(product.clone(), directory.into(), 0), name.to_owned()),
            None => (Node::Product(product.clone()), inner.to_string()),
        },
        _ => (Node::Product(product.clone()), node.path(live).rsplit('/').next()?.to_owned()),
    };
    let path = parent.path(live);
    Some((vfs.inodes.remember(parent, &path, 0), name))
}
