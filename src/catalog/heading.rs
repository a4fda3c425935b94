//! What is known of a dataset without unpacking its record: enough for the first level of the tree.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clms::{DatasetRecord, DatasetUid};

use super::contents::{publication, sort_out};
use super::dataset::HiddenReason;
use super::names;

/// What the snapshot's index says about one record. It follows from the record by the rules of this release: who
/// changes the rules changes the number of the snapshot's format, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heading {
    /// Its UID.
    pub(super) uid: DatasetUid,
    /// Its short name, made safe, not yet unique.
    pub(super) name: String,
    /// Its title.
    pub(super) title: Box<str>,
    /// When it was published.
    pub(super) published: Timestamp,
    /// How many of its items can be ordered.
    pub(super) products: u32,
    /// Why its first item that cannot be ordered is hidden.
    pub(super) hidden: Option<HiddenReason>,
}

impl Heading {
    pub(super) fn of(record: &DatasetRecord) -> Self {
        let (offered, hidden) = sort_out(&record.files);
        Self {
            uid: record.uid.clone(),
            name: names::safe_or(&record.short_name, record.uid.as_str()),
            title: record.title.as_str().into(),
            published: publication(record),
            products: u32::try_from(offered.len()).unwrap_or(u32::MAX),
            hidden: hidden.first().map(|file| file.reason),
        }
    }
}
