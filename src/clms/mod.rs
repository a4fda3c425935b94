//! The service: token, client, wire types, errors. Knows HTTP, knows no disk (but for the key file).
//!
//! [`Client`] is the only door. What comes in is parsed once, here, into types that cannot be wrong:
//! ids are newtypes, a [`Task`] has an [`outcome`](Task::outcome), a [`DatasetRecord`] has plain optional
//! texts whatever shape the service gave them. What goes wrong is a [`ClmsError`] that names the way out.
//!
//! Three promises hold in every call: the key leaves the process only as a signature sent to its own
//! `token_uri`; a token goes to the API's origin only; an order that may have reached the service is
//! never repeated here.

mod address;
mod catalogue;
mod client;
mod clock;
mod coding;
pub mod counts;
mod dataset;
mod download;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod http;
mod ids;
mod json;
mod key;
mod order;
mod probe;
mod retry;
mod secret;
mod task;
mod token;
mod wire;

pub use address::ApiAddress;
pub use catalogue::Coverage;
pub use client::{Client, ClientOptions, Timeouts};
pub use dataset::{BadRecord, BoundingBox, DatasetRecord, PackagedFile};
pub use download::{Download, Ranges};
pub use error::ClmsError;
pub use ids::{DatasetUid, FileId, TaskId};
pub use key::{Credentials, ServiceKey};
pub use order::OrderOutcome;
pub use retry::RetryPolicy;
pub use task::{Task, TaskDataset, TaskOutcome, TaskStatus};

#[cfg(test)]
mod tests;
