//! Tells the kernel what became ready, left the cache or was replaced: names, sizes and pages it may still believe in.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use fuser::{INodeNo, Notifier};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::fetch::engine::{Change, Heard};
use crate::fetch::journal;
use crate::store::eviction::Evicted;
use crate::vfs::Vfs;
use crate::vfs::error::VfsError;
use crate::vfs::node::{Edition, Ino, Node, ProductPath};
use crate::vfs::tree::Kind;

/// How long after a product became ready the kernel is told once more to forget the sizes of its files. Replies that were under
/// way the first time have arrived by then.
const ONCE_MORE: Duration = Duration::from_secs(1);

/// Follows the changes until the engine is gone.
pub async fn follow(vfs: Arc<Vfs>, notifier: Notifier, mut changes: broadcast::Receiver<Change>) {
    loop {
        let (key, evicted) = match changes.recv().await {
            Ok(Change::Ready { path, heard }) => {
                tokio::spawn(became_ready(Arc::clone(&vfs), notifier.clone(), path, heard));
                continue;
            }
            Ok(Change::Replaced { key }) => (Some(key), None),
            Ok(Change::Gone(evicted)) => (Some(evicted.key.clone()), Some(evicted)),
            // too many at once: everything may have changed
            Err(RecvError::Lagged(_)) => (None, None),
            Err(RecvError::Closed) => return,
        };
        let (vfs, notifier) = (Arc::clone(&vfs), notifier.clone());
        // the kernel may make us wait for its locks
        let done = tokio::task::spawn_blocking(move || {
            match &key {
                Some(key) => vfs.close_view(key),
                None => vfs.close_all_views(),
            }
            // the ledger knows the path of everything that ever was in the cache; without it all products are invalidated
            let path = key.as_ref().and_then(|key| vfs.engine().ledger().path_of(key).ok().flatten());
            let wanted = path.as_deref().and_then(|path| path.split_once('/'));
            forget(&vfs, &notifier, |product| wanted.is_none_or(|wanted| product.is(wanted)));
            if let Some(evicted) = evicted {
                note_departure(&vfs, &evicted);
            }
        });
        if done.await.is_err() {
            tracing::error!("the kernel's caches could not be invalidated");
        }
    }
}

/// Writes down what left the cache, under the names that it had.
fn note_departure(vfs: &Vfs, evicted: &Evicted) {
    let path = vfs.engine().ledger().path_of(&evicted.key).ok().flatten();
    let catalog = vfs.catalog();
    let product = path.as_deref().and_then(|path| catalog.find(path));
    let data_id = product.map(|product| format!("{}/{}", product.dataset().uid(), product.file_id()));
    journal::evicted(path.as_deref(), data_id.as_deref(), evicted);
}

/// The kernel may believe that the files of a product are empty, or that there are files which it turned out not to have:
/// that ends before those who wait for it are let in.
///
/// Who opens a file is told its size in any case ([`Inodes`](crate::vfs::inodes::Inodes)); this is for those who only look.
async fn became_ready(vfs: Arc<Vfs>, notifier: Notifier, path: String, heard: Heard) {
    let forget = {
        let (vfs, path) = (Arc::clone(&vfs), path.clone());
        move || {
            if let Some(wanted) = path.split_once('/') {
                let of_product = |node: &Node| node.product().is_some_and(|product| product.is(wanted));
                forget_sizes(&vfs, &notifier, of_product);
            }
        }
    };
    let first = forget.clone();
    let done = tokio::task::spawn_blocking(first).await;
    drop(heard);
    if done.is_err() {
        tracing::error!(path, "the kernel's caches could not be invalidated");
    }
    let warm = Arc::clone(&vfs);
    let path = path.clone();
    let _ = tokio::task::spawn_blocking(move || warm.warm(&path)).await;
    tokio::time::sleep(ONCE_MORE).await;
    let _ = tokio::task::spawn_blocking(forget).await;
}

/// Makes the kernel ask anew for the documents of a catalogue that has changed, and look up anew what lies in products whose
/// names are those of others now.
pub fn catalogue_changed(vfs: &Vfs, notifier: &Notifier) {
    let is_document = |node: &Node| matches!(node, Node::RootFile(_) | Node::DatasetFile(..) | Node::Item(_));
    forget_sizes(vfs, notifier, is_document);
    let known = vfs.inodes.select(|node| matches!(node, Node::Inside(..)));
    let renamed: HashSet<ProductPath> = known
        .iter()
        .filter(|(_, node)| vfs.has_lost_its_name(node))
        .filter_map(|(_, node)| node.product().cloned())
        .collect();
    if !renamed.is_empty() {
        forget(vfs, notifier, |product| renamed.contains(product));
    }
}

/// Makes the kernel ask anew for the sizes of files, and look up anew those that do not exist any more. Other names are left
/// alone: a file whose name is invalidated while it is open looks deleted in `/proc/<pid>/fd`.
fn forget_sizes(vfs: &Vfs, notifier: &Notifier, wanted: impl Fn(&Node) -> bool) {
    let live = vfs.live_names();
    for (ino, node) in vfs.inodes.select(wanted) {
        let exists = match vfs.attributes(&node) {
            Ok(attributes) if attributes.kind == Kind::Directory => continue,
            // the name leads to a newer file; whoever has this one open keeps its size
            Err(VfsError::Replaced) => continue,
            found => found.is_ok(),
        };
        if let Err(error) = notifier.inval_inode(INodeNo(ino.0), -1, 0) {
            tracing::debug!(ino = ino.0, %error, "not invalidated");
        }
        if !exists {
            forget_name(vfs, notifier, &node, &live);
        }
    }
}

/// Makes the kernel look a name up anew.
fn forget_name(vfs: &Vfs, notifier: &Notifier, node: &Node, live: &[&str]) {
    if let Some((parent, name)) = parent(vfs, node, live)
        && let Err(error) = notifier.inval_entry(INodeNo(parent.0), OsStr::new(&name))
    {
        tracing::debug!(parent = parent.0, name, %error, "not invalidated");
    }
}

/// Invalidates everything below the products that are wanted.
fn forget(vfs: &Vfs, notifier: &Notifier, wanted: impl Fn(&ProductPath) -> bool) {
    let live = vfs.live_names();
    for (ino, node) in vfs.inodes.select(|node| node.product().is_some_and(&wanted)) {
        if let Node::Product(_) = node {
            continue;
        }
        if let Err(error) = notifier.inval_inode(INodeNo(ino.0), 0, 0) {
            tracing::debug!(ino = ino.0, %error, "not invalidated");
        }
        forget_name(vfs, notifier, &node, &live);
    }
}

/// Inode of the directory a node lies in, and its name there.
fn parent(vfs: &Vfs, node: &Node, live: &[&str]) -> Option<(Ino, String)> {
    let product = node.product()?;
    let (parent, name) = match node {
        Node::Inside(_, inner, _) => match inner.rsplit_once('/') {
            Some((directory, name)) => {
                (Node::Inside(product.clone(), directory.into(), Edition::NONE), name.to_owned())
            }
            None => (Node::Product(product.clone()), inner.to_string()),
        },
        _ => (Node::Product(product.clone()), node.path(live).rsplit('/').next()?.to_owned()),
    };
    let path = parent.path(live);
    Some((vfs.inodes.remember(parent, &path, 0), name))
}
