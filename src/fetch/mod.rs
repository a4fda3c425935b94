//! From cold to ready: a pure state machine, the actor that drives it, the ledger.
//!
//! * [`job`] — the life of one fetch: steps, events, transitions; no I/O.
//! * [`engine`] — starts, joins, resumes and cancels fetches; one driver per product, however many readers wait
//!   (`flights.rs`).
//! * [`order`], [`poller`], [`download`], [`convert`] — what a driver (`driver.rs`, `local_steps.rs`) does in each step.
//! * `ahead.rs` — a package is unpacked while it is downloaded.
//! * [`adopt`] — which task of the account can be used, a pure choice.
//! * [`ledger`] — what must survive a crash.
//! * [`patience`] — how long all that bears with the service.
//! * [`state`], [`failure`] — what others may know of a fetch; [`counters`] — of all of them; [`journal`] — what the log
//!   says of each.

pub mod adopt;
mod ahead;
pub mod convert;
pub mod counters;
pub mod download;
mod driver;
pub mod engine;
pub mod failure;
mod flights;
pub mod job;
pub mod journal;
pub mod ledger;
mod local_steps;
pub mod order;
pub mod patience;
pub mod poller;
pub mod service;
mod shared;
mod speed;
mod staging;
pub mod state;
#[cfg(test)]
pub(crate) mod tests;
mod turn;

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
