//! The search for all datasets, page after page, at a service that may count, link and repeat wrongly.
//!
//! A page's link to the next one is followed where it is of use; where it is not, the service's own count says
//! whether there is more, and the next page is asked for by its number. A round through all pages that shows a dataset
//! twice or fewer than were counted may have missed some (entries move while the service indexes): another
//! round shows whether it did.

use std::collections::HashSet;

use reqwest::Url;
use serde_json::Value;
use tokio::sync::mpsc;

use super::address::FULL;
use super::client::Client;
use super::counts::Endpoint;
use super::dataset::DatasetRecord;
use super::error::ClmsError;
use super::http::bad_answer;
use super::ids::DatasetUid;
use super::wire;

/// Datasets per page: a page is a few MB and takes the service some seconds.
const PAGE_SIZE: usize = 100;
/// More pages than this is a loop (a million datasets).
const MAX_PAGES: usize = 10_000;
/// Rounds through all pages.
const ROUNDS: usize = 3;

/// How much of the catalogue a search has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// All of it.
    Complete,
    /// The service counts more datasets than it shows: what was known before should be kept.
    Partial,
}

/// One page of the search.
pub(super) struct Page {
    pub(super) items: Vec<Value>,
    total: Option<usize>,
    /// The service's link to the next page, as it wrote it.
    pub(super) next: Option<String>,
}

impl Page {
    /// `None` when there is no list of items where one should be.
    pub(super) fn read(answer: Value) -> Option<Self> {
        let mut answer = match answer {
            Value::Array(items) => return Some(Self { items, total: None, next: None }),
            other => other,
        };
        let items = match answer.get_mut("items")?.take() {
            Value::Array(items) => items,
            // A list whose positions have become keys.
            Value::Object(items) => items.into_iter().map(|(_, item)| item).collect(),
            _ => return None,
        };
        let total = wire::whole_number(answer.get("items_total"));
        let next = answer.get("batching").and_then(|batching| batching.get("next"));
        let next = next.and_then(|next| next.as_str().or_else(|| next.get("@id")?.as_str()));
        Some(Self {
            items,
            total: total.and_then(|total| usize::try_from(total).ok()),
            next: next.map(str::to_owned),
        })
    }
}

/// What a round through all pages has met.
#[derive(Default)]
pub(super) struct Round {
    /// Pages asked for.
    asked: HashSet<Url>,
    datasets: HashSet<DatasetUid>,
    items: usize,
    broken: usize,
    repeated: usize,
    /// What the service counted last.
    total: Option<usize>,
    /// Datasets that no round before has met.
    news: usize,
    /// The service's links have led back to what was seen, or to nothing: only its count is of use.
    lost: bool,
}

impl Round {
    fn met_as_many_as_counted(&self) -> bool {
        self.total.is_none_or(|total| self.items >= total)
    }
}

impl Client {
    /// All datasets, without a token: sent to `pages` one page after another, because together their records take
    /// gigabytes of memory when there are many. Ends early, without an error, when nobody takes them any more.
    ///
    /// A few broken items are left out with a warning. A service that shows fewer datasets than it counts is no error
    /// either, but told, so that a catalogue never shrinks by accident.
    ///
    /// # Errors
    /// [`ClmsError::BadAnswer`] for a search without items, or the failures of any request.
    pub async fn catalogue(&self, pages: mpsc::Sender<Vec<DatasetRecord>>) -> Result<Coverage, ClmsError> {
        let mut sent = HashSet::new();
        let mut coverage = Coverage::Partial;
        for number in 1..=ROUNDS {
            let mut round = Round::default();
            if !self.round(&mut round, &mut sent, &pages).await? {
                return Ok(Coverage::Complete);
            }
            let (broken, repeated, total) = (round.broken, round.repeated, round.total);
            let settled = number > 1 && round.news == 0;
            if round.met_as_many_as_counted() && (repeated == 0 || settled) {
                coverage = Coverage::Complete;
            }
            if broken + repeated > 0 || coverage == Coverage::Partial {
                let kept = sent.len();
                tracing::warn!(
                    number,
                    broken,
                    repeated,
                    total,
                    kept,
                    "the search of the catalogue is not clean"
                );
            }
            if coverage == Coverage::Complete || settled {
                break;
            }
        }
        Ok(coverage)
    }

    /// One round through all pages; `false` when nobody takes them any more.
    async fn round(
        &self,
        round: &mut Round,
        sent: &mut HashSet<DatasetUid>,
        pages: &mpsc::Sender<Vec<DatasetRecord>>,
    ) -> Result<bool, ClmsError> {
        let mut url = self.page_at(0);
        let mut is_linked = false;
        loop {
            round.asked.insert(url.clone());
            let answer = self.json(&self.get(Endpoint::Catalogue, url.clone(), false)).await?;
            let none = || bad_answer(&url, "its search result has no items".to_owned());
            let page = Page::read(answer).ok_or_else(none)?;
            round.total = page.total.or(round.total);
            if page.items.is_empty() {
                // Past the end the service may go on naming a next page for ever (CLMS-API 8.1).
                let nothing = round.items == 0 && !round.met_as_many_as_counted();
                return if nothing { Err(none()) } else { Ok(true) };
            }
            let count = page.items.len();
            round.items += count;
            let (known, broken) = (round.repeated, round.broken);
            let records = round.take(page.items, sent);
            if !records.is_empty() && pages.send(records).await.is_err() {
                return Ok(false);
            }
            if is_linked && round.broken - broken == count {
                // summaries, or something else that is not the page that was asked for
                (round.items, round.broken, round.lost) = (round.items - count, broken, true);
                (url, is_linked) = (self.page_at(round.items), false);
                continue;
            }
            if round.repeated - known == count {
                (round.items, round.repeated) = (round.items - count, known);
                if std::mem::replace(&mut round.lost, true) {
                    return Ok(true);
                }
            }
            let link = page.next.as_deref().filter(|_| !round.lost);
            let linked = link.and_then(|next| self.api.next_page(next));
            // The page after an odd count is asked for, too: a full page of more than were counted may not be the last.
            let more = match round.total {
                Some(total) => round.items < total || (round.items > total && count >= PAGE_SIZE),
                None => count >= PAGE_SIZE,
            };
            let counted = || (more || link.is_some()).then(|| self.page_at(round.items));
            let linked = linked.filter(|next| !round.asked.contains(next));
            is_linked = linked.is_some();
            let next = linked.or_else(counted);
            match next {
                Some(next) if !round.asked.contains(&next) && round.asked.len() < MAX_PAGES => url = next,
                _ => return Ok(true),
            }
        }
    }

    /// The page that begins with item number `start`.
    fn page_at(&self, start: usize) -> Url {
        let (size, start) = (PAGE_SIZE.to_string(), start.to_string());
        self.api
            .service("@search", &[("portal_type", "DataSet"), FULL, ("b_size", &size), ("b_start", &start)])
    }
}

impl Round {
    /// The records of a page that were not sent before.
    pub(super) fn take(&mut self, items: Vec<Value>, sent: &mut HashSet<DatasetUid>) -> Vec<DatasetRecord> {
        let mut records = Vec::with_capacity(items.len());
        for item in items {
            match DatasetRecord::from_json(item) {
                Ok(record) => {
                    if !self.datasets.insert(record.uid.clone()) {
                        self.repeated += 1;
                    } else if sent.insert(record.uid.clone()) {
                        self.news += 1;
                        records.push(record);
                    }
                }
                Err(reason) => {
                    self.broken += 1;
                    tracing::warn!(%reason, "an item of the catalogue is no dataset; left out");
                }
            }
        }
        records
    }
}
