//! What a running mount tells about itself: status, metrics, socket.
//!
//! * [`status`] — the picture of everything, for people and `--json`; also `.clmsfs/status.json`.
//! * [`metrics`] — every metric with unit, help and stability, in one table; [`exporter`] — the same over HTTP.
//! * [`server`] — HTTP over a Unix socket of mode 0600, for the verbs that talk to a mount.
//! * [`reload`] — how the settings are read anew.
//! * [`client`] — the other end of the socket; [`registry`] — which mounts run on this machine; [`free_space`] — of the cache's disk.
//! * [`actions`] — fetch, cancel, pin, evict: one way for the socket and the web page.
//! * `proof` — `cache verify`.
//! * [`web`] — the page for browsers.

pub mod actions;
pub mod client;
pub mod exporter;
pub mod free_space;
pub mod metrics;
mod peers;
mod proof;
pub mod registry;
pub mod reload;
pub mod server;
pub mod status;
pub mod web;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clms::counts::Counts;
use crate::config::Resolved;
use crate::vfs::Vfs;

/// What every part of a running mount may look at.
#[derive(Debug)]
pub struct Mounted {
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// Its settings; whoever must act when they change subscribes.
    pub settings: watch::Sender<Arc<Resolved>>,
    /// Where to ask for reading them anew.
    pub reload: reload::Requests,
    /// Milliseconds since 1970 when it was mounted.
    pub since: u64,
    /// The file system; set once it is put together (live files are part of it and look back here).
    pub vfs: OnceLock<Arc<Vfs>>,
    /// What was asked of the service.
    pub service: Arc<Counts>,
    /// What the cache's disk said last.
    pub free_space: free_space::FreeSpace,
    /// Where its web page is, if it has one.
    pub web: Option<Arc<web::WebPage>>,
    /// Cancelled when the mount is asked to go away.
    pub stop: CancellationToken,
}

impl Mounted {
    /// Its settings as they are now.
    pub fn settings(&self) -> Arc<Resolved> {
        Arc::clone(&self.settings.borrow())
    }
}
