//! A whole mount, from settings to the last breath: cache, engine, catalogue, socket, kernel, and back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fuser::{Config, MountOption, Notifier, Session, SessionACL};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, CatalogError, Dataset, Product};
use crate::clms::{Client, ClmsError, ServiceKey};
use crate::config::{Resolved, Settings};
use crate::control::exporter::{Port, PortError};
use crate::control::registry::{self, Registration};
use crate::control::web::{self, Door, WebError};
use crate::control::{Mounted, free_space, metrics, reload as reloading, server, status};
use crate::fetch::engine::{Change, Engine};
use crate::fetch::ledger::{Ledger, LedgerError};
use crate::fetch::service::ChildConverter;
use crate::store::StoreError;
use crate::store::inventory::Inventory;
use crate::store::layout::CacheDir;
use crate::vfs::counters::Refreshed;
use crate::vfs::tree::entry_key;
use crate::vfs::{LiveFile, Vfs};

use super::adapter::Adapter;
use super::invalidate;
use super::mountpoint::{self, MountpointError};
use super::names::{self, Held};
use super::parts;
use super::process;
use super::reload::{Reloader, Reread};
use super::signals::{Signals, Wish};
use super::systemd;

/// Threads that take requests from the kernel.
const DISPATCHERS: usize = 4;
/// Longest wait for the session's end after the mount is detached; open files of others may keep it alive.
const FAREWELL: Duration = Duration::from_secs(5);
/// Longest wait for the first catalogue before mounting without one.
const FIRST_CATALOG: Duration = Duration::from_secs(60);
/// The same for a service of systemd, for which others wait.
const FIRST_CATALOG_OF_SERVICE: Duration = Duration::from_secs(10);
/// First pause after a failed refresh of the catalogue; doubles with each further one.
const REFRESH_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause after such failures, so that a mount without a catalogue has one soon after the service is back.
const LONGEST_REFRESH_PAUSE: Duration = Duration::from_secs(600);
/// How often last uses are written to the ledger.
const SAVE_USES: Duration = Duration::from_secs(60);

/// Why a mount could not be made or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The mount point is unfit.
    #[error(transparent)]
    Mountpoint(#[from] MountpointError),
    /// The cache is unfit.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger is unfit.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The key or the address of the service is unfit.
    #[error(transparent)]
    Service(#[from] ClmsError),
    /// The kernel refused the mount.
    #[error("{} cannot be mounted: {source}{}", mountpoint.display(), advice(source))]
    Mount {
        /// Where.
        mountpoint: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket of the mount cannot be made.
    #[error(
        "the control socket cannot be made: {0}; its folder (/run/clmsfs for root, else $XDG_RUNTIME_DIR/clmsfs) must be writable"
    )]
    Socket(io::Error),
    /// The port of the metrics cannot be had.
    #[error(transparent)]
    Port(#[from] PortError),
    /// There can be no web page.
    #[error(transparent)]
    Web(#[from] WebError),
    /// Signals cannot be caught.
    #[error("signals cannot be caught: {0}")]
    Signals(io::Error),
}

fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "; run as root, or install fuse3 (and user_allow_other in /etc/fuse.conf for --allow-other)"
        }
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => "; is /dev/fuse there? try: modprobe fuse",
        _ => "",
    }
}

