//! HTTP over a Unix socket of mode 0600: what `status`, `fetch`, `cancel`, `cache` and `umount` ask a mount.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use crate::catalog::{Catalog, Product};
use crate::clms::TaskId;
use crate::fetch::engine::{Engine, Refusal, Target, Ticket};
use crate::fetch::state::Progress;
use crate::store::StoreError;
use crate::store::verify;
use crate::vfs::Vfs;
use crate::vfs::tree::{entry_key, is_served, target};

use super::peers::{Owners, own_uid};
use super::status::{jobs, status};
use super::{Mounted, metrics, reload};

/// What a product is, for `search`, `ls` and `fetch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProductLine {
    /// `<dataset>/<product>`.
    pub path: String,
    /// Title of the dataset.
    pub title: String,
    /// Size of the package in bytes as the catalogue declares it; a hint.
    pub declared_size: Option<u64>,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
}

/// What a dataset is, for `ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetLine {
    /// Directory.
    pub name: String,
    /// Title.
    pub title: String,
    /// Number of products.
    pub products: usize,
}

/// A line of `cache ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheLine {
    /// `<dataset>/<product>`, or the key when the catalogue no longer has it.
    pub path: String,
    /// Bytes of real blocks.
    pub bytes: u64,
    /// Last use in milliseconds since 1970.
    pub last_use: u64,
    /// Pinned.
    pub pinned: bool,
    /// Readers that have it open.
    pub readers: usize,
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

#[derive(Debug, Deserialize)]
struct TextQuery {
    #[serde(default)]
    text: String,
}

/// Serves until the mount stops.
///
/// # Errors
/// When the socket cannot be made.
pub async fn serve(mounted: Arc<Mounted>, socket: &Path) -> io::Result<()> {
    // a socket left by a crash
    let _ = std::fs::remove_file(socket);
    let listener = Owners::new(UnixListener::bind(socket)?);
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    let stop = mounted.stop.clone();
    let router = Router::new()
        .route("/status", get(get_status))
        .route("/metrics", get(get_metrics))
        .route("/jobs", get(get_jobs))
        .route("/datasets", get(get_datasets))
        .route("/products", get(get_products))
        .route("/search", get(get_search))
        .route("/fetch", post(post_fetch))
        .route("/refresh", post(post_refresh))
        .route("/progress", post(post_progress))
        .route("/cancel", post(post_cancel))
        .route("/cache", get(get_cache))
        .route("/cache/evict", post(post_evict))
        .route("/cache/pin", post(post_pin))
        .route("/cache/unpin", post(post_unpin))
        .route("/cache/verify", post(post_verify))
        .route("/reload", post(post_reload))
        .route("/stop", post(post_stop))
        .with_state(mounted);
    tokio::spawn(async move {
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the control socket is gone");
        }
    });
    Ok(())
}

type Shared = State<Arc<Mounted>>;

/// Why a request is not answered.
#[derive(Debug)]
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

fn vfs(mounted: &Mounted) -> Result<Arc<Vfs>, Refused> {
    let starting =
        || Refused(StatusCode::SERVICE_UNAVAILABLE, "the mount is being put together; try again".into());
    mounted.vfs.get().cloned().ok_or_else(starting)
}

