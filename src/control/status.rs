//! The picture of a running mount.

use serde::{Deserialize, Serialize};

use crate::fetch::engine::{Engine, JobLine};
use crate::fetch::state::Progress;

use super::Mounted;

/// Everything `clmsfs status --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Release that runs.
    pub version: String,
    /// Process.
    pub pid: u32,
    /// Where it is mounted.
    pub mountpoint: String,
    /// Milliseconds since 1970 when it was mounted.
    pub since: u64,
    /// Address of the service.
    pub api: String,
    /// Datasets in the catalogue.
    pub datasets: usize,
    /// Products in the catalogue.
    pub products: usize,
    /// Datasets somebody has looked into, whose records are in memory.
    #[serde(default)]
    pub unpacked: usize,
    /// Milliseconds since 1970 when the catalogue was read from the service; `None` while there is none.
    #[serde(default)]
    pub catalog_fetched: Option<u64>,
    /// Address of the web page, if there is one; it opens with the link of `clmsfs web` only.
    #[serde(default)]
    pub web: Option<String>,
    /// The cache.
    pub cache: CacheStatus,
    /// Fetches under way and failed.
    pub jobs: Vec<JobStatus>,
    /// What was done since the mount.
    pub totals: Totals,
}

/// Use of the cache, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStatus {
    /// Directory.
    pub directory: String,
    /// Budget.
    pub limit: u64,
    /// Everything that counts against it.
    pub used: u64,
    /// Published entries.
    pub entries_bytes: u64,
    /// Reserved for fetches under way.
    pub reserved: u64,
    /// Number of entries.
    pub entries: usize,
    /// How many of them are pinned.
    #[serde(default)]
    pub pinned: usize,
    /// Bytes of the pinned ones.
    #[serde(default)]
    pub pinned_bytes: u64,
    /// Free bytes of the disk, as it said within the last seconds; `None` while it gives no answer.
    #[serde(default)]
    pub disk_free: Option<u64>,
}

/// One fetch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    /// `<dataset>/<product>`.
    pub path: String,
    /// Dataset and file of the service, as cache key.
    pub key: String,
    /// The service's ids of dataset and file, as `user.clmsfs.data_id` has them.
    #[serde(default)]
    pub data_id: String,
    /// User that caused it.
    pub uid: u32,
    /// Milliseconds since 1970 when it began.
    pub began: u64,
    /// Readers that wait for it.
    pub waiting: usize,
    /// The product is here and served; a newer edition of it is what is fetched, or did not come.
    #[serde(default)]
    pub renewal: bool,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
}

/// Sums since the mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Fetches started.
    pub fetches: u64,
    /// Products that became ready.
    pub published: u64,
    /// Fetches that failed.
    pub failed: u64,
    /// Bytes downloaded.
    pub downloaded: u64,
}

impl From<JobLine> for JobStatus {
    fn from(line: JobLine) -> Self {
        Self {
            path: line.path,
            key: line.key.to_string(),
            data_id: line.data_id,
            uid: line.uid,
            began: line.began,
            waiting: line.waiting,
            renewal: line.renewal,
            progress: line.progress,
        }
    }
}

/// Fetches under way and failed.
pub fn jobs(engine: &Engine) -> Vec<JobStatus> {
    engine.jobs().into_iter().map(JobStatus::from).collect()
}

/// The whole picture; `None` while the mount is being put together.
pub fn status(mounted: &Mounted) -> Option<Status> {
    let vfs = mounted.vfs.get()?;
    let engine = vfs.engine();
    let catalog = vfs.catalog();
    let usage = engine.inventory().usage();
    let holdings = engine.inventory().holdings();
    let pinned = || holdings.iter().filter(|holding| holding.pinned);
    let fetched = catalog.fetched().as_millisecond();
    let counters = engine.counters();
    let resolved = mounted.settings();
    let settings = &resolved.settings;
    Some(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        mountpoint: mounted.mountpoint.display().to_string(),
        since: mounted.since,
        api: settings.api_url.to_string(),
        datasets: catalog.datasets().len(),
        products: catalog.product_count(),
        unpacked: catalog.unpacked_count(),
        catalog_fetched: u64::try_from(fetched).ok().filter(|fetched| *fetched > 0),
        web: mounted.web.as_ref().map(|page| page.address()),
        cache: CacheStatus {
            directory: settings.cache_dir.display().to_string(),
            limit: usage.limit,
            used: usage.total(),
            entries_bytes: usage.entries,
            reserved: usage.reserved,
            entries: holdings.len(),
            pinned: pinned().count(),
            pinned_bytes: pinned().map(|holding| holding.bytes).sum(),
            disk_free: mounted.free_space.bytes(),
        },
        jobs: jobs(engine),
        totals: Totals {
            fetches: counters.fetches.get(),
            published: counters.published.get(),
            failed: counters.failed.get(),
            downloaded: counters.downloaded.get(),
        },
    })
}
