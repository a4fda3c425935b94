//! Tells the kernel what became ready, left the cache or was replaced: names, sizes and pages it may still believe in.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use fuser::{INodeNo, Notifier};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::fetch::engine::Change;
use crate::fetch::journal;
use crate::store::eviction::Evicted;
use crate::vfs::Vfs;
use crate::vfs::error::VfsError;
use crate::vfs::node::{Edition, Ino, Node, ProductPath};

/// How long after a product became ready the kernel is told once more to forget the sizes of its files. Replies that were under
/// way the first time have arrived by then.
const ONCE_MORE: Duration = Duration::from_secs(1);

/// Follows the changes until the engine is gone, one after the other: who waits for the last waits for all before it.
pub async fn follow(vfs: Arc<Vfs>, notifier: Notifier, mut changes: broadcast::Receiver<Change>) {
    loop {
        let (key, evicted) = match changes.recv().await {
            Ok(Change::Ready { path, heard }) => {
                became_ready(&vfs, &notifier, &path).await;
                drop(heard);
                tokio::spawn(look_after(Arc::clone(&vfs), notifier.clone(), path));
                continue;
            }
            Ok(Change::Settled(heard)) => {
                drop(heard);
                continue;
            }
            Ok(Change::Replaced { key }) => (Some(key), None),
            Ok(Change::Gone(evicted)) => (Some(evicted.key.clone()), Some(evicted)),
            // too many at once: everything may have changed
            Err(RecvError::Lagged(_)) => (None, None),
            Err(RecvError::Closed) => return,
        };
        let (vfs, notifier) = (Arc::clone(&vfs), notifier.clone());
        in_the_kernel(move || {
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
        })
        .await;
    }
}

/// Does what the kernel may keep waiting for its locks.
async fn in_the_kernel(work: impl FnOnce() + Send + 'static) {
    if tokio::task::spawn_blocking(work).await.is_err() {
        tracing::error!("the kernel's caches could not be invalidated");
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
async fn became_ready(vfs: &Arc<Vfs>, notifier: &Notifier, path: &str) {
    let (vfs, notifier, path) = (Arc::clone(vfs), notifier.clone(), path.to_owned());
    in_the_kernel(move || {
        if let Some(wanted) = path.split_once('/') {
            let of_product = |node: &Node| node.product().is_some_and(|product| product.is(wanted));
            forget_sizes(&vfs, &notifier, of_product);
        }
    })
    .await;
}

/// What is done for a product that has become ready when its readers are let in.
async fn look_after(vfs: Arc<Vfs>, notifier: Notifier, path: String) {
    let (warm, product) = (Arc::clone(&vfs), path.clone());
    let _ = tokio::task::spawn_blocking(move || warm.warm(&product)).await;
    tokio::time::sleep(ONCE_MORE).await;
    became_ready(&vfs, &notifier, &path).await;
}

/// Makes the kernel ask anew for everything that it was told of another catalogue: sizes of documents, times, which datasets and
/// products there are, and which product a name leads to.
pub fn forget_catalog(vfs: &Vfs, notifier: &Notifier) {
    let catalog = vfs.catalog();
    let live = vfs.live_names();
    for (ino, node) in vfs.inodes.select(|_| true) {
        forget_attributes(notifier, ino);
        let exists = match &node {
            Node::Dataset(dataset) => catalog.dataset(dataset).is_some(),
            Node::Product(product) => catalog.find(&product.to_string()).is_some(),
            _ => !vfs.has_lost_its_name(&node),
        };
        if !exists {
            forget_name(vfs, notifier, &node, &live);
        }
    }
}

/// Makes the kernel ask anew for the attributes of an inode before it believes anything of it. It has them compared with those
/// that it had when it read the names of a directory, and drops these when they were of another time. The kernel waits for
/// nobody then, so this is fit for a dispatch thread.
pub(super) fn forget_attributes(notifier: &Notifier, ino: Ino) {
    // a negative offset: attributes only
    if let Err(error) = notifier.inval_inode(INodeNo(ino.0), -1, 0) {
        tracing::debug!(ino = ino.0, %error, "not invalidated");
    }
}

/// Makes the kernel ask anew for the sizes of files and the names in directories, and look up anew those that do not exist any
/// more. Other names are left alone: a file whose name is invalidated while it is open looks deleted in `/proc/<pid>/fd`.
fn forget_sizes(vfs: &Vfs, notifier: &Notifier, wanted: impl Fn(&Node) -> bool) {
    let live = vfs.live_names();
    for (ino, node) in vfs.inodes.select(wanted) {
        let exists = match vfs.attributes(&node) {
            // the name leads to a newer file; whoever has this one open keeps its size
            Err(VfsError::Replaced) => continue,
            found => found.is_ok(),
        };
        forget_attributes(notifier, ino);
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
            forget_attributes(notifier, ino);
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
    let (parent, name) = match node {
        Node::Inside(product, inner, _) => match inner.rsplit_once('/') {
            Some((directory, name)) => {
                (Node::Inside(product.clone(), directory.into(), Edition::NONE), name.to_owned())
            }
            None => (Node::Product(product.clone()), inner.to_string()),
        },
        Node::Dataset(dataset) => (Node::Root, dataset.to_string()),
        Node::Product(product) => (Node::Dataset(Arc::clone(&product.dataset)), product.product.to_string()),
        _ => (Node::Product(node.product()?.clone()), node.path(live).rsplit('/').next()?.to_owned()),
    };
    let path = parent.path(live);
    Some((vfs.inodes.remember(parent, &path, 0), name))
}