async fn get_status(State(mounted): Shared) -> Response {
    match status(&mounted) {
        Some(status) => Json(status).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn get_metrics(State(mounted): Shared) -> Response {
    match status(&mounted) {
        Some(status) => metrics::text(&status).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn get_jobs(State(mounted): Shared) -> Result<Response, Refused> {
    Ok(Json(jobs(vfs(&mounted)?.engine())).into_response())
}

async fn get_datasets(State(mounted): Shared) -> Result<Response, Refused> {
    let catalog = vfs(&mounted)?.catalog();
    let lines: Vec<_> = catalog
        .datasets()
        .iter()
        .map(|dataset| DatasetLine {
            name: dataset.name().to_string(),
            title: dataset.title().to_owned(),
            products: dataset.product_count(),
        })
        .collect();
    Ok(Json(lines).into_response())
}

fn product_line(vfs: &Vfs, product: Product<'_>) -> ProductLine {
    let dataset = product.dataset();
    ProductLine {
        path: format!("{}/{}", dataset.name(), product.name()),
        title: dataset.title().to_owned(),
        declared_size: product.declared_size(),
        progress: vfs.engine().progress(&entry_key(product)),
    }
}

async fn get_products(State(mounted): Shared, Query(query): Query<TextQuery>) -> Result<Response, Refused> {
    let vfs = vfs(&mounted)?;
    let catalog = vfs.catalog();
    let name = query.text.trim_matches('/').rsplit('/').next().unwrap_or_default();
    let dataset = catalog.dataset(name).ok_or_else(|| {
        let message = format!("no dataset '{name}': see clmsfs ls or clmsfs search");
        Refused(StatusCode::NOT_FOUND, message)
    })?;
    let lines: Vec<_> = dataset.products().map(|product| product_line(&vfs, product)).collect();
    Ok(Json(lines).into_response())
}

async fn get_search(State(mounted): Shared, Query(query): Query<TextQuery>) -> Result<Response, Refused> {
    let vfs = vfs(&mounted)?;
    // may unpack every record of the catalogue
    let search = move || -> Vec<ProductLine> {
        vfs.catalog().search(&query.text).map(|product| product_line(&vfs, product)).collect()
    };
    let lines = tokio::task::spawn_blocking(search).await.expect("searching does not panic");
    Ok(Json(lines).into_response())
}

/// Finds the product that an id of the user means.
fn resolve<'a>(catalog: &'a Catalog, mounted: &Mounted, id: &str) -> Result<Product<'a>, String> {
    let below = Path::new(id).strip_prefix(&mounted.mountpoint).ok().and_then(Path::to_str);
    catalog.find(below.unwrap_or(id)).ok_or_else(|| {
        format!("no product '{id}': give <dataset>/<product>, a path below the mount, or dataset|file; see clmsfs search")
    })
}

/// Does `act` for every id.
fn for_each(
    mounted: &Mounted,
    ids: &Ids,
    act: impl Fn(&Vfs, Product<'_>) -> Result<String, String>,
) -> Result<Response, Refused> {
    let vfs = vfs(mounted)?;
    let catalog = vfs.catalog();
    let outcomes: Vec<Outcome> = ids
        .ids
        .iter()
        .map(|id| {
            let result = resolve(&catalog, mounted, id).and_then(|product| act(&vfs, product));
            outcome(id, result)
        })
        .collect();
    Ok(Json(outcomes).into_response())
}

fn outcome(id: &str, result: Result<String, String>) -> Outcome {
    match result {
        Ok(message) => Outcome { id: id.to_owned(), ok: true, message },
        Err(message) => Outcome { id: id.to_owned(), ok: false, message },
    }
}

async fn post_fetch(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    fetch(mounted, ids, |engine, target, uid| engine.request(target, uid, true)).await
}

async fn post_refresh(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    fetch(mounted, ids, Engine::refresh).await
}

/// Starts a fetch of every id in the way of `start`.
async fn fetch(
    mounted: Arc<Mounted>,
    ids: Ids,
    start: impl Fn(&Engine, &Target, u32) -> Result<Ticket, Refusal> + Send + 'static,
) -> Result<Response, Refused> {
    let uid = own_uid();
    blocking(move || {
        for_each(&mounted, &ids, |vfs, product| {
            if !is_served(product) {
                return Err("data of this format is not served by this release: see its item.json".to_owned());
            }
            let target = target(product);
            let result = start(vfs.engine(), &target, uid);
            result.map(|_| target.path).map_err(|refusal| refusal.to_string())
        })
    })
    .await
}

async fn post_progress(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    let vfs = vfs(&mounted)?;
    let catalog = vfs.catalog();
    let lines: Vec<_> = ids
        .ids
        .iter()
        .filter_map(|id| resolve(&catalog, &mounted, id).ok())
        .map(|product| {
            let line = product_line(&vfs, product);
            let progress = vfs.engine().under_way(&entry_key(product)).unwrap_or(line.progress);
            ProductLine { progress, ..line }
        })
        .collect();
    Ok(Json(lines).into_response())
}

async fn post_cancel(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    let engine = vfs(&mounted)?.engine().clone();
    let mut tasks = Vec::new();
    for text in &ids.tasks {
        let result = match TaskId::parse(text) {
            None => Err("not a task id".to_owned()),
            Some(task) => engine.cancel_task(&task).await.map_err(|failure| failure.to_string()),
        };
        tasks.push(outcome(text, result.map(|()| "cancelled at the service".to_owned())));
    }
    if !tasks.is_empty() {
        return Ok(Json(tasks).into_response());
    }
    for_each(&mounted, &ids, |vfs, product| {
        if vfs.engine().cancel(&entry_key(product)) {
            Ok("cancelled".to_owned())
        } else {
            Err("nothing is being fetched: see clmsfs jobs".to_owned())
        }
    })
}

async fn get_cache(State(mounted): Shared) -> Result<Response, Refused> {
    let vfs = vfs(&mounted)?;
    blocking(move || {
        let engine = vfs.engine();
        let lines: Vec<_> = engine
            .inventory()
            .holdings()
            .into_iter()
            .map(|holding| CacheLine {
                path: engine
                    .ledger()
                    .path_of(&holding.key)
                    .ok()
                    .flatten()
                    .unwrap_or_else(|| holding.key.to_string()),
                bytes: holding.bytes,
                last_use: holding.last_use,
                pinned: holding.pinned,
                readers: holding.readers,
            })
            .collect();
        Ok(Json(lines).into_response())
    })
    .await
}

async fn post_evict(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    blocking(move || {
        for_each(&mounted, &ids, |vfs, product| {
            let evicted = vfs.engine().inventory().evict(&entry_key(product));
            evicted.map(|bytes| format!("{bytes} bytes freed")).map_err(|error: StoreError| error.to_string())
        })
    })
    .await
}

async fn post_pin(mounted: Shared, ids: Json<Ids>) -> Result<Response, Refused> {
    pin(mounted, ids, true).await
}

async fn post_unpin(mounted: Shared, ids: Json<Ids>) -> Result<Response, Refused> {
    pin(mounted, ids, false).await
}

async fn pin(State(mounted): Shared, Json(ids): Json<Ids>, pinned: bool) -> Result<Response, Refused> {
    blocking(move || {
        for_each(&mounted, &ids, |vfs, product| {
            let target = target(product);
            let done = vfs.engine().pin(&target.key, &target.path, pinned);
            let word = if pinned { "pinned" } else { "unpinned" };
            done.map(|()| word.to_owned()).map_err(|error| error.to_string())
        })
    })
    .await
}

/// Proves every chunk of the named entries, or of all.
async fn post_verify(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    let vfs = vfs(&mounted)?;
    blocking(move || {
        let catalog = vfs.catalog();
        let engine = vfs.engine();
        let mut outcomes = Vec::new();
        let mut wanted = Vec::new();
        for id in &ids.ids {
            match resolve(&catalog, &mounted, id) {
                Ok(product) => wanted.push((id.clone(), entry_key(product))),
                Err(message) => outcomes.push(outcome(id, Err(message))),
            }
        }
        if ids.ids.is_empty() {
            wanted = engine
                .inventory()
                .holdings()
                .into_iter()
                .map(|holding| {
                    let path = engine.ledger().path_of(&holding.key).ok().flatten();
                    (path.unwrap_or_else(|| holding.key.to_string()), holding.key)
                })
                .collect();
        }
        for (id, key) in wanted {
            let Some(lease) = engine.inventory().lease(&key) else {
                outcomes.push(outcome(&id, Err("not in the cache".to_owned())));
                continue;
            };
            let proof = verify::full(lease.directory(), |_| std::ops::ControlFlow::Continue(()));
            let result = match proof {
                Ok(proof) => Ok(proven(&proof)),
                Err(error) if error.is_damage() => {
                    engine.inventory().quarantine(&lease);
                    Err(format!("{error}; removed, it will be fetched again"))
                }
                Err(error) => Err(error.to_string()),
            };
            outcomes.push(outcome(&id, result));
        }
        Ok(Json(outcomes).into_response())
    })
    .await
}

/// A proof in words.
fn proven(proof: &verify::Proof) -> String {
    let mut words = Vec::new();
    if proof.tiles + proof.missing > 0 {
        words.push(format!("{} chunks proven, {} missing (fill value)", proof.tiles, proof.missing));
    }
    if proof.files > 0 {
        words.push(format!("{} side files proven", proof.files));
    }
    if proof.files_without_checksum > 0 {
        let files = proof.files_without_checksum;
        words.push(format!("{files} side files have their size (an earlier release took no checksums)"));
    }
    if !proof.sealed {
        words.push("no seal (an earlier release set none): descriptions and tags are not proven".to_owned());
    }
    words.join(", ")
}

async fn post_reload(State(mounted): Shared) -> Result<Response, Refused> {
    match reload::ask(&mounted.reload).await {
        Some(report) => Ok(Json(report).into_response()),
        None => {
            Err(Refused(StatusCode::SERVICE_UNAVAILABLE, "this mount cannot read its settings anew".into()))
        }
    }
}

async fn post_stop(State(mounted): Shared) -> &'static str {
    mounted.stop.cancel();
    "stopping"
}

/// Runs what touches the disk off the runtime's threads.
async fn blocking(
    work: impl FnOnce() -> Result<Response, Refused> + Send + 'static,
) -> Result<Response, Refused> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, panic.to_string())))
}
