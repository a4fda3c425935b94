//! Keeps browsers up to date: a stream of the regions of a page that have changed (server-sent events).

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::site::Site;
use super::view::{View, Wanted};

/// How often a page is looked at for changes.
const LOOK: Duration = Duration::from_millis(500);
/// How often a silent connection shows that it lives, and notices that its browser has gone.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// A region as the script takes it.
#[derive(Debug, Serialize)]
struct Fresh {
    version: String,
    html: String,
}

/// One browser that is kept up to date.
struct Watch {
    site: Arc<Site>,
    view: View,
    sent: HashMap<&'static str, String>,
    ticks: Interval,
    _place: OwnedSemaphorePermit,
}

impl Watch {
    /// What has changed since the last time; `None` when there is nothing more to tell.
    async fn next(&mut self) -> Option<BTreeMap<&'static str, Fresh>> {
        let stop = self.site.mounted.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return None,
                _ = self.ticks.tick() => {}
            }
            let view = self.view.clone();
            let regions = Arc::clone(&self.site).blocking(move |site, vfs| view.regions(site, vfs)).await;
            // what a product's page is about may have left the catalogue
            let mut changed = BTreeMap::new();
            for region in regions.ok()? {
                let version = region.version();
                if self.sent.get(region.name) != Some(&version) {
                    self.sent.insert(region.name, version.clone());
                    changed.insert(region.name, Fresh { version, html: region.html.into_string() });
                }
            }
            if !changed.is_empty() {
                return Some(changed);
            }
        }
    }
}

/// `GET /events`.
pub(super) async fn events(State(site): State<Arc<Site>>, Query(wanted): Query<Wanted>) -> Response {
    let view = match wanted.view() {
        Ok(view) => view,
        Err(problem) => return problem.framed(&site),
    };
    let Ok(place) = Arc::clone(&site.watchers).try_acquire_owned() else {
        let busy = "too many browsers are kept up to date already; close some, or reload by hand\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "30")], busy).into_response();
    };
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch = Watch { site, view, sent: HashMap::new(), ticks, _place: place };
    let changes = stream::unfold(watch, |mut watch| async move {
        let changed = watch.next().await?;
        let event = Event::default().event("regions").json_data(&changed).ok()?;
        Some((Ok::<_, Infallible>(event), watch))
    });
    Sse::new(changes).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)).into_response()
}
