//! HTTP over a Unix socket of mode 0600: what `status`, `fetch`, `cancel`, `cache` and `umount` ask a mount.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use crate::catalog::Product;
use crate::clms::TaskId;
use crate::fetch::state::Progress;
use crate::vfs::Vfs;
use crate::vfs::tree::entry_key;

use super::actions::{self, Action, resolve};
use super::peers::Owners;
use super::status::{jobs, status};
use super::{Mounted, metrics, proof, reload};

pub use super::actions::{Ids, Outcome};

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

/// How a browser gets in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebLink {
    /// The address with the secret.
    pub link: String,
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
        .route("/config", get(get_config))
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
        .route("/web", get(get_web))
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
    match metrics::text(&mounted) {
        Some(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The settings that are in force, without private ones.
async fn get_config(State(mounted): Shared) -> String {
    mounted.settings().to_toml(true)
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

/// Does `action` with every id.
async fn act(mounted: Arc<Mounted>, ids: Ids, action: Action) -> Result<Response, Refused> {
    let vfs = vfs(&mounted)?;
    let acting = Arc::clone(&vfs);
    let done = blocking(move || {
        Ok(Json(actions::act(&acting, &mounted.mountpoint, action, &ids.ids)).into_response())
    })
    .await;
    // a script that goes on now finds the names as they are
    vfs.engine().settled().await;
    done
}

async fn post_fetch(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    act(mounted, ids, Action::Fetch).await
}

async fn post_refresh(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    act(mounted, ids, Action::Refresh).await
}

async fn post_progress(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    let vfs = vfs(&mounted)?;
    let catalog = vfs.catalog();
    let lines: Vec<_> = ids
        .ids
        .iter()
        .filter_map(|id| resolve(&catalog, &mounted.mountpoint, id).ok())
        .map(|product| {
            let line = product_line(&vfs, product);
            let progress = vfs.engine().under_way(&entry_key(product)).unwrap_or(line.progress);
            ProductLine { progress, ..line }
        })
        .collect();
    if lines.iter().all(|line| !line.progress.state.is_under_way()) {
        vfs.engine().settled().await;
    }
    Ok(Json(lines).into_response())
}

async fn post_cancel(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    let engine = vfs(&mounted)?.engine().clone();
    let mut tasks = Vec::new();
    for text in &ids.tasks {
        let result = match TaskId::parse(text) {
            None => Err("it is not the number of a task: clmsfs jobs shows them".to_owned()),
            Some(task) => engine.cancel_task(&task).await.map_err(|failure| failure.to_string()),
        };
        tasks.push(Outcome::of(text, result.map(|()| "cancelled at the service".to_owned())));
    }
    if !tasks.is_empty() {
        return Ok(Json(tasks).into_response());
    }
    act(mounted, ids, Action::Cancel).await
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
    act(mounted, ids, Action::Evict).await
}

async fn post_pin(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    act(mounted, ids, Action::Pin).await
}

async fn post_unpin(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    act(mounted, ids, Action::Unpin).await
}

/// Proves every chunk of the named entries, or of all, as long as somebody waits for it.
async fn post_verify(State(mounted): Shared, Json(ids): Json<Ids>) -> Result<Response, Refused> {
    let vfs = vfs(&mounted)?;
    let stop = mounted.stop.child_token();
    // dropped with this future when the client goes away
    let _waits = stop.clone().drop_guard();
    let proving = Arc::clone(&vfs);
    let done = blocking(move || {
        Ok(Json(proof::prove(&proving, &mounted.mountpoint, &ids.ids, &stop)).into_response())
    })
    .await;
    vfs.engine().settled().await;
    done
}

/// The link that lets a browser in: told to the owner of the mount and to nobody else.
async fn get_web(State(mounted): Shared) -> Result<Response, Refused> {
    let page = mounted.web.as_ref().ok_or_else(|| {
        let message = "this mount has no web page: mount with --web-listen 127.0.0.1:0, or set web_listen";
        Refused(StatusCode::NOT_FOUND, message.to_owned())
    })?;
    Ok(Json(WebLink { link: page.link() }).into_response())
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
