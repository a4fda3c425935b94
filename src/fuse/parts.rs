//! What the settings mean for each part of a mount: at its start, and after a reload.

use crate::clms::{ApiAddress, Client, ClientOptions, ClmsError, Credentials};
use crate::config::Settings;
use crate::fetch::convert::ConvertLimits;
use crate::fetch::engine::EngineOptions;
use crate::fetch::patience::Patience;
use crate::fetch::poller::Pace;
use crate::store::inventory::Limits;
use crate::vfs::VfsOptions;

/// A client of the service as the settings want it.
///
/// # Errors
/// When the address cannot be used.
pub(super) fn client(settings: &Settings) -> Result<Client, ClmsError> {
    let mut options = ClientOptions::new(settings.api_url.clone());
    options.download_hosts = settings.download_hosts.patterns().to_vec();
    options.timeouts.stall = settings.download_stall.duration();
    let mut options = options.hurried(hurry(settings));
    options.credentials = credentials(settings);
    Client::new(options)
}

/// The service key as the settings name it.
pub(super) fn credentials(settings: &Settings) -> Credentials {
    settings.credentials.clone().map_or(Credentials::None, Credentials::File)
}

/// The limits of the cache as the settings want them.
pub(super) fn limits(settings: &Settings) -> Limits {
    Limits { bytes: settings.cache_size.bytes(), free_floor: settings.free_space_floor.bytes() }
}

/// What opens follow as the settings want it.
pub(super) fn vfs_options(settings: &Settings) -> VfsOptions {
    VfsOptions {
        rules: settings.rules.clone(),
        on_miss: settings.on_miss,
        block_timeout: settings.block_timeout.map(|span| span.duration()),
    }
}

/// How many times shorter than usual every pause and time limit towards the service is: `$CLMSFS_HURRY`, for tests. Only
/// a service on this machine, which is a simulator, is ever hurried.
fn hurry(settings: &Settings) -> u32 {
    let is_here = ApiAddress::new(settings.api_url.clone()).is_ok_and(|api| api.is_loopback());
    let asked = std::env::var("CLMSFS_HURRY").ok().filter(|_| is_here);
    asked.and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// How fetches behave as the settings want it.
pub(super) fn engine_options(settings: &Settings) -> EngineOptions {
    EngineOptions {
        orders_per_hour: settings.orders_per_hour,
        link_trust: settings.link_trust.duration(),
        pace: Pace { min: settings.poll_min.duration(), max: settings.poll_max.duration() },
        patience: Patience::default().hurried(hurry(settings)),
        max_package: settings.max_package_size.map(|size| size.bytes()),
        convert: ConvertLimits {
            memory: settings.ingest_memory.bytes(),
            threads: settings.ingest_threads.count().get(),
        },
    }
}
