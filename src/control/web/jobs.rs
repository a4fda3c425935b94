//! Fetches: what is under way, who waits for it, what failed and what to do about it.

use maud::{Markup, html};

use super::super::actions::Action;
use super::super::status::{self, JobStatus};
use super::act::{self, Button};
use super::page::{Here, Page, Region};
use super::site::Site;
use super::view::View;
use super::words::{announcement, count, describe, mark, moment, percent, product_address, shown};
use crate::fetch::state::{ProductState, Progress};
use crate::vfs::Vfs;

/// Fetches of a kind that one page shows.
const LINES: usize = 100;

/// The fetches that are under way, the oldest first, and those that failed, the newest first.
pub(super) fn sorted(vfs: &Vfs) -> (Vec<JobStatus>, Vec<JobStatus>) {
    let jobs = status::jobs(vfs.engine());
    let (under_way, mut failed): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|job| job.progress.state.is_under_way());
    failed.retain(|job| job.progress.state == ProductState::Failed);
    failed.sort_by_key(|job| std::cmp::Reverse(job.progress.since));
    (under_way, failed)
}

/// A bar for the present state's work.
pub(super) fn bar(progress: &Progress) -> Markup {
    html! {
        @if progress.state.is_under_way() {
            progress max="100" value=[percent(progress)] aria-label=(super::words::meaning(progress.state)) {}
        }
    }
}

/// Fetches under way, as a list.
pub(super) fn under_way(site: &Site, jobs: &[JobStatus], few: usize, from: &str) -> Markup {
    html! {
        @if jobs.is_empty() {
            p.quiet { "Nothing is being fetched." }
        } @else {
            ul.jobs {
                @for job in jobs.iter().take(few) {
                    li {
                        p.what { a href=(product_address(&job.path)) { (shown(&job.path)) } " " (mark(job.progress.state)) }
                        (bar(&job.progress))
                        p.detail { (describe(&job.progress)) }
                        p.detail { (readers(job.waiting)) " · begun " (moment(job.began)) " for user " (job.uid) }
                        (act::buttons(site, &job.path, Some(&job.path), from, &[(Action::Cancel, "Cancel")]))
                    }
                }
            }
            @if jobs.len() > few { p { "… and " (count(jobs.len() - few, "more", "more")) } }
        }
    }
}

fn readers(waiting: usize) -> String {
    match waiting {
        0 => "no reader waits".to_owned(),
        1 => "1 reader waits".to_owned(),
        many => format!("{many} readers wait"),
    }
}

/// Failed fetches, with the reason and the way out.
pub(super) fn failed(site: &Site, jobs: &[JobStatus], few: usize, from: &str) -> Markup {
    html! {
        @if jobs.is_empty() {
            p.quiet { "No fetch has failed." }
        } @else {
            ul.jobs {
                @for job in jobs.iter().take(few) {
                    li {
                        p.what { a href=(product_address(&job.path)) { (shown(&job.path)) } " " (mark(job.progress.state)) }
                        (reason(&job.progress, job.renewal))
                        (act::buttons(site, &job.path, Some(&job.path), from, &[again(job)]))
                    }
                }
            }
            @if jobs.len() > few { p { "… and " (count(jobs.len() - few, "more", "more")) } }
        }
    }
}

/// What tries a failed fetch again: to fetch what is here would do nothing.
const fn again(job: &JobStatus) -> Button {
    if job.renewal { (Action::Refresh, "Try again") } else { (Action::Fetch, "Fetch again") }
}

/// Why it failed, and when the next open tries again. With `renewal` the product is here, and no open does.
pub(super) fn reason(progress: &Progress, renewal: bool) -> Markup {
    html! {
        @if let Some(error) = &progress.error { p.problem { (shown(error)) } }
        @if progress.state == ProductState::Failed {
            p.detail {
                "Failed " (moment(progress.since))
                @if renewal { "; what is here is served" } @else if let Some(at) = progress.retry_at {
                    @if at > crate::fetch::now() { "; opening the file tries again " (moment(at)) }
                    @else { "; opening the file tries again" }
                }
                "."
            }
        }
    }
}

/// What a screen reader hears of all fetches: how many, and the states of the first few.
pub(super) fn heard(under_way: &[JobStatus], failed: &[JobStatus]) -> Markup {
    let states =
        under_way.iter().take(3).map(|job| format!("{}: {}", shown(&job.path), announcement(&job.progress)));
    let mut words = vec![
        count(under_way.len(), "fetch is under way", "fetches are under way"),
        count(failed.len(), "has failed", "have failed"),
    ];
    words.extend(states);
    html! { p.heard data-say=(words.join(". ")) {} }
}

/// What changes on `/jobs`.
pub(super) fn regions(site: &Site, vfs: &Vfs) -> [Region; 3] {
    let (going, gone) = sorted(vfs);
    [
        Region { name: "heard", html: heard(&going, &gone) },
        Region { name: "under-way", html: under_way(site, &going, LINES, "jobs") },
        Region { name: "failed", html: failed(site, &gone, LINES, "jobs") },
    ]
}

/// `/jobs`.
pub(super) fn page(site: &Site, vfs: &Vfs, told: Option<&'static str>) -> Markup {
    let [heard, under_way, failed] = regions(site, vfs);
    let body = html! {
        h1 { "Fetches" }
        (heard.placed())
        section aria-labelledby="h-under-way" { h2 #h-under-way { "Under way" } (under_way.placed()) }
        section aria-labelledby="h-failed" { h2 #h-failed { "Failed" } (failed.placed()) }
    };
    Page { title: "Fetches", here: Here::Jobs, view: Some(&View::Jobs), told, body }.framed(site)
}