/// Mounts, serves until asked to stop, unmounts. `source` is what the tables of mounts name it (it begins with
/// [`mountpoint::SOURCE`]); `on_mounted` is called once the mount answers. With `reread` the settings can be read anew while
/// it runs.
///
/// # Errors
/// [`DaemonError`] when the mount could not be made; nothing is left mounted then.
pub async fn run(
    resolved: Resolved,
    reread: Option<Reread>,
    source: &str,
    mountpoint: &Path,
    stop: CancellationToken,
    on_mounted: impl FnOnce(&Path),
) -> Result<(), DaemonError> {
    process::keep_memory_private();
    process::raise_file_limit();
    let settings = resolved.settings.clone();
    let metrics_port = match settings.metrics_listen {
        Some(address) => Some(Port::take(address.0).await?),
        None => None,
    };
    // before anything is made: a port in use ends the start
    let door = match settings.web_listen {
        Some(address) => Some(Door::take(address.0).await?),
        None => None,
    };
    let mountpoint = mountpoint::prepare(mountpoint)?;
    // a mount that can order nothing is not what was asked for; once it runs, the key may come and go
    settings.credentials.as_deref().map(ServiceKey::load).transpose()?;
    let cache = Arc::new(CacheDir::open(&settings.cache_dir)?);
    let ledger = Arc::new(Ledger::open(&cache.ledger())?);
    let (changes, _) = broadcast::channel(1024);
    let evictions = changes.clone();
    let inventory = Inventory::take_stock(
        Arc::clone(&cache),
        parts::limits(&settings),
        &ledger.remembered()?,
        Box::new(move |evicted| {
            // nobody listening is fine: then nothing is cached either
            let _ = evictions.send(Change::Gone(evicted));
        }),
    )?;
    let client = Arc::new(parts::client(&settings)?);
    let engine = Engine::new(
        Arc::clone(&client) as _,
        Arc::new(ChildConverter),
        Arc::clone(&cache),
        Arc::new(inventory),
        ledger,
        changes,
        parts::engine_options(&settings),
    );
    let (catalog, fresh) = first_catalog(&cache, &client, settings.catalog_ttl.duration()).await;
    engine.inventory().count_books();

    let page = door.as_ref().map(|door| door.page(&mountpoint)).transpose()?.map(Arc::new);
    let (reload, reload_requests) = mpsc::channel(4);
    let (settings_now, settings_changes) = watch::channel(Arc::new(resolved));
    let mounted = Arc::new(Mounted {
        mountpoint: mountpoint.clone(),
        settings: settings_now,
        reload,
        web: page.clone(),
        since: crate::fetch::now(),
        vfs: OnceLock::new(),
        service: Arc::clone(client.counts()),
        free_space: free_space::FreeSpace::default(),
        stop,
    });
    let options = parts::vfs_options(&settings);
    let vfs = Arc::new(Vfs::new(Arc::new(catalog), engine.clone(), live_files(&mounted), options));
    mounted.vfs.set(Arc::clone(&vfs)).expect("the file system is put together once");

    let socket = registry::socket(&mountpoint).map_err(DaemonError::Socket)?;
    server::serve(Arc::clone(&mounted), &socket).await.map_err(DaemonError::Socket)?;
    let _registration = Registration::new(&mountpoint, &socket).map_err(DaemonError::Socket)?;

    let signals = Signals::new(reread.is_some()).map_err(DaemonError::Signals)?;
    // before anybody can open a product, so that nobody orders what is under way
    engine.resume()?;
    let (session_ended, notifier) = start_session(source, &mountpoint, &vfs, &settings).await?;
    if let Some((door, page)) = door.zip(page) {
        tracing::info!(
            address = page.address(),
            "the web page is open to whoever has the link of clmsfs web"
        );
        web::serve(door, Arc::clone(&mounted), page);
    }
    on_mounted(&mountpoint);
    if let Some(port) = metrics_port {
        port.serve(Arc::clone(&mounted));
    }
    systemd::notify("READY=1");
    // cleaning a large cache before answering made other people's mounts time out: the mount answers first
    let sweeping = engine.clone();
    tokio::task::spawn_blocking(move || sweeping.sweep());
    let refresh = refresh_catalog(
        Arc::clone(&vfs),
        Arc::clone(&client),
        Arc::clone(&cache),
        notifier,
        settings_changes,
        fresh,
    );
    let reloads = serve_reloads(reread, Arc::clone(&mounted), client, vfs, reload_requests);
    let housekeeping = [
        tokio::spawn(refresh),
        tokio::spawn(reloads),
        tokio::spawn(save_uses(engine.clone())),
        tokio::spawn(systemd::keep_informed(Arc::clone(&mounted))),
        tokio::spawn(free_space::watch(Arc::clone(&mounted))),
    ];

    let ended = wait_for_end(&mounted, signals, session_ended).await;
    systemd::notify("STOPPING=1");
    mounted.stop.cancel();
    for task in housekeeping {
        task.abort();
    }
    engine.shut_down().await;
    if let Some(session_ended) = ended {
        // waiters were told by the engine's end; now nobody new comes in
        mountpoint::detach(&mountpoint)?;
        if tokio::time::timeout(FAREWELL, session_ended).await.is_err() {
            tracing::warn!("files are still open; leaving anyway");
        }
    }
    tracing::info!(mountpoint = %mountpoint.display(), "unmounted");
    Ok(())
}

/// Answers wishes to read the settings anew; a mount that cannot do so leaves them unanswered.
async fn serve_reloads(
    reread: Option<Reread>,
    mounted: Arc<Mounted>,
    client: Arc<Client>,
    vfs: Arc<Vfs>,
    requests: mpsc::Receiver<reloading::Request>,
) {
    if let Some(reread) = reread {
        Reloader { reread, mounted, client, vfs }.serve(requests).await;
    }
}

