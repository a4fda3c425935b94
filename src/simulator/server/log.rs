//! What was asked: counters and the last lines, for tests in other processes.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::Serialize;

use crate::simulator::{scenario::Endpoint, task};

const KEPT: usize = 1000;

/// One request.
#[derive(Debug, Clone, Serialize)]
struct Line {
    number: u64,
    time: String,
    method: String,
    target: String,
    user_agent: Option<String>,
    range: Option<String>,
    endpoint: Endpoint,
    /// `None` while it is not answered.
    status: Option<u16>,
}

/// The log as `GET /_simulator/requests` shows it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Log {
    total: u64,
    endpoints: BTreeMap<Endpoint, u64>,
    posts: BTreeMap<String, u64>,
    downloads: BTreeMap<String, u64>,
    /// Bytes that the file host handed to connections.
    pub(crate) download_bytes: u64,
    requests: VecDeque<Line>,
}

/// What arrives.
pub(crate) struct Arrival<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) range: Option<&'a str>,
    pub(crate) endpoint: Endpoint,
}

impl Log {
    /// Notes a request; the number is for [`Log::answered`].
    pub(crate) fn arrived(&mut self, arrival: &Arrival<'_>) -> u64 {
        self.total += 1;
        *self.endpoints.entry(arrival.endpoint).or_default() += 1;
        if self.requests.len() == KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(Line {
            number: self.total,
            time: task::iso(Timestamp::now()),
            method: arrival.method.to_owned(),
            target: arrival.target.to_owned(),
            user_agent: arrival.user_agent.map(str::to_owned),
            range: arrival.range.map(str::to_owned),
            endpoint: arrival.endpoint,
            status: None,
        });
        self.total
    }

    /// Notes the answer to a request, if it is still remembered.
    pub(crate) fn answered(&mut self, number: u64, status: u16) {
        if let Some(line) = self.requests.iter_mut().rev().find(|line| line.number == number) {
            line.status = Some(status);
        }
    }

    /// Counts an order that the service took, once per product.
    pub(crate) fn ordered(&mut self, products: &[String]) {
        for product in products {
            *self.posts.entry(product.clone()).or_default() += 1;
        }
    }

    /// Counts a GET of a task's file, once per product.
    pub(crate) fn downloaded(&mut self, products: &[String]) {
        for product in products {
            *self.downloads.entry(product.clone()).or_default() += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_last_thousand_are_kept_and_all_are_counted() {
        let mut log = Log::default();
        let arrival = Arrival {
            method: "GET",
            target: "/x",
            user_agent: None,
            range: None,
            endpoint: Endpoint::Search,
        };
        for _ in 0..1500 {
            let number = log.arrived(&arrival);
            log.answered(number, 200);
        }
        log.ordered(&["a".to_owned()]);
        let json = serde_json::to_value(&log).unwrap();
        assert_eq!(json["endpoints"]["search"], 1500);
        assert_eq!(json["requests"].as_array().unwrap().len(), 1000);
        assert_eq!(json["requests"][999]["status"], 200);
        assert_eq!(json["posts"]["a"], 1);
    }
}
