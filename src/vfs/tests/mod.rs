//! The file system without a mount: a real catalogue, a real cache, the engine over a scripted service.
#![allow(clippy::unwrap_used)]

mod inodes;
mod model;
mod open;
mod tree;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::error::VfsError;
use super::node::{DatasetFile, Edition, Node, RootFile};
use super::open::{OpenFile, Opening};
use super::tree::{Kind, target};
use super::{LiveFile, Vfs, VfsOptions};
use crate::catalog::Catalog;
use crate::clms::DatasetRecord;
use crate::config::{OnMiss, Opener};
use crate::fetch::engine::Target;
use crate::fetch::tests::fake::House;
use crate::store::layout::EntryKey;

fn file(name: &str, kind: &str) -> Value {
    let format = if kind == "Vector" { "GPKG" } else { "Geotiff" };
    json!({
        "@id": format!("id-of-{name}"), "file": name, "format": format, "path": format!("H:\\{name}.zip"),
        "source": "EEA", "size": "1.3 MB", "type": kind, "year": "2018"
    })
}

fn dataset(id: &str, files: &[Value]) -> Value {
    json!({
        "UID": format!("uid-of-{id}"), "id": id, "title": id, "description": "",
        "effective": "2020-06-13T10:00:00+00:00", "modified": "2024-01-01T00:00:00+00:00",
        "downloadable_files": {"items": files}
    })
}

fn catalog(records: &[Value]) -> Arc<Catalog> {
    let records = records.iter().map(|record| DatasetRecord::from_json(record.clone()).unwrap());
    Arc::new(Catalog::from_records(records, "2026-11-22T09:00:00Z".parse().unwrap()).unwrap())
}

/// Two datasets: `clc2018` with the rasters `a` and `b` and the vector `v`, `slope` with the raster `s`.
fn records() -> Vec<Value> {
    vec![
        dataset("clc2018", &[file("a", "Raster"), file("b", "Raster"), file("v", "Vector")]),
        dataset("slope", &[file("s", "Raster")]),
    ]
}

struct Mount {
    house: House,
    vfs: Arc<Vfs>,
}

impl Mount {
    /// A file system over `house`; call within a runtime.
    fn with(house: House, change: impl FnOnce(&mut VfsOptions)) -> Self {
        let live = vec![LiveFile { name: "version", content: Box::new(|| b"1\n".to_vec()) }];
        let mut options = VfsOptions { rules: Vec::new(), on_miss: OnMiss::Block, block_timeout: None };
        change(&mut options);
        let vfs = Arc::new(Vfs::new(catalog(&records()), house.engine(), live, options));
        Self { house, vfs }
    }

    fn new() -> Self {
        Self::with(House::new(), |_| {})
    }

    /// What a walk from the root finds.
    fn node(&self, path: &str) -> Result<Node, VfsError> {
        path.split('/').try_fold(Node::Root, |node, name| self.vfs.child(&node, name))
    }

    fn target(&self, path: &str) -> Target {
        target(self.vfs.catalog().find(path).unwrap())
    }

    fn key(&self, path: &str) -> EntryKey {
        self.target(path).key
    }

    async fn fetch(&self, path: &str) {
        let ticket = self.vfs.engine().request(&self.target(path), 0, true).unwrap();
        ticket.wait().await.unwrap();
    }

    /// Opens as the adapter does: what is here at once, what is cold after waiting.
    async fn open(&self, path: &str) -> Result<OpenFile, VfsError> {
        self.open_as(path, libc::O_RDONLY, &somebody("cat")).await
    }

    async fn open_as(&self, path: &str, flags: i32, opener: &Opener) -> Result<OpenFile, VfsError> {
        let node = self.node(path)?;
        if let Some(file) = self.vfs.open(&node, flags)? {
            return Ok(file);
        }
        match self.vfs.open_cold(&node, flags, opener)? {
            Opening::Now(file) => Ok(file),
            Opening::Wait(pending) => pending.wait(Arc::clone(&self.vfs)).await,
        }
    }

    /// Every path below `node`, with what stands there; checks that the tree agrees with itself.
    fn walk(&self, node: &Node, path: &str, found: &mut Vec<(String, Node, Kind)>) {
        for child in self.vfs.children(node).unwrap() {
            let path = if path.is_empty() { child.name.clone() } else { format!("{path}/{}", child.name) };
            assert_eq!(self.vfs.child(node, &child.name).unwrap(), child.node, "{path}");
            assert_eq!(self.vfs.attributes(&child.node).unwrap().kind, child.kind, "{path}");
            assert_eq!(child.node.path(&self.vfs.live_names()), path);
            found.push((path.clone(), child.node.clone(), child.kind));
            if child.kind == Kind::Directory {
                self.walk(&child.node, &path, found);
            }
        }
    }

    fn all(&self) -> Vec<(String, Node, Kind)> {
        let mut found = Vec::new();
        self.walk(&Node::Root, "", &mut found);
        found
    }

    fn paths(&self) -> Vec<String> {
        self.all()
            .into_iter()
            .map(|(path, _, kind)| path + if kind == Kind::Directory { "/" } else { "" })
            .collect()
    }
}

fn somebody(process: &str) -> Opener {
    let name = process.to_owned();
    Opener { pid: 2, tgid: 2, comm: name.clone(), thread: name, exe: None, uid: 1000, gid: 1000 }
}

fn read(file: &OpenFile) -> Vec<u8> {
    let mut bytes = vec![0; file.size as usize + 10];
    let count = file.read_at(&mut bytes, 0).unwrap();
    bytes.truncate(count);
    bytes
}

const HOUR: Duration = Duration::from_secs(3600);