/// Waits until somebody wants the mount gone. `None` when it is gone already.
async fn wait_for_end(
    mounted: &Mounted,
    mut signals: Signals,
    mut session_ended: oneshot::Receiver<io::Result<()>>,
) -> Option<oneshot::Receiver<io::Result<()>>> {
    loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::End(how) => {
                    tracing::info!("{how}; unmounting");
                    return Some(session_ended);
                }
                // where several wait already, one more changes nothing
                Wish::Reload => {
                    let _ = mounted.reload.try_send(reloading::Request::default());
                }
            },
            () = mounted.stop.cancelled() => {
                tracing::info!("asked to stop; unmounting");
                return Some(session_ended);
            }
            ended = &mut session_ended => {
                match ended {
                    Ok(Err(error)) => tracing::error!(%error, "the kernel ended the session"),
                    _ => tracing::info!("unmounted from outside"),
                }
                return None;
            }
        }
    }
}

fn live_files(mounted: &Arc<Mounted>) -> Vec<LiveFile> {
    let live = |name, content: fn(&Mounted) -> String| {
        // weak, because the file system lives inside of what it tells about
        let mounted = Arc::downgrade(mounted);
        let content =
            move || mounted.upgrade().map(|mounted| content(&mounted)).unwrap_or_default().into_bytes();
        LiveFile { name, content: Box::new(content) }
    };
    vec![
        live("status.json", |mounted| {
            let text = status::status(mounted).and_then(|status| serde_json::to_string_pretty(&status).ok());
            text.map(|text| crate::text::harmless_json(text) + "\n").unwrap_or_default()
        }),
        live("metrics", |mounted| metrics::text(mounted).unwrap_or_default()),
        live("config.toml", |mounted| mounted.settings().to_toml(true)),
        live("version", |_| concat!(env!("CARGO_PKG_VERSION"), "\n").to_owned()),
    ]
}

/// The catalogue to mount with, and whether it comes fresh from the service.
///
/// A saved one makes the network unnecessary. Without one the service is asked, but its silence does not keep
/// the mount from being made: the catalogue is empty then, and filled as soon as the service answers.
async fn first_catalog(cache: &CacheDir, client: &Client, ttl: Duration) -> (Catalog, bool) {
    let path = cache.catalog();
    match Catalog::load(&path) {
        Ok(catalog) => {
            let age = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
            let age = age.and_then(|modified| modified.elapsed().ok()).unwrap_or(Duration::MAX);
            return (catalog, age < ttl);
        }
        Err(error) if is_missing(&error) => {}
        Err(error) => tracing::warn!(%error, "the saved catalogue cannot be used; asking the service"),
    }
    let none = Arc::new(Catalog::empty());
    let patience = if systemd::is_listening() { FIRST_CATALOG_OF_SERVICE } else { FIRST_CATALOG };
    systemd::notify("STATUS=reading the catalogue");
    match tokio::time::timeout(patience, fetch_catalog(client, &path, none, |_| false, |_| false)).await {
        Ok(Ok(catalog)) => return (catalog, true),
        Ok(Err(error)) => tracing::warn!(%error, "the service gives no catalogue; mounting without one"),
        Err(_) => tracing::warn!("the service's catalogue takes long; mounting without one"),
    }
    (Catalog::empty(), false)
}

