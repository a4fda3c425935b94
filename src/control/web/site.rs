//! What the handlers of all pages share.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::Semaphore;

use super::super::Mounted;
use super::access::Hosts;
use super::door::WebPage;
use super::page::Problem;
use crate::vfs::Vfs;

/// Browsers that can be kept up to date at a time.
const WATCHERS: usize = 32;

/// The page of one mount.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) mounted: Arc<Mounted>,
    pub(super) page: Arc<WebPage>,
    pub(super) hosts: Hosts,
    /// A place for each browser that is kept up to date.
    pub(super) watchers: Arc<Semaphore>,
}

impl Site {
    /// The page `page` of a mount.
    pub(super) fn new(mounted: Arc<Mounted>, page: Arc<WebPage>) -> Self {
        let names = mounted.settings().settings.web_hosts.as_ref().map(|names| names.patterns().to_vec());
        let hosts = Hosts::new(page.address, &names.unwrap_or_default());
        Self { mounted, page, hosts, watchers: Arc::new(Semaphore::new(WATCHERS)) }
    }

    /// The file system.
    pub(super) fn vfs(&self) -> Result<Arc<Vfs>, Problem> {
        self.mounted.vfs.get().cloned().ok_or_else(|| Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "Not yet",
            words: "the mount is being put together; reload the page in a moment".to_owned(),
        })
    }

    /// Where it is mounted, as it may be shown.
    pub(super) fn mountpoint(&self) -> String {
        super::words::shown(&self.mounted.mountpoint.display().to_string())
    }

    /// What every form carries.
    pub(super) fn form_secret(&self) -> String {
        self.page.token.form()
    }

    /// Does what may look at the disk, off the runtime's threads.
    pub(super) async fn blocking<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Self, &Vfs) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let vfs = self.vfs()?;
        let done = tokio::task::spawn_blocking(move || work(&self, &vfs)).await;
        done.unwrap_or_else(|panic| Err(Problem::local(panic.to_string())))
    }
}
