//! The engine without a network and without GDAL: a scripted service, a real cache, a real ledger, paused time.
#![allow(clippy::unwrap_used)]

pub(crate) mod fake;

mod ahead;
mod budget;
mod doubt;
mod download;
mod failure;
mod flow;
mod polling;
mod random;
mod refresh;
mod resume;
