//! Which page a browser looks at, and what on it changes.

use serde::Deserialize;

use super::page::{Problem, Region};
use super::site::Site;
use super::{jobs, overview, product};
use crate::vfs::Vfs;

/// A page with regions that are kept up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    Overview,
    Jobs,
    /// `<dataset>` and `<product>`.
    Product(String, String),
}

/// A view as the query of `/events` names it.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    view: String,
    #[serde(default)]
    dataset: String,
    #[serde(default)]
    product: String,
}

impl Wanted {
    /// The view that is meant.
    pub(super) fn view(self) -> Result<View, Problem> {
        match self.view.as_str() {
            "overview" => Ok(View::Overview),
            "jobs" => Ok(View::Jobs),
            "product" => Ok(View::Product(self.dataset, self.product)),
            _ => Err(Problem::missing("no page of that name is kept up to date")),
        }
    }
}

impl View {
    /// The address of its events.
    pub(super) fn events(&self) -> String {
        const BASE: &str = "/events?";
        let mut query = url::form_urlencoded::Serializer::for_suffix(BASE.to_owned(), BASE.len());
        match self {
            Self::Overview => query.append_pair("view", "overview"),
            Self::Jobs => query.append_pair("view", "jobs"),
            Self::Product(dataset, product) => query
                .append_pair("view", "product")
                .append_pair("dataset", dataset)
                .append_pair("product", product),
        };
        query.finish()
    }

    /// Its regions as they are now. May look at the disk.
    pub(super) fn regions(&self, site: &Site, vfs: &Vfs) -> Result<Vec<Region>, Problem> {
        match self {
            Self::Overview => Ok(overview::regions(site, vfs).into()),
            Self::Jobs => Ok(jobs::regions(site, vfs).into()),
            Self::Product(dataset, product) => product::regions(site, vfs, dataset, product).map(Into::into),
        }
    }
}
