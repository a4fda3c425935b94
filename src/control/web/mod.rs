//! The web page of a mount: HTML that works without scripts and is kept up to date where there are some.
//!
//! * `door`, `token`, `access`, `headers`, `limit` — who is answered, and what a browser may do with the answer.
//! * `page`, `view`, `events` — what all pages share, and the regions that are kept up to date.
//! * `overview`, `jobs`, `cache`, `datasets`, `dataset`, `product` — a page each; `contents`, `commands`, `map`,
//!   `search`, `words` — what these are made of.
//! * `act` — the buttons.
//!
//! Looking orders nothing and asks no network. What buttons do is done by [`actions`](super::actions), for the page as for
//! the verbs.

mod access;
mod act;
mod cache;
mod commands;
mod contents;
mod dataset;
mod datasets;
mod door;
mod events;
mod headers;
mod jobs;
mod limit;
mod map;
mod overview;
mod page;
mod product;
mod search;
mod site;
mod token;
mod view;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use maud::Markup;
use serde::Deserialize;

pub use door::{Door, WebError, WebPage};

use super::Mounted;
use access::Refusal;
use limit::Limited;
use page::Problem;
use site::Site;

/// Connections at a time.
const CONNECTIONS: usize = 128;
/// Largest form: ids are names of at most 200 bytes each.
const LARGEST_FORM: usize = 16 << 10;

/// Answers at `door` until the mount stops.
pub fn serve(door: Door, mounted: Arc<Mounted>, page: Arc<WebPage>) {
    if !page.address.ip().is_loopback() {
        tracing::warn!(
            address = page.address(),
            "the web page is plain HTTP and not on loopback: whoever is on the way can read its secret; see docs/WEB.md"
        );
    }
    let stop = mounted.stop.clone();
    let listener = Limited::new(door.listener, CONNECTIONS);
    let router = router(Arc::new(Site::new(mounted, page)));
    tokio::spawn(async move {
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the web page is gone");
        }
    });
}

fn router(site: Arc<Site>) -> Router {
    let private = Router::new()
        .route("/", get(overview))
        .route("/jobs", get(jobs))
        .route("/cache", get(cache))
        .route("/datasets", get(datasets))
        .route("/datasets/{dataset}", get(dataset))
        .route("/datasets/{dataset}/{product}", get(product))
        .route("/preview/{dataset}/{file}", get(preview))
        .route("/events", get(events::events))
        .route("/act", post(act::act))
        .fallback(missing)
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(middleware::from_fn_with_state(Arc::clone(&site), let_in));
    Router::new()
        .route("/style.css", get(|| asset("text/css", include_str!("assets/style.css"))))
        .route("/script.js", get(|| asset("text/javascript", include_str!("assets/script.js"))))
        .route("/icon.svg", get(|| asset("image/svg+xml", include_str!("assets/icon.svg"))))
        .merge(private)
        .layer(middleware::from_fn_with_state(Arc::clone(&site), guard))
        .with_state(site)
}

async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], text)
}

type Shared = State<Arc<Site>>;

/// Turns away what does not mean us or comes from elsewhere, and hardens every answer.
async fn guard(State(site): Shared, request: Request, next: Next) -> Response {
    let (headers, method) = (request.headers(), request.method());
    let checked =
        access::check_host(headers, &site.hosts).and_then(|()| access::check_origin(method, headers));
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(Refusal::Host) => turned_away(StatusCode::MISDIRECTED_REQUEST, Refusal::Host),
        Err(refusal) => turned_away(StatusCode::FORBIDDEN, refusal),
    };
    headers::harden(response.headers_mut());
    response
}

#[derive(Debug, Deserialize)]
struct Link {
    token: String,
}

/// Lets in who has the secret: by the link, once, which leaves a cookie; by the cookie from then on.
async fn let_in(State(site): Shared, request: Request, next: Next) -> Response {
    let token = &site.page.token;
    if request.method() == Method::GET
        && let Ok(Query(link)) = Query::<Link>::try_from_uri(request.uri())
    {
        if !token.is(&link.token) {
            tracing::warn!("somebody came to the web page with a wrong link");
            return turned_away(StatusCode::FORBIDDEN, Refusal::Stranger);
        }
        let cookie =
            format!("{}={}; Path=/; HttpOnly; SameSite=Strict", token.cookie_name(), token.session());
        let Ok(cookie) = HeaderValue::from_str(&cookie) else {
            return turned_away(StatusCode::INTERNAL_SERVER_ERROR, Refusal::Stranger);
        };
        // the address that stays in the history does not have the secret
        let place = HeaderValue::from_static("/");
        return (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, place)])
            .into_response();
    }
    match access::check_session(request.headers(), token) {
        Ok(()) => next.run(request).await,
        Err(refusal) => turned_away(StatusCode::FORBIDDEN, refusal),
    }
}

fn turned_away(status: StatusCode, refusal: Refusal) -> Response {
    page::turned_away(status, &refusal.to_string())
}

/// What the pages' addresses may say besides.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    did: String,
    from: usize,
}

impl Asked {
    fn told(&self) -> Option<&'static str> {
        act::done(&self.did)
    }
}

/// A page, or why there is none.
fn shown(site: &Site, page: Result<Markup, Problem>) -> Response {
    match page {
        Ok(markup) => Html(markup.into_string()).into_response(),
        Err(problem) => problem.framed(site),
    }
}

async fn overview(State(site): Shared, Query(asked): Query<Asked>) -> Response {
    let page = Arc::clone(&site).blocking(move |site, vfs| Ok(overview::page(site, vfs, asked.told()))).await;
    shown(&site, page)
}

async fn jobs(State(site): Shared, Query(asked): Query<Asked>) -> Response {
    let page = Arc::clone(&site).blocking(move |site, vfs| Ok(jobs::page(site, vfs, asked.told()))).await;
    shown(&site, page)
}

async fn cache(State(site): Shared, Query(asked): Query<Asked>) -> Response {
    let page = Arc::clone(&site)
        .blocking(move |site, vfs| Ok(cache::page(site, vfs, asked.from, asked.told())))
        .await;
    shown(&site, page)
}

async fn datasets(State(site): Shared, Query(asked): Query<search::Asked>) -> Response {
    let page = Arc::clone(&site).blocking(move |site, vfs| Ok(datasets::page(site, vfs, &asked))).await;
    shown(&site, page)
}

async fn dataset(
    State(site): Shared,
    Path(name): Path<String>,
    Query(asked): Query<dataset::Asked>,
) -> Response {
    let page = Arc::clone(&site).blocking(move |site, vfs| dataset::page(site, vfs, &name, &asked)).await;
    shown(&site, page)
}

async fn product(
    State(site): Shared,
    Path((dataset, name)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Response {
    let page = Arc::clone(&site)
        .blocking(move |site, vfs| product::page(site, vfs, &dataset, &name, asked.told()))
        .await;
    shown(&site, page)
}

async fn preview(State(site): Shared, Path((dataset, file)): Path<(String, String)>) -> Response {
    let picture = Arc::clone(&site).blocking(move |_, vfs| product::preview(vfs, &dataset, &file)).await;
    match picture {
        Ok(bytes) => ([(header::CONTENT_TYPE, "image/png")], bytes).into_response(),
        Err(problem) => problem.framed(&site),
    }
}

async fn missing(State(site): Shared) -> Response {
    Problem::missing("there is no page at this address").framed(&site)
}
