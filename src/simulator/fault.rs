//! Rules of misbehaviour and how often they have struck.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use globset::GlobMatcher;
use serde::Deserialize;

use super::scenario::Endpoint;

/// One rule: when it matches and what it does.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Glob on product names; `None` matches whatever the endpoint says.
    pub file: Option<GlobMatcher>,
    /// The requests it is about (`Post` for effects of an order).
    pub endpoint: Endpoint,
    /// How many matches are struck; `None`: all.
    pub times: Option<u64>,
    /// How many matches pass before the first is struck.
    pub skip: u64,
    /// What happens.
    pub effect: Effect,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// To a task and its file, decided once when it is ordered.
    Order(OrderEffect),
    /// To one HTTP request.
    Http(HttpEffect),
}

/// What happens to a task or to its file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OrderEffect {
    /// The task ends otherwise than well.
    Outcome(Outcome),
    /// The file ends after this part of its bytes.
    Truncated(f64),
    /// Bytes in the middle are inverted.
    Corrupt,
    /// The link answers a web page.
    NotAZip,
    /// `FileSize` is not the file's length.
    WrongFileSize,
    /// The link answers 404 from the beginning.
    ExpiredLink,
    /// The checksums in the directories of the zip and of the zips in it are wrong.
    WrongCrc,
    /// The order makes a second task like the first, which nobody is told of.
    Doubled,
}

/// How a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// `Finished_ok` with a link.
    #[default]
    FinishedOk,
    /// `Finished_nok` with a message.
    FinishedNok,
    /// `Rejected`.
    Rejected,
    /// `Cancelled` by the operators.
    Cancelled,
    /// `Queued` for ever.
    StuckQueued,
    /// A link, but `Status` says `Queued` for ever (a race of the real service).
    QueuedWithUrl,
    /// Unknown to the service after a while.
    Vanishes,
    /// FME refuses: 500 at the order, and the task stays `Queued`.
    FmeRefuses,
}

/// What happens to one HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpEffect {
    /// A status with a short body.
    Status {
        /// The status code.
        code: u16,
        /// Seconds for `Retry-After`.
        retry_after: Option<u64>,
        /// The body in place of a web page.
        body: Option<String>,
    },
    /// The answer begins so much later.
    Delay(Duration),
    /// The body comes with so many bytes in a second.
    Rate(u64),
    /// Half of the body comes, then nothing any more.
    Stall,
    /// 200 with half a JSON text.
    MalformedJson,
    /// 200 with a web page.
    Html,
    /// No answer.
    Hang,
    /// The connection is reset.
    Reset,
}

/// The rules in force, with their counts.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<(Fault, AtomicU64)>);

impl Faults {
    pub(crate) fn new(rules: Vec<Fault>) -> Self {
        Self(rules.into_iter().map(|rule| (rule, AtomicU64::new(0))).collect())
    }

    /// What strikes one order of these products; every matching rule counts it.
    pub(crate) fn of_order(&self, products: &[String]) -> Vec<OrderEffect> {
        self.0
            .iter()
            .filter_map(|(rule, seen)| match &rule.effect {
                Effect::Order(effect) if concerns(rule, products) && strikes(rule, seen) => Some(*effect),
                _ => None,
            })
            .collect()
    }

    /// What strikes one request; the first rule that strikes wins, and later ones do not count it.
    pub(crate) fn of_request(&self, endpoint: Endpoint, products: &[String]) -> Option<HttpEffect> {
        self.0.iter().find_map(|(rule, seen)| match &rule.effect {
            Effect::Http(effect)
                if rule.endpoint == endpoint && concerns(rule, products) && strikes(rule, seen) =>
            {
                Some(effect.clone())
            }
            _ => None,
        })
    }
}

fn concerns(rule: &Fault, products: &[String]) -> bool {
    rule.file.as_ref().is_none_or(|glob| products.iter().any(|name| glob.is_match(name)))
}

fn strikes(rule: &Fault, seen: &AtomicU64) -> bool {
    let before = seen.fetch_add(1, Ordering::Relaxed);
    before >= rule.skip && rule.times.is_none_or(|times| before < rule.skip.saturating_add(times))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::simulator::Scenario;

    fn faults(text: &str) -> Faults {
        Faults::new(Scenario::from_toml(text).unwrap().faults)
    }

    #[test]
    fn a_rule_skips_strikes_and_stops() {
        let faults = faults("[[fault]]\nendpoint = \"status\"\nstatus = 503\nskip = 1\ntimes = 2");
        let struck: Vec<bool> = (0..5).map(|_| faults.of_request(Endpoint::Status, &[]).is_some()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert_eq!(faults.of_request(Endpoint::Search, &[]), None);
    }

    #[test]
    fn a_glob_matches_any_product_of_the_order() {
        let faults = faults("[[fault]]\nfile = \"IMD_*\"\noutcome = \"rejected\"");
        assert_eq!(faults.of_order(&["TCD".to_owned()]), []);
        assert_eq!(
            faults.of_order(&["TCD".to_owned(), "IMD_2018".to_owned()]),
            [OrderEffect::Outcome(Outcome::Rejected)]
        );
    }

    #[test]
    fn an_http_effect_with_only_a_file_is_about_downloads() {
        let faults = faults("[[fault]]\nfile = \"A\"\nreset = true\ntimes = 1");
        let product = ["A".to_owned()];
        assert_eq!(faults.of_request(Endpoint::Post, &product), None);
        assert_eq!(faults.of_request(Endpoint::Download, &product), Some(HttpEffect::Reset));
        assert_eq!(faults.of_request(Endpoint::Download, &product), None);
    }
}
