//! What the engine has done since it started.

use crate::tally::{Count, Histogram, Level, Tally, label};

/// Bounds in seconds of how long conversions take: small rasters a second or two, a continent at 10 m an hour.
const CONVERSION: &[u64] = &[1, 5, 15, 60, 300, 900, 3600];
/// Bounds in seconds of how long whole fetches take, the service's queue included.
const FETCH: &[u64] = &[10, 60, 300, 900, 3600, 14_400, 86_400];

label! {
    /// What became of the need of a task.
    pub enum OrderOutcome {
        /// The service took an order.
        Accepted = "accepted",
        /// A task of the account was used: none was ordered.
        Adopted = "adopted",
        /// The service says that the same is ordered already.
        Duplicate = "duplicate",
        /// The service refused the order.
        Refused = "refused",
        /// Nobody knows whether the order was taken; it is looked for before another one is sent.
        Unknown = "unknown",
        /// The order was certainly not taken: no network, no token, too many requests.
        Failed = "failed",
    }
}

/// All of it.
#[derive(Debug)]
pub struct Counters {
    /// Fetches started.
    pub fetches: Count,
    /// Fetches that brought a product.
    pub published: Count,
    /// Fetches that failed.
    pub failed: Count,
    /// Bytes downloaded.
    pub downloaded: Count,
    /// Orders sent, and tasks adopted in place of orders.
    pub orders: Tally<OrderOutcome>,
    /// Why fetches failed.
    pub failures: Tally<super::failure::FailureKind>,
    /// How long conversions took, failed ones too.
    pub conversions: Histogram,
    /// How long fetches took that brought a product, from the first open to the last byte.
    pub durations: Histogram,
    /// Conversions at work now, each in a process of its own.
    pub converting: Level,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            fetches: Count::default(),
            published: Count::default(),
            failed: Count::default(),
            downloaded: Count::default(),
            orders: Tally::default(),
            failures: Tally::default(),
            conversions: Histogram::new(CONVERSION),
            durations: Histogram::new(FETCH),
            converting: Level::default(),
        }
    }
}
