//! What a dataset holds: everything that a record tells beyond its heading.

use jiff::Timestamp;

use crate::clms::{BoundingBox, DatasetRecord, FileId, PackagedFile};

use super::dataset::{HiddenFile, HiddenReason};
use super::names::{self, RESERVED_IN_DATASET};
use super::period::Period;
use super::product::{Draft, Kind, Products};

/// Stands in for a publication date that the record does not have: the start of the programme's services.
const NO_DATE: &str = "2012-01-01T00:00:00Z";
/// Plone's way to say "not set" is a date around 1970.
const EARLIEST_YEAR: i16 = 1990;

/// A record, unpacked when somebody first looks into its dataset.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) description: Box<str>,
    pub(super) modified: Option<Timestamp>,
    pub(super) period: Period,
    pub(super) boxes: Box<[BoundingBox]>,
    pub(super) keywords: Box<[Box<str>]>,
    pub(super) projection: Option<Box<str>>,
    pub(super) access: Option<Box<str>>,
    pub(super) products: Products,
    pub(super) hidden: Box<[HiddenFile]>,
}

impl Contents {
    pub(super) fn of(record: &DatasetRecord) -> Self {
        let (offered, hidden) = sort_out(&record.files);
        let products = Products::pack(drafts(&offered, record.representation.as_deref()));
        Self {
            description: record.description.as_str().into(),
            modified: record.modified.filter(|moment| is_set(*moment)),
            period: Period::parse(record.start.as_deref(), record.end.as_deref(), record.period.as_deref()),
            boxes: record.boxes.as_slice().into(),
            keywords: record.keywords.iter().map(|word| word.as_str().into()).collect(),
            projection: record.projection.as_deref().map(Into::into),
            access: record.access.as_deref().map(Into::into),
            products: products.expect("a record has at most 256 MB, its names less than 4 GB"),
            hidden: hidden.into(),
        }
    }
}

/// The items of a record that are not offered.
pub(super) fn hidden(record: &DatasetRecord) -> Vec<HiddenFile> {
    sort_out(&record.files).1
}

/// An item that can be ordered, with its names.
pub(super) struct Offered<'a> {
    position: usize,
    id: &'a FileId,
    file: &'a PackagedFile,
    raw_name: &'a str,
}

/// Tells the files that can be ordered from the others: the service wants an id, a path and a source (CLMS-API 2.2).
pub(super) fn sort_out(files: &[PackagedFile]) -> (Vec<Offered<'_>>, Vec<HiddenFile>) {
    let mut offered: Vec<Offered<'_>> = Vec::new();
    let mut hidden = Vec::new();
    for (position, file) in files.iter().enumerate() {
        let raw_name = raw_name(file).unwrap_or_default();
        let mut hide = |reason| {
            let (raw_name, id) = (raw_name.to_owned(), file.id.clone());
            hidden.push(HiddenFile { raw_name, id, reason, position });
        };
        match (&file.id, &file.path, &file.source) {
            (None, _, _) => hide(HiddenReason::NoId),
            (_, None, _) => hide(HiddenReason::NoPath),
            (_, _, None) => hide(HiddenReason::NoSource),
            (Some(id), Some(_), Some(_)) => offered.push(Offered { position, id, file, raw_name }),
        }
    }
    // The same order whatever the order of the list.
    offered.sort_by(|a, b| (a.id, a.raw_name).cmp(&(b.id, b.raw_name)));
    offered.dedup_by(|later, first| {
        let same = later.id == first.id;
        if same {
            hidden.push(HiddenFile {
                raw_name: later.raw_name.to_owned(),
                id: Some(later.id.clone()),
                reason: HiddenReason::SameId,
                position: later.position,
            });
        }
        same
    });
    (offered, hidden)
}

/// `file`, else `title`, else `area`, else the last part of the Windows path.
fn raw_name(file: &PackagedFile) -> Option<&str> {
    let path = file.path.as_deref().map(|path| path.rsplit(['\\', '/']).next().unwrap_or(path));
    [file.file.as_deref(), file.title.as_deref(), file.area.as_deref(), path]
        .into_iter()
        .flatten()
        .find(|name| names::safe(name).is_some())
}

fn drafts<'a>(offered: &[Offered<'a>], representation: Option<&str>) -> Vec<Draft<'a>> {
    let candidates: Vec<(String, &FileId)> = offered
        .iter()
        .map(|one| {
            let name = names::safe_product(one.raw_name).unwrap_or_else(|| names::fallback(one.id.as_str()));
            (name, one.id)
        })
        .collect();
    let names = names::assign(&candidates, &RESERVED_IN_DATASET);
    offered
        .iter()
        .zip(names)
        .map(|(one, name)| Draft {
            id: one.id,
            name,
            raw_name: one.raw_name,
            kind: Kind::guess(one.file, one.raw_name, representation),
            file: one.file,
        })
        .collect()
}

fn is_set(moment: Timestamp) -> bool {
    moment.to_zoned(jiff::tz::TimeZone::UTC).year() >= EARLIEST_YEAR
}

/// The first date of the record that is set, or [`NO_DATE`].
pub(super) fn publication(record: &DatasetRecord) -> Timestamp {
    [record.published, record.created, record.modified]
        .into_iter()
        .flatten()
        .find(|moment| is_set(*moment))
        .unwrap_or_else(|| NO_DATE.parse().expect("a valid constant"))
}
