//! The first page: how the mount is doing.

use maud::{Markup, html};

use super::super::status::{self, Status};
use super::page::{Here, Page, Region};
use super::site::Site;
use super::view::View;
use super::words::{count, grouped, moment, shown, size};
use super::{cache, jobs};
use crate::vfs::Vfs;

/// Fetches of a kind that are shown here.
const FETCHES: usize = 8;
/// Entries that would go next.
const NEXT: usize = 5;

/// Facts about mount, service and catalogue.
fn facts(site: &Site, vfs: &Vfs, status: &Status) -> Markup {
    let resolved = site.mounted.settings();
    let settings = &resolved.settings;
    let waiting: usize = status.jobs.iter().map(|job| job.waiting).sum();
    let going = status.jobs.iter().filter(|job| job.progress.state.is_under_way()).count();
    let fetched = vfs.catalog().fetched();
    let fetched = u64::try_from(fetched.as_millisecond()).ok().filter(|at| *at > 0);
    let totals = &status.totals;
    html! {
        ul.tiles {
            li { b { (grouped(going)) } span { (if going == 1 { "fetch under way" } else { "fetches under way" }) } }
            li { b { (grouped(waiting)) } span { (if waiting == 1 { "reader waits" } else { "readers wait" }) } }
            li { b { (grouped(status.cache.entries)) } span { (if status.cache.entries == 1 { "product here" } else { "products here" }) } }
            li { b { (size(status.cache.used)) } span { "of " (size(status.cache.limit)) } }
        }
        dl.facts {
            div { dt { "Mounted" } dd { code { (site.mountpoint()) } " " (moment(status.since)) ", process " (status.pid) } }
            div {
                dt { "Service" }
                dd {
                    (shown(&status.api))
                    @if settings.credentials.is_none() { ". No service key: the catalogue can be browsed, nothing ordered" }
                }
            }
            div {
                dt { "Catalogue" }
                dd {
                    (count(status.datasets, "dataset", "datasets")) ", " (count(status.products, "product", "products"))
                    @match fetched {
                        Some(at) => { ", asked for " (moment(at)) }
                        None => { "; the service has not given one yet" }
                    }
                }
            }
            div {
                dt { "Since the mount" }
                dd { (totals.published) " fetched, " (totals.failed) " failed, " (size(totals.downloaded)) " downloaded" }
            }
        }
    }
}

/// What changes here.
pub(super) fn regions(site: &Site, vfs: &Vfs) -> [Region; 5] {
    let (going, gone) = jobs::sorted(vfs);
    let facts = status::status(&site.mounted).map(|status| facts(site, vfs, &status));
    [
        Region { name: "heard", html: jobs::heard(&going, &gone) },
        Region { name: "facts", html: facts.unwrap_or_default() },
        Region { name: "under-way", html: jobs::under_way(site, &going, FETCHES, "overview") },
        Region { name: "failed", html: jobs::failed(site, &gone, FETCHES, "overview") },
        Region { name: "cache", html: cache::summary(site, vfs, NEXT) },
    ]
}

/// `/`.
pub(super) fn page(site: &Site, vfs: &Vfs, told: Option<&'static str>) -> Markup {
    let [heard, facts, under_way, failed, cache] = regions(site, vfs);
    let body = html! {
        h1 { "Overview" }
        (heard.placed())
        (facts.placed())
        form.search method="get" action="/datasets" role="search" {
            label for="q" { "Find a dataset" }
            div.row { input #q type="search" name="q" autocomplete="off"; button { "Search" } }
        }
        div.columns {
            section aria-labelledby="h-under-way" { h2 #h-under-way { "Under way" } (under_way.placed()) }
            section aria-labelledby="h-failed" { h2 #h-failed { "Failed" } (failed.placed()) }
        }
        section aria-labelledby="h-cache" { h2 #h-cache { "Cache" } (cache.placed()) }
    };
    Page { title: "Overview", here: Here::Overview, view: Some(&View::Overview), told, body }.framed(site)
}
