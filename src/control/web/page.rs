//! What all pages have in common: head, navigation, message, footer, and the regions that are kept up to date.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::site::Site;
use super::view::View;

/// Where the reader is, for the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    Overview,
    Datasets,
    Jobs,
    Cache,
    Elsewhere,
}

const NAVIGATION: [(Here, &str, &str); 4] = [
    (Here::Overview, "/", "Overview"),
    (Here::Datasets, "/datasets", "Datasets"),
    (Here::Jobs, "/jobs", "Fetches"),
    (Here::Cache, "/cache", "Cache"),
];

/// A page before it is framed.
pub(super) struct Page<'a> {
    /// For the window's title.
    pub(super) title: &'a str,
    pub(super) here: Here,
    /// What keeps its regions up to date, if it has any.
    pub(super) view: Option<&'a View>,
    /// What was done a moment ago.
    pub(super) told: Option<&'static str>,
    pub(super) body: Markup,
}

impl Page<'_> {
    /// The whole document.
    pub(super) fn framed(self, site: &Site) -> Markup {
        let mount = site.mountpoint();
        html! {
            (DOCTYPE)
            html lang="en" {
                (head(self.title))
                body data-events=[self.view.map(View::events)] {
                    a.skip href="#main" { "Skip to the content" }
                    header {
                        a.brand href="/" { "clmsfs" }
                        nav aria-label="Pages" {
                            ul {
                                @for (here, address, name) in NAVIGATION {
                                    li {
                                        a href=(address) aria-current=[(here == self.here).then_some("page")] { (name) }
                                    }
                                }
                            }
                        }
                        p.mount title="mount point" { code { (mount) } }
                    }
                    main #main tabindex="-1" {
                        @if let Some(told) = self.told {
                            p #told .told role="status" tabindex="-1" { (told) }
                        }
                        (self.body)
                    }
                    footer {
                        p { "clmsfs " (env!("CARGO_PKG_VERSION")) " · looking here orders nothing and asks no network" }
                        p #live role="status" {}
                    }
                }
            }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · clmsfs" }
            link rel="icon" type="image/svg+xml" href="/icon.svg";
            link rel="stylesheet" href="/style.css";
            script src="/script.js" defer {}
        }
    }
}

/// A part of a page that changes while it is looked at.
pub(super) struct Region {
    pub(super) name: &'static str,
    pub(super) html: Markup,
}

impl Region {
    /// Differs where the content does.
    pub(super) fn version(&self) -> String {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&self.html.0);
        format!("{hash:016x}")
    }

    /// The region as it is now, with what the script needs to replace it.
    pub(super) fn placed(&self) -> Markup {
        html! { div data-live=(self.name) data-version=(self.version()) tabindex="-1" { (self.html) } }
    }
}

/// Why there is no page.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) words: String,
}

impl Problem {
    /// Nothing stands there.
    pub(super) fn missing(words: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "Not found", words: words.into() }
    }

    /// This machine cannot tell now.
    pub(super) fn local(words: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, title: "Cannot be shown", words: words.into() }
    }

    /// The page that says so, to whoever may see the others.
    pub(super) fn framed(self, site: &Site) -> Response {
        let words = super::words::shown(&self.words);
        let body = html! {
            h1 { (self.title) }
            p.problem role="alert" { (words) }
            p { a href="/" { "Overview" } " · " a href="/datasets" { "Datasets" } }
        };
        let page = Page { title: self.title, here: Here::Elsewhere, view: None, told: None, body };
        (self.status, Html(page.framed(site).into_string())).into_response()
    }
}

/// A page for whoever may not see the others: it says nothing about the mount.
pub(super) fn turned_away(status: StatusCode, words: &str) -> Response {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            (head("Not open"))
            body {
                main #main .door {
                    h1 { "This page is not open to you yet" }
                    p { (words) "." }
                    p { "The user of the mount gets the link with:" }
                    pre { code { "clmsfs web" } }
                    p {
                        "The browser that opens the link once is let in from then on. "
                        "If you have just done so and still see this: reload the page."
                    }
                }
            }
        }
    };
    (status, Html(document.into_string())).into_response()
}