/// True when there simply is no saved catalogue yet.
fn is_missing(error: &CatalogError) -> bool {
    matches!(error, CatalogError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

async fn fetch_catalog(
    client: &Client,
    path: &Path,
    old: Arc<Catalog>,
    may_hold: impl Fn(&Dataset) -> bool + Send + 'static,
    is_in_use: impl Fn(Product<'_>) -> bool + Send + 'static,
) -> Result<Catalog, CatalogError> {
    let catalog = Catalog::refresh(client, old, may_hold, is_in_use).await?;
    let path = path.to_owned();
    let catalog = tokio::task::spawn_blocking(move || {
        if let Err(error) = catalog.save(&path) {
            // what is known is shown all the same; the next refresh saves it
            tracing::warn!(%error, "the catalogue is in use, but not saved: a start without network would not have it");
        }
        catalog
    });
    Ok(catalog.await.expect("saving does not panic"))
}

/// Keeps the catalogue young, behind the mount's back.
async fn refresh_catalog(
    vfs: Arc<Vfs>,
    client: Arc<Client>,
    cache: Arc<CacheDir>,
    notifier: Notifier,
    mut settings: watch::Receiver<Arc<Resolved>>,
    fresh: bool,
) {
    names::note(&vfs).await;
    let mut since = Instant::now();
    // `None` while the catalogue has its age to grow
    let mut pause = (!fresh).then_some(Duration::ZERO);
    let mut after_failure = REFRESH_PAUSE;
    loop {
        let ttl = settings.borrow_and_update().settings.catalog_ttl.duration();
        let due = since + pause.map_or(ttl, |pause| pause.min(ttl));
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            Ok(()) = settings.changed() => continue,
        }
        let engine = vfs.engine().clone();
        let held = Held::by(&vfs);
        let may_hold = move |dataset: &Dataset| held.may_be_of(dataset);
        let is_in_use = move |product: Product<'_>| engine.is_in_use(&entry_key(product));
        match fetch_catalog(&client, &cache.catalog(), vfs.catalog(), may_hold, is_in_use).await {
            Ok(catalog) => {
                tracing::info!(
                    datasets = catalog.datasets().len(),
                    products = catalog.product_count(),
                    "catalogue refreshed"
                );
                vfs.show(Arc::new(catalog));
                names::note(&vfs).await;
                vfs.counters.refreshes.one(Refreshed::Done);
                let (shown, notifier) = (Arc::clone(&vfs), notifier.clone());
                tokio::task::spawn_blocking(move || invalidate::forget_catalog(&shown, &notifier));
                vfs.engine().inventory().count_books();
                (pause, after_failure) = (None, REFRESH_PAUSE);
            }
            Err(error) => {
                vfs.counters.refreshes.one(Refreshed::Failed);
                tracing::warn!(%error, "the catalogue is not refreshed; the old one stays");
                pause = Some(after_failure);
                after_failure = after_failure.saturating_mul(2).min(LONGEST_REFRESH_PAUSE);
            }
        }
        since = Instant::now();
    }
}

/// Writes last uses to the ledger, so that eviction is fair after a crash, too.
async fn save_uses(engine: Engine) {
    let mut tick = tokio::time::interval(SAVE_USES);
    loop {
        tick.tick().await;
        let engine = engine.clone();
        let saved = tokio::task::spawn_blocking(move || engine.save_uses());
        if let Ok(Err(error)) = saved.await {
            tracing::warn!(%error, "last uses are not saved");
        }
    }
}

/// Mounts and starts to serve; the receiver hears the session's end, the notifier tells the kernel what changed.
async fn start_session(
    source: &str,
    mountpoint: &Path,
    vfs: &Arc<Vfs>,
    settings: &Settings,
) -> Result<(oneshot::Receiver<io::Result<()>>, Notifier), DaemonError> {
    let adapter = Adapter::new(Arc::clone(vfs), Handle::current(), settings);
    let for_adapter = adapter.notifier();
    let mut config = Config::default();
    // not RO: the kernel would then refuse to set user.clmsfs.pinned; every other write answers EROFS here
    config.mount_options = vec![
        MountOption::FSName(source.to_owned()),
        // not MountOption::Subtype, which mount(2) is not told by fuser: PRUNEFS, findmnt and umount -t go by the type
        MountOption::CUSTOM("subtype=clmsfs".to_owned()),
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoExec,
        MountOption::NoAtime,
    ];
    config.acl = if settings.allow_other { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(DISPATCHERS);
    config.clone_fd = true;
    let path = mountpoint.to_owned();
    let session = tokio::task::spawn_blocking(move || Session::new(adapter, path, &config))
        .await
        .expect("mounting does not panic")
        .map_err(|source| DaemonError::Mount { mountpoint: mountpoint.to_owned(), source })?;
    let notifier = session.notifier();
    for_adapter.set(notifier.clone()).expect("the session is made once");
    let (tell, ended) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("clmsfs-session".to_owned()).spawn(move || {
        // nobody listens any more when the wait for the end was given up
        let _ = tell.send(session.run());
    });
    spawned.map_err(|source| DaemonError::Mount { mountpoint: mountpoint.to_owned(), source })?;
    tokio::spawn(invalidate::follow(Arc::clone(vfs), notifier.clone(), vfs.engine().changes()));
    let path = mountpoint.to_owned();
    // asks the mount itself, so not on a thread that serves it
    let raised = tokio::task::spawn_blocking(move || mountpoint::raise_readahead(&path)).await;
    if let Ok(Err(error)) = raised {
        tracing::debug!(%error, "readahead stays as it is (only root may raise it)");
    }
    Ok((ended, notifier))
}
